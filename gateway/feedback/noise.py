"""Counts with differential privacy, by OpenDP's discrete Laplace mechanism."""

from collections.abc import Sequence

from gateway.errors import FailedPrecondition

MICRO = 1_000_000
"""Budgets are accounted for in millionths, as whole numbers, so that nothing is lost to rounding."""


def noisy(counts: Sequence[int], *, sensitivity: int, epsilon: float) -> tuple[list[int], float]:
    """Return counts with noise, by which they may become negative, and the scale of the noise.

    One contributor changes the counts by `sensitivity` at most, all together (L1); then what is told is epsilon-differentially
    private for contributors: Dwork, McSherry, Nissim and Smith, "Calibrating Noise to Sensitivity in Private Data Analysis" (TCC
    2006). Whole numbers are drawn, so that no digits of a floating-point number tell more.

    Raises:
        FailedPrecondition: OpenDP is not installed.
    """
    try:
        from opendp.domains import atom_domain, vector_domain  # noqa: PLC0415 - a large library, for reports alone
        from opendp.measurements import make_laplace  # noqa: PLC0415
        from opendp.metrics import l1_distance  # noqa: PLC0415
        from opendp.mod import enable_features  # noqa: PLC0415
    except ModuleNotFoundError:
        raise FailedPrecondition(
            "a report needs OpenDP, which is not installed here: pip install opendp"
        ) from None
    enable_features(
        "contrib"
    )  # all of OpenDP's mechanisms are: implemented, tested, and not formally proven by its vetting process
    scale = sensitivity / epsilon
    if not counts:
        return [], scale
    mechanism = make_laplace(vector_domain(atom_domain(T="i64")), l1_distance(T="i64"), scale=scale)
    return [int(count) for count in mechanism(list(counts))], scale

"""Bulk indexing and the index at scale, as tables."""

from collections.abc import Mapping

from benchmarks.tables import Document, origin, table


def bulk_section(documents: Mapping[str, Document]) -> list[str]:
    """Return what was found after the kills, how long it took, and the CPU by process."""
    lines: list[str] = []
    for name, document in documents.items():
        params, results = document["params"], document["results"]
        rows = params["rows"]
        how = (
            f"{rows:,} drawn rows, {results['good_rows']:,} of them good, on {params['workers']} workers of a local Ray. One worker was"
            f" killed at a quarter of them, the whole run at half with {results['parts_kept']} parts of 256 rows kept; it was run again"
            f" to its end: {results['first_run_s']:,.0f} and {results['second_run_s']:,.0f} s."
        )
        found = (
            f"In the index afterwards: {results['products']:,} products, {results['missing']} missing, {results['twice']} twice,"
            f" {results['foreign']} that should not be there."
        )
        lines += [
            *origin(name, document),
            "",
            how,
            "",
            found,
            "",
            *table(
                ["process", "CPU s", "ms a row"],
                [
                    [role, f"{seconds:,.0f}", f"{1_000 * seconds / rows:.2f}"]
                    for role, seconds in results["cpu_s"].items()
                ],
            ),
            "",
        ]
    return lines[:-1]

"""What tests of several kinds share: checkpoints of every family, exported and published once a session."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def published_family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Gives, by the name of a family, a folder with a tiny checkpoint and the repository that the command makes of it."""
    # Imported here because torch and transformers take seconds that most tests can do without.
    from click.testing import CliRunner  # noqa: PLC0415

    from encoders.testing import write_checkpoint  # noqa: PLC0415
    from export.cli import main  # noqa: PLC0415

    made: dict[str, Path] = {}

    def publish(name: Any) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            write_checkpoint(folder / "checkpoint", name)
            options = ["--checkpoint", str(folder / "checkpoint"), "--out", str(folder / "repository")]
            result = CliRunner().invoke(main, ["publish", *options])
            assert result.output.splitlines()[-1] == f"published local to {folder / 'repository'}"
            made[name] = folder
        return made[name]

    return publish

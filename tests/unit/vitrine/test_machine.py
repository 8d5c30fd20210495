"""What a figure is told to be measured on."""

import re
from pathlib import Path

import pytest

from vitrine.process.machine import describe_machine


def test_what_is_installed_is_named_with_its_version_and_nothing_else() -> None:
    packages = describe_machine(["numpy", "a-package-that-nobody-has"])["packages"]
    assert list(packages) == ["numpy"]
    assert re.fullmatch(r"\d+(\.\d+)+", packages["numpy"])


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    described = describe_machine([])
    assert (described["commit"], described["uncommitted_changes"]) == ("", False)
    assert described["cores"] >= 1
    assert described["cpu"]

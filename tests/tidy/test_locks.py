"""The lock files say what `pyproject.toml` asks for; `.ci/lock` writes them anew."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.tidy.sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUN = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["build"]
EXTRAS = [text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra]


def _locked(name: str) -> dict[str, str]:
    """Package and version of every entry; each has at least one hash."""
    text = (ROOT / name).read_text()
    entries = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)), (
        f"{name}: an entry has no hash"
    )
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in entries}


@pytest.mark.parametrize(
    ("name", "texts"), [("requirements.lock", RUN), ("requirements-dev.lock", RUN + EXTRAS)]
)
def test_a_lock_file_satisfies_the_project(name: str, texts: list[str]) -> None:
    locked = _locked(name)
    wrong = []
    for requirement in map(Requirement, texts):
        package = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if package == PROJECT["project"]["name"]:
            continue
        version = locked.get(package)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement} is locked to {version}: run .ci/lock")
    assert wrong == []


def test_both_lock_files_agree() -> None:
    run, everything = _locked("requirements.lock"), _locked("requirements-dev.lock")
    assert {name: version for name, version in run.items() if everything.get(name) != version} == {}

"""Pins: names and versions only, complete, and in agreement with what the project asks for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINES = [
    line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PINS = dict(line.split("==") for line in LINES)
WANTED = [
    Requirement(text)
    for text in (
        *PROJECT["project"]["dependencies"],
        *(text for extra in PROJECT["project"]["optional-dependencies"].values() for text in extra),
        *PROJECT["dependency-groups"]["dev"],
    )
]

DEBIAN_12_PYTHON = "3.11.2"


def test_pins_are_names_and_versions_only() -> None:
    assert [line for line in LINES if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []
    assert sorted(LINES, key=lambda line: line.split("==")[0]) == LINES


@pytest.mark.parametrize("requirement", WANTED, ids=str)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    version = PINS[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version, prereleases=True)


def test_everything_a_dependency_needs_is_pinned_too() -> None:
    missing = set()
    for name in PINS:
        for text in distribution(name).requires or []:
            requirement = Requirement(text)
            is_needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if is_needed and canonicalize_name(requirement.name) not in {*PINS, "setuptools", "wheel"}:
                missing.add(f"{name} needs {requirement.name}")
    # torch names its own builds for accelerators; which of them is installed is the machine's affair.
    assert {text for text in missing if not re.search(r"nvidia|triton|cuda", text)} == set()


def test_pinned_releases_run_on_the_oldest_python() -> None:
    installed = {canonicalize_name(item.metadata["Name"]): item for item in distributions()}
    too_new = [
        name
        for name in PINS
        if (wanted := installed[name].metadata.get("Requires-Python"))
        and not SpecifierSet(wanted).contains(DEBIAN_12_PYTHON)
    ]
    assert too_new == []

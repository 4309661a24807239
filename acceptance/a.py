"""Issue A, the thread: one command runs a real multicentre study, from DICOM to the network's result."""

from __future__ import annotations

from tools.acceptance import Step

TITLE = "one command runs a real multicentre study, from DICOM to the network's result"

STEPS = [
    Step(
        "house",
        "all import contracts are kept and every deliberate breach is caught",
        tests=("tests/architecture/test_import_contracts.py",),
    ),
    Step(
        "shape",
        "names, first sentences, wheel content, start-up time, documentation",
        tests=("tests/architecture", "--deselect", "tests/architecture/test_import_contracts.py"),
    ),
    Step(
        "properties",
        "pure logic with two thousand examples for each property",
        tests=("tests/unit",),
    ),
    Step(
        "contracts",
        "one suite for each port, on SQLite and PostgreSQL",
        tests=("tests/contract",),
    ),
    Step(
        "conformance",
        "our objects and protocols against foreign implementations",
        tests=("tests/conformance",),
    ),
]

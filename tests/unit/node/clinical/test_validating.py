"""The official validator as a program of its own; a small stand-in that is marked as such plays it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from racoon.node.clinical.validating import (
    OfficialValidator,
    RuleTables,
    ValidatorFailed,
    ValidatorMissing,
)
from racoon.standards.fhir.versions import VERSIONS

RESOURCES = [
    {"resourceType": "Device", "id": "a", "status": "active"},
    {"resourceType": "Device", "id": "b", "status": "no-such-state"},
]

STAND_IN = """#!{python}
# A STAND-IN for java with validator_cli.jar: it takes the same words and writes the same form, and validates nothing.
import json, os, sys, time
words = sys.argv[1:]
assert words[0] == "-jar" and os.path.isfile(words[1]), words
names = words[2:words.index("-version")]
assert words[words.index("-tx") + 1] == "n/a", "it may ask a server"
assert words[words.index("-ig") + 1].endswith("package.tgz")
assert "SECRET_OF_THE_NODE" not in os.environ
mode = open(os.path.join(os.path.dirname(words[1]), "mode")).read()
if mode == "hang":
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)
if mode == "silent":
    sys.exit(0)
entries = []
for name in names if mode != "half" else names[:1]:
    found = json.load(open(name))
    issue = {{"severity": "information", "code": "informational", "details": {{"text": "All OK"}}}}
    if found["status"] == "no-such-state":
        issue = {{"severity": "fatal", "code": "code-invalid", "details": {{"text": "x" * 999}},
                 "expression": ["Device.status"]}}
    file = {{"url": "http://hl7.org/fhir/StructureDefinition/operationoutcome-file",
            "valueString": os.path.abspath(name)}}
    entries.append({{"resource": {{"resourceType": "OperationOutcome", "extension": [file], "issue": [issue]}}}})
answer = {{"resourceType": "Bundle", "type": "collection", "entry": entries[::-1]}}
json.dump(answer if len(names) > 1 else entries[0]["resource"], open(words[words.index("-output") + 1], "w"))
sys.exit(1)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECRET_OF_THE_NODE", "1")
    (tmp_path / "validator_cli.jar").write_bytes(b"no jar: the stand-in needs none")
    program = tmp_path / "java"
    program.write_text(STAND_IN.format(python=sys.executable), "utf-8")
    program.chmod(0o700)
    return tmp_path


def validator(folder: Path, mode: str = "well", timeout_s: float = 60.0) -> OfficialValidator:
    (folder / "mode").write_text(mode, "utf-8")
    packages = [folder / "package.tgz"]
    return OfficialValidator(folder / "validator_cli.jar", str(folder / "java"), packages, timeout_s)


def test_outcomes_come_back_to_the_resources_they_are_about(stand_in: Path) -> None:
    verdict = validator(stand_in).validate(RESOURCES)
    assert (verdict.checked_by, verdict.errors) == ("validator", 1)
    assert [[item.severity for item in found] for found in verdict.issues] == [["information"], ["error"]]
    (issue,) = verdict.issues[1]
    assert (issue.path, issue.code, len(issue.message)) == ("Device.status", "code-invalid", 400)
    assert validator(stand_in).validate(RESOURCES[1:]).errors == 1
    assert validator(stand_in).validate([]).issues == []


@pytest.mark.parametrize("mode", ["silent", "half"])
def test_what_was_not_answered_is_not_taken_for_right(stand_in: Path, mode: str) -> None:
    with pytest.raises(ValidatorFailed):
        validator(stand_in, mode).validate(RESOURCES)


def test_it_is_stopped_in_time_with_what_it_started(stand_in: Path) -> None:
    with pytest.raises(ValidatorFailed, match="not done in time"):
        validator(stand_in, "hang", 3.0).validate(RESOURCES)
    found = (path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit())
    commands = [path.read_bytes() for path in found if path.exists()]
    assert not [command for command in commands if str(stand_in / "java").encode() in command]


def test_missing_program_or_jar_says_what_to_do(stand_in: Path) -> None:
    with pytest.raises(ValidatorMissing, match="validator_java"):
        OfficialValidator(stand_in / "validator_cli.jar", str(stand_in / "nothing"), (), 5).validate(
            RESOURCES
        )
    with pytest.raises(ValidatorMissing, match="validator_jar"):
        OfficialValidator(stand_in / "nothing.jar", "java", (), 5).validate(RESOURCES)


def test_without_it_the_rule_tables_check_and_say_so() -> None:
    verdict = RuleTables(VERSIONS["2026"]).validate(RESOURCES)
    assert verdict.checked_by == "rules"
    assert len(verdict.issues) == 2
    assert json.dumps([item.to_dict() for found in verdict.issues for item in found])

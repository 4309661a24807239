"""The official validator, run as a program of its own where a site has it; nothing of it is shipped here.

It reads files from a folder that only this user may open, is told to ask no terminology server, and is stopped with
everything it started when its time is over.  What it says comes back as the rule tables say it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from racoon.errors import Refused, Unavailable
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.rules.model import Issue, Severity
from racoon.standards.fhir.versions import ProfileVersion

FILE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/operationoutcome-file"
"""Where the validator says which file an outcome is about."""

_SEVERITIES = {"fatal": "error", "error": "error", "warning": "warning", "information": "information"}
LONGEST_MESSAGE = 400
LARGEST_ANSWER_BYTES = 256 << 20


class ValidatorMissing(Refused):
    """The validator that the settings name cannot be run."""

    code: ClassVar[str] = "fhir.validator_missing"


class ValidatorFailed(Unavailable):
    """The validator ran out of time or answered with nothing that can be read."""

    code: ClassVar[str] = "fhir.validator_failed"


@dataclass(frozen=True)
class Verdict:
    """What was found in some resources.

    Parameters
    ----------
    checked_by
        ``rules`` or ``validator``.
    issues
        Of each resource, in their order.
    """

    checked_by: str
    issues: Sequence[Sequence[Issue]]

    @property
    def errors(self) -> int:
        """Count what breaks a profile."""
        return sum(item.severity == "error" for found in self.issues for item in found)


class RuleTables:
    """Checks by the rule tables of this product: always there.

    Parameters
    ----------
    version
        Package of profiles.
    """

    def __init__(self, version: ProfileVersion) -> None:
        self._version = version

    def validate(self, resources: Sequence[Resource]) -> Verdict:
        """Check resources."""
        return Verdict("rules", [check(item, self._version) for item in resources])


class OfficialValidator:
    """Checks by a site's own ``validator_cli.jar``.

    Parameters
    ----------
    jar
        The program.
    java
        What runs it.
    packages
        Profile packages, as files or folders.
    timeout_s
        Time for one call, however many resources it is about: most of it is loading the packages.
    """

    def __init__(self, jar: Path, java: str, packages: Sequence[Path], timeout_s: float) -> None:
        self._jar, self._java, self._packages, self._timeout_s = jar, java, tuple(packages), timeout_s

    def validate(self, resources: Sequence[Resource]) -> Verdict:
        """Check resources.

        Raises
        ------
        ValidatorMissing
        ValidatorFailed
        """
        if not resources:
            return Verdict("validator", [])
        if not self._jar.is_file():
            raise ValidatorMissing(
                "There is no file at fhir.validator_jar. Correct the path, or remove the key."
            )
        # Made with mode 0700.
        with tempfile.TemporaryDirectory(prefix="racoon-validator-") as place:
            folder = Path(place)
            names = [f"r{number}.json" for number in range(len(resources))]
            for name, item in zip(names, resources, strict=True):
                (folder / name).write_text(json.dumps(item, ensure_ascii=False), "utf-8")
            answer = folder / "outcome.json"
            self._run(folder, names, answer)
            return Verdict("validator", _outcomes(_read(answer), names))

    def _run(self, folder: Path, names: Sequence[str], answer: Path) -> None:
        packages = [word for package in self._packages for word in ("-ig", str(package.resolve()))]
        command = [self._java, "-jar", str(self._jar.resolve()), *names, "-version", "4.0.1", "-tx", "n/a"]
        command += [*packages, "-output", answer.name]
        kept = ("PATH", "JAVA_HOME", "LANG", "LC_ALL")
        environment = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(folder)}
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise ValidatorMissing(
                "The program of fhir.validator_java cannot be started. Install Java, or correct the key."
            ) from error
        try:
            # Its exit status only repeats that it found errors.
            process.wait(self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ValidatorFailed(
                "The official validator was not done in time. Check fewer files, or raise fhir.validator_timeout_s."
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _read(answer: Path) -> Any:
    try:
        if answer.stat().st_size > LARGEST_ANSWER_BYTES:
            raise ValueError
        return json.loads(answer.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValidatorFailed(
            "The official validator answered with nothing that can be read. Run it once by hand to see why."
        ) from error


def _outcomes(document: Any, names: Sequence[str]) -> list[list[Issue]]:
    """Sort outcomes by the files they are about; one that names none is about the only file, or about its place.

    Raises
    ------
    ValidatorFailed
        If a file has no outcome: what was not looked at is not taken for right.
    """
    found = list(_each(document))
    by_name: dict[str, list[Issue]] = {}
    for place, outcome in enumerate(found):
        named = [
            Path(str(item.get("valueString", ""))).name
            for item in outcome.get("extension", [])
            if isinstance(item, dict) and item.get("url") == FILE_EXTENSION
        ]
        name = named[0] if named else names[place] if place < len(names) else ""
        by_name.setdefault(name, []).extend(_issue(item) for item in outcome.get("issue", []))
    if not set(names) <= set(by_name):
        raise ValidatorFailed(
            "The official validator did not answer for every resource. Run it by hand to see why."
        )
    return [by_name[name] for name in names]


def _each(document: Any) -> Iterator[Mapping[str, Any]]:
    kind = document.get("resourceType") if isinstance(document, dict) else None
    if kind == "OperationOutcome":
        yield document
    elif kind == "Bundle":
        for entry in document.get("entry", []):
            yield from _each(entry.get("resource") if isinstance(entry, dict) else None)


def _issue(item: Mapping[str, Any]) -> Issue:
    places = item.get("expression") or item.get("location") or [""]
    details = item.get("details") or {}
    return Issue(
        cast(Severity, _SEVERITIES.get(str(item.get("severity")), "error")),
        str(item.get("code", "invalid")),
        str(places[0]),
        str(details.get("text") or item.get("diagnostics") or "")[:LONGEST_MESSAGE],
        "validator",
    )

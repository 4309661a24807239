"""Checks whole files and folders of FHIR: every resource against its rules, with what reading would tolerate."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from racoon.standards.fhir.reading import Tolerated, iterate_resources, tolerate
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.rules.model import Issue
from racoon.standards.fhir.versions import ProfileVersion

MOST_LISTED = 1000
"""Findings listed one by one; all of them are counted."""


@dataclass
class FileReport:
    """What a check of files found.

    Attributes
    ----------
    resources
        Resources by type.
    errors, warnings, tolerated
        Counts by code.
    unreadable
        Places that hold no resource, with the reason.
    findings
        Place, id of the profile and issue of the first findings.
    """

    resources: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    tolerated: Counter[str] = field(default_factory=Counter)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_conformant(self) -> bool:
        """Whether nothing is wrong that the rules call an error."""
        return not self.errors and not self.unreadable

    @property
    def is_readable(self) -> bool:
        """Whether everything can be read, tolerated deviations included."""
        return not self.unreadable and not any(
            item["severity"] == "error" and not item["tolerated"] for item in self.findings
        )

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines."""
        return {
            "conformant": self.is_conformant,
            "readable": self.is_readable,
            "resources": dict(sorted(self.resources.items())),
            "errors": dict(sorted(self.errors.items())),
            "warnings": dict(sorted(self.warnings.items())),
            "tolerated": dict(sorted(self.tolerated.items())),
            "unreadable": self.unreadable,
            "findings": self.findings,
        }


def check_files(path: Path, version: ProfileVersion) -> FileReport:
    """Check every resource of a file or folder.

    Parameters
    ----------
    path
        ``.json`` or ``.ndjson`` file, or a folder of them.
    version
        Package of profiles.
    """
    report = FileReport()
    for found in iterate_resources(path):
        if found.deleted:
            continue
        if found.resource is None:
            report.unreadable.append({"place": found.place, "problem": found.problem})
            continue
        report.resources[_kind(found.resource)] += 1
        issues = check(found.resource, version)
        if not issues:
            continue
        mended, notes = tolerate(found.resource, version)
        remaining = set(check(mended, version)) if notes else set(issues)
        for note in notes:
            report.tolerated[note.code] += 1
        for issue in issues:
            _count(report, issue)
        if len(report.findings) < MOST_LISTED:
            report.findings += _described(found.place, issues, remaining, notes)
    return report


def _kind(resource: dict[str, Any]) -> str:
    """Type of a resource; what does not look like one is counted together, for it may be anything."""
    text = str(resource.get("resourceType"))
    return text if text.isascii() and text.isalpha() and len(text) <= 40 else "?"


def _count(report: FileReport, issue: Issue) -> None:
    if issue.severity == "error":
        report.errors[issue.code] += 1
    elif issue.severity == "warning":
        report.warnings[issue.code] += 1


def _described(
    place: str, issues: list[Issue], remaining: set[Issue], notes: list[Tolerated]
) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = [
        {"place": place, **issue.to_dict(), "tolerated": issue not in remaining}
        for issue in issues
        if issue.severity != "information"
    ]
    described += [
        {"place": place, "severity": "note", **note.to_dict(), "rule": "reading", "tolerated": True}
        for note in notes
    ]
    return described

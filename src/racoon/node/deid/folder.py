"""De-identify a folder without a node: copies out, what must not pass beside it, evidence in a report."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from racoon.errors import Refused
from racoon.node.deid.model import PLAIN_WORDS, Deidentified, Profile, Quarantined, QuarantineReason
from racoon.node.deid.rules import rule_set_version
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.files import write_atomically

LOG = logging.getLogger(__name__)


class BadFolder(Refused):
    """The folders of a run do not make sense."""

    code = "deid.bad_folder"


def deidentify_folder(
    in_dir: Path,
    out_dir: Path,
    profile: str = "basic",
    report: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    key_file: Path | None = None,
) -> dict[str, Any]:
    """De-identify every file of a folder.

    Objects go to ``out_dir/<pseudonym>/<series UID>/<SOP instance UID>.dcm``; what must not pass is copied to
    ``out_dir`` + ``.quarantine/<n>/object.bin`` beside a ``reason.json``.

    Parameters
    ----------
    in_dir, out_dir
        Folder in, folder out; subfolders are followed.
    profile
        Name of a shipped profile, or a file with one.
    report
        JSON file for the summary with the evidence of every object.
    progress
        Called with (done, total) after each file.
    key_file
        Key of the pseudonyms, made where it is missing; None makes one that ends with this call, so that two
        runs have nothing in common.

    Returns
    -------
    dict
        ``files``, ``written``, ``duplicates``, ``quarantined``, ``reasons`` (code to count), ``profile``,
        ``rule_set``, ``subjects``, ``series``, ``out``, ``quarantine``, ``key``.

    Raises
    ------
    BadFolder
        If there is nothing to read, or the copies would land among the originals.
    """
    source, target = Path(in_dir), Path(out_dir)
    if not source.is_dir():
        raise BadFolder(f"There is no folder {source}. Name the folder that holds the DICOM files.")
    if target.resolve().is_relative_to(source.resolve()):
        raise BadFolder("The copies would lie among the originals. Name a folder outside of the first one.")
    deidentifier = Deidentifier(profile, Pseudonymiser(key_file, None))
    files = sorted(path for path in source.rglob("*") if path.is_file())
    run = _FolderRun(source, target)
    for number, path in enumerate(files, start=1):
        run.take(deidentifier, path, number)
        if progress is not None:
            progress(number, len(files))
    summary = run.summary(deidentifier.profile, len(files))
    summary["key"] = "of this run only" if key_file is None else str(key_file)
    if report is not None:
        content = summary | {"objects": run.objects}
        write_atomically(Path(report), json.dumps(content, indent=1, ensure_ascii=False).encode(), mode=0o644)
    return summary


class _FolderRun:
    """State of one folder: which patient an imaging study belongs to, what came out, what did not."""

    def __init__(self, in_dir: Path, out_dir: Path) -> None:
        self._in, self._out = in_dir, out_dir
        self._quarantine = out_dir.with_name(out_dir.name + ".quarantine")
        self._subject_of: dict[str, str] = {}
        self._written: dict[str, bytes] = {}
        self._series: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self.objects: list[dict[str, Any]] = []

    def take(self, deidentifier: Deidentifier, path: Path, number: int) -> None:
        """Bring one file to one of its two ends."""
        try:
            result = deidentifier.apply(path)
            if self._subject_of.setdefault(result.imaging_study_uid, result.pseudonym) != result.pseudonym:
                raise Quarantined(QuarantineReason.INCONSISTENT_PATIENT)
            outcome = self._write(result)
        except Quarantined as error:
            self._set_aside(path, number, error)
            return
        self._counts[outcome] += 1
        self.objects.append(
            {
                "outcome": outcome,
                "sop_instance_uid": result.sop_instance_uid,
                "series_uid": result.series_uid,
                "pseudonym": result.pseudonym,
                "evidence": dict(result.evidence),
            }
        )

    def _write(self, result: Deidentified) -> str:
        target = self._out / result.pseudonym / result.series_uid / f"{result.sop_instance_uid}.dcm"
        if result.sop_instance_uid in self._written:
            if target.is_file() and target.read_bytes() == result.dataset_bytes:
                return "duplicate"
            raise Quarantined(QuarantineReason.CONFLICT)
        self._written[result.sop_instance_uid] = b""
        self._series.add(result.series_uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(result.dataset_bytes)
        return "written"

    def _set_aside(self, path: Path, number: int, error: Quarantined) -> None:
        folder = self._quarantine / f"{number:06d}"
        reason = {
            "code": error.reason.value,
            "reason": PLAIN_WORDS[error.reason][0],
            "reason_de": PLAIN_WORDS[error.reason][1],
            "source": str(path.relative_to(self._in)),
        }
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / "object.bin", path.read_bytes())
        write_atomically(folder / "reason.json", json.dumps(reason, indent=1, ensure_ascii=False).encode())
        self._reasons[error.reason.value] += 1
        self.objects.append({"outcome": "quarantined", "code": error.reason.value, "quarantine": folder.name})
        LOG.info("object quarantined", extra={"reason": error.reason.value})

    def summary(self, profile: Profile, total: int) -> dict[str, Any]:
        """Count what happened."""
        return {
            "files": total,
            "written": self._counts["written"],
            "duplicates": self._counts["duplicate"],
            "quarantined": sum(self._reasons.values()),
            "reasons": dict(sorted(self._reasons.items())),
            "profile": profile.name,
            "rule_set": rule_set_version(),
            "subjects": len(set(self._subject_of.values())),
            "series": len(self._series),
            "out": str(self._out),
            "quarantine": str(self._quarantine),
        }

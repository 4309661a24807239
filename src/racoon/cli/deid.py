"""``racoon node deid …``: what a data protection officer asks of a node's de-identification."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App

from racoon.cli.failures import FAILED, OK
from racoon.cli.output import JsonFlag, print_json

app = App(name="deid", help="Check de-identified objects.")


@app.command
def check(
    folder: Path,
    /,
    *,
    profile: str = "basic",
    known: Path | None = None,
    language: Literal["de", "en", "both"] = "both",
    report: Path | None = None,
    json: JsonFlag = False,
) -> int:
    """Check that de-identified objects carry nothing that their profile does not allow.

    Ends with code 0 when nothing was found, with 1 when something was.

    Parameters
    ----------
    folder
        Folder with de-identified DICOM files, searched with all its subfolders.
    profile
        Name or file of the profile they were made with.
    known
        Text file with values that must not occur in any file, one a line (names, numbers, dates).
    language
        Language of the report; both puts German first.
    report
        File for the report (Markdown); without it, it is printed.
    json
        Print one JSON document.
    """
    from racoon.node.deid.check import check_folder
    from racoon.node.deid.report import as_text

    values = [] if known is None else [line for line in known.read_text("utf-8").splitlines() if line.strip()]
    result = check_folder(folder, profile, values)
    text = as_text(result, language)
    if report is not None:
        report.write_text(text, encoding="utf-8")
    if json:
        print_json(result.as_json())
    elif report is None:
        print(text)
    else:
        print(f"{sum(counter.total() for counter in result.findings.values())} findings; report in {report}")
    return OK if result.is_clean else FAILED

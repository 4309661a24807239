"""``racoon dicom …``: DICOM work on files, without a node."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from racoon.cli.output import JsonFlag, print_facts, print_json, progress

app = App(name="dicom", help="Work on DICOM files without a node.")


@app.command
def deidentify(
    source: Path,
    target: Path,
    /,
    *,
    profile: str = "basic",
    report: Path | None = None,
    key_file: Path | None = None,
    json: JsonFlag = False,
) -> None:
    """Write de-identified copies of a folder of DICOM files; what must not pass is set aside beside them.

    Parameters
    ----------
    source
        Folder with DICOM files, searched with all its subfolders.
    target
        Folder for the copies.
    profile
        Name of a de-identification profile (basic, device, diffusion, faceless, strict), or a .toml or .json file.
    report
        File for the evidence: what was done to each object (JSON).
    key_file
        Key of the pseudonyms, made where it is missing; without one, pseudonyms are valid for this run only.
    json
        Print one JSON document.
    """
    from racoon.node.deid.folder import deidentify_folder

    with progress(quiet=json) as bar:
        task = bar.add_task("de-identifying", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        summary = deidentify_folder(
            source, target, profile=profile, report=report, progress=advance, key_file=key_file
        )
    if json:
        print_json(summary)
    else:
        print_facts(f"De-identified copies are in {target}", summary)

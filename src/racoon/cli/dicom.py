"""``racoon dicom …``: DICOM work on files, without a node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, progress

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


@app.command
def volume(
    folder: Path,
    /,
    *,
    out: Path | None = None,
    series: str = "",
    stack: int = 0,
    resample: bool = False,
    json: JsonFlag = False,
) -> int:
    """Say what volume a series of DICOM files is, with everything irregular about it, and write it as NIfTI.

    An irregular series (missing, repeated, uneven, tilted or mixed slices) has no shape and is not written unless
    you ask for `--resample`; the exit code is then 1.

    Parameters
    ----------
    folder
        Folder of the series, searched with all its subfolders; or one multi-frame file.
    out
        NIfTI file to write, `.nii` or `.nii.gz`.
    series
        Series Instance UID, when several image series lie in the folder.
    stack
        Number of one stack of the series, from 1, where it holds several.
    resample
        Interpolate missing, uneven or tilted slices onto an even grid instead of refusing them.
    json
        Print one JSON document.
    """
    from racoon.standards.dicom import folder_volume
    from racoon.standards.dicom.stack import IrregularSeries

    with progress(quiet=json) as bar:
        task = bar.add_task("reading", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        geometry = folder_volume.read_geometry(folder, series, advance)
    chosen = geometry.stack(stack)
    facts = folder_volume.describe_stack(chosen)
    written = None
    if out is not None or (resample and not chosen.is_regular):
        try:
            loaded = folder_volume.load_volume(geometry, stack=stack, resample=resample)
        except IrregularSeries as refusal:
            facts["findings"] = [folder_volume.describe_finding(finding) for finding in refusal.findings]
        else:
            facts = folder_volume.describe_volume(loaded)
            if out is not None:
                from racoon.standards.nifti import write_nifti

                write_nifti(loaded.image, out)
                written = str(out)
    facts |= {
        "series_uid": geometry.series.series_uid,
        "instances": len(geometry.series.files),
        "out": written,
        "stacks": [folder_volume.describe_stack(part) for part in geometry.stacks],
    }
    if json:
        print_json(facts)
    else:
        _print_volume(facts)
    return failures.OK if facts["is_regular"] else failures.FAILED


def _print_volume(facts: dict[str, Any]) -> None:
    shown = {name: facts[name] for name in ("instances", "frames", "shape", "spacing_mm", "out")}
    print_facts("One regular volume." if facts["is_regular"] else "Not one regular volume.", shown)
    for finding in facts["findings"]:
        colour = "red" if finding["forbids_stack"] else "yellow"
        print_line(f"[{colour}]{finding['code']}[/] {finding['message']}")
    stacks = facts["stacks"]
    if len(stacks) > 1:
        rows = [
            {
                "stack": number,
                "frames": part["frames"],
                "spacing_mm": part["spacing_mm"] or "",
                "findings": ", ".join(finding["code"] for finding in part["findings"]),
            }
            for number, part in enumerate(stacks, start=1)
        ]
        print_table("Stacks; choose one with --stack", rows)


@app.command
def classify(folder: Path, /, *, json: JsonFlag = False) -> None:
    """Say what each series of a folder is, which quality rules it breaks, and the dose of each examination.

    Body part, plane, contrast phase, kernel, thickness, localiser and report are read from the headers. A dose is the
    last cumulative value of the machine's reports, never a sum.

    Parameters
    ----------
    folder
        Folder with DICOM files, searched with all its subfolders.
    json
        Print one JSON document.
    """
    from racoon.standards.dicom.classification import classify_folder

    with progress(quiet=json) as bar:
        task = bar.add_task("reading", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        document = classify_folder(folder, advance)
    if json:
        print_json(document)
        return
    names = ("modality", "kind", "body_part", "plane", "contrast", "frames")
    rows = [
        {name: item[name] or "" for name in names}
        | {"findings": ", ".join(f["code"] for f in item["findings"])}
        | {"quality": ", ".join(f"{q['severity']}: {q['rule']}" for q in item["quality"])}
        for item in document["series"]
    ]
    doses = [
        {"imaging_study": study["imaging_study_uid"][-12:], "kind": report["kind"]}
        | {total["name"]: f"{total['value']:g} {total['unit']} {total['part']}".strip()}
        for study in document["doses"]
        for report in study["current"]
        for total in report["totals"]
    ]
    if rows:
        print_table(f"{document['files']} files", rows)
        for dose in doses:
            name, value = list(dose.items())[-1]
            print_line(f"dose of …{dose['imaging_study']} ({dose['kind']}): {name} {value}")
    else:
        print_line("The folder holds no DICOM objects.")

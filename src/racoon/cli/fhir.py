"""``racoon fhir …``: images and values as FHIR, files of FHIR checked, the clinical course taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, progress

app = App(name="fhir", help="Write, check and read FHIR of the core data set.")

Version = Literal["2025", "2026", "2027-ballot"]


@app.command
def check(path: Path, /, *, profiles: Version = "2026", limit: int = 20, json: JsonFlag = False) -> int:
    """Check FHIR files against FHIR R4 and the tables of the core data set's profiles, without a network.

    Ends with code 0 when nothing is wrong, with 1 when something is. What reading tolerates is marked.

    Parameters
    ----------
    path
        File (.json, .ndjson) or folder with such files; Bundles are opened.
    profiles
        Package of profiles.
    limit
        Findings shown one by one; all are counted. With --json up to 1000 are listed.
    json
        Print one JSON document.
    """
    from racoon.standards.fhir.files import check_files
    from racoon.standards.fhir.versions import VERSIONS

    report = check_files(path, VERSIONS[profiles])
    if json:
        print_json(report.as_json())
        return failures.OK if report.is_conformant else failures.FAILED
    facts: dict[str, object] = {
        "resources": sum(report.resources.values()),
        "errors": sum(report.errors.values()),
        "tolerated when read": sum(report.tolerated.values()),
        "warnings": sum(report.warnings.values()),
        "unreadable": len(report.unreadable),
    }
    print_facts("Everything conforms." if report.is_conformant else "Not everything conforms.", facts)
    shown = [
        {
            "place": item["place"],
            "path": item["path"],
            "what": item["message"],
            "read": "yes" if item["tolerated"] else "",
        }
        for item in report.findings
        if item["severity"] in ("error", "warning")
    ]
    if shown:
        print_table("Findings", shown[:limit])
    for item in report.unreadable[:limit]:
        print_line(f"[red]unreadable[/] {item['place']}: {item['problem']}")
    return failures.OK if report.is_conformant else failures.FAILED


@app.command
def export(
    folder: Path, /, *, config: Path, types: str = "", since: str = "", json: JsonFlag = False
) -> None:
    """Write the node's images, values and studies as NDJSON, one file a type.

    Parameters
    ----------
    folder
        Where the files go; it is made where it does not exist.
    config
        TOML file of this node.
    types
        Types of resources, separated by commas; all that the node has when omitted.
    since
        Only what came or was computed since this time, such as 2026-01-31T10:00:00Z.
    json
        Print one JSON document.
    """
    from racoon.node.app.clinic import export as export_files

    with progress(quiet=json) as bar:
        task = bar.add_task("writing", total=None)
        facts = export_files(
            config, folder, types=types, since=since, progress=lambda done: bar.update(task, completed=done)
        )
    if json:
        print_json(facts)
    else:
        print_facts(
            "Written. The files are pseudonymised, not anonymous: they stay in the hospital.",
            facts["written"],
        )


@app.command(name="import")
def import_files(
    path: Path, /, *, config: Path, live_hours: float | None = None, json: JsonFlag = False
) -> int:
    """Take the clinical course of patients from FHIR files into the node's tables, under their pseudonyms.

    Names, numbers and free text are left behind; dates are shifted as those of the patient's images. Taking the same
    files again changes nothing.

    Parameters
    ----------
    path
        File (.json, .ndjson) or folder with such files; Bundles are opened.
    config
        TOML file of this node.
    live_hours
        The files are the current state of a consent server: a consent that is not imported again within so many hours
        counts as denied. Consents do not age when omitted.
    json
        Print one JSON document.
    """
    from racoon.node.app.clinic import import_files as import_into_node

    with progress(quiet=json) as bar:
        task = bar.add_task("reading", total=None)
        facts = import_into_node(
            config, path, live_hours=live_hours, progress=lambda done: bar.update(task, completed=done)
        )
    if json:
        print_json(facts)
    else:
        print_facts(
            "Imported.",
            {name: facts[name] for name in ("read", "stored", "unchanged", "refused", "left_out")},
        )
        if facts["reasons"]:
            print_table(
                "Refused", [{"reason": name, "resources": count} for name, count in facts["reasons"].items()]
            )
    return failures.DEFECT if facts["refused"] else failures.OK


@app.command(name="table")
def import_table(
    table: Path, /, *, config: Path, mapping: Path, preview: int = 0, json: JsonFlag = False
) -> int:
    """Take a CSV table of a registry or trial database into the node's tables, under the patients' pseudonyms.

    What stands in which column says a mapping (TOML), which is kept beside the table. Taking the same table again
    changes nothing; a cell that is not understood is named by line and column, and the others are taken.

    Parameters
    ----------
    table
        CSV file.
    config
        TOML file of this node.
    mapping
        TOML file that says what stands in which column.
    preview
        Show what so many rows would become, under invented pseudonyms, and take nothing.
    json
        Print one JSON document.
    """
    from racoon.node.app.clinic import import_table as import_into_node

    with progress(quiet=json) as bar:
        task = bar.add_task("reading", total=None)
        facts = import_into_node(
            config,
            table,
            mapping,
            preview_rows=preview,
            progress=lambda done: bar.update(task, completed=done),
        )
    if json:
        print_json(facts)
    elif preview:
        print_json(facts["preview"])
    else:
        print_facts(
            "Imported.",
            {name: facts[name] for name in ("read", "stored", "unchanged", "refused", "left_out")},
        )
    if facts["refused_cells"] and not json:
        print_table(
            "Not taken",
            [
                {**row, "first_lines": ", ".join(str(line) for line in row["first_lines"])}
                for row in facts["refused_cells"]
            ],
        )
    return failures.DEFECT if facts["refused_cells"] or facts.get("refused") else failures.OK

"""``racoon fhir …``: images and values as FHIR, files of FHIR checked, the clinical course taken in."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, progress

app = App(name="fhir", help="Write, check and read FHIR of the core data set.")

COUNTS = ("read", "stored", "unchanged", "refused", "left_out", "removed")
"""Of an import."""

Version = Literal["2025", "2026", "2027-ballot"]

Language = Literal["en", "de"]


@app.command
def check(
    path: Path,
    /,
    *,
    profiles: Version = "2026",
    limit: int = 20,
    language: Language = "en",
    json: JsonFlag = False,
) -> int:
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
    language
        Of the sentences that say what is wrong.
    json
        Print one JSON document.
    """
    from racoon.standards.fhir.files import check_files
    from racoon.standards.fhir.versions import VERSIONS
    from racoon.web.words import words_of

    report, say = check_files(path, VERSIONS[profiles]), words_of(language)
    for item in (*report.findings, *report.unreadable):
        item |= {name: say(item[name]) for name in ("message", "problem") if name in item}
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
def validate(path: Path | None = None, /, *, config: Path, count: int = 20, json: JsonFlag = False) -> int:
    """Check what a node would give out, or files, with the official validator where its file names one.

    Without fhir.validator_jar the rule tables check, and the answer says so. Ends with code 1 when something is wrong.

    Parameters
    ----------
    path
        File or folder; some of the node's own resources when omitted.
    config
        The node's TOML file.
    count
        Resources of each type, of the node's own.
    json
        Print one JSON document.
    """
    from racoon.node.app.clinic import validate as run

    found = run(config, path, count=count)
    if json:
        print_json(found)
        return failures.FAILED if found["errors"] else failures.OK
    names = {
        "rules": "the rule tables; fhir.validator_jar names no validator",
        "validator": "the official validator",
    }
    print_facts(
        "Not everything conforms." if found["errors"] else "Everything conforms.",
        {"checked by": names[found["checked_by"]]}
        | {name: found[name] for name in ("resources", "errors", "warnings")},
    )
    shown = [
        {"resource": item["resource"], "path": item["path"], "what": item["message"]}
        for item in found["findings"]
        if item["severity"] in ("error", "warning")
    ]
    if shown:
        print_table("Findings", shown[:20])
    return failures.FAILED if found["errors"] else failures.OK


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


@app.command
def push(*, config: Path, json: JsonFlag = False) -> int:
    """Send images and findings to the FHIR server that the node's settings name, one transaction a subject.

    Only what is new or changed is sent; who may not be read any more is taken back there. Ends with code 65 when the
    server refused something.

    Parameters
    ----------
    config
        TOML file of this node, with push_to in [fhir].
    json
        Print one JSON document.
    """
    from racoon.node.app.pushing import push as push_resources

    with progress(quiet=json) as bar:
        task = bar.add_task("subjects", total=None)
        facts = push_resources(config, progress=lambda done: bar.update(task, completed=done))
    if json:
        print_json(facts)
    else:
        print_facts("Sent.", {name: facts[name] for name in ("sent", "unchanged", "taken_back")})
        if facts["refused"]:
            print_table(
                "Refused", [{"status": name, "subjects": count} for name, count in facts["refused"].items()]
            )
    return failures.DEFECT if facts["refused"] else failures.OK


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
            {name: facts[name] for name in COUNTS},
        )
        if facts["reasons"]:
            print_table(
                "Refused", [{"reason": name, "resources": count} for name, count in facts["reasons"].items()]
            )
    return failures.DEFECT if facts["refused"] else failures.OK


@app.command
def pull(*, config: Path, json: JsonFlag = False) -> int:
    """Fetch the clinical course from the data integration centre's FHIR server, under the patients' pseudonyms.

    Fetches what changed since the last time; after an interruption it goes on where it was. The server, the types and
    what narrows them stand in the node's file under [diz].

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.fetching import fetch

    with progress(quiet=json) as bar:
        task = bar.add_task("fetching", total=None)
        facts = fetch(
            config,
            progress=lambda kind, read: bar.update(task, completed=read, description=f"fetching {kind}"),
        )
    if json:
        print_json(facts)
        return failures.DEFECT if facts["refused"] else failures.OK
    print_facts("Fetched.", {name: facts[name] for name in COUNTS})
    if facts["reasons"]:
        print_table(
            "Refused", [{"reason": name, "resources": count} for name, count in facts["reasons"].items()]
        )
    if facts["skipped"]:
        print_table(
            "Not fetched", [{"type": name, "reason": text} for name, text in facts["skipped"].items()]
        )
    if facts["deletions_untold"]:
        print_line(
            f"The server keeps no history of {', '.join(facts['deletions_untold'])}: it does not say what was deleted."
        )
    return failures.DEFECT if facts["refused"] else failures.OK


@app.command(name="table")
def import_table(
    table: Path, /, *, config: Path, mapping: str, preview: int = 0, json: JsonFlag = False
) -> int:
    """Take a CSV table of a registry or trial database into the node's tables, under the patients' pseudonyms.

    What stands in which column says a mapping: a TOML file, or one that was saved at the node. Taking the same table
    again changes nothing; a cell that is not understood is named by line and column, and the others are taken.

    Parameters
    ----------
    table
        CSV file.
    config
        TOML file of this node.
    mapping
        TOML file that says what stands in which column, or the title of a saved mapping, title@version for an older
        one.
    preview
        Show what so many rows would become, under invented pseudonyms, and take nothing.
    json
        Print one JSON document.
    """
    from racoon.node.app.tables import import_table as import_into_node

    with progress(quiet=json) as bar:
        task = bar.add_task("reading", total=None)
        facts = import_into_node(
            config,
            table,
            mapping,
            preview_rows_of=preview,
            progress=lambda done: bar.update(task, completed=done),
        )
    if json:
        print_json(facts)
    elif preview:
        print_json(facts["preview"])
    else:
        print_facts(
            "Imported.",
            {name: facts[name] for name in COUNTS},
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


@app.command
def mappings(*, config: Path, save: Path | None = None, json: JsonFlag = False) -> None:
    """List the saved mappings of tables, newest version first, or save one that was written as a file.

    Parameters
    ----------
    config
        TOML file of this node.
    save
        TOML file to save as the next version of its title; one that says the same as the newest changes nothing.
    json
        Print one JSON document.
    """
    from racoon.node.app.tables import list_mappings, save_mapping

    if save is not None:
        facts = save_mapping(config, save)
        if json:
            print_json(facts)
        else:
            print_facts("Saved.", dict(facts))
        return
    rows = list_mappings(config)
    if json:
        print_json({"mappings": rows})
    elif rows:
        print_table("Mappings", [{name: row[name] for name in row if name != "mapping_hash"} for row in rows])
    else:
        print_line("No mapping is saved.")


@app.command
def removed(*, config: Path, limit: int = 20, json: JsonFlag = False) -> None:
    """Show what was taken out of the clinical course because the clinic deleted it, newest first.

    Parameters
    ----------
    config
        TOML file of this node.
    limit
        Rows shown; with --json these are FHIR Provenance.
    json
        Print one JSON document.
    """
    from racoon.node.app.clinic import list_removed

    rows, found = list_removed(config, limit)
    if json:
        print_json({"removed": found})
    elif rows:
        print_table("Taken out", rows)
    else:
        print_line("Nothing was taken out.")


@app.command
def tables(study: str, dataset: str, folder: Path, /, *, config: Path, json: JsonFlag = False) -> None:
    """Write the clinical course of a frozen dataset's subjects as Parquet, one file a table, with a manifest.

    The manifest holds hashes, columns and how well images and clinical records are linked. Needs the extra `parquet`.

    Parameters
    ----------
    study
        Id of the study.
    dataset
        Hash of the frozen dataset.
    folder
        Where the files go.
    config
        TOML file of this node.
    json
        Print the manifest.
    """
    from racoon.node.app.clinic import write_dataset_tables

    manifest = write_dataset_tables(config, study, dataset, folder)
    if json:
        print_json(manifest)
        return
    linkage = manifest["linkage"]
    print_facts(
        "Written. The files are pseudonymised, not anonymous: they stay in the hospital.",
        {name: linkage[name] for name in ("subjects", "with_clinical_record", "stopped")},
    )
    print_table(
        "Tables", [{"table": name, "rows": table["rows"]} for name, table in manifest["tables"].items()]
    )

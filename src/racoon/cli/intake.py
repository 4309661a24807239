"""``racoon node import|quarantine|reindex``: an operator's work with the images of a node."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, progress

quarantine = App(name="quarantine", help="See and decide what must not pass.")


def add_to(app: App) -> None:
    """Add these commands to ``racoon node``."""
    app.command(import_files, name="import")
    app.command(reindex)
    app.command(quarantine)


def import_files(path: Path, /, *, config: Path, dicom_only: bool = False, json: JsonFlag = False) -> int:
    """Put a folder, a ZIP file or a medium with a DICOMDIR into the node's intake.

    An import that was interrupted goes on where it stopped when it is started again.

    Parameters
    ----------
    path
        Folder with all its subfolders and ZIP files, ZIP file, DICOMDIR or single file.
    config
        TOML file of this node.
    dicom_only
        Leave out files that do not begin like DICOM; otherwise they end in quarantine.
    json
        Print one JSON document.
    """
    from racoon.node.app import operation

    with progress(quiet=json) as bar:
        task = bar.add_task("importing", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        facts = operation.import_files(
            config, path, dicom_only=dicom_only, progress=None if json else advance
        )
    problems = facts["problems"]
    if json:
        print_json(facts)
    else:
        print_facts("Imported. The node's worker does the rest.", facts | {"problems": len(problems)})
        if problems:
            print_table("Not imported", problems)
    return failures.DEFECT if problems else failures.OK


def reindex(*, config: Path, verify: bool = False, json: JsonFlag = False) -> int:
    """Rebuild the archive's index from the stored objects.

    The objects are the truth: the index is emptied and filled again. A rebuild that was interrupted is simply
    started again; until it is done, searches find less.

    Parameters
    ----------
    config
        TOML file of this node.
    verify
        Keep the index; read every object, compare its checksum, and name what is missing or damaged.
    json
        Print one JSON document.
    """
    from racoon.node.app import operation

    with progress(quiet=json) as bar:
        task = bar.add_task("indexing", total=None)
        facts = operation.reindex(
            config, verify=verify, progress=lambda done: bar.update(task, completed=done)
        )
    is_whole = not facts["missing"] and not facts["damaged"]
    if json:
        print_json(facts)
    else:
        counts = {name: len(value) if isinstance(value, list) else value for name, value in facts.items()}
        print_facts(
            "The index agrees with the objects." if is_whole else "Objects are missing or damaged.", counts
        )
        for name in ("missing", "damaged"):
            for key in facts[name]:
                print_line(f"[red]{name}[/] {key}")
    return failures.OK if is_whole else failures.DEFECT


@quarantine.command(name="list")
def list_quarantine(
    *,
    config: Path,
    state: Literal["waiting", "correcting", "corrected", "released", "deleted", "all"] = "waiting",
    limit: int = 200,
    json: JsonFlag = False,
) -> None:
    """List quarantined objects with their reasons, newest first.

    Parameters
    ----------
    config
        TOML file of this node.
    state
        Which ones.
    limit
        At most so many.
    json
        Print one JSON document.
    """
    from racoon.node.app import operation

    items = operation.list_quarantine(config, state, limit)
    if json:
        print_json(items)
    elif not items:
        print_line("Nothing is in quarantine.")
    else:
        names = ("quarantine_id", "received_at", "code", "size_bytes", "reason")
        print_table("Quarantine", [{name: item[name] for name in names} for item in items])


@quarantine.command
def show(quarantine_id: str, /, *, config: Path, json: JsonFlag = False) -> None:
    """Show one quarantined object: its reason and what its header says, nothing of it identifying.

    Parameters
    ----------
    quarantine_id
        As `racoon node quarantine list` prints it.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app import operation

    item = operation.show_quarantined(config, quarantine_id)
    if json:
        print_json(item)
    else:
        summary = item.pop("object") or {"object": "no longer in the quarantine folder"}
        evidence = item.pop("evidence")
        item["correctable"] = ", ".join(item["correctable"]) or "nothing"
        print_facts(f"Quarantined object {quarantine_id}", item | evidence | summary)


@quarantine.command
def release(
    quarantine_ids: Annotated[list[str], Parameter(negative_iterable="")],
    /,
    *,
    config: Path,
    note: str = "",
    json: JsonFlag = False,
) -> None:
    """Put objects into the intake again; a suspicion is overruled, every other rule is only tried again.

    Parameters
    ----------
    quarantine_ids
        As `racoon node quarantine list` prints them.
    config
        TOML file of this node.
    note
        Why, in a few words; kept in the audit.
    json
        Print one JSON document.
    """
    _decide(config, quarantine_ids, "release", note, as_json=json)


@quarantine.command
def fix(
    quarantine_id: str,
    /,
    *,
    config: Path,
    note: str,
    subject: str = "",
    patient_id: str = "",
    uid: Annotated[list[str] | None, Parameter(negative_iterable="")] = None,
    make_uids: bool = False,
    json: JsonFlag = False,
) -> None:
    """Set right what made an object wrong; it goes through all rules again, and its original stays until it passes.

    An object of an inconsistent examination gets its subject or patient, one without UIDs gets UIDs, one in conflict
    gets a new instance UID. What cannot be set right here has to be sent again.

    Parameters
    ----------
    quarantine_id
        As `racoon node quarantine list` prints it.
    config
        TOML file of this node.
    note
        Why, in a few words; kept in the audit.
    subject
        Pseudonym of the subject whose the object is; `racoon node quarantine show` names that of the examination.
    patient_id
        The patient's number in this hospital, instead of a subject.
    uid
        UID as the PACS has it, such as SeriesInstanceUID=1.2.826.0.1; give it again for another one.
    make_uids
        Make missing or conflicting UIDs from the object's own content; the same bytes get the same UIDs.
    json
        Print one JSON document.
    """
    from racoon.node.app import operation
    from racoon.node.deid.model import Correction

    uids = {name: value for name, _, value in (text.partition("=") for text in uid or [])}
    correction = Correction(subject, patient_id, uids)
    item = operation.correct_quarantined(config, quarantine_id, correction, make_uids=make_uids, note=note)
    if json:
        print_json(item)
    else:
        print_facts("On its way through the rules again.", item)


@quarantine.command
def delete(
    quarantine_ids: Annotated[list[str], Parameter(negative_iterable="")],
    /,
    *,
    config: Path,
    note: str = "",
    json: JsonFlag = False,
) -> None:
    """Delete objects for good; what was decided is remembered.

    Parameters
    ----------
    quarantine_ids
        As `racoon node quarantine list` prints them.
    config
        TOML file of this node.
    note
        Why, in a few words; kept in the audit.
    json
        Print one JSON document.
    """
    _decide(config, quarantine_ids, "delete", note, as_json=json)


def _decide(config: Path, quarantine_ids: list[str], decision: str, note: str, *, as_json: bool) -> None:
    from racoon.node.app import operation

    items = operation.decide_quarantined(config, quarantine_ids, decision, note)
    if as_json:
        print_json(items)
    else:
        names = ("quarantine_id", "code", "state", "decided_by")
        print_table("Decided", [{name: item[name] for name in names} for item in items])

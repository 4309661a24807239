"""``racoon linkage …``: persons known at two sites, found without anybody's name; off unless the sites agree."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, progress

app = App(name="linkage", help="Link persons across sites without identifiers.")

PRECISION, RECALL = 0.99, 0.9
"""A rehearsal below these is no basis for a linkage."""


@app.command
def secret(file: Path, /, *, json: JsonFlag = False) -> None:
    """Make a project's secret; one site makes it and gives it to the other sites, never to the unit or to CENTRAL.

    Parameters
    ----------
    file
        Where it is written; only its owner can read it.
    json
        Print one JSON document.
    """
    from racoon.node.clinical.linkage.model import write_secret

    write_secret(file)
    if json:
        print_json({"file": str(file)})
    else:
        print_facts("Written. Hand it to the other sites on a way that nobody else reads.", {"file": file})


@app.command
def encode(
    patients: Path, /, *, config: Path, project: str, secret: Path, out: Path, json: JsonFlag = False
) -> None:
    """At a site: write rows of bits for everybody who may be linked, for the linkage unit.

    Parameters
    ----------
    patients
        File or folder of FHIR Patients with names.
    config
        TOML file of this node.
    project
        Id of the study that agreed on the linkage.
    secret
        File with the project's secret.
    out
        Package for the linkage unit.
    json
        Print one JSON document.
    """
    from racoon.node.app.linking import encode as encode_patients

    with progress(quiet=json) as bar:
        task = bar.add_task("reading", total=None)
        facts = encode_patients(
            config,
            patients,
            out,
            project=project,
            secret=secret,
            progress=lambda done: bar.update(task, completed=done),
        )
    if json:
        print_json(facts)
    else:
        print_facts("Written for the linkage unit; it holds no name and no number.", facts)


@app.command
def match(*packages: Path, out: Path, threshold: float | None = None, json: JsonFlag = False) -> None:
    """At the linkage unit: compare the sites' packages, write an answer for each, delete the packages.

    Parameters
    ----------
    packages
        One of each site.
    out
        Folder for the answers, SITE.links.json.
    threshold
        Likeness from which two rows are one person; rehearse another one before you use it.
    json
        Print one JSON document.
    """
    from racoon.node.clinical.linkage.unit import ComparingUnit, link_files
    from racoon.science.linkage.matching import THRESHOLD

    facts = link_files(packages, out, ComparingUnit(threshold if threshold is not None else THRESHOLD))
    if json:
        print_json(facts)
    else:
        print_facts("Linked; the packages are deleted.", facts)


@app.command
def take(answer: Path, /, *, config: Path, json: JsonFlag = False) -> None:
    """At a site: take the linkage unit's answer.

    Parameters
    ----------
    answer
        SITE.links.json.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.linking import take as take_answer

    facts = take_answer(config, answer)
    if json:
        print_json(facts)
    else:
        print_facts("Taken.", facts)


@app.command
def show(project: str, /, *, config: Path, json: JsonFlag = False) -> None:
    """At a site: say what is linked for a project, by pseudonym. Nothing is the default.

    Parameters
    ----------
    project
        Id of the study.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.linking import show as show_links

    facts = show_links(config, project)
    if json:
        print_json(facts)
    else:
        print_facts(facts["statement"], {"project": project})


@app.command
def rehearse(
    *,
    people: int = 2000,
    overlap: float = 0.3,
    errors: float = 0.4,
    threshold: float | None = None,
    seed: int = 1,
    json: JsonFlag = False,
) -> int:
    """Link two invented sites with typing errors and report precision and recall of the setting.

    Ends with code 1 where precision is below 0.99 or recall below 0.9.

    Parameters
    ----------
    people
        Persons of each site.
    overlap
        Part of them that the other site knows too.
    errors
        Part of these whose second record has a typing error.
    threshold
        Likeness from which two rows are one person; that of the linkage unit when omitted.
    seed
        Of the invented people.
    json
        Print one JSON document.
    """
    import secrets

    from racoon.science.linkage.matching import THRESHOLD
    from racoon.science.linkage.rehearsal import rehearse as rehearse_linkage

    found = rehearse_linkage(
        people,
        overlap,
        secrets.token_bytes(32),
        seed=seed,
        errors=errors,
        threshold=threshold if threshold is not None else THRESHOLD,
    )
    facts = {
        "people": found.people,
        "overlap": found.overlap,
        "linked": found.linked,
        "right": found.right,
        "unclear": found.unclear,
        "threshold": found.threshold,
        "precision": round(found.precision, 4),
        "recall": round(found.recall, 4),
    }
    if json:
        print_json(facts)
    else:
        print_facts("Rehearsed on invented people.", facts)
    return failures.OK if found.precision >= PRECISION and found.recall >= RECALL else failures.FAILED

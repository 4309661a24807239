"""``racoon neighbour …``: cohort lists of other networks taken in and given back, and transfers to them."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_table

app = App(name="neighbour", help="Exchange cohort lists and clinical data with neighbouring networks.")

TYPES = "Condition,Observation,Procedure,MedicationStatement,MedicationAdministration,Encounter"


@app.command
def take(table: Path, /, *, config: Path, mapping: Path, json: JsonFlag = False) -> int:
    """Take a network's cohort list in the place of the one before. Ends with code 65 when rows were refused.

    Parameters
    ----------
    table
        CSV file; rows of other sites are counted and left.
    config
        TOML file of this node.
    mapping
        TOML file with the columns, and the network's codes for sites and visits beside ours.
    json
        Print one JSON document.
    """
    from racoon.node.app.neighbours import take as take_list

    facts = take_list(config, table, mapping)
    if json:
        print_json(facts)
    else:
        shown = ("project", "rows", "taken", "other_sites", "gone", "refused")
        print_facts("Taken.", {name: facts[name] for name in shown})
        if facts["refused_cells"]:
            print_table(
                "Not taken",
                [
                    {**row, "first_lines": ", ".join(str(line) for line in row["first_lines"])}
                    for row in facts["refused_cells"]
                ],
            )
    return failures.DEFECT if facts["refused"] else failures.OK


@app.command
def give(out: Path, /, *, config: Path, mapping: Path, json: JsonFlag = False) -> None:
    """Write what is here of whom on a network's list, in its own words: imaging studies of each person and visit.

    Parameters
    ----------
    out
        CSV file that is written; no number of the hospital and no day is in it.
    config
        TOML file of this node.
    mapping
        As the list was taken with.
    json
        Print one JSON document.
    """
    from racoon.node.app.neighbours import give as give_list

    facts = give_list(config, out, mapping)
    if json:
        print_json(facts)
    else:
        print_facts("Written. It is pseudonymised, not anonymous: hand it over as the contract says.", facts)


@app.command
def transfer(
    *, config: Path, mapping: Path, types: str = TYPES, out: Path | None = None, json: JsonFlag = False
) -> int:
    """Send the clinical course of a list's persons under names of the project, one transaction a person.

    Parameters
    ----------
    config
        TOML file of this node.
    mapping
        As the list was taken with.
    types
        Types of resources, separated by commas; the Patient always goes along, a Consent never.
    out
        File for the transactions; without it they go to push_to in [fhir] of the node's settings.
    json
        Print one JSON document.
    """
    from racoon.node.app.neighbours import send

    facts = send(config, mapping, [name.strip() for name in types.split(",") if name.strip()], out)
    if json:
        print_json(facts)
    else:
        print_facts("Sent.", {name: facts[name] for name in ("project", "subjects", "refused")})
    if facts["resources"] and not json:
        print_table("Resources", [{"type": kind, "count": n} for kind, n in facts["resources"].items()])
    return failures.DEFECT if facts["refused"] else failures.OK

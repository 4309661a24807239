"""``racoon comorbidome``: every subject's biomarkers and conditions together, and what goes with what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from racoon.cli._tables import BadTable, columns_named, number, read_table
from racoon.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from racoon.science.comorbidome import Comorbidome, Network, Subject


def comorbidome(
    table: Path,
    /,
    *,
    biomarkers: str,
    conditions: str = "",
    age: str = "age_years",
    sex: str = "sex",
    subject: str = "subject",
    reference: str = "reference",
    picture: Path | None = None,
    json: JsonFlag = False,
) -> None:
    """Put biomarkers and conditions of every subject together: z-scores, frailty, biological age, a network.

    Parameters
    ----------
    table
        CSV file with a header, one row per subject.
    biomarkers
        Columns of biomarkers, joined by commas.
    conditions
        Columns of conditions, 1 present and 0 absent, joined by commas; an empty cell is unknown.
    age
        Column of the age in years.
    sex
        Column of the sex.
    subject
        Column of the subject's name.
    reference
        Column that is 1 for the reference group; without such a column everybody belongs to it.
    picture
        Where to write the network and the prevalences, as SVG.
    json
        Print one JSON document.
    """
    from racoon.science.comorbidome import describe_group

    names, rows = read_table(table)
    wanted, had = columns_named(biomarkers, names, table), columns_named(conditions, names, table)
    columns_named(f"{age},{sex},{subject}", names, table)
    marked = reference if reference in names else ""
    people = _subjects(rows, wanted, had, (subject, age, sex), marked)
    show_subjects(describe_group(people, wanted, table.name, wanted), table.name, picture, json=json)


def draw(network: Network) -> str:
    """Draw the network and the prevalences as SVG."""
    from racoon.web.networks import network_figure

    return network_figure(
        [(item.name, item.present, item.known) for item in network.conditions if item.present],
        [(link.first, link.second, link.odds_ratio) for link in network.links if link.is_shown],
    )


def show_subjects(found: Comorbidome, title: str, picture: Path | None, *, json: bool) -> None:
    """Print a comorbidome and write its picture where one is asked for."""
    document = found.document
    people = document["subjects"]
    if picture is not None:
        picture.write_text(draw(found.network), encoding="utf-8")
    if json:
        print_json(document)
    else:
        print_table(
            f"{title}: {len(people)} subjects",
            [
                {
                    "subject": person["subject"],
                    "frailty index": _shown(person["frailty"]["index"]),
                    "missing": person["frailty"]["missing"],
                    "age gap": _shown((person["age_gap"] or {}).get("years")),
                }
                for person in people
            ],
        )


def _subjects(
    rows: list[dict[str, str]], wanted: list[str], had: list[str], columns: tuple[str, str, str], marked: str
) -> list[Subject]:
    """Read the rows; an empty cell is missing."""
    from racoon.science.comorbidome import Subject

    subject, age, sex = columns
    for row in rows:
        if strange := [name for name in had if row[name] not in {"", "0", "1"}]:
            raise BadTable(
                f"The condition {strange[0]!r} holds {row[strange[0]][:20]!r}; write 1, 0 or nothing."
            )
    return [
        Subject(
            row[subject],
            number(row[age]),
            row[sex],
            {name: number(row[name]) for name in wanted},
            {name: {"1": True, "0": False}.get(row[name]) for name in had},
            not marked or row[marked] == "1",
        )
        for row in rows
    ]


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"

"""``racoon comorbidome``: every subject's biomarkers and conditions together, and what goes with what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon.cli._tables import BadTable, columns_named, number, read_table
from racoon.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from racoon.science.comorbidome import BiologicalAge, Network, ReferenceLine

DEFICIT_Z = 1.645
"""A z-score beyond it, where one in ten of the reference group lies, counts as a deficit."""


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
    names, rows = read_table(table)
    wanted, had = columns_named(biomarkers, names, table), columns_named(conditions, names, table)
    columns_named(f"{age},{sex},{subject}", names, table)
    marked = reference if reference in names else ""
    document, drawing = describe_subjects(rows, wanted, had, (subject, age, sex), marked, table.name)
    show_subjects(document, drawing, table.name, picture, json=json)


def describe_subjects(
    rows: list[dict[str, str]],
    wanted: list[str],
    had: list[str],
    columns: tuple[str, str, str],
    reference: str,
    source: str,
) -> tuple[dict[str, Any], str]:
    """Compute the comorbidome of a table.

    Parameters
    ----------
    rows
        One per subject; an empty cell is missing.
    wanted, had
        Columns of biomarkers and of conditions.
    columns
        Names of the columns of subject, age and sex.
    reference
        Column that marks the reference group; empty when everybody belongs to it.
    source
        What to call the reference.

    Returns
    -------
    tuple
        The document, and the network as SVG.
    """
    from racoon.science.comorbidome import network_of

    _, age, sex = columns
    basis = [row for row in rows if not reference or row[reference] == "1"]
    lines = {
        kind: _lines(wanted, [row for row in basis if row[sex] == kind], age, source)
        for kind in sorted({row[sex] for row in rows if row[sex]})
    }
    model, gap = _model(wanted, basis, age)
    people = [_person(row, wanted, had, lines, model, columns) for row in rows]
    network = network_of([{**person["conditions"], **person["deficits"]} for person in people])
    document: dict[str, Any] = {
        "subjects": people,
        "missing": {name: sum(person["values"][name] is None for person in people) for name in wanted},
        "reference": {
            kind: {name: _line(line) for name, line in found.items()} for kind, found in lines.items()
        },
        "biological_age": _age_model(model) if model else {"reason": gap},
        "prevalence": [
            {
                "name": item.name,
                "present": item.present,
                "known": item.known,
                "share": _finite(item.prevalence),
            }
            for item in network.conditions
        ],
        "links": [
            {
                "first": link.first,
                "second": link.second,
                "together": link.together,
                "known": link.known,
                "odds_ratio": link.odds_ratio,
                "interval": [link.low, link.high],
                "shown": link.is_shown,
            }
            for link in network.links
        ],
        "notes": "Research use only; no diagnosis. Deficits are z-scores beyond 1.645 and conditions that are present.",
    }
    return document, _picture(network)


def show_subjects(
    document: dict[str, Any], drawing: str, title: str, picture: Path | None, *, json: bool
) -> None:
    """Print a comorbidome and write its picture where one is asked for."""
    people = document["subjects"]
    if picture is not None:
        picture.write_text(drawing, encoding="utf-8")
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


def _lines(wanted: list[str], rows: list[dict[str, str]], age: str, source: str) -> dict[str, ReferenceLine]:
    import math

    from racoon.science.comorbidome import ReferenceLine

    found = {}
    for name in wanted:
        pairs = [(number(row[name]), number(row[age])) for row in rows]
        known = [pair for pair in pairs if all(math.isfinite(value) for value in pair)]
        try:
            found[name] = ReferenceLine.fit(
                [value for value, _ in known], [years for _, years in known], source
            )
        except ValueError:
            continue  # too few of this sex: the subject's z-score is then missing, and counted as such
    return found


def _model(wanted: list[str], rows: list[dict[str, str]], age: str) -> tuple[BiologicalAge | None, str]:
    import math

    from racoon.science.comorbidome import BiologicalAge

    complete = [
        [number(row[name]) for name in (*wanted, age)]
        for row in rows
        if all(math.isfinite(number(row[name])) for name in (*wanted, age))
    ]
    try:
        return BiologicalAge.fit(wanted, [row[:-1] for row in complete], [row[-1] for row in complete]), ""
    except ValueError as error:
        return None, str(error)


def _person(
    row: dict[str, str],
    wanted: list[str],
    had: list[str],
    lines: dict[str, dict[str, ReferenceLine]],
    model: BiologicalAge | None,
    columns: tuple[str, str, str],
) -> dict[str, Any]:
    import math

    from racoon.science.comorbidome import frailty_index, z_scores

    subject, age, sex = columns
    years = number(row[age])
    values = {name: number(row[name]) for name in wanted}
    own = lines.get(row[sex], {})
    scores = {**dict.fromkeys(wanted, math.nan), **z_scores(values, years, own)}
    conditions = {name: {"1": True, "0": False}.get(row[name]) for name in had}
    if strange := [name for name in had if row[name] not in {"", "0", "1"}]:
        raise BadTable(f"The condition {strange[0]!r} holds {row[strange[0]][:20]!r}; write 1, 0 or nothing.")
    deficits = {
        f"{name} {'high' if sign > 0 else 'low'}": (None if math.isnan(score) else sign * score > DEFICIT_Z)
        for name, score in scores.items()
        for sign in (1, -1)
    }
    # A biomarker is one deficit, whichever way it is off.
    counted: dict[str, float | None] = {
        name: None if math.isnan(score) else float(abs(score) > DEFICIT_Z) for name, score in scores.items()
    }
    frailty = frailty_index(
        {**counted, **{name: None if state is None else float(state) for name, state in conditions.items()}}
    )
    gap = None
    if model is not None and math.isfinite(years) and all(map(math.isfinite, values.values())):
        corrected, low, high = model.gap_years(values, years)
        gap = {"years": corrected, "interval": [low, high], "terms_years": model.terms(values)}
    return {
        "subject": row[subject],
        "age_years": _finite(years),
        "sex": row[sex] or None,
        "values": {name: _finite(value) for name, value in values.items()},
        "z": {name: _finite(score) for name, score in scores.items()},
        "conditions": conditions,
        "deficits": deficits,
        "frailty": {
            "index": _finite(frailty.index),
            "present": frailty.present,
            "considered": frailty.considered,
            "missing": frailty.missing,
            "frail": frailty.is_frail,
        },
        "age_gap": gap,
    }


def _line(line: ReferenceLine) -> dict[str, Any]:
    return {
        "intercept": line.intercept,
        "slope_per_year": line.slope_per_year,
        "residual_sd": line.residual_sd,
        "subjects": line.subjects,
        "source": line.source,
    }


def _age_model(model: BiologicalAge) -> dict[str, Any]:
    return {
        "subjects": model.subjects,
        "years_per_sd": dict(zip(model.features, model.coefficients, strict=True)),
        "mean_age": model.intercept,
        "penalty": model.penalty,
        "bias_correction": {"intercept": model.gap.intercept, "slope": model.gap.slope},
        "gap_sd_years": model.gap.residual_sd,
        "calibration": {
            "slope": _finite(model.calibration.slope),
            "intercept": _finite(model.calibration.intercept),
            "mean_absolute_error": model.calibration.mean_absolute_error,
            "correlation": _finite(model.calibration.correlation),
            "fifths": [list(pair) for pair in model.calibration.groups],
        },
    }


def _picture(network: Network) -> str:
    from racoon.web.networks import network_figure

    return network_figure(
        [(item.name, item.present, item.known) for item in network.conditions if item.present],
        [(link.first, link.second, link.odds_ratio) for link in network.links if link.is_shown],
    )


def _finite(value: float) -> float | None:
    import math

    return value if math.isfinite(value) else None


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"

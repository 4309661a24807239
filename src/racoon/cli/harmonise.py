"""``racoon harmonise``: ComBat on a table of features of several sites or scanners, and what it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from racoon.cli._tables import BadTable, columns_named, number, read_table
from racoon.cli.output import JsonFlag, print_json, print_table


def harmonise(
    table: Path,
    /,
    *,
    site: str,
    features: str,
    covariates: str = "",
    out: Path | None = None,
    picture: Path | None = None,
    json: JsonFlag = False,
) -> None:
    """Harmonise features of several sites or scanners by ComBat, and say what that changes.

    Parameters
    ----------
    table
        CSV file with a header, one row per subject.
    site
        Column that names the site or scanner.
    features
        Columns to harmonise, joined by commas; two or more.
    covariates
        Columns whose effect has to stay, joined by commas: numbers, or words of two kinds such as F and M.
    out
        Where to write the table with harmonised features.
    picture
        Where to write the distributions before and after, as SVG.
    json
        Print one JSON document.
    """
    import numpy as np

    from racoon.science.statistics.harmonisation import fit_combat
    from racoon.science.statistics.sums import CrossProducts

    names, rows = read_table(table)
    (place,) = columns_named(site, names, table)[:1] or [site]
    wanted, kept = columns_named(features, names, table), columns_named(covariates, names, table)
    numbers = np.array([[number(row[name]) for name in wanted] for row in rows], dtype=np.float64).reshape(
        len(rows), len(wanted)
    )
    facts = np.column_stack([_covariate(rows, name) for name in kept]) if kept else np.zeros((len(rows), 0))
    complete = np.isfinite(numbers).all(axis=1) & np.isfinite(facts).all(axis=1)
    sites = np.array([row[place] for row in rows])
    both = np.column_stack([facts, numbers])
    try:
        model = fit_combat(
            {
                str(name): CrossProducts.of((*kept, *wanted), both[complete & (sites == name)])
                for name in sorted(set(sites[complete]))
            },
            wanted,
        )
    except ValueError as error:
        raise BadTable(f"{table.name} can't be harmonised: {error}.") from error
    after = numbers.copy()
    for name in model.corrections:
        chosen = complete & (sites == name)
        after[chosen] = model.apply(name, facts[chosen], numbers[chosen])
    document: dict[str, Any] = {
        "rows": len(rows),
        "left_out_incomplete": int((~complete).sum()),
        "sites": {name: int((complete & (sites == name)).sum()) for name in sorted(model.corrections)},
        "covariates": kept,
        "changes": list(model.report()),
        "site_share_percent": {
            feature: {
                "before": _site_share(numbers[complete, column], sites[complete]),
                "after": _site_share(after[complete, column], sites[complete]),
            }
            for column, feature in enumerate(wanted)
        },
        "method": "ComBat, doi:10.1093/biostatistics/kxj037",
    }
    if out is not None:
        _write(out, names, rows, wanted, after, complete)
    if picture is not None:
        picture.write_text(_picture(wanted, numbers, after, sites, complete), encoding="utf-8")
    if json:
        print_json(document)
    else:
        lines = [
            {**item, "shift": f"{item['shift']:.4g}", "sd_factor": f"{item['sd_factor']:.3f}"}
            for item in model.report()
        ]
        print_table(f"{table.name}: what changes at each site", lines)


def _covariate(rows: list[dict[str, str]], name: str) -> Any:
    import numpy as np

    cells = [row[name] for row in rows]
    numbers = np.array([number(cell) for cell in cells])
    words = sorted({cell for cell in cells if cell})
    if np.isfinite(numbers).any():
        return numbers
    if len(words) != 2:
        raise BadTable(f"The covariate {name!r} has {len(words)} different words; code it as numbers.")
    return np.array([float(words.index(cell)) if cell else np.nan for cell in cells])


def _site_share(values: Any, sites: Any) -> float:
    """Share of the variance that lies between sites, in per cent."""
    import numpy as np

    total = float(((values - values.mean()) ** 2).sum())
    between = sum(
        int((sites == name).sum()) * float(values[sites == name].mean() - values.mean()) ** 2
        for name in set(sites.tolist())
    )
    return 100.0 * float(between) / total if total > 0 else float(np.nan_to_num(0.0))


def _write(
    out: Path, names: list[str], rows: list[dict[str, str]], wanted: list[str], after: Any, complete: Any
) -> None:
    import csv

    with out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        for place, row in enumerate(rows):
            # A row with a gap has no harmonised value; its old one would be on another scale.
            new = {
                name: repr(float(after[place, column])) if complete[place] else ""
                for column, name in enumerate(wanted)
            }
            writer.writerow({**row, **new})


def _picture(wanted: list[str], before: Any, after: Any, sites: Any, complete: Any) -> str:
    from racoon.web.distributions import distribution_figure, stack_figures

    figures = []
    for column, feature in enumerate(wanted):
        groups = {}
        for name in sorted(set(sites[complete].tolist())):
            chosen = complete & (sites == name)
            groups[f"{name}, before"] = before[chosen, column].tolist()
            groups[f"{name}, after"] = after[chosen, column].tolist()
        figures.append(distribution_figure(feature, groups, feature))
    return stack_figures(figures)

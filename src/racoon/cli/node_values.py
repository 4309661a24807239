"""``racoon node punch``, ``import-table`` and ``comorbidome``: values that no protocol measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from racoon.cli.output import JsonFlag, print_json, print_table


def add_to(app: App) -> None:
    """Add the commands to those of the node."""
    app.command(punch)
    app.command(import_table)
    app.command(comorbidome)


def punch(
    series: str,
    /,
    *,
    config: Path,
    study: str,
    landmarks: Path | None = None,
    size: float = 10.0,
    shape: Literal["sphere", "cylinder", "cube"] = "sphere",
    length: float | None = None,
    slot: list[str] | None = None,
    settings: Path | None = None,
    json: JsonFlag = False,
) -> None:
    """Punch small pieces out of an archived series and keep what they hold as values of a study.

    Parameters
    ----------
    series
        Series Instance UID, of a series in the dataset frozen for the study.
    config
        TOML file of this node.
    study
        Id of the study; the site must have released it for measuring.
    landmarks
        CSV (id, x, y, z in LPS mm, slot) or markups of 3D Slicer; without it, what readers marked on the series.
    size
        Diameter of the sphere or cylinder, side of the cube, in mm.
    shape
        Form of the piece: `sphere`, `cylinder` or `cube`.
    length
        Length of the cylinder in mm; its diameter when omitted.
    slot
        Place of the tissue taken at a mark, as name=TMA03/B12; may be given several times.
    settings
        Settings of the IBSI features, as for `racoon radiomics`; without them, volume, mean and deviation only.
    json
        Print one JSON document.
    """
    from racoon.cli.punch import read_landmarks
    from racoon.cli.radiomics import read_settings
    from racoon.node.app.adding import punch_series
    from racoon.node.measuring.adding import Mark, PunchRule
    from racoon.science.radiomics import Configuration

    marks = None
    if landmarks is not None:
        origin = {"landmarks": landmarks.name}
        marks = [
            Mark(item["id"], item["point_mm"], item["slot"], item["axis"], origin)
            for item in read_landmarks(landmarks)
        ]
    rule = PunchRule(
        shape, size, length, Configuration.from_dict(read_settings(settings)) if settings else None
    )
    _show(
        punch_series(config, study, series, marks, rule, dict(_pair(word) for word in slot or [])), json=json
    )


def import_table(
    tables: list[Path], /, *, config: Path, study: str, series: str, json: JsonFlag = False
) -> None:
    """Keep tables of FreeSurfer or FastSurfer as values of a study, beside the series they were computed from.

    Parameters
    ----------
    tables
        aseg.stats, lh.aparc.stats, rh.aparc.stats.
    config
        TOML file of this node.
    study
        Id of the study; the site must have released it for measuring.
    series
        Series Instance UID, of a series in the dataset frozen for the study.
    json
        Print one JSON document.
    """
    from racoon.node.app.adding import import_tables

    _show(import_tables(config, study, series, tables), json=json)


def comorbidome(*, config: Path, study: str, picture: Path | None = None, json: JsonFlag = False) -> None:
    """Put the stored values and diagnoses of every subject together: z-scores, missingness, frailty, a network.

    Age and sex are those of the images, diagnoses those of the clinic's own systems; everybody belongs to the
    reference group. Stays at the site.

    Parameters
    ----------
    config
        TOML file of this node.
    study
        Id of the study; the site must have released it for measuring.
    picture
        Where to write the network and the prevalences, as SVG.
    json
        Print one JSON document.
    """
    from racoon.cli.comorbidome import show_subjects
    from racoon.node.app.adding import load_comorbidome
    from racoon.science.comorbidome import describe_group

    found = load_comorbidome(config, study)
    show_subjects(describe_group(found.subjects, list(found.measurements), study), study, picture, json=json)


def _pair(word: str) -> tuple[str, str]:
    name, _, code = word.rpartition("=")
    return name, code


def _show(values: list[dict[str, Any]], *, json: bool) -> None:
    if json:
        print_json(values)
        return
    print_table(
        f"{len(values)} values",
        [
            {
                "measurement": item["measurement"],
                "value": "–" if item["value"] is None else f"{item['value']:.5g}",
                "unit": item["unit"],
                "valid": "yes" if item["valid"] else f"no: {item['reason_text']}",
            }
            for item in values
        ],
    )

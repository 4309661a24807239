"""Plans and tables as people write them: YAML, TOML or JSON, and CSV with one row per subject."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import yaml

from racoon.domain.analysis import AnalysisPlan, PlanDefect, parse_plan
from racoon.errors import Defect


class TableDefect(Defect):
    """A table of rows that can't be read as the plan wants."""

    code: ClassVar[str] = "analysis.table"


def read_plan(path: Path) -> AnalysisPlan:
    """Read and check a plan.

    Parameters
    ----------
    path
        ``.yaml``, ``.toml`` or ``.json``.

    Raises
    ------
    PlanDefect, ExpressionDefect
        Says what to change.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = _read_as(path.suffix, text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise PlanDefect(f"{path.name} can't be read as YAML, TOML or JSON: {error}.") from error
    if not isinstance(document, Mapping):
        raise PlanDefect(f"{path.name} must be a mapping of keys to values.")
    return parse_plan(document)


def _read_as(suffix: str, text: str) -> object:
    if suffix == ".toml":
        return tomllib.loads(text)
    return yaml.safe_load(text) if suffix in {".yaml", ".yml"} else json.loads(text)


def read_sites(path: Path, site_column: str) -> dict[str, dict[str, list[str]]]:
    """Read a CSV table and split its rows by site.

    Parameters
    ----------
    path
        UTF-8, comma-separated, with a header.
    site_column
        Name of the column with the site's code.

    Returns
    -------
    dict
        By site: by column: the texts of its rows.

    Raises
    ------
    TableDefect
        Names the line, never a value.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            header = [name.strip() for name in next(reader, [])]
            if site_column not in header or len(set(header)) != len(header):
                raise TableDefect(
                    f"{path.name} needs a header of different names with the column {site_column!r}."
                )
            place = header.index(site_column)
            sites: dict[str, dict[str, list[str]]] = {}
            for row in reader:
                if len(row) != len(header) or not row[place].strip():
                    raise TableDefect(f"{path.name}, line {reader.line_num}: cells or the site are missing.")
                columns = sites.setdefault(row[place].strip(), {name: [] for name in header})
                for name, text in zip(header, row, strict=True):
                    columns[name].append(text.strip())
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise TableDefect(f"{path.name} can't be read as a CSV table: {error}.") from error
    if not sites:
        raise TableDefect(f"{path.name} has no rows.")
    return sites

"""Report templates that this version ships: every version of each, for as long as reports name them."""

from __future__ import annotations

import functools
import json
from importlib.resources import files

from racoon.domain.questionnaire import Template, template_of
from racoon.node.reading.reports.model import ReportNotFound


@functools.cache
def templates() -> dict[str, Template]:
    """Load every version of every template by its canonical name."""
    folder = files("racoon.node.reading.reports").joinpath("templates")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".json"):
            template = template_of(json.loads(entry.read_text(encoding="utf-8")))
            found[template.canonical] = template
    return found


def newest_template(url: str) -> Template:
    """Return the newest version of a template.

    Raises
    ------
    ReportNotFound
        If there is none of this address.
    """
    versions = [template for template in templates().values() if template.url == url]
    if not versions:
        raise ReportNotFound("There is no such report template.")
    return max(versions, key=lambda template: [int(part) for part in template.version.split(".")])

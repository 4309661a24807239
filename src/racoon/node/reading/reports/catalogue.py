"""Report templates: those this version ships, and those an expert group released at this node.

Every version stays for as long as reports name it; a released version is never changed.
"""

from __future__ import annotations

import functools
import hashlib
import json
from datetime import datetime
from importlib.resources import files
from typing import Any

import sqlalchemy as sa

from racoon.domain.canonical import canonical_json
from racoon.domain.questionnaire import Template, template_of
from racoon.node.reading.reports import _templates
from racoon.node.reading.reports.drafts import DRAFT, LEVELS, Draft
from racoon.node.reading.reports.model import ReportNotFound
from racoon.platform import clock


@functools.cache
def shipped() -> dict[str, Template]:
    """Load every version of every shipped template by its canonical name."""
    folder = files("racoon.node.reading.reports").joinpath("templates")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".json"):
            template = template_of(json.loads(entry.read_text(encoding="utf-8")))
            found[template.canonical] = template
    return found


def shipped_document(url: str, version: str) -> dict[str, Any]:
    """Return a shipped template as it was written, to begin a version of one's own with.

    Raises
    ------
    ReportNotFound
    """
    folder = files("racoon.node.reading.reports").joinpath("templates")
    for entry in folder.iterdir():
        if entry.name.endswith(".json"):
            document: dict[str, Any] = json.loads(entry.read_text(encoding="utf-8"))
            if (document["url"], document["version"]) == (url, version):
                return document
    raise ReportNotFound("There is no such report template.")


def templates(connection: sa.Connection | None = None) -> dict[str, Template]:
    """Load every version of every template that reports may be written with, by canonical name.

    Parameters
    ----------
    connection
        To the node's database; without it only what is shipped.
    """
    found = dict(shipped())
    if connection is not None:
        for sha256, text in _templates.load_released(connection):
            template = _read(sha256, text)
            found.setdefault(template.canonical, template)
    return found


@functools.lru_cache(maxsize=128)
def _read(_sha256: str, text: str) -> Template:
    return template_of(json.loads(text))


def newest_template(url: str, connection: sa.Connection | None = None) -> Template:
    """Return the newest version of a template.

    Raises
    ------
    ReportNotFound
        If there is none of this address.
    """
    versions = [template for template in templates(connection).values() if template.url == url]
    if not versions:
        raise ReportNotFound("There is no such report template.")
    return max(versions, key=lambda template: number_of(template.version))


def newest_templates(connection: sa.Connection | None = None) -> list[Template]:
    """Return the newest version of every template by address: what a new report may be written with."""
    newest: dict[str, Template] = {}
    for template in templates(connection).values():
        known = newest.get(template.url)
        if known is None or number_of(template.version) > number_of(known.version):
            newest[template.url] = template
    return [newest[url] for url in sorted(newest)]


def shipped_draft(url: str, version: str) -> Draft | None:
    """Return a shipped template as experts sign it: nobody here wrote on it; None where none is shipped."""
    if f"{url}|{version}" not in shipped():
        return None
    content = canonical_json(shipped_document(url, version))
    return Draft(
        url, version, content.decode(), hashlib.sha256(content).hexdigest(), DRAFT, 0, (), clock.now()
    )


def level_of(template: Template, connection: sa.Connection, at: datetime | None = None) -> str:
    """Return the quality level of a template that reports may be written with.

    Parameters
    ----------
    connection
        To the node's database: what experts signed is there.
    at
        When; a shipped template may have been released after a report was signed. Now without it.
    """
    if template.canonical not in shipped():
        return LEVELS[2]
    draft = _templates.load(connection, template.url, template.version)
    if draft is None:
        return LEVELS[0]
    return draft.level_at(at) if at is not None else draft.level


def number_of(version: str) -> tuple[int, ...]:
    """Return a version in numbers, to be compared; ``1.10`` comes after ``1.9``."""
    return tuple(int(part) for part in version.split("."))

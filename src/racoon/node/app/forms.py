"""`racoon node template` and `racoon node query`: forms and their queries, by an operator at the console."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from racoon.domain.canonical import canonical_json
from racoon.domain.identity import Role
from racoon.domain.questionnaire import template_of
from racoon.domain.questionnaire.normalising import NOTES
from racoon.node.app.administration import prepare
from racoon.node.app.operation import person
from racoon.node.app.rooms import open_archive
from racoon.node.reading.queries.service import Queries
from racoon.node.reading.reports.authoring import Authoring, read_foreign
from racoon.node.reading.reports.catalogue import newest_template, number_of, shipped, shipped_document
from racoon.node.reading.reports.drafts import LEVELS, NoSuchDraft
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database

Found = TypeVar("Found")


def _operator() -> User:
    """Return whoever may read the node's configuration and data folder: no account is asked for."""
    return User(person(), frozenset({Role.SITE_INFORMATICIAN}))


def lint_template(path: Path) -> dict[str, Any]:
    """Read a FHIR Questionnaire or an IHE MRRT file and say what would be changed or lost; nothing is stored.

    Raises
    ------
    BadTemplate
        With the item and the reason, where it cannot be read at all.
    """
    found = read_foreign(path.read_bytes(), path.stem)
    template = template_of(found.document)
    return {
        "title": template.words.text,
        "url": template.url,
        "version": template.version,
        "questions": sum(item.is_question for item in template.walk()),
        "notes": [note.to_dict() | {"words": NOTES[note.code]} for note in found.notes],
    }


def list_templates(config: Path) -> list[dict[str, Any]]:
    """List the templates of a node: shipped ones, drafts and released versions."""

    def ask(database: Database, audit: AuditLog) -> list[dict[str, Any]]:
        rows = [
            {
                "title": json.loads(draft.text).get("title", draft.url),
                "url": draft.url,
                "version": draft.version,
                "state": draft.state,
                "level": draft.level,
            }
            for draft in Authoring(database, audit).all()
        ]
        signed = {(row["url"], row["version"]) for row in rows}
        return rows + [
            {
                "title": form.words.text,
                "url": form.url,
                "version": form.version,
                "state": "shipped",
                "level": LEVELS[0],
            }
            for form in shipped().values()
            if (form.url, form.version) not in signed
        ]

    return _with_node(config, ask)


def import_template(config: Path, path: Path, name: str) -> dict[str, Any]:
    """Read a template into a new draft, with everything that was changed or lost.

    Raises
    ------
    BadTemplate
    """

    def ask(database: Database, audit: AuditLog) -> dict[str, Any]:
        found = read_foreign(path.read_bytes(), name or path.stem)
        authoring = Authoring(database, audit)
        document = found.document | {"version": authoring.next_version(found.document["url"])}
        draft = authoring.save(_operator(), canonical_json(document).decode(), 0, found.notes)
        return draft.to_dict() | {
            "notes": [note.to_dict() | {"words": NOTES[note.code]} for note in found.notes]
        }

    return _with_node(config, ask)


def export_template(config: Path, url: str, version: str) -> dict[str, Any]:
    """Return a template as a FHIR Questionnaire; its newest version without a number.

    Raises
    ------
    NoSuchDraft, ReportNotFound
    """

    def ask(database: Database, audit: AuditLog) -> dict[str, Any]:
        authoring = Authoring(database, audit)
        wanted = version
        if not wanted:
            own = [draft.version for draft in authoring.all() if draft.url == url]
            wanted = max(own, key=number_of, default="") or newest_template(url).version
        try:
            document: dict[str, Any] = json.loads(authoring.get(url, wanted).text)
        except NoSuchDraft:
            document = shipped_document(url, wanted)
        return document

    return _with_node(config, ask)


def list_queries(config: Path, *, state: str = "", language: str = "en") -> list[dict[str, Any]]:
    """List the queries at fields of reports, the newest first."""

    def ask(database: Database, audit: AuditLog) -> list[dict[str, Any]]:
        archive = open_archive(load_node_settings(config), database)
        found = Queries(database, audit, archive).all()
        with database.connect() as connection:
            forms = {url: newest_template(url, connection) for url in {item.template_url for item in found}}
        return [
            item.to_dict(forms[item.template_url], language) for item in found if state in ("", item.state)
        ]

    return _with_node(config, ask)


def answer_query(config: Path, query_id: str, text: str, reader: str) -> dict[str, Any]:
    """Enter the answer of a reader to a query; the audit names who entered it.

    Raises
    ------
    QueryNotFound, QueryClosed, BadQuery
    """

    def ask(database: Database, audit: AuditLog) -> dict[str, Any]:
        archive = open_archive(load_node_settings(config), database)
        query = Queries(database, audit, archive).answer(_operator(), query_id, text, reader=reader)
        with database.connect() as connection:
            return query.to_dict(newest_template(query.template_url, connection), "en")

    return _with_node(config, ask)


def _with_node(config: Path, ask: Callable[[Database, AuditLog], Found]) -> Found:
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    try:
        return ask(database, AuditLog("node", settings.release.policy().version))
    finally:
        database.dispose()

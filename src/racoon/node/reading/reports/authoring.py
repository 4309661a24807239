"""What template authors may ask: begin, look, save, import; and the experts who sign and thereby release."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from racoon.domain.canonical import canonical_json
from racoon.domain.questionnaire import BadTemplate, Normalised, Note, Template, normalised, template_of
from racoon.node.reading.reports import _templates
from racoon.node.reading.reports.catalogue import number_of, shipped, shipped_draft
from racoon.node.reading.reports.drafts import (
    DRAFT,
    GROUP,
    RELEASED,
    Draft,
    NoSuchDraft,
    NotAnExpert,
    Signature,
    TemplateChanged,
    TemplateIsFixed,
    UnreadableTemplate,
)
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database
from racoon.standards.mrrt import read_mrrt

LONGEST_TEXT = 1_000_000

_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,2}")


def read_text(text: str) -> tuple[dict[str, Any], Template]:
    """Read a Questionnaire from JSON text.

    Raises
    ------
    UnreadableTemplate
        If it is no JSON, with the line.
    BadTemplate
        If it is outside the subset, with the item and the reason.
    """
    if len(text) > LONGEST_TEXT:
        raise UnreadableTemplate("A template has at most a million characters.")
    try:
        document = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 0)
        raise UnreadableTemplate(
            "This is no JSON. Check commas and quotation marks.", details={"line": line}
        ) from None
    if not isinstance(document, Mapping):
        raise BadTemplate("A template is a FHIR Questionnaire.")
    template = template_of(document)
    if not _VERSION.fullmatch(template.version):
        raise BadTemplate("The version of a template is numbers with points, such as 2 or 1.3.")
    return dict(document), template


def read_foreign(data: bytes, name: str) -> Normalised:
    """Read a foreign template, a FHIR Questionnaire or IHE MRRT, with its lint report.

    Raises
    ------
    BadTemplate
    """
    if data.lstrip()[:1] == b"{":
        try:
            document = json.loads(data)
        except ValueError:
            raise BadTemplate(
                "The file is neither a FHIR Questionnaire in JSON nor an MRRT template."
            ) from None
        return normalised(document, name)
    return read_mrrt(data, name)


class Authoring:
    """Templates that are written at this node.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    """

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    def all(self) -> list[Draft]:
        """List every version written or signed here."""
        with self._database.connect() as connection:
            return _templates.load_all(connection)

    def get(self, url: str, version: str) -> Draft:
        """Return a version that was written or signed here.

        Raises
        ------
        NoSuchDraft
        """
        with self._database.connect() as connection:
            found = _templates.load(connection, url, version)
        if found is None:
            raise NoSuchDraft("There is no such template here.")
        return found

    def next_version(self, url: str) -> str:
        """Return a version number that no version of a template has yet."""
        known = [template.version for template in shipped().values() if template.url == url]
        known += [draft.version for draft in self.all() if draft.url == url]
        return str(max((number_of(version)[0] for version in known), default=0) + 1)

    def save(self, user: User, text: str, based_on: int, notes: Sequence[Note] = ()) -> Draft:
        """Save a draft; what experts signed of it before is gone.

        Parameters
        ----------
        based_on
            Revision the author saw, 0 for a new version.

        Raises
        ------
        UnreadableTemplate, BadTemplate
        TemplateIsFixed
            If this version is released or shipped.
        TemplateChanged
        """
        document, template = read_text(text)
        content = canonical_json(document)
        with self._database.begin() as connection:
            before = _templates.load(connection, template.url, template.version)
            if template.canonical in shipped() or (before is not None and before.state == RELEASED):
                raise TemplateIsFixed("This version is released and stays as it is. Write the next version.")
            if (before.revision if before is not None else 0) != based_on:
                raise TemplateChanged("The draft was changed elsewhere, or is there already. Load it again.")
            authors = before.authors if before is not None else ()
            draft = Draft(
                template.url,
                template.version,
                content.decode(),
                hashlib.sha256(content).hexdigest(),
                DRAFT,
                based_on + 1,
                tuple(dict.fromkeys((*authors, user.name))),
                clock.now(),
                notes=tuple(note.to_dict() for note in notes) or (before.notes if before is not None else ()),
            )
            _templates.save(connection, draft)
            self._record(connection, user, "template.save", draft)
        return draft

    def sign(self, user: User, url: str, version: str, sha256: str) -> Draft:
        """Sign a draft or a shipped template as an expert; the last signature of the group releases it.

        Parameters
        ----------
        sha256
            What the expert looked at.

        Raises
        ------
        NoSuchDraft, TemplateIsFixed, TemplateChanged
        NotAnExpert
            If the person wrote on it, or signed it already.
        """
        with self._database.begin() as connection:
            draft = _templates.load(connection, url, version) or shipped_draft(url, version)
            if draft is None:
                raise NoSuchDraft("There is no such template here.")
            if draft.state == RELEASED:
                raise TemplateIsFixed("This version is released and stays as it is. Write the next version.")
            if draft.sha256 != sha256:
                raise TemplateChanged("The draft was changed elsewhere, or is there already. Load it again.")
            if user.name in draft.authors or user.name in {item.person for item in draft.signatures}:
                raise NotAnExpert("Experts sign once, and never what they wrote themselves.")
            now = clock.now()
            signatures = (*draft.signatures, Signature(user.name, now.isoformat(), sha256))
            is_released = len(signatures) >= GROUP
            signed = replace(
                draft,
                signatures=signatures,
                state=RELEASED if is_released else DRAFT,
                released_at=now if is_released else None,
            )
            _templates.save(connection, signed)
            self._record(connection, user, "template.sign", signed)
            if is_released:
                self._record(connection, user, "template.release", signed)
        return signed

    def _record(self, connection: Any, user: User, action: str, draft: Draft) -> None:
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=f"template/{draft.url}|{draft.version}",
            details={"sha256": draft.sha256, "state": draft.state, "revision": draft.revision},
        )

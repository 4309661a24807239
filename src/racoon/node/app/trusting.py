"""The services that the hospital trusts, connected by the settings: asked for consents, checked, their state kept.

A consent source that does not answer permits nothing from the moment this is noticed; it is asked again soon.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from racoon.domain.consent import ConsentDocument
from racoon.domain.identity import PatientId, Pseudonym
from racoon.errors import RacoonError
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical import service as clinical
from racoon.node.clinical import sources
from racoon.node.clinical.calling import BREAK_S, Address, Service
from racoon.node.clinical.trust.consents import EmbeddedConsents, FhirConsents, FolderConsents, GicsConsents
from racoon.node.clinical.trust.identities import (
    EmbeddedIdentities,
    EpixIdentities,
    MainzellisteIdentities,
)
from racoon.node.clinical.trust.model import ConsentSource, IdentityLink, PseudonymService
from racoon.node.clinical.trust.pseudonyms import EmbeddedPseudonyms, GpasPseudonyms, MiiPseudonyms
from racoon.node.consent.model import KnownDocument
from racoon.node.consent.service import Consent
from racoon.node.consent.sources import distrust, take_answer
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import NodeSettings, ServiceSettings, load_node_settings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

_log = logging.getLogger(__name__)

AT_ONCE = 500
"""Persons whose answer is taken in one transaction."""

SYSTEM, ROLE = "trust", "system"

SERVICES = ("consent", "pseudonyms", "identity")


def open_service(name: str, options: ServiceSettings) -> Service:
    """Make the caller of a service."""
    return Service(
        Address(
            name,
            options.url,
            authority=options.authority,
            certificate=options.certificate,
            key=options.key,
            token_file=options.token_file,
            user=options.user,
            password_file=options.password_file,
            timeout_s=options.timeout_s,
        )
    )


def open_consent_source(
    settings: NodeSettings, database: Database, names: Pseudonymiser, consent: Consent
) -> ConsentSource:
    """Open who keeps the consents."""
    options = settings.trust.consent
    if options.kind == "gics":
        return GicsConsents(open_service("gICS", options), options.domain, options.identifier_system)
    if options.kind == "fhir":
        return FhirConsents(open_service("The FHIR server of consents", options), options.identifier_system)
    if options.kind == "folder" and options.folder is not None:
        return FolderConsents(options.folder, settings.fhir.patient_systems)

    def load(number: PatientId) -> Sequence[ConsentDocument]:
        with database.connect() as connection:
            return [item.document for item in consent.documents(connection, names.pseudonym(number))]

    return EmbeddedConsents(load)


def open_pseudonym_service(settings: NodeSettings, names: Pseudonymiser) -> PseudonymService:
    """Open who names subjects in a study."""
    options = settings.trust.pseudonyms
    if options.kind == "gpas":
        return GpasPseudonyms(open_service("gPAS", options), options.domains)
    if options.kind == "mii":
        service = open_service("The pseudonymisation service", options)
        return MiiPseudonyms(service, options.identifier_system, options.context_system, options.domains)
    return EmbeddedPseudonyms(names)


def open_identity_link(settings: NodeSettings) -> IdentityLink:
    """Open who finds a person's number."""
    options = settings.trust.identity
    if options.kind == "epix":
        return EpixIdentities(
            open_service("E-PIX", options), options.domain, options.source, settings.fhir.patient_systems
        )
    if options.kind == "mainzelliste":
        return MainzellisteIdentities(open_service("Mainzelliste", options), options.id_type)
    return EmbeddedIdentities()


class ConsentPoll:
    """Asks the source of consents about everybody this node knows.

    Parameters
    ----------
    settings, database
        The node's own.
    names
        The door to who is who: consents are kept by the patient's number.
    consent
        The legal basis.
    source
        Who is asked.
    """

    def __init__(
        self,
        settings: NodeSettings,
        database: Database,
        names: Pseudonymiser,
        consent: Consent,
        source: ConsentSource,
    ) -> None:
        self._options = settings.trust.consent
        self._database, self._names, self._consent, self._source = database, names, consent, source

    def run_once(self, *, actor: str = SYSTEM, actor_role: str = ROLE) -> dict[str, int]:
        """Ask once about everybody.

        Raises
        ------
        RacoonError
            If there is no whole answer; nothing that the source said counts any more then.
        """
        subjects: dict[PatientId, list[Pseudonym]] = {}
        for pseudonym, number in self._names.subjects():
            subjects.setdefault(number, []).append(pseudonym)
        numbers, kind = sorted(subjects), self._options.kind
        facts = {"subjects": len(numbers), "documents": 0, "withdrawn": 0}
        try:
            self._source.check()
            for start in range(0, len(numbers), AT_ONCE):
                batch = numbers[start : start + AT_ONCE]
                found = self._source.documents(batch)
                asked = [name for number in batch for name in subjects[number]]
                with self._database.begin() as connection:
                    years = clinical.birth_years(connection, asked)
                    items = [
                        self._known(document, name, years.get(name))
                        for number in batch
                        for name in subjects[number]
                        for document in found.get(number, ())
                    ]
                    withdrawn = take_answer(
                        connection, self._consent, kind, asked, items, actor=actor, actor_role=actor_role
                    )
                facts["documents"] += len(items)
                facts["withdrawn"] += len(withdrawn)
        except RacoonError as error:
            with self._database.begin() as connection:
                distrust(connection, kind)
                sources.note_problem(connection, "consent", kind, error)
            raise
        with self._database.begin() as connection:
            sources.note_success(connection, "consent", kind, facts)
        return facts

    def run(self, stop: threading.Event) -> None:
        """Ask again and again until asked to stop; the body of a thread of the worker."""
        while not stop.is_set():
            pause_s = self._options.poll_minutes * 60
            try:
                self.run_once()
            except RacoonError as error:
                pause_s = min(pause_s, BREAK_S)
                _log.warning(
                    "consents are not confirmed, so nothing rests on them", extra={"code": error.error_code}
                )
            stop.wait(pause_s)

    def _known(self, document: ConsentDocument, pseudonym: Pseudonym, year: int | None) -> KnownDocument:
        # The source's own name of the document may be a number of the patient.
        identity = self._names.token(f"consent/{pseudonym}/{document.identity}")
        fresh_until = clock.now() + timedelta(minutes=self._options.live_minutes)
        born = date(year, 1, 1) if year is not None else None
        return KnownDocument(
            pseudonym, replace(document, identity=identity), born, self._options.kind, fresh_until
        )


def run_in_background(
    settings: NodeSettings,
    database: Database,
    names: Pseudonymiser,
    consent: Consent,
    stop: threading.Event,
) -> None:
    """Start asking for consents in a thread, where the site named who keeps them."""
    if settings.trust.consent.kind != "embedded":
        source = open_consent_source(settings, database, names, consent)
        poll = ConsentPoll(settings, database, names, consent, source)
        threading.Thread(target=poll.run, args=(stop,), name="consents", daemon=True).start()


def poll_once(config: Path) -> dict[str, Any]:
    """Ask the source of consents once, from the command line.

    Raises
    ------
    RacoonError
        As :meth:`ConsentPoll.run_once`.
    """
    settings, database, names = _opened(config)
    try:
        consent = open_consent(settings, database, AuditLog("node"), names=names)
        source = open_consent_source(settings, database, names, consent)
        poll = ConsentPoll(settings, database, names, consent, source)
        return {
            "kind": settings.trust.consent.kind,
            **poll.run_once(actor=person(), actor_role=OPERATOR),
        }
    finally:
        names.close()
        database.dispose()


def check_services(config: Path) -> list[dict[str, Any]]:
    """Ask every service of the settings for something harmless, and keep how it ended for the page."""
    settings, database, names = _opened(config)
    try:
        consent = open_consent(settings, database, AuditLog("node"), names=names)
        opened: dict[str, ConsentSource | PseudonymService | IdentityLink] = {
            "consent": open_consent_source(settings, database, names, consent),
            "pseudonyms": open_pseudonym_service(settings, names),
            "identity": open_identity_link(settings),
        }
        rows = []
        for name in SERVICES:
            kind = kind_of(settings, name)
            problem = _check(database, name, kind, opened[name])
            rows.append({"service": name, "kind": kind, "answers": not problem, "next_step": problem})
        return rows
    finally:
        names.close()
        database.dispose()


def kind_of(settings: NodeSettings, name: str) -> str:
    """Name the adapter that the settings choose for a port."""
    return str(getattr(settings.trust, name).kind)


def _check(
    database: Database, name: str, kind: str, port: ConsentSource | PseudonymService | IdentityLink
) -> str:
    problem = None
    try:
        port.check()
    except RacoonError as error:
        problem = error
    if kind != "embedded":
        with database.begin() as connection:
            known = sources.load_source(connection, name)
            if problem is not None:
                sources.note_problem(connection, name, kind, problem)
            else:
                facts = known.facts if known is not None and known.kind == kind else {}
                sources.note_success(connection, name, kind, facts)
    return problem.public_message if problem is not None else ""


def _opened(config: Path) -> tuple[NodeSettings, Database, Pseudonymiser]:
    settings = load_node_settings(config)
    prepare(settings)
    return settings, Database(settings.database), open_pseudonyms(settings)

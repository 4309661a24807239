"""The page of clinical sources: which service does what, whether it answers, what came last and what was refused.

It expects ``app.state.database`` and ``settings``; nothing on it is of anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from racoon.node.clinical import _push_store, fetched, sources
from racoon.node.clinical.hl7.desk import MessageDesk
from racoon.node.clinical.hl7.model import OPEN
from racoon.node.clinical.import_report import REASONS
from racoon.node.clinical.service import load_reports
from racoon.node.clinical.sources import SourceState
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/intake/sources", include_in_schema=False)

Reader = Annotated[User, Depends(require("hl7.read"))]

IMPORTS_SHOWN = 10

TITLES: Mapping[str, str] = {
    "consent": "Consents",
    "pseudonyms": "Pseudonyms in a study",
    "identity": "Patients without the hospital's number",
    "diz": "Clinical course",
    "messages": "HL7 messages",
    "push": "Images and findings go to",
}

EMBEDDED: Mapping[str, str] = {
    "consent": "Consents count as they were imported here. To ask a service, set trust.consent in the node's file.",
    "pseudonyms": "This node names subjects with its own key.",
    "identity": "A record without the number that is in the images gets a pseudonym of its own and joins none.",
    "diz": "No server is named. Set diz.url in the node's file, or import files with racoon fhir import.",
}

KINDS: Mapping[str, str] = {
    "embedded": "this node",
    "none": "nobody yet",
    "gics": "gICS",
    "gpas": "gPAS",
    "mii": "MII pseudonymisation interface",
    "epix": "E-PIX",
    "mainzelliste": "Mainzelliste",
    "fhir": "FHIR server",
    "folder": "folder of files",
    "search": "FHIR server, search",
    "export": "FHIR server, bulk export",
    "hl7": "HL7 v2 over MLLP",
}

NEVER_TRIED = "It was not asked yet. Run racoon trust check, or start the node."
CLOSED = "The port for HL7 messages is closed. Set hl7.port and hl7.senders in the node's file to open it."
NEVER_SENT = (
    "Nothing has come yet. Check that it sends to this address and that its address is among hl7.senders."
)
QUIET = timedelta(days=1)
FELL_SILENT = "Nothing came for a day. Ask the hospital's integration engine whether it still sends."
MESSAGES_WAIT = "Messages wait for a decision: look at HL7 messages."
NOWHERE = "Nothing is sent by itself. Set fhir.push_to in the node's file, or let the server read at /fhir."
NEVER_PUSHED = "Nothing was sent yet. Run racoon fhir push."
NEVER_FETCHED = "Nothing was fetched yet. Run racoon fhir pull, or set diz.every_hours."


@dataclass(frozen=True)
class ShownSource:
    """One line of the page."""

    title: str
    kind: str
    place: str
    state: SourceState | None
    sentence: str

    @property
    def condition(self) -> str:
        """One word for the chip."""
        if self.kind == KINDS["none"]:
            return "closed"
        if self.kind == KINDS["embedded"] or (self.state is None and not self.place):
            return "embedded"
        if self.state is None:
            return "never_seen"
        return "silent" if self.state.problem else "well"


@router.get("")
def show_sources(request: Request, user: Reader) -> Response:
    """Show every source with the next step in words, the last imports and what they refused."""
    settings = request.app.state.settings
    trust, diz = settings.trust, settings.diz
    with request.app.state.database.connect() as connection:
        shown = [
            _shown(connection, name, options.kind, options.url or str(getattr(options, "folder", "") or ""))
            for name, options in (
                ("consent", trust.consent),
                ("pseudonyms", trust.pseudonyms),
                ("identity", trust.identity),
            )
        ]
        shown.append(_shown(connection, "diz", diz.method if diz.url else "embedded", diz.url))
        shown += _messages(settings.hl7.port, request.app.state.messages)
        shown.append(_target(connection, settings.fhir.push_to))
        types = fetched.load_all(connection)
        imports = load_reports(connection)[:IMPORTS_SHOWN]
    return render(
        request,
        "node/intake/sources.html",
        sources=shown,
        types=types,
        imports=[report | {"refusals": _refusals(report)} for report in imports],
    )


def _shown(connection: Any, name: str, kind: str, place: str) -> ShownSource:
    state = sources.load_source(connection, name)
    if state is not None and state.kind != kind:
        # The settings name another service since.
        state = None
    if kind == "embedded":
        sentence, state = EMBEDDED[name], None
    elif state is None:
        sentence = NEVER_FETCHED if name == "diz" else NEVER_TRIED
    else:
        sentence = state.problem
    host = urlsplit(place).netloc or place
    # Without a server nobody is asked for the course; the trust services have this node's own answers.
    used = "none" if name == "diz" and kind == "embedded" else kind
    return ShownSource(TITLES[name], KINDS[used], host, state, sentence)


def _messages(port: int, desk: MessageDesk) -> list[ShownSource]:
    """Say of every sender of HL7 messages when its last one came, and what a person does next."""
    if not port:
        return [ShownSource(TITLES["messages"], KINDS["none"], "", None, CLOSED)]
    waits = sum(count for state, count in desk.open_counts().items() if state in OPEN)
    shown = []
    for line in desk.senders():
        last = line.status.last_at if line.status is not None else None
        state, sentence = None, NEVER_SENT
        if last is not None:
            is_quiet = clock.now() - last > QUIET
            sentence = FELL_SILENT if is_quiet else MESSAGES_WAIT if waits else ""
            state = SourceState("messages", "hl7", last, last, "", sentence if is_quiet else "")
        shown.append(ShownSource(TITLES["messages"], KINDS["hl7"], line.name or "?", state, sentence))
    return shown


def _target(connection: Any, address: str) -> ShownSource:
    """Say where resources are sent, and when last."""
    if not address:
        return ShownSource(TITLES["push"], KINDS["none"], "", None, NOWHERE)
    last = _push_store.last_sent(connection, address)
    state = SourceState("push", "fhir", last, last, "", "") if last is not None else None
    sentence = "" if state is not None else NEVER_PUSHED
    return ShownSource(TITLES["push"], KINDS["fhir"], urlsplit(address).netloc, state, sentence)


def _refusals(report: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Sentence, type and number of what an import refused."""
    found = []
    for text, count in report["reasons"].items():
        reason, _, kind = text.partition(" ")
        found.append((REASONS.get(reason, reason), kind, count))
    return found

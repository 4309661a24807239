"""Everything the pages may say: texts of templates, codes of state tables, sentences of errors."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from jinja2.ext import babel_extract

from racoon.central.cohorts.writing import PROBLEMS
from racoon.central.monitoring.model import Condition
from racoon.central.onboarding.model import CHECKLIST
from racoon.central.orchestration.model import JobState as OfferState
from racoon.central.orchestration.model import RunState
from racoon.central.portal.http import NAVIGATION as CENTRAL_NAVIGATION
from racoon.central.sites.model import SiteState
from racoon.domain.application import (
    END_BEFORE_START,
    GROUPS,
    NEEDS_DEFACING,
    NO_EXPORT,
    NOT_A_CHOICE,
    NOT_A_DATE,
    NOT_A_NUMBER,
    TOO_LONG,
)
from racoon.domain.finding import MEANINGS
from racoon.domain.finding import NAMES as NUMBERS
from racoon.domain.governance.amendment import AMENDMENT_TABLE
from racoon.domain.governance.approval import (
    EXPIRED,
    MISSING,
    OTHER_DATASET,
    OTHER_PURPOSE,
    TAMPERED,
    Purpose,
)
from racoon.domain.governance.local_process import LOCAL_ENDED, LOCAL_FIRST, LOCAL_MISSING, LOCAL_REFUSED
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.governance.study import (
    HELD_BEFORE_ANALYSIS,
    HELD_IN_ANALYSIS,
    LAST_DAYS,
    NO_SITE_OPTED_IN,
    STUDY_TABLE,
)
from racoon.domain.identity import Role
from racoon.domain.labels import LABEL_MAPS
from racoon.domain.questionnaire import MESSAGES
from racoon.domain.reading_protocol import MESSAGES as PROTOCOL_MESSAGES
from racoon.node.app.pages import NAVIGATION as NODE_NAVIGATION
from racoon.node.approvals.model import LEFT, NOT_IN_THIS_STATE, NOT_RELEASED
from racoon.node.clinical import (
    doubts,
    mapping_form,
    matching,
    matching_pages,
    ordering,
    outgoing,
    source_pages,
    spreadsheet,
    table_mapping,
    table_pages,
)
from racoon.node.clinical.hl7.model import REASONS as MESSAGE_REASONS
from racoon.node.clinical.import_report import REASONS as IMPORT_REASONS
from racoon.node.clinical.neighbours import lists
from racoon.node.clinical.neighbours import pages as neighbour_pages
from racoon.node.consent import pages as consent_pages
from racoon.node.curation.http._looking import FACET_LABELS, OWN_WORDS, SCRIPT_WORDS
from racoon.node.curation.model import KEYS as GALLERY_KEYS
from racoon.node.intake.pull.model import REASONS as PULL_REASONS
from racoon.node.jobs.model import JobState
from racoon.node.reading.http._templates import EDITOR_WORDS
from racoon.node.reading.keys import KEYS
from racoon.node.reading.model import CT_PRESETS, FINDING_LABELS, ROOM_WORDS
from racoon.node.reading.queries.model import EDIT_CHECK
from racoon.node.reading.reports.paper import PAPER_WORDS
from racoon.node.release.jobs import PROTECT
from racoon.node.release.model import REASONS
from racoon.standards.fhir.rules.clinic import consent_rules
from racoon.standards.fhir.rules.sentences import SENTENCES as FHIR_SENTENCES
from racoon.standards.fhir.rules.tables import PROFILES
from racoon.standards.fhir.versions import VERSIONS
from racoon.web.deeds import DEEDS, THINGS
from racoon.web.sentences import BASIS_SENTENCES, SERVICE_SENTENCES, TABLE_SENTENCES
from racoon.web.words import NAMES, TONES, english_of

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "racoon"
TEMPLATES = PACKAGE / "web" / "templates"

SPEAKING = (
    "central",
    "domain/finding.py",
    "domain/governance",
    "domain/questionnaire/answers.py",
    "standards/fhir/reading.py",
    "standards/mrrt.py",
    "node/analysing",
    "node/approvals",
    "node/clinical/doubts.py",
    "node/clinical/neighbours",
    "node/clinical/ordering.py",
    "node/clinical/outgoing_pages.py",
    "node/clinical/reviewing.py",
    "node/clinical/spreadsheet.py",
    "node/clinical/tables.py",
    "node/clinical/uploads.py",
    "node/archive/_grant_pages.py",
    "node/archive/deletion.py",
    "node/archive/model.py",
    "node/compute",
    "node/consent/pages.py",
    "node/curation",
    "node/deid/model.py",
    "node/intake/_pages.py",
    "node/intake/pull/model.py",
    "node/intake/pull/worklist.py",
    "node/intake/quarantine.py",
    "node/intake/service.py",
    "node/jobs",
    "node/portal",
    "node/reading",
    "node/release/service.py",
    "platform/auth",
    "platform/http",
    "protocol/envelope.py",
)
"""Where sentences are made that a browser shows; those of the command line and of protocols stay English."""

NO_SENTENCES = {"AssertionError", "KeyError", "LookupError", "RuntimeError", "TypeError", "ValueError"}

TITLES = (400, 401, 403, 404, 405, 406, 409, 413, 422, 429, 500, 502, 503, 507)

RUNS = ("count", "freeze", "measure", "training", "federated", "local", "evaluate", "pooled")
PARTS = ("moments", "histogram", "cells", "all", "subjects", "not_valid", "model")
ACTORS = ("central", "system", "site", "node", "person")


def template_texts() -> Iterator[tuple[str, str]]:
    """Yield file name and English text of every ``_()`` and ``ngettext()`` in the templates."""
    options = {"silent": "0", "newstyle_gettext": "1", "trim_blocks": "1"}
    for path in sorted(TEMPLATES.rglob("*.html")):
        with path.open("rb") as stream:
            for _, _, message, _ in babel_extract(stream, ["_", "gettext", "ngettext"], [], options):
                text = message if isinstance(message, str) else message[0]
                if text:
                    yield path.name, text


def codes() -> Iterator[str]:
    """Yield every code that ``words()`` is asked for."""
    for table in (SITE_TRACK_TABLE, STUDY_TABLE, AMENDMENT_TABLE):
        yield from table.states
        yield table.name
        for row in table.transitions:
            yield from (*row.artefacts, *row.optional)
    yield from (LOCAL_ENDED, LOCAL_MISSING, LOCAL_REFUSED, f"site track: {LOCAL_FIRST}", "local process")
    yield from ("the step needs", "the step belongs to")
    yield from (*MISSING.values(), *EXPIRED.values(), TAMPERED, OTHER_DATASET, OTHER_PURPOSE, *Purpose)
    yield from (*LAST_DAYS.values(), NO_SITE_OPTED_IN, HELD_IN_ANALYSIS, HELD_BEFORE_ANALYSIS)
    yield from (*LEFT.values(), *(text.removesuffix(".") for text in LEFT.values()))
    yield from (text for group in GROUPS for text in (group.title, *(field.label for field in group.fields)))
    yield from (TOO_LONG, NOT_A_NUMBER, NOT_A_DATE, NOT_A_CHOICE, END_BEFORE_START, NO_EXPORT, NEEDS_DEFACING)
    yield from (NOT_RELEASED, NOT_IN_THIS_STATE, "system", "clock")
    for states in (JobState, OfferState, RunState, SiteState, Condition, Role):
        for state in states:
            yield f"condition.{state.value}" if states is Condition else state.value
    yield from (*NAMES, *TONES, *RUNS, *PARTS, *PROTECT)
    yield from (*DEEDS.values(), *THINGS.values())
    yield from ("manual", "assisted", "automatic", "semiautomatic", "axial", "coronal", "sagittal", "oblique")
    yield from ("sphere", "cylinder", "cube")
    yield from ("open", "answered", "closed", EDIT_CHECK)
    yield from (preset.name for preset in CT_PRESETS)
    yield from (
        *FINDING_LABELS.values(),
        *ROOM_WORDS,
        *PAPER_WORDS,
        *EDITOR_WORDS,
        *MESSAGES.values(),
        *PROTOCOL_MESSAGES.values(),
        "Line",
    )
    yield from (binding.label for binding in (*KEYS, *GALLERY_KEYS))
    yield from (*FACET_LABELS.values(), *SCRIPT_WORDS, *OWN_WORDS)
    yield from (*doubts.KINDS.values(), *doubts.REASONS.values(), *doubts.PARTS.values())
    yield from (*matching.REASONS.values(), *outgoing.REMOVED.values(), *outgoing.NEVER)
    yield from (code.meaning for code in (*MEANINGS, *NUMBERS.values()))
    yield from (label.code.meaning for entry in LABEL_MAPS for label in entry.labels)
    yield from (english for _, english in REASONS.values())
    yield from PULL_REASONS.values()
    yield from MESSAGE_REASONS.values()
    yield from (*IMPORT_REASONS.values(), *SERVICE_SENTENCES)
    for said in (source_pages.TITLES, source_pages.EMBEDDED, source_pages.KINDS):
        yield from said.values()
    yield from (
        source_pages.NEVER_TRIED,
        source_pages.NEVER_FETCHED,
        source_pages.CLOSED,
        source_pages.NEVER_SENT,
    )
    yield from (source_pages.FELL_SILENT, source_pages.MESSAGES_WAIT, source_pages.NOWHERE)
    yield source_pages.NEVER_PUSHED
    yield from (*TABLE_SENTENCES, *spreadsheet.REASONS.values(), *table_mapping.PROBLEMS.values())
    yield from (*mapping_form.SENTENCES, *table_pages.SENTENCES, *lists.REASONS.values())
    yield from (*ordering.REASONS.values(), *matching_pages.SENTENCES, *neighbour_pages.SENTENCES)
    for shown in (table_pages.SEPARATORS, table_pages.KINDS, table_pages.TITLES):
        yield from shown.values()
    yield from (*consent_pages.SENTENCES, *BASIS_SENTENCES, "document", "scope", "approved by")
    yield from PROBLEMS
    yield from (item.text for item in CHECKLIST)
    yield from FHIR_SENTENCES
    for table in (*PROFILES.values(), *(consent_rules(version) for version in VERSIONS.values())):
        yield from (rule.message for rule in table.invariants)
    yield from (item.label for item in (*CENTRAL_NAVIGATION, *NODE_NAVIGATION))
    yield from (HTTPStatus(status).phrase for status in TITLES)


def sentences() -> Iterator[tuple[str, str]]:
    """Yield file name and sentence of every literal that Python hands to a page."""
    for place in SPEAKING:
        root = PACKAGE / place
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for text in _spoken_by(node):
                    yield path.name, text


def _spoken_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        name = ast.unparse(node.exc.func).rpartition(".")[2]
        if name not in NO_SENTENCES and node.exc.args:
            yield from _literal(node.exc.args[0])
    elif isinstance(node, ast.Call):
        if ast.unparse(node.func) == "Task" and len(node.args) == 5:
            yield from _literal(node.args[1])
            yield from _literal(node.args[3])
        name = ast.unparse(node.func)
        place = 0 if name.endswith("translate") else 2 if name in ("Found", "Tolerated") else len(node.args)
        yield from (text for found in node.args[place : place + 1] for text in _literal(found))
        for keyword in node.keywords:
            if keyword.arg == "public_reason":
                yield from _literal(keyword.value)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "public_reason":
                yield from _literal(value)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.IfExp):
        yield from _literal(node.value.orelse)  # guards: ``return None if … else "the reason."``


def _literal(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
        yield node.value


def everything() -> dict[str, set[str]]:
    """Return every English text with the places that say it."""
    found: dict[str, set[str]] = {}
    for place, text in (
        *template_texts(),
        *sentences(),
        *(("codes", english_of(code)) for code in codes() if code),
    ):
        found.setdefault(text, set()).add(place)
    return found

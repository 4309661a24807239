"""What one may ask of reading protocols: save a version, list them, choose series by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import yaml

from racoon.domain.questionnaire import Item
from racoon.domain.reading_protocol import (
    BadProtocol,
    ProtocolProblem,
    ReadingProtocol,
    SeriesRule,
    protocol_of,
)
from racoon.errors import Defect, Refused
from racoon.node.archive.model import SEGMENTATION_MODALITY, SeriesFacts, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.proposals.model import path_of
from racoon.node.reading.protocols import _store
from racoon.node.reading.reports.catalogue import newest_template, templates
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database
from racoon.science.biomarkers.catalogue import NAMES

LONGEST_FILE = 64_000


class NoSuchProtocol(Refused):
    """No reading protocol of this name and version."""

    code = "reading.no_such_protocol"
    status = 404


class ProtocolIsFixed(Refused):
    """A saved version is not changed."""

    code = "reading.protocol_is_fixed"
    status = 409


class UnreadableProtocol(Defect):
    """A file that is neither YAML nor JSON."""

    code = "reading.unreadable_protocol"


@dataclass(frozen=True)
class SavedProtocol:
    """A version with who saved it when."""

    protocol: ReadingProtocol
    sha256: str
    made_by: str
    made_at: datetime


@dataclass(frozen=True)
class Chosen:
    """What a protocol chooses of a dataset.

    Parameters
    ----------
    series
        One per imaging study.
    left_out
        Imaging studies of the dataset without a series that fits.
    """

    series: tuple[SeriesFacts, ...]
    left_out: tuple[str, ...]


def read_protocol(text: str, connection: sa.Connection | None = None) -> ReadingProtocol:
    """Read a protocol from YAML or JSON.

    Parameters
    ----------
    connection
        To the node's database, for the templates that were released here; without it only shipped ones are known.

    Raises
    ------
    UnreadableProtocol
        With the line that cannot be read.
    BadProtocol
        With every problem.
    """
    if len(text) > LONGEST_FILE:
        raise UnreadableProtocol("A protocol has at most 64,000 characters.")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UnreadableProtocol(
            "This is neither YAML nor JSON. Check the indentation and the quotation marks.",
            details={"line": mark.line + 1 if mark else 0},
        ) from None
    protocol = protocol_of(document, sorted({template.url for template in templates(connection).values()}))
    if problems := list(_problems_of_proposals(protocol, connection)):
        raise BadProtocol(problems)
    return protocol


def _problems_of_proposals(
    protocol: ReadingProtocol, connection: sa.Connection | None
) -> Iterator[ProtocolProblem]:
    """Check what only the template and the catalogue of biomarkers know."""
    template = newest_template(protocol.template, connection)
    items = {item.link_id: item for item in template.walk()}
    for at, rule in enumerate(protocol.proposals):
        place = f"proposals[{at}]"
        if rule.biomarker not in NAMES:
            yield ProtocolProblem(f"{place}.biomarker", "no_biomarker")
        item = items.get(rule.question)
        if item is None or path_of(template, rule.question) is None or item.is_read_only:
            yield ProtocolProblem(f"{place}.question", "no_question")
            continue
        expected = _fitting(item)
        if not rule.answers and item.kind != "decimal":
            yield ProtocolProblem(f"{place}.answers", "no_answer", ", ".join(expected))
        for number, (_, said) in enumerate(rule.answers):
            if said not in expected:
                yield ProtocolProblem(f"{place}.answers[{number}]", "no_answer", ", ".join(expected))


def _fitting(item: Item) -> list[str]:
    """Say what a step may answer."""
    if item.kind == "boolean":
        return ["false", "true"]
    if item.kind == "integer":
        return [str(number) for number in range(int(item.minimum or 0), int(item.maximum or 100) + 1)]
    return [option.coding.code for option in item.options]


class Protocols:
    """Reading protocols.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive
        Whose series they choose from.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def save(self, user: User, text: str) -> ReadingProtocol:
        """Save a version; saving the same again changes nothing.

        Raises
        ------
        UnreadableProtocol, BadProtocol
        ProtocolIsFixed
            If this version is there with other content.
        """
        with self._database.begin() as connection:
            protocol = read_protocol(text, connection)
            before = _store.load(connection, protocol.name, protocol.version)
            if before is not None:
                if before.sha256 != protocol.digest():
                    raise ProtocolIsFixed(
                        "This version is there already and says something else. Give the next version number."
                    )
                return protocol
            _store.insert(connection, protocol, user.name)
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="reading.protocol",
                target=f"reading-protocol/{protocol.key}",
                details={"sha256": protocol.digest()},
            )
        return protocol

    def all(self) -> list[SavedProtocol]:
        """List every version, by name and the newest first."""
        with self._database.connect() as connection:
            found = _store.load_all(connection)
            known = sorted({template.url for template in templates(connection).values()})
        return [
            SavedProtocol(protocol_of(row.document, known), row.sha256, row.made_by, row.made_at)
            for row in found
        ]

    def get(self, key: str) -> ReadingProtocol:
        """Return the protocol of a name and version, ``name|version``.

        Raises
        ------
        NoSuchProtocol
        """
        found = next((saved.protocol for saved in self.all() if saved.protocol.key == key), None)
        if found is None:
            raise NoSuchProtocol("There is no such reading protocol.")
        return found

    def choose(self, protocol: ReadingProtocol, series_uids: Sequence[str]) -> Chosen:
        """Choose one series of each imaging study; series that may not be read are not there."""
        by_study: dict[str, list[SeriesFacts]] = defaultdict(list)
        for uid in series_uids:
            try:
                facts = self._archive.series_row(uid).facts
            except SeriesNotFound:
                continue
            if facts.rows and facts.modality != SEGMENTATION_MODALITY:
                by_study[facts.imaging_study_uid].append(facts)
        chosen = {study: _best(protocol.series, found) for study, found in by_study.items()}
        return Chosen(
            tuple(facts for _, facts in sorted(chosen.items()) if facts is not None),
            tuple(sorted(study for study, facts in chosen.items() if facts is None)),
        )


def _best(rule: SeriesRule, found: Sequence[SeriesFacts]) -> SeriesFacts | None:
    fitting = [facts for facts in found if _fits(rule, facts)]

    def order(facts: SeriesFacts) -> tuple[float, float, str]:
        first = float(facts.series_number or 0)
        if rule.prefer == "thinnest slices":
            return (facts.slice_thickness_mm or 1e9, first, facts.series_uid)
        if rule.prefer == "most images":
            return (-facts.instance_count, first, facts.series_uid)
        return (first, 0.0, facts.series_uid)

    return min(fitting, key=order, default=None)


def _fits(rule: SeriesRule, facts: SeriesFacts) -> bool:
    said = facts.description.lower()
    return (
        rule.modality in ("", facts.modality)
        and rule.body_part in ("", facts.body_part.upper())
        and (not rule.words or any(word in said for word in rule.words))
        and not any(word in said for word in rule.not_words)
        and (
            rule.thickest_mm is None
            or (facts.slice_thickness_mm is not None and facts.slice_thickness_mm <= rule.thickest_mm)
        )
        and facts.instance_count >= rule.fewest_images
    )

"""What would leave as FHIR, looked at before it does: the resource, what the rule tables say, what was taken out.

Nothing here is of a patient: the archive holds no identity, and evidence counts what was removed without keeping it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.node.archive.records import evidence_of_study, studies_of_series, studies_of_subjects
from racoon.node.archive.service import Archive
from racoon.node.clinical import matching
from racoon.node.clinical.model import TYPES, Search
from racoon.node.clinical.rights import subject_of
from racoon.node.clinical.service import Facade
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.rules.model import Issue
from racoon.standards.fhir.rules.tables import profile_rules

SHOWN = 5
"""Resources on a page: each is shown whole."""

REMOVED: Mapping[str, str] = {
    "removed_private": "private elements of manufacturers",
    "removed_overlay_or_curve": "overlays and curves",
    "removed_not_on_allow_list": "elements that are not on the list of what may stay",
    "table_remove": "elements that the standard's profile removes",
    "table_empty": "elements that were emptied",
    "table_dummy": "elements that got an invented value",
    "values_dropped": "values that did not fit their element",
    "uids_replaced": "UIDs replaced",
    "dates_shifted": "dates moved",
    "birth_date_reduced": "dates of birth cut to the year",
    "pseudonyms": "patient numbers and names replaced by the pseudonym",
    "texts_cleaned": "texts cleaned",
    "local_codes_replaced": "local codes replaced",
    "content_texts_replaced": "texts of reports replaced",
    "content_items_removed": "items of reports removed",
    "content_values_replaced": "values of reports replaced",
    "ages_capped": "ages above 89 cut",
    "codestream_comments_blanked": "comments in pixel data blanked",
}
"""What de-identification counts, in words."""

NEVER = (
    "Names, numbers, addresses and telephone numbers of people.",
    "Free text: findings in words, comments, descriptions.",
    "The accession number and every other identifier of the hospital.",
    "Real days: all dates of a subject are moved by the same secret number of days; months and years alone stay.",
    "People of the hospital: who referred, performed, recorded or signed.",
)
"""What no resource of this node says, whatever it is about."""


@dataclass(frozen=True)
class Profile:
    """One profile a resource claims, and how many rules our table has for it."""

    url: str
    rules: int


@dataclass(frozen=True)
class Shown:
    """One resource as it would leave.

    Parameters
    ----------
    resource
        Whole.
    issues
        What the rule tables say.
    profiles
        Claimed profiles with the number of their rules.
    removed
        What de-identification took out of the images behind it: words and count.
    """

    resource: Resource
    issues: Sequence[Issue]
    profiles: Sequence[Profile]
    removed: Sequence[tuple[str, int]]

    @property
    def is_refused(self) -> bool:
        """Whether it would not leave."""
        return any(item.severity == "error" for item in self.issues)


@dataclass(frozen=True)
class Kept:
    """Of how many subjects nothing leaves, and why."""

    not_permitted: int
    stopped: int


def narrowed(search: Search, manifest: DatasetManifest, archive: Archive) -> Search:
    """Narrow a search to a frozen dataset: its subjects, and of imaging studies those that hold its series."""
    people = frozenset(str(entry.pseudonym) for entry in manifest.series)
    values = dict(search.values)
    parameters = TYPES[search.kind].parameters
    if search.kind == "ImagingStudy":
        found = studies_of_series(archive, [entry.series_uid for entry in manifest.series])
        values["_id"] = frozenset(place[0] for place in found.values())
    elif search.kind == "Patient":
        values["_id"] = people
    elif "patient" in parameters:
        values["patient"] = people
    elif search.kind == "ResearchStudy":
        values["identifier"] = frozenset({manifest.study_id})
    return replace(search, values=values)


def look_at(facade: Facade, archive: Archive, search: Search) -> tuple[list[Shown], int]:
    """Return one page of resources as they would leave, also those that are refused, and where the next one begins.

    Returns
    -------
    tuple
        The page, and the position after which a further page begins; 0 when there is none.
    """
    shown: list[Shown] = []
    after = 0
    for position, resource, issues in facade.examine(search):
        if len(shown) == SHOWN:
            return shown, after
        shown.append(_shown(facade, archive, resource, issues))
        after = position
    return shown, 0


def kept_back(connection: sa.Connection, archive: Archive, subjects: Sequence[Pseudonym]) -> Kept:
    """Count the subjects of whom nothing leaves, because it is not permitted or because two may be mixed up."""
    permitted = [name for name in subjects if archive.is_readable(name)]
    stopped = matching.stopped(connection, permitted)
    return Kept(len(subjects) - len(permitted), len(stopped))


def _shown(facade: Facade, archive: Archive, resource: Resource, issues: Sequence[Issue]) -> Shown:
    claimed = [str(url) for url in resource.get("meta", {}).get("profile", [])]
    profiles = []
    for url in claimed:
        table = profile_rules(url.partition("|")[0], facade.writing.version)
        profiles.append(Profile(url, len(table.rules) + len(table.invariants) if table is not None else 0))
    return Shown(resource, issues, profiles, _removed(archive, resource))


def _removed(archive: Archive, resource: Resource) -> list[tuple[str, int]]:
    """Say what was taken out of the images that a resource was made of."""
    counts: Counter[str] = Counter()
    with archive.database.connect() as connection:
        if resource["resourceType"] == "ImagingStudy":
            uids = [str(resource["id"])]
        elif resource["resourceType"] == "Patient":
            uids = sorted(studies_of_subjects(connection, [subject_of(resource)]))
        else:
            return []
        for uid in uids:
            for evidence in evidence_of_study(connection, uid):
                counts.update(_numbers(evidence.get("actions", {})))
    return [(name, counts[name]) for name in REMOVED if counts[name]]


def _numbers(actions: Any) -> dict[str, int]:
    return {str(name): number for name, number in dict(actions).items() if isinstance(number, int)}

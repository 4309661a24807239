"""The site's studies and the subjects of their frozen datasets as FHIR: ResearchStudy and ResearchSubject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from racoon.node.approvals.service import Approvals
from racoon.node.archive.service import Archive
from racoon.node.clinical.model import Search
from racoon.node.curation import service as curation
from racoon.standards.fhir import subjects
from racoon.standards.fhir.building import Resource, resource_id
from racoon.standards.fhir.imaging import Writing

Positioned = tuple[int, Resource]


class Research:
    """Sources of the facade for research.

    Parameters
    ----------
    archive
        Says whose data may be read now.
    approvals
        Studies this site knows.
    writing
        How this node writes FHIR.
    """

    def __init__(self, archive: Archive, approvals: Approvals, writing: Writing) -> None:
        self._archive = archive
        self._approvals = approvals
        self._writing = writing
        self.sources: Mapping[str, Callable[[Search], Iterator[Positioned]]] = {
            "ResearchStudy": self._studies,
            "ResearchSubject": self._subjects,
        }

    def _studies(self, search: Search) -> Iterator[Positioned]:
        wanted = search.wanted("_id", "identifier")
        with self._archive.database.connect() as connection:
            known = {study.study_id: study for study in reversed(self._approvals.studies(connection))}
        for position, (study_id, study) in enumerate(known.items(), start=1):
            if position > search.after and (wanted is None or wanted & {study_id, resource_id(study_id)}):
                made = subjects.research_study(
                    study_id, study.definition.title, study.central_state, self._writing
                )
                yield position, made

    def _subjects(self, search: Search) -> Iterator[Positioned]:
        wanted, studies = search.wanted("_id"), search.wanted("study")
        people = search.wanted("individual", "patient")
        position = 0
        with self._archive.database.connect() as connection:
            known = self._approvals.studies(connection)
        for study in reversed(known):
            if study.dataset_hash is None or (
                studies is not None and resource_id(study.study_id) not in studies
            ):
                continue
            with self._archive.database.connect() as connection:
                manifest = curation.load(connection, study.study_id, study.dataset_hash)
            for pseudonym in sorted({entry.pseudonym for entry in manifest.series}):
                position += 1
                if position <= search.after or not self._archive.is_readable(pseudonym):
                    continue
                resource = subjects.research_subject(
                    study.study_id, pseudonym, study.track_state, study.offered_at, self._writing
                )
                is_wanted = wanted is None or resource["id"] in wanted
                if is_wanted and (people is None or resource_id(pseudonym) in people):
                    yield position, resource

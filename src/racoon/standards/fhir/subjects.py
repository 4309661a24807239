"""Subjects and research: Patient under a pseudonym, ResearchStudy, ResearchSubject, Provenance.

Nothing here can name a person: a subject has a pseudonym, a gender and at most a year of birth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from racoon.standards.fhir import versions
from racoon.standards.fhir.building import (
    Resource,
    coding,
    concept,
    fhir_instant,
    filled,
    identifier,
    metadata,
    reference,
    resource_id,
)
from racoon.standards.fhir.imaging import Writing

_YEAR = re.compile(r"[12][0-9]{3}")

OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"

GENDER_OF_SEX = {"F": "female", "M": "male"}
"""Patient's Sex (0010,0040).  ``O`` does not say which of the German official kinds is meant (the profile's
invariant mii-pat-1 wants to know), so it is written as unknown."""

RESEARCH_STATUS = {
    "active": "active",
    "analysis": "closed-to-accrual",
    "approved": "approved",
    "archived": "completed",
    "closed": "completed",
    "contracting": "approved",
    "data_hold": "temporarily-closed-to-accrual",
    "preparing": "approved",
    "rejected": "disapproved",
    "withdrawn": "withdrawn",
}
"""State of a study in the network to ResearchStudy.status; states before the contract are ``in-review``."""


@dataclass(frozen=True)
class SubjectFacts:
    """What may be said of a subject."""

    pseudonym: str
    sex: str = ""
    birth_year: str = ""


def patient(subject: SubjectFacts, writing: Writing, updated: datetime | None = None) -> Resource:
    """Write a pseudonymised Patient of the person module."""
    return filled(
        {
            "resourceType": "Patient",
            "id": resource_id(subject.pseudonym),
            "meta": metadata(versions.PSEUDONYMISED_PATIENT, source=writing.source, updated=updated),
            "identifier": [
                identifier(writing.pseudonym_system, subject.pseudonym, coding(OBSERVATION_VALUE, "PSEUDED"))
            ],
            "gender": GENDER_OF_SEX.get(subject.sex, "unknown"),
            "birthDate": subject.birth_year if _YEAR.fullmatch(subject.birth_year) else None,
        }
    )


def research_study(study_id: str, title: str, state: str, writing: Writing) -> Resource:
    """Write a ResearchStudy: the study as this site knows it."""
    return filled(
        {
            "resourceType": "ResearchStudy",
            "id": resource_id(study_id),
            "meta": metadata(versions.STUDY, source=writing.source),
            "identifier": [identifier("urn:racoon:study", study_id)],
            "title": title,
            "status": RESEARCH_STATUS.get(state, "in-review"),
        }
    )


def research_subject(
    study_id: str, pseudonym: str, site_track: str, since: datetime, writing: Writing
) -> Resource:
    """Write a ResearchSubject: a subject of a study's frozen dataset."""
    identity = resource_id("subject", study_id, pseudonym)
    return filled(
        {
            "resourceType": "ResearchSubject",
            "id": identity,
            "meta": metadata("", source=writing.source),
            "identifier": [
                identifier("urn:racoon:research-subject", identity, coding(OBSERVATION_VALUE, "PSEUDED"))
            ],
            "status": "withdrawn" if site_track == "stopped" else "on-study",
            "period": {"start": fhir_instant(since)[:10]},
            "study": reference("ResearchStudy", resource_id(study_id)),
            "individual": reference("Patient", resource_id(pseudonym)),
        }
    )


def provenance(
    target: Resource, sources: Sequence[Resource], software: str, recorded: datetime, writing: Writing
) -> Resource:
    """Write a Provenance: which program made a resource from which others, and when.

    Parameters
    ----------
    target
        The resource that was made.
    sources
        References to what it was made from.
    software
        Program and version.
    recorded
        When.
    """
    return filled(
        {
            "resourceType": "Provenance",
            "id": resource_id("provenance", str(target["id"])),
            "meta": metadata("", source=writing.source, updated=recorded),
            "target": [reference(str(target["resourceType"]), str(target["id"]))],
            "recorded": fhir_instant(recorded),
            "activity": concept(
                coding("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "CREATE", "create")
            ),
            "agent": [
                {
                    "type": concept(
                        coding(
                            "http://terminology.hl7.org/CodeSystem/provenance-participant-type",
                            "assembler",
                            "Assembler",
                        )
                    ),
                    "who": {"display": software},
                }
            ],
            "entity": [{"role": "source", "what": source} for source in sources],
        }
    )

"""Versions of the core data set's profiles, as data: what differs between the packages we write.

A node writes one of them (setting ``fhir.profiles``) and reads all.  Addresses that all versions share stand at the
top; a difference is a field of :class:`ProfileVersion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MII = "https://www.medizininformatik-initiative.de/fhir"
IMAGING = f"{MII}/ext/modul-bildgebung/StructureDefinition"
IMAGING_CODES = f"{MII}/ext/modul-bildgebung/CodeSystem"

IMAGING_STUDY = f"{IMAGING}/mii-pr-bildgebung-bildgebungsstudie"
DEVICE = f"{IMAGING}/mii-pr-bildgebung-geraet"
FINDING = f"{IMAGING}/mii-pr-bildgebung-radiologische-beobachtung"
MEASUREMENT = f"{IMAGING}/mii-pr-bildgebung-radiologische-messung"
REPORT = f"{IMAGING}/mii-pr-bildgebung-radiologischer-befund"
ORDER = f"{IMAGING}/mii-pr-bildgebung-anforderung-bildgebung"
IMAGING_PROCEDURE = f"{IMAGING}/mii-pr-bildgebung-bildgebungsprozedur"
READING_PROCEDURE = f"{IMAGING}/mii-pr-bildgebung-radiologische-befundungsprozedur"
CONTRAST = f"{IMAGING}/mii-pr-bildgebung-kontrastmittelgabe"
BODY_STRUCTURE = f"{IMAGING}/mii-pr-bildgebung-koerperstruktur"
RECOMMENDATION = f"{IMAGING}/mii-pr-bildgebung-behandlungsempfehlung"
COMPOSITION = f"{IMAGING}/mii-pr-bildgebung-semistrukt-befundbericht"
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition"
PSEUDONYMISED_PATIENT = f"{MII}/core/modul-person/StructureDefinition/PatientPseudonymisiert"
CONDITION = f"{MII}/core/modul-diagnose/StructureDefinition/Diagnose"
LABORATORY = f"{MII}/core/modul-labor/StructureDefinition/ObservationLab"
CONSENT = f"{MII}/modul-consent/StructureDefinition/mii-pr-consent-einwilligung"
STUDY = f"{MII}/modul-studie/StructureDefinition/mii-pr-studie-studie"

BODY_WEIGHT = "http://hl7.org/fhir/StructureDefinition/bodyweight"
BODY_HEIGHT = "http://hl7.org/fhir/StructureDefinition/bodyheight"

CONSENT_CODES = f"{MII}/modul-consent/CodeSystem"


@dataclass(frozen=True)
class ProfileVersion:
    """One yearly package of the core data set.

    Parameters
    ----------
    name
        As written in the settings.
    measurement_profile
        Profile of a number measured in an image: 2027 has one of its own.
    measurement_category
        SNOMED code that marks it as a measurement; empty before 2027.
    consent_category_system
        Code system of the MII category of a Consent.
    is_ballot
        Not normative yet: details can still change.
    """

    name: str
    measurement_profile: str
    measurement_category: str
    consent_category_system: str
    is_ballot: bool = False


VERSIONS: Mapping[str, ProfileVersion] = {
    "2025": ProfileVersion("2025", FINDING, "", f"{CONSENT_CODES}/mii-cs-consent-consent_category"),
    "2026": ProfileVersion("2026", FINDING, "", f"{CONSENT_CODES}/mii-cs-consent-version-modules"),
    "2027-ballot": ProfileVersion(
        "2027-ballot",
        MEASUREMENT,
        "122869004",
        f"{CONSENT_CODES}/mii-cs-consent-version-modules",
        is_ballot=True,
    ),
}

DEFAULT_VERSION = "2026"


def extension_url(name: str) -> str:
    """Return the address of an extension of the imaging module, e.g. of ``"modalitaet-ct"``."""
    return f"{IMAGING}/mii-ex-bildgebung-{name}"

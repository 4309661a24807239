"""Reads a FHIR Consent of the MII consent module into a document of our own words.

Profile ``…/modul-consent/StructureDefinition/mii-pr-consent-einwilligung``.  Codes are compared, display texts never:
they differ between sources.  The outer provision is a deny with the document's period; only inner ones permit.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, ClassVar

from racoon.domain.consent import DOCUMENT_ROOT, POLICY_ROOT, ConsentDocument, Provision
from racoon.errors import Defect
from racoon.standards.fhir.building import Resource

STUDY_POLICY = "urn:racoon:study:"
"""``policy.uri`` of a study's own consent: this and the id of the study."""

_OID = "urn:oid:"


class UnreadableConsent(Defect):
    """A Consent that does not say what it permits, from when to when; it permits nothing."""

    code: ClassVar[str] = "fhir.unreadable_consent"


def read_consent(resource: Resource, identity: str) -> ConsentDocument:
    """Read one Consent.

    Parameters
    ----------
    resource
        FHIR R4 Consent, dates not shifted.
    identity
        Name of the document in reasons.

    Raises
    ------
    UnreadableConsent
        When it names no version of a document, no day, or a provision without both ends of its period.
    """
    uris = [str(item.get("uri", "")) for item in _dicts(resource.get("policy"))]
    versions = [uri.removeprefix(_OID) for uri in uris if uri.startswith(f"{_OID}{DOCUMENT_ROOT}.")]
    studies = [uri.removeprefix(STUDY_POLICY) for uri in uris if uri.startswith(STUDY_POLICY)]
    if len(versions) + len(studies) != 1:
        raise UnreadableConsent("A Consent must name one version of a consent document in policy.uri.")
    outer = resource.get("provision")
    provisions = tuple(_provisions(outer)) if isinstance(outer, dict) else ()
    return ConsentDocument(
        identity=identity,
        version=versions[0] if versions else uris[0],
        domain="MII" if versions else studies[0],
        given=_day(resource.get("dateTime"), "dateTime"),
        is_active=resource.get("status") == "active",
        provisions=provisions,
    )


def _provisions(outer: dict[str, Any]) -> Iterator[Provision]:
    for inner in _dicts(outer.get("provision")):
        period = inner.get("period")
        period = period if isinstance(period, dict) else {}
        for concept in _dicts(inner.get("code")):
            for coding in _dicts(concept.get("coding")):
                policy = coding.get("code")
                if not isinstance(policy, str) or not policy.startswith(f"{POLICY_ROOT}."):
                    continue
                yield Provision(
                    policy,
                    inner.get("type") == "permit",
                    _day(period.get("start"), "provision.period.start"),
                    _day(period.get("end"), "provision.period.end"),
                )


def _day(value: Any, place: str) -> date:
    """Take the day as it is written: the signer's own, whatever the zone."""
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError as error:
        raise UnreadableConsent(f"A Consent has no full date in {place}.") from error


def _dicts(value: Any) -> list[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]

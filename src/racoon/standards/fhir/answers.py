"""What a FHIR server answers around its resources: Bundle, OperationOutcome, CapabilityStatement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from racoon.standards.fhir.building import Resource, fhir_instant, filled

FHIR_JSON = "application/fhir+json"
NDJSON = "application/fhir+ndjson"


@dataclass(frozen=True)
class TypeSupport:
    """What a server can do with one type of resource.

    Parameters
    ----------
    profiles
        Canonical addresses it writes.
    parameters
        Search parameters and their types (``token``, ``reference``, ``date``).
    includes
        Values that ``_include`` takes.
    """

    profiles: tuple[str, ...]
    parameters: Mapping[str, str]
    includes: tuple[str, ...] = field(default=())


def outcome(code: str, message: str, severity: str = "error") -> Resource:
    """Build an OperationOutcome with one issue in words."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": message}],
    }


def issue_code(status: int) -> str:
    """Return the issue code (R4 value set issue-type) for an HTTP status."""
    return {
        400: "invalid",
        401: "login",
        403: "forbidden",
        404: "not-found",
        406: "not-supported",
        422: "processing",
        429: "throttled",
        503: "transient",
    }.get(status, "exception")


def bundle_entry(resource: Resource, base: str, *, is_match: bool) -> Resource:
    """Build an entry of a search set."""
    return {
        "fullUrl": f"{base}/{resource['resourceType']}/{resource['id']}",
        "resource": resource,
        "search": {"mode": "match" if is_match else "include"},
    }


def search_set(entries: Sequence[Resource], links: Mapping[str, str], total: int | None = None) -> Resource:
    """Build the Bundle that answers a search.

    Parameters
    ----------
    entries
        From :func:`bundle_entry`.
    links
        Relation to address; ``self`` says what was really searched for.
    total
        Number of matches, where it was counted.
    """
    return filled(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "link": [{"relation": relation, "url": url} for relation, url in links.items()],
            "entry": list(entries),
        }
    )


def capability_statement(
    types: Mapping[str, TypeSupport], *, software: str, version: str, base: str, when: datetime
) -> Resource:
    """Build the CapabilityStatement of a server that can be read and searched."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": fhir_instant(when),
        "kind": "instance",
        "software": {"name": software, "version": version},
        "implementation": {"description": "Images and findings of a hospital's node", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json", FHIR_JSON],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "Bearer token of an account at this node."},
                "resource": [
                    filled(
                        {
                            "type": kind,
                            "supportedProfile": list(support.profiles),
                            "interaction": [{"code": "read"}, {"code": "search-type"}],
                            "searchInclude": list(support.includes),
                            "searchParam": [
                                {"name": name, "type": type_} for name, type_ in support.parameters.items()
                            ],
                        }
                    )
                    for kind, support in types.items()
                ],
                "operation": [
                    {
                        "name": "export",
                        "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
                    }
                ],
            }
        ],
    }

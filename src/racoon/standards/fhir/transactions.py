"""Transactions that may be sent twice: every entry is a conditional update by an identifier of our own.

The other server gives ids of its own; ours become identifiers, references inside a transaction its ``urn:uuid`` names,
and references to what was sent before conditional ones (R4, http.html section 3.1.0.11).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from racoon.standards.fhir.building import Resource

SINGLE_IDENTIFIER = frozenset({"Composition", "QuestionnaireResponse"})
"""Types with at most one identifier (R4); in the others there is a list of them."""


def name_of(resource: Resource) -> str:
    """Return type and id, as references name a resource."""
    return f"{resource['resourceType']}/{resource['id']}"


def condition(source: str, name: str) -> str:
    """Return the address that finds a resource by our identifier, whatever id it has there."""
    kind = name.partition("/")[0]
    return f"{kind}?identifier={quote(f'{source}:fhir|{name}', safe=':|/')}"


def types_without_identifier(statement: Resource, kinds: Iterable[str]) -> frozenset[str]:
    """Return which types a server cannot find by an identifier, as its CapabilityStatement says."""
    able = {
        str(item.get("type"))
        for rest in statement.get("rest", [])
        for item in rest.get("resource", [])
        if any(parameter.get("name") == "identifier" for parameter in item.get("searchParam", []))
    }
    return frozenset(kinds) - able


def transaction(
    resources: Iterable[Resource], source: str, without: Collection[str] = frozenset()
) -> Resource:
    """Build the transaction that brings some resources to another server, for the first or the hundredth time.

    Parameters
    ----------
    resources
        Of types that have identifiers; each at most once.
    source
        Who sends, a URI: our identifiers' system begins with it.
    without
        Types that the other server cannot take this way: neither they nor references to them are sent.
    """
    given = [item for item in resources if item["resourceType"] not in without]
    inside = {
        name_of(item): f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{source}/{name_of(item)}')}"
        for item in given
    }
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": inside[name_of(item)],
                "resource": _sent(item, _Links(inside, source, frozenset(without))),
                "request": {"method": "PUT", "url": condition(source, name_of(item))},
            }
            for item in given
        ],
    }


def removal(names: Iterable[str], source: str) -> Resource:
    """Build the transaction that takes resources back, by the names they were sent under."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": condition(source, name)}} for name in names],
    }


@dataclass(frozen=True)
class _Links:
    inside: Mapping[str, str]
    source: str
    without: frozenset[str]

    def to(self, target: str) -> str:
        """Return how the other server finds what a reference names; empty where it is not sent."""
        if target.partition("/")[0] in self.without:
            return ""
        return self.inside.get(target) or condition(self.source, target)


def _sent(resource: Resource, links: _Links) -> Resource:
    own = {"system": f"{links.source}:fhir", "value": name_of(resource)}
    made: Resource = {
        name: linked
        for name, value in resource.items()
        if name not in ("id", "identifier") and (linked := _linked(value, links)) is not None
    }
    # When it was written here is not when it is written there.
    made["meta"] = {name: value for name, value in resource.get("meta", {}).items() if name != "lastUpdated"}
    is_single = resource["resourceType"] in SINGLE_IDENTIFIER
    made["identifier"] = own if is_single else [*resource.get("identifier", []), own]
    return made


def _linked(value: Any, links: _Links) -> Any:
    """Return a value with its references as the other server understands them; None when nothing is left of it."""
    if isinstance(value, list):
        items = [linked for item in value if (linked := _linked(item, links)) is not None]
        return items or None
    if not isinstance(value, dict):
        return value
    target = value.get("reference")
    if isinstance(target, str):
        found = links.to(target)
        return value | {"reference": found} if found else None
    made = {name: linked for name, item in value.items() if (linked := _linked(item, links)) is not None}
    # An extension without its value says nothing.
    return made if set(made) - {"url"} else None

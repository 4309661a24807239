"""Reads FHIR tolerantly: files line by line, known deviations mended, and each mend said.

What others send deviates in known ways; a reader that refuses them gets no data, one that is silent about them
cannot be trusted.  :func:`tolerate` mends and tells, :func:`iterate_resources` reads folders of NDJSON and Bundles
without holding more than one file of a Bundle or one line of NDJSON in memory.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon.errors import Defect
from racoon.standards.fhir import versions
from racoon.standards.fhir.acquisition import IMAGE_TYPES
from racoon.standards.fhir.building import UCUM, Resource
from racoon.standards.fhir.rules.extensions import EXTENSIONS
from racoon.standards.fhir.rules.model import PartRules
from racoon.standards.fhir.versions import IMAGING_CODES, ProfileVersion, extension_url

LARGEST_BUNDLE_BYTES = 256 << 20
"""A Bundle is one JSON document and has to be read whole; larger exports come as NDJSON."""

LARGEST_LINE_BYTES = 32 << 20

SUFFIXES = (".ndjson", ".jsonl", ".json")

_OLD_SYSTEMS = {
    "http://fhir.de/CodeSystem/dimdi/icd-10-gm": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "http://fhir.de/CodeSystem/dimdi/ops": "http://fhir.de/CodeSystem/bfarm/ops",
    "http://fhir.de/CodeSystem/dimdi/atc": "http://fhir.de/CodeSystem/bfarm/atc",
    "http://fhir.de/CodeSystem/dimdi/alpha-id": "http://fhir.de/CodeSystem/bfarm/alpha-id",
}
"""Names of catalogues before they moved from DIMDI to BfArM."""

_CONSENT_CATEGORIES = frozenset(version.consent_category_system for version in versions.VERSIONS.values())


class UnreadableFhir(Defect):
    """A file that is no FHIR: not JSON, or JSON of another kind."""

    code = "fhir.unreadable"


@dataclass(frozen=True)
class Tolerated:
    """One deviation that reading mended."""

    code: str
    path: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"code": self.code, "path": self.path, "message": self.message}


@dataclass(frozen=True)
class Found:
    """One resource of a file, or why there is none.

    Parameters
    ----------
    place
        File and line or entry, e.g. ``patients.ndjson:17``.
    resource
        None when it cannot be read, ``problem`` then says why, or when it was deleted at its source.
    deleted
        ``Type/id`` of a resource that its source deleted.
    """

    place: str
    resource: Resource | None
    problem: str = ""
    deleted: str = ""


@dataclass(frozen=True)
class Unread:
    """One line of a file, not looked into yet: it may be read in another process."""

    place: str
    line: bytes


def tolerate(resource: Resource, version: ProfileVersion | None = None) -> tuple[Resource, list[Tolerated]]:
    """Mend the known deviations of a resource.

    Parameters
    ----------
    resource
        As it came; it is not changed.
    version
        Package the result is brought to.

    Returns
    -------
    tuple
        The mended copy, and what was mended.
    """
    mended = copy.deepcopy(resource)
    return mended, mend(mended, version)


def mend(resource: Resource, version: ProfileVersion | None = None) -> list[Tolerated]:
    """Mend the known deviations of a resource in place; returns what was mended.

    For a reader that owns the resource: :func:`tolerate` without its copy.
    """
    used = version or versions.VERSIONS[versions.DEFAULT_VERSION]
    notes: list[Tolerated] = []
    _mend(str(resource.get("resourceType", "?")), resource, used, notes)
    return notes


def _mend(place: str, value: Any, version: ProfileVersion, notes: list[Tolerated]) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict | list):
                _mend(f"{place}[{index}]", item, version, notes)
        return
    if not isinstance(value, dict):
        return
    if "system" in value:
        _mend_coding(place, value, version, notes)
    if "url" in value:
        _mend_extension(place, value, notes)
    uid = value.get("uid")
    if isinstance(uid, str) and uid.startswith("urn:oid:"):
        value["uid"] = uid.removeprefix("urn:oid:")
        notes.append(
            Tolerated("uid-prefix", f"{place}.uid", "A series or instance UID is bare, without urn:oid:.")
        )
    for name, content in value.items():
        if isinstance(content, dict | list):
            _mend(f"{place}.{name}", content, version, notes)


def _mend_coding(place: str, value: Resource, version: ProfileVersion, notes: list[Tolerated]) -> None:
    system = value.get("system")
    if not isinstance(system, str):
        return
    if system in _OLD_SYSTEMS:
        value["system"] = _OLD_SYSTEMS[system]
        notes.append(
            Tolerated("old-system", f"{place}.system", "The catalogue's old name was read as its new one.")
        )
    elif system in _CONSENT_CATEGORIES and system != version.consent_category_system:
        value["system"] = version.consent_category_system
        notes.append(
            Tolerated(
                "consent-category", f"{place}.system", "The consent category is of another package version."
            )
        )
    elif system == "urn:dicom:uid" and isinstance(value.get("value"), str):
        text = value["value"]
        if text and text[0] in "012" and not text.startswith("urn:"):
            value["value"] = f"urn:oid:{text}"
            notes.append(
                Tolerated("uid-urn", f"{place}.value", "A DICOM UID as identifier is written urn:oid:….")
            )


def _mend_extension(place: str, value: Resource, notes: list[Tolerated]) -> None:
    url = value.get("url")
    if not isinstance(url, str):
        return
    # The package names the file serie-uid and the address series-uid; both occur.
    if url == extension_url("serie-uid"):
        url = value["url"] = extension_url("series-uid")
        notes.append(Tolerated("extension-name", f"{place}.url", "The extension's address is …-series-uid."))
    table = EXTENSIONS.get(url)
    if table is None:
        return
    if table.value is not None:
        _mend_quantity(place, value, table.value, notes)
    parts = value.get("extension")
    for index, part in enumerate(parts if isinstance(parts, list) else []):
        rules = table.parts.get(str(part.get("url"))) if isinstance(part, dict) else None
        if rules is not None:
            _mend_quantity(f"{place}.extension[{index}]", part, rules, notes)
            if part["url"] == "imageType":
                _mend_image_type(f"{place}.extension[{index}]", part, notes)


def _mend_quantity(place: str, part: Resource, rules: PartRules, notes: list[Tolerated]) -> None:
    value = part.get("valueQuantity")
    if rules.type != "Quantity" or not isinstance(value, dict) or "system" in value or "code" in value:
        return
    if value.get("unit") == rules.unit:
        value |= {"system": UCUM, "code": rules.code}
        notes.append(
            Tolerated(
                "quantity-without-code",
                f"{place}.valueQuantity",
                "The quantity has words for its unit but no UCUM system and code.",
            )
        )


def _mend_image_type(place: str, part: Resource, notes: list[Tolerated]) -> None:
    found = part.get("valueCodeableConcept")
    codings = found.get("coding") if isinstance(found, dict) else None
    for index, item in enumerate(codings if isinstance(codings, list) else []):
        if isinstance(item, dict) and "system" not in item and item.get("code") in IMAGE_TYPES:
            item["system"] = f"{IMAGING_CODES}/mii-cs-bildgebung-instance-image-type"
            notes.append(
                Tolerated(
                    "code-without-system",
                    f"{place}.valueCodeableConcept.coding[{index}]",
                    "The image type has a code but no system.",
                )
            )


# -- files


def iterate_resources(path: Path) -> Iterator[Found]:
    """Yield every resource of a file or folder, Bundles opened; a broken line is a finding, not the end.

    Parameters
    ----------
    path
        ``.ndjson`` (one resource a line) or ``.json`` (one resource, a Bundle, or a list of them), or a folder of
        such files, read in the order of their names.

    Raises
    ------
    UnreadableFhir
        If there is no such file or no FHIR file in the folder.
    """
    for item in iterate_lines(path):
        yield from read_line(item)


def iterate_lines(path: Path) -> Iterator[Unread | Found]:
    """Yield the lines of NDJSON unread, and the resources of other files; parameters as of iterate_resources.

    Raises
    ------
    UnreadableFhir
        If there is no such file or no FHIR file in the folder.
    """
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.is_file() and item.suffix.lower() in SUFFIXES)
        if not files:
            raise UnreadableFhir("The folder has no file that ends in .ndjson or .json.")
        for file in files:
            yield from _file(file, file.relative_to(path).as_posix())
        return
    if not path.is_file():
        raise UnreadableFhir("There is no such file or folder.")
    yield from _file(path, path.name)


def read_line(item: Unread | Found) -> Iterator[Found]:
    """Yield the resources of one line."""
    if isinstance(item, Found):
        yield item
        return
    try:
        document = json.loads(item.line)
    except (ValueError, RecursionError):
        yield Found(item.place, None, "The line is no JSON document.")
        return
    yield from _documents(document, item.place)


def _file(path: Path, name: str) -> Iterator[Unread | Found]:
    if path.suffix.lower() in (".ndjson", ".jsonl"):
        yield from _lines(path, name)
        return
    if path.stat().st_size > LARGEST_BUNDLE_BYTES:
        yield Found(name, None, "The file is too large for one document; export it as NDJSON.")
        return
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        yield Found(name, None, "The file is no JSON document.")
        return
    yield from _documents(document, name)


def _lines(path: Path, name: str) -> Iterator[Unread | Found]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LARGEST_LINE_BYTES + 1):
            number += 1
            place = f"{name}:{number}"
            if len(line) > LARGEST_LINE_BYTES:
                yield Found(place, None, "The line is too long to be one resource.")
                while line and not line.endswith(b"\n"):
                    line = file.readline(LARGEST_LINE_BYTES)
            elif line.strip():
                yield Unread(place, line)


def _documents(document: Any, place: str) -> Iterator[Found]:
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from _documents(item, f"{place}[{index}]")
    elif isinstance(document, dict) and document.get("resourceType") == "Bundle":
        yield from _entries(document, place)
    elif isinstance(document, dict) and isinstance(document.get("resourceType"), str):
        yield Found(place, document)
    else:
        yield Found(place, None, "This is no FHIR resource: it has no resourceType.")


_NAMED = re.compile(r"(?:\S*/)?([A-Z][A-Za-z]{1,39})/([A-Za-z0-9\-._]{1,128})(?:/_history(?:/\S*)?)?")


def _entries(bundle: Resource, place: str) -> Iterator[Found]:
    """Yield what the entries of a Bundle hold, and what they say was deleted.

    A history tells every version, the newest first (R4 http, 3.1.0.13): only that one counts.
    """
    entries, told = bundle.get("entry", []), set[str]()
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        inner = entry.get("resource") if isinstance(entry, dict) else None
        where = f"{place}#{index}"
        if bundle.get("type") == "history" and isinstance(entry, dict):
            name = name_of_entry(entry)
            if name and name in told:
                continue
            told.add(name)
        if isinstance(entry, dict) and is_deletion(entry):
            name = name_of_entry(entry)
            problem = "" if name else "The entry deletes what a search finds, which is not followed."
            yield Found(where, None, problem, name)
        elif isinstance(inner, dict):
            yield from _documents(inner, where)
        else:
            yield Found(where, None, "The entry of the Bundle has no resource.")


def is_deletion(entry: Resource) -> bool:
    """Tell whether an entry of a Bundle says that a resource is gone: a request to delete it, or HTTP 410."""
    request, response = entry.get("request"), entry.get("response")
    if isinstance(request, dict) and request.get("method") == "DELETE":
        return True
    status = str(response.get("status", "")) if isinstance(response, dict) else ""
    return status.startswith("410") and not isinstance(entry.get("resource"), dict)


def name_of_entry(entry: Resource) -> str:
    """Return ``Type/id`` of what an entry of a Bundle is about; empty where it does not say."""
    inner, request = entry.get("resource"), entry.get("request")
    if isinstance(inner, dict) and isinstance(inner.get("id"), str):
        return f"{inner.get('resourceType')}/{inner['id']}"
    for text in (request.get("url") if isinstance(request, dict) else None, entry.get("fullUrl")):
        match = _NAMED.fullmatch(text) if isinstance(text, str) else None
        if match is not None:
            return f"{match[1]}/{match[2]}"
    return ""

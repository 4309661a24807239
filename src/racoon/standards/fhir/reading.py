"""Reads FHIR tolerantly: files line by line, known deviations mended, and each mend said.

What others send deviates in known ways; a reader that refuses them gets no data, one that is silent about them
cannot be trusted.  :func:`tolerate` mends and tells, :func:`iterate_resources` reads folders of NDJSON and Bundles
without holding more than one file of a Bundle or one line of NDJSON in memory.
"""

from __future__ import annotations

import copy
import json
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
        None when it cannot be read; ``problem`` then says why.
    """

    place: str
    resource: Resource | None
    problem: str = ""


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
    used = version or versions.VERSIONS[versions.DEFAULT_VERSION]
    mended = copy.deepcopy(resource)
    notes: list[Tolerated] = []
    _mend(str(mended.get("resourceType", "?")), mended, used, notes)
    return mended, notes


def _mend(place: str, value: Any, version: ProfileVersion, notes: list[Tolerated]) -> None:
    if isinstance(value, list):
        for index, item in enumerate(value):
            _mend(f"{place}[{index}]", item, version, notes)
        return
    if not isinstance(value, dict):
        return
    _mend_coding(place, value, version, notes)
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


def _file(path: Path, name: str) -> Iterator[Found]:
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


def _lines(path: Path, name: str) -> Iterator[Found]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LARGEST_LINE_BYTES + 1):
            number += 1
            place = f"{name}:{number}"
            if len(line) > LARGEST_LINE_BYTES:
                yield Found(place, None, "The line is too long to be one resource.")
                while line and not line.endswith(b"\n"):
                    line = file.readline(LARGEST_LINE_BYTES)
                continue
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                yield Found(place, None, "The line is no JSON document.")
                continue
            yield from _documents(document, place)


def _documents(document: Any, place: str) -> Iterator[Found]:
    if isinstance(document, list):
        for index, item in enumerate(document):
            yield from _documents(item, f"{place}[{index}]")
    elif isinstance(document, dict) and document.get("resourceType") == "Bundle":
        entries = document.get("entry", [])
        for index, entry in enumerate(entries if isinstance(entries, list) else []):
            inner = entry.get("resource") if isinstance(entry, dict) else None
            if isinstance(inner, dict):
                yield from _documents(inner, f"{place}#{index}")
            else:
                yield Found(f"{place}#{index}", None, "The entry of the Bundle has no resource.")
    elif isinstance(document, dict) and isinstance(document.get("resourceType"), str):
        yield Found(place, document)
    else:
        yield Found(place, None, "This is no FHIR resource: it has no resourceType.")

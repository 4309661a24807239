"""All definitions by id and version; a definition's file is opened when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from racoon.errors import Refused
from racoon.science.biomarkers import definitions
from racoon.science.biomarkers.definition import Definition


class UnknownBiomarker(Refused):
    """A plan names a biomarker or version that is not installed here."""

    code = "biomarkers.unknown"


_PLACES: Mapping[str, str] = {file.rpartition(".")[2]: file for file in definitions.FILES}
"""Id to the place of its file."""

NAMES: frozenset[str] = frozenset(_PLACES)
"""Every id; knowing it opens no file."""


def _open(place: str) -> Definition:
    found: Definition = import_module(f"{definitions.__name__}.{place}").DEFINITION
    return found


class Catalogue(Mapping[str, Definition]):
    """``id@version`` to definition, in the order of ``definitions.FILES``; opens only the files it needs."""

    def __getitem__(self, key: str) -> Definition:
        """Definition of an ``id@version``."""
        place = _PLACES.get(key.partition("@")[0])
        definition = _open(place) if place else None
        if definition is None or definition.key != key:
            raise KeyError(key)
        return definition

    def __iter__(self) -> Iterator[str]:
        """Every ``id@version``."""
        return (_open(place).key for place in definitions.FILES)

    def __len__(self) -> int:
        """Number of definitions."""
        return len(definitions.FILES)


CATALOGUE: Mapping[str, Definition] = Catalogue()
"""``id@version`` to definition."""


def get_definition(biomarker: str, version: str) -> Definition:
    """Look a definition up.

    Raises
    ------
    UnknownBiomarker
        If this version of it is not installed.
    """
    found = CATALOGUE.get(f"{biomarker}@{version}")
    if found is None:
        raise UnknownBiomarker(
            f"The biomarker {biomarker[:60]!r} in version {version[:20]!r} is not installed at this site."
        )
    return found


def unit_of(biomarker: str, version: str) -> str:
    """UCUM unit of a biomarker; empty when this version of it is not installed."""
    found = CATALOGUE.get(f"{biomarker}@{version}")
    return found.unit if found else ""


def newest_definitions() -> tuple[Definition, ...]:
    """Newest version of each id, in the order of the catalogue."""
    return tuple(_open(place) for place in definitions.FILES)

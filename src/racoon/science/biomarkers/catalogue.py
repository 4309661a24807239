"""All definitions by id and version; the newest version of an id stands last."""

from __future__ import annotations

from collections.abc import Mapping

from racoon.errors import Refused
from racoon.science.biomarkers import (
    aeration,
    aorta,
    body,
    bone,
    calcium,
    densities,
    heart_segments,
    lesions,
    lung,
    ordinal_calcium,
    organs,
    tissues,
    vessels,
    volumes,
)
from racoon.science.biomarkers.definition import Definition


class UnknownBiomarker(Refused):
    """A plan names a biomarker or version that is not installed here."""

    code = "biomarkers.unknown"


_DEFINITIONS = (
    volumes.VOLUME,
    volumes.SURFACE_AREA,
    volumes.SPHERICITY,
    volumes.STRUCTURE_DIAMETER,
    volumes.EFFUSION_VOLUME,
    densities.EFFUSION_DENSITY,
    densities.MEAN_DENSITY,
    densities.DENSITY_SD,
    densities.MEAN_INTENSITY,
    tissues.FAT_VOLUME,
    tissues.FAT_ATTENUATION,
    tissues.MUSCLE_VOLUME,
    tissues.MUSCLE_ATTENUATION,
    tissues.BONE_VOLUME,
    lung.MEAN_LUNG_DENSITY,
    lung.LAA_950,
    lung.PERC_15,
    lung.HIGH_ATTENUATION_AREA,
    lung.LUNG_MASS,
    lung.OPACITY_INVOLVEMENT,
    lung.RETICULAR_PERCENT,
    lesions.LONG_AXIS,
    lesions.SHORT_AXIS,
    lesions.NODULE_MEAN_DIAMETER,
    lesions.MAX_DIAMETER,
    lesions.LESION_COUNT,
    *aeration.DEFINITIONS,
    *calcium.DEFINITIONS,
    *ordinal_calcium.DEFINITIONS,
    *vessels.DEFINITIONS,
    *aorta.DEFINITIONS,
    *body.DEFINITIONS,
    *bone.DEFINITIONS,
    *organs.DEFINITIONS,
    *heart_segments.DEFINITIONS,
)

CATALOGUE: Mapping[str, Definition] = {definition.key: definition for definition in _DEFINITIONS}
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


def newest_definitions() -> tuple[Definition, ...]:
    """Newest version of each id, in the order of the catalogue."""
    newest: dict[str, Definition] = {}
    for definition in CATALOGUE.values():
        newest[definition.id] = definition
    return tuple(newest.values())

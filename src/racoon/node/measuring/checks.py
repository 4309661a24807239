"""What a person should look at before values are used: rules over geometry, masks, facts and values.  Pure.

A check changes no value by itself.  A person keeps what it is about, or excludes it from what is summed up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from racoon.domain.identity import Pseudonym
from racoon.node.measuring.model import MaskSource, StoredValue, viewer_link
from racoon.science.biomarkers.plausibility import (
    OUTLIER_SCORE,
    Doubt,
    doubts_about,
    outlier_scores,
    swapped_sides,
)
from racoon.science.biomarkers.reasons import REASONS

if TYPE_CHECKING:
    from racoon.node.measuring.regions import Part, Structures
    from racoon.standards.acquisition import Acquisition
    from racoon.standards.dicom.volume import Volume

State = Literal["open", "kept", "excluded"]

MISSING_FACTS = frozenset(
    {
        "kvp_unknown",
        "modality_unknown",
        "slice_unknown",
        "contrast_unknown",
        "uptake_unknown",
        "parameter_missing",
        "not_gated",
    }
)
"""Reasons that say: the header lacks something the definition's limits depend on."""

SENTENCES: Mapping[str, tuple[str, str]] = {
    "mask.empty": ("Die Maske ist leer.", "The mask is empty."),
    "mask.volume": (
        "Das Volumen von {value:.0f} mL liegt außerhalb von {low:.0f} bis {high:.0f} mL.",
        "The volume of {value:.0f} mL lies outside {low:.0f} to {high:.0f} mL.",
    ),
    "mask.density": (
        "Die mittlere Dichte von {value:.0f} HU liegt außerhalb von {low:.0f} bis {high:.0f} HU.",
        "The mean density of {value:.0f} HU lies outside {low:.0f} to {high:.0f} HU.",
    ),
    "mask.scattered": (
        "Die Maske zerfällt in {parts:.0f} Teile; der größte hat nur {share:.0f} %.",
        "The mask falls into {parts:.0f} parts; the largest has only {share:.0f} %.",
    ),
    "mask.sides": (
        "Links und rechts sind vertauscht.",
        "Left and right are exchanged.",
    ),
    "value.outlier": (
        "{value:.4g} {unit} liegt {score:.1f} robuste Standardabweichungen vom Median {median:.4g} entfernt.",
        "{value:.4g} {unit} lies {score:.1f} robust standard deviations from the median {median:.4g}.",
    ),
    "value.network_outlier": (
        (
            "{value:.4g} {unit} liegt {score:.1f} Standardabweichungen vom Mittel {mean:.4g} des Netzes "
            "({sites:.0f} Standorte, {subjects:.0f} Werte) entfernt."
        ),
        (
            "{value:.4g} {unit} lies {score:.1f} standard deviations from the network's mean {mean:.4g} "
            "({sites:.0f} sites, {subjects:.0f} values)."
        ),
    ),
    "geometry.jitter": (
        "Die Schichtlagen weichen leicht von einem gleichmäßigen Gitter ab.",
        "The positions of the slices deviate a little from an even grid.",
    ),
    "geometry.single_slice": ("Die Serie hat nur eine Schicht.", "The series has only one slice."),
    "geometry.resampled": (
        "Die Schichten wurden auf ein gleichmäßiges Gitter umgerechnet.",
        "The slices were resampled to an even grid.",
    ),
    **{f"fact.{reason}": REASONS[reason] for reason in MISSING_FACTS},
}
"""Code of a check to its German and English sentence, with places for its numbers."""


class _German(float):
    """A number that is written with a comma."""

    def __format__(self, spec: str) -> str:
        return super().__format__(spec).replace(".", ",")


@dataclass(frozen=True)
class Check:
    """One thing to look at.

    Parameters
    ----------
    code
        Key of :data:`SENTENCES`.
    about
        Structure or measurement it is about.
    details
        Numbers and words for its sentence.
    series_uid, pseudonym, key_instance_uid
        Where to look.
    mask
        The segment it is about, if it is about one.
    number
        Row number once stored; 0 before.
    state, decided_by, decided_at, note
        What a person said.
    """

    code: str
    about: str
    details: Mapping[str, float | str]
    series_uid: str
    pseudonym: Pseudonym
    key_instance_uid: str = ""
    mask: MaskSource | None = None
    number: int = 0
    state: State = "open"
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""

    @property
    def link(self) -> str:
        """Page that shows the slice and the mask."""
        return viewer_link(self.series_uid, self.key_instance_uid, (self.mask,) if self.mask else ())

    def sentence(self, language: str = "en") -> str:
        """What is the matter, in words."""
        german, english = SENTENCES[self.code]
        if language != "de":
            return english.format(**self.details)
        numbers = {
            name: item if isinstance(item, str) else _German(item) for name, item in self.details.items()
        }
        return german.format(**numbers)

    def concerns(self, value: StoredValue) -> bool:
        """Tell whether a value rests on what this check is about."""
        if value.series_uid != self.series_uid:
            return False
        if self.code.startswith("mask."):
            return self.mask in value.masks
        return self.about in ("", value.measurement)


def check_series(
    values: Sequence[StoredValue],
    structures: Structures,
    volume: Volume,
    taken: Acquisition,
    modality: str,
) -> tuple[Check, ...]:
    """Apply the rules that need one series only.

    Parameters
    ----------
    values
        Its values as they will be stored.
    structures, volume
        Its masks and image.
    taken, modality
        What its header says.
    """
    if not values:
        return ()
    place = (values[0].series_uid, values[0].pseudonym)
    found = [Check(f"geometry.{finding.code.value}", "", {}, *place) for finding in volume.findings]
    found += _missing_facts(values, taken)
    parts = list(structures)
    for part in parts:
        doubts = doubts_about(part.name, part.structure.region, modality)
        found += [_of_mask(doubt, part, volume, place) for doubt in doubts]
    regions = {part.name: part.structure.region for part in parts}
    for name in swapped_sides(regions):
        pair = {f"{name}_left", f"{name}_right"}
        found += [_of_mask(Doubt("sides"), part, volume, place) for part in parts if part.name in pair]
    known = {(check.code, check.about): check for check in found if check.code in SENTENCES}
    return tuple(known.values())


@dataclass(frozen=True)
class NetworkReference:
    """Pooled figures of a measurement over the sites of the network, as CENTRAL sent them.

    Parameters
    ----------
    sites, subjects
        How many sites and values they rest on.
    mean, sd
        Of the pooled values.
    """

    sites: int
    subjects: int
    mean: float
    sd: float

    def score(self, value: float) -> float:
        """Distance from the network's mean in its standard deviations; 0 where there is no spread."""
        return abs(value - self.mean) / self.sd if self.sd > 0.0 else 0.0


def check_values(
    values: Iterable[StoredValue], network: Mapping[str, NetworkReference] | None = None
) -> tuple[Check, ...]:
    """Apply the rules that compare values with each other: outliers within the site and within the network.

    Parameters
    ----------
    values
        Of one dataset.
    network
        Measurement key to figures of the network, where it released any.
    """
    groups: dict[str, list[StoredValue]] = defaultdict(list)
    for value in values:
        if value.valid and value.value is not None:
            groups[value.measurement].append(value)
    found: list[Check | None] = []
    for measurement, members in groups.items():
        numbers = [member.value or 0.0 for member in members]
        median = sorted(numbers)[len(numbers) // 2]
        reference = (network or {}).get(measurement)
        if reference is not None:
            found += [_far_from_network(member, reference) for member in members]
        for member, number, score in zip(members, numbers, outlier_scores(numbers), strict=True):
            if score > OUTLIER_SCORE:
                details: dict[str, float | str] = {
                    "value": number,
                    "unit": member.unit,
                    "score": score,
                    "median": median,
                }
                drawn = next((mask for mask in member.masks if mask.seg_instance_uid), None)
                found.append(
                    Check(
                        "value.outlier",
                        measurement,
                        details,
                        member.series_uid,
                        member.pseudonym,
                        member.key_instance_uid,
                        drawn,
                    )
                )
    return tuple(check for check in found if check is not None)


def _far_from_network(value: StoredValue, reference: NetworkReference) -> Check | None:
    score = reference.score(value.value or 0.0)
    if score <= OUTLIER_SCORE:
        return None
    details: dict[str, float | str] = {
        "value": value.value or 0.0,
        "unit": value.unit,
        "score": score,
        "mean": reference.mean,
        "sites": float(reference.sites),
        "subjects": float(reference.subjects),
    }
    drawn = next((mask for mask in value.masks if mask.seg_instance_uid), None)
    return Check(
        "value.network_outlier",
        value.measurement,
        details,
        value.series_uid,
        value.pseudonym,
        value.key_instance_uid,
        drawn,
    )


def _missing_facts(values: Sequence[StoredValue], taken: Acquisition) -> list[Check]:
    found = []
    for value in values:
        if value.reason in MISSING_FACTS:
            details = {"missing": taken.suv_gap} if value.reason == "uptake_unknown" else {}
            found.append(
                Check(f"fact.{value.reason}", value.measurement, details, value.series_uid, value.pseudonym)
            )
    return found


def _of_mask(doubt: Doubt, part: Part, volume: Volume, place: tuple[str, Pseudonym]) -> Check:
    region, source = part.structure.region, part.structure.sources[0]
    key = volume.instance_uids[region.key_slice] if region.key_slice is not None else ""
    about = f"{part.name} {source.segment_number}".strip()
    return Check(f"mask.{doubt.code}", about, dict(doubt.numbers), *place, key, source)

"""Quality of a series in plain words: rules as a table, each with a severity, an English and a German sentence.

``error``: a measurement on it would be wrong.  ``warning``: it may be; look first.  ``note``: good to know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydicom.dataset import Dataset

from racoon.standards.dicom.stack import Finding

Severity = Literal["error", "warning", "note"]

FEW_SLICES = 10
"""A volume of fewer slices is a sample, not an organ."""

UNKNOWN = "unknown"


@dataclass(frozen=True)
class SeriesFacts:
    """What the rules look at.

    Parameters
    ----------
    kind, body_part, contrast_source, thickness_mm, frames, findings
        As the classification found them; ``contrast_source`` names the attribute, or ``contradiction``.
    headers
        Headers of all files, without pixels.
    """

    modality: str
    kind: str
    body_part: str
    contrast_source: str
    thickness_mm: float | None
    frames: int
    findings: Sequence[Finding]
    headers: Sequence[Dataset]

    def values(self, keyword: str) -> set[str]:
        """Give the different values of an attribute over all files, absent ones left out."""
        found = set()
        for header in self.headers:
            value = _value(header, keyword)
            if value not in (None, ""):
                found.add(str(value))
        return found


@dataclass(frozen=True)
class QualityRule:
    """One rule.

    Parameters
    ----------
    code
        Stable.
    text, text_de
        What is wrong and what follows from it.
    applies
        Whether a series breaks the rule.
    """

    code: str
    severity: Severity
    text: str
    text_de: str
    applies: Callable[[SeriesFacts], bool]


def check_quality(facts: SeriesFacts) -> list[dict[str, Any]]:
    """Give every rule that a series breaks, the gravest first.

    Returns
    -------
    list of dict
        ``rule``, ``severity``, ``text``, ``text_de``.
    """
    return [
        {"rule": rule.code, "severity": rule.severity, "text": rule.text, "text_de": rule.text_de}
        for rule in RULES
        if rule.applies(facts)
    ]


def _value(header: Dataset, keyword: str) -> Any:
    try:
        return header.get(keyword)
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        return None


def _is_image(facts: SeriesFacts) -> bool:
    return facts.kind in ("volume", "slice", "image_without_geometry", "localiser", "projection")


def _is_irregular(facts: SeriesFacts) -> bool:
    return facts.kind == "volume" and any(finding.forbids_stack for finding in facts.findings)


def _is_eight_bit(facts: SeriesFacts) -> bool:
    bits = {int(value) for value in facts.values("BitsStored") if value.isdigit()}
    return facts.modality in ("CT", "MR", "PT") and _is_image(facts) and bool(bits) and min(bits) <= 8


def _lacks_rescale(facts: SeriesFacts) -> bool:
    is_plain = any(
        "Rows" in header and "PerFrameFunctionalGroupsSequence" not in header for header in facts.headers
    )
    lacks = any(_value(header, "RescaleSlope") in (None, "") for header in facts.headers)
    return facts.modality == "CT" and facts.kind in ("volume", "slice") and is_plain and lacks


def _lacks_suv(facts: SeriesFacts) -> bool:
    if facts.modality != "PT" or not _is_image(facts):
        return False
    return not all(
        _value(header, "RadiopharmaceuticalInformationSequence") and _value(header, "PatientWeight")
        for header in facts.headers
    )


def _has_gaps(facts: SeriesFacts) -> bool:
    numbers = sorted({int(value) for value in facts.values("InstanceNumber") if value.lstrip("-").isdigit()})
    is_single_frame = facts.frames == len(facts.headers)
    return (
        facts.kind == "volume"
        and is_single_frame
        and len(numbers) == len(facts.headers) > 1
        and numbers[-1] - numbers[0] + 1 > len(numbers)
    )


def _is_derived(facts: SeriesFacts) -> bool:
    return facts.kind in ("volume", "slice") and any(
        "DERIVED" in str(_value(header, "ImageType") or "") for header in facts.headers
    )


RULES: tuple[QualityRule, ...] = (
    QualityRule(
        "irregular_geometry",
        "error",
        "The slices are no regular volume; volumes and distances would be wrong. The findings say where.",
        "Die Schichten bilden kein regelmäßiges Volumen; Volumina und Abstände wären falsch. Die Befunde sagen, wo.",
        _is_irregular,
    ),
    QualityRule(
        "no_geometry",
        "error",
        "The images do not say where they lie in space; only pixels can be counted.",
        "Die Bilder sagen nicht, wo sie im Raum liegen; es lassen sich nur Pixel zählen.",
        lambda facts: facts.kind == "image_without_geometry",
    ),
    QualityRule(
        "eight_bit",
        "error",
        "The values have 8 bits: a copy for the eye, not what the scanner measured.",
        "Die Werte haben 8 Bit: eine Kopie für das Auge, nicht das, was das Gerät gemessen hat.",
        _is_eight_bit,
    ),
    QualityRule(
        "no_rescale",
        "error",
        "No rescale slope: the values of this CT are no Hounsfield units.",
        "Ohne Rescale Slope sind die Werte dieser CT keine Hounsfield-Einheiten.",
        _lacks_rescale,
    ),
    QualityRule(
        "burned_in_text",
        "error",
        "The header says that text is burned into the pixels.",
        "Der Kopf der Datei sagt, dass Text in die Pixel eingebrannt ist.",
        lambda facts: "YES" in facts.values("BurnedInAnnotation"),
    ),
    QualityRule(
        "lossy_compression",
        "warning",
        "The pixels were compressed with loss; texture and small differences are not those of the scanner.",
        "Die Pixel waren verlustbehaftet komprimiert; Textur und kleine Unterschiede sind nicht die des Geräts.",
        lambda facts: "01" in facts.values("LossyImageCompression"),
    ),
    QualityRule(
        "mixed_kernel",
        "warning",
        "The slices were reconstructed with different kernels.",
        "Die Schichten wurden mit verschiedenen Kernen rekonstruiert.",
        lambda facts: facts.kind == "volume" and len(facts.values("ConvolutionKernel")) > 1,
    ),
    QualityRule(
        "mixed_voltage",
        "warning",
        "The slices were taken with different tube voltages.",
        "Die Schichten wurden mit verschiedenen Röhrenspannungen aufgenommen.",
        lambda facts: facts.kind == "volume" and len(facts.values("KVP")) > 1,
    ),
    QualityRule(
        "instance_gaps",
        "warning",
        "The instance numbers have gaps: images may be missing.",
        "Die Instanznummern haben Lücken: Es könnten Bilder fehlen.",
        _has_gaps,
    ),
    QualityRule(
        "contrast_contradiction",
        "warning",
        "The description says native, the header names a contrast agent.",
        "Die Beschreibung sagt nativ, der Kopf der Datei nennt ein Kontrastmittel.",
        lambda facts: facts.contrast_source == "contradiction",
    ),
    QualityRule(
        "no_uptake_values",
        "warning",
        "Weight or tracer data are missing: standardised uptake values cannot be computed.",
        "Gewicht oder Angaben zum Tracer fehlen: Standardisierte Aufnahmewerte lassen sich nicht berechnen.",
        _lacks_suv,
    ),
    QualityRule(
        "no_slice_thickness",
        "warning",
        "No slice thickness is stated.",
        "Die Schichtdicke ist nicht angegeben.",
        lambda facts: facts.kind == "volume" and facts.thickness_mm is None,
    ),
    QualityRule(
        "derived",
        "note",
        "The images are derived from others, not taken as they are.",
        "Die Bilder sind aus anderen abgeleitet und nicht so aufgenommen.",
        _is_derived,
    ),
    QualityRule(
        "few_slices",
        "note",
        f"The volume has fewer than {FEW_SLICES} slices.",
        f"Das Volumen hat weniger als {FEW_SLICES} Schichten.",
        lambda facts: facts.kind == "volume" and facts.frames < FEW_SLICES,
    ),
    QualityRule(
        "no_body_part",
        "note",
        "Neither header nor description names the body part.",
        "Weder Kopf der Datei noch Beschreibung nennen die Körperregion.",
        lambda facts: _is_image(facts) and facts.body_part == UNKNOWN,
    ),
)
"""All rules, the gravest first."""

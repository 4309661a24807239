"""From rows of other rooms to the facts that the builders of FHIR want.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from racoon.node.archive.records import StudyRecord
from racoon.node.measuring.model import StoredValue
from racoon.science.biomarkers import UnknownBiomarker, get_definition
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.findings import MeasuredFacts
from racoon.standards.fhir.imaging import SeriesFacts, StudyFacts


def study_facts(record: StudyRecord) -> StudyFacts:
    """Return an archived study as the builders of FHIR want it."""
    return StudyFacts(
        uid=record.imaging_study_uid,
        pseudonym=record.pseudonym,
        day=record.day,
        clock=record.clock,
        updated=record.updated,
        series=tuple(
            SeriesFacts(
                uid=series.series_uid,
                modality=series.modality,
                number=series.number,
                instance_count=series.instance_count,
                body_part=series.body_part,
                laterality=series.laterality,
                day=series.day,
                clock=series.clock,
                manufacturer=series.manufacturer,
                model=series.model,
                has_contrast=series.has_contrast,
                slice_thickness_mm=series.slice_thickness_mm,
                header=series.header,
            )
            for series in record.series
        ),
    )


def measured_facts(row: int, value: StoredValue, place: tuple[str, str, str]) -> MeasuredFacts:
    """Return a stored value as the builders want it; ``place`` is study, shifted day and time."""
    try:
        definition = get_definition(value.biomarker, value.version)
        title, formula = definition.title_en, definition.formula
    except UnknownBiomarker:
        # A value of a definition this version no longer has: its id still says what it is.
        title, formula = value.biomarker, ""
    study_uid, day, clock = place
    return MeasuredFacts(
        identity=str(row),
        pseudonym=value.pseudonym,
        imaging_study_uid=study_uid,
        series_uid=value.series_uid,
        instance_uid=value.key_instance_uid,
        biomarker=value.biomarker,
        version=value.version,
        title=title,
        formula=formula,
        value=float(value.value or 0.0),
        unit=value.unit,
        label=value.label,
        automation=value.automation or "",
        software=value.software,
        computed_at=value.computed_at,
        day=day,
        clock=clock,
    )


def references(resource: Resource, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the references that stand at a path of a resource."""
    nodes: list[Any] = [resource]
    for step in path:
        found = [node.get(step) for node in nodes if isinstance(node, dict)]
        nodes = [item for node in found for item in (node if isinstance(node, list) else [node]) if item]
    for node in nodes:
        text = node.get("reference") if isinstance(node, dict) else None
        if isinstance(text, str):
            yield text

"""A DICOM study as ImagingStudy of the core data set's imaging module, with its devices.

No free text leaves: descriptions, reasons and protocol names may hold names, so they are not written at all
(decision 0091).  Dates are the shifted ones of the archive.  A series goes out with its counts; instances only where
they are asked for, because a CT with instances is several megabytes and DICOMweb gives them better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from racoon.standards.fhir import codes, versions
from racoon.standards.fhir.acquisition import anatomic_region, instance_details, modality_extension, text_of
from racoon.standards.fhir.building import (
    URI,
    Resource,
    coding,
    extension,
    fhir_datetime,
    filled,
    metadata,
    quantity,
    reference,
    resource_id,
    uid_identifier,
)
from racoon.standards.fhir.versions import ProfileVersion, extension_url

_IMAGE_LATERALITY = "00200062"
"""Of mammographs and single images, where the series says none."""


@dataclass(frozen=True)
class InstanceFacts:
    """One instance; ``header`` is its DICOM JSON."""

    uid: str
    sop_class_uid: str
    number: int | None = None
    header: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SeriesFacts:
    """One de-identified series.

    Parameters
    ----------
    day, clock
        Series Date and Time as archived (the date is shifted).
    has_contrast
        None when DICOM does not say.
    header
        DICOM JSON of one instance: where the acquisition is read from.
    instances
        Written only when given.
    """

    uid: str
    modality: str
    number: int | None = None
    instance_count: int = 0
    body_part: str = ""
    laterality: str = ""
    day: str = ""
    clock: str = ""
    manufacturer: str = ""
    model: str = ""
    has_contrast: bool | None = None
    slice_thickness_mm: float | None = None
    header: Mapping[str, Any] = field(default_factory=dict)
    instances: tuple[InstanceFacts, ...] = ()


@dataclass(frozen=True)
class StudyFacts:
    """One de-identified imaging study of a subject."""

    uid: str
    pseudonym: str
    day: str
    clock: str
    series: tuple[SeriesFacts, ...]
    updated: datetime | None = None


@dataclass(frozen=True)
class Writing:
    """How this node writes FHIR.

    Parameters
    ----------
    version
        Package of profiles.
    zone
        Time zone beside times of day.
    source
        ``meta.source``: who wrote it.
    pseudonym_system
        System of a subject's pseudonym.
    """

    version: ProfileVersion
    zone: tzinfo
    source: str
    pseudonym_system: str


def imaging_study(study: StudyFacts, writing: Writing) -> Resource:
    """Write an ImagingStudy.

    Parameters
    ----------
    study
        A study of the archive; series whose modality is no acquisition (SEG, SR) are left out, as the
        profile's required binding (DICOM CID 33) has no code for them.
    writing
        How this node writes.
    """
    acquired = [series for series in study.series if series.modality in codes.MODALITIES]
    modalities = dict.fromkeys(series.modality for series in acquired)
    return filled(
        {
            "resourceType": "ImagingStudy",
            "id": resource_id(study.uid),
            "meta": metadata(versions.IMAGING_STUDY, source=writing.source, updated=study.updated),
            "identifier": [uid_identifier(study.uid)],
            "status": "available",
            "modality": [codes.modality(text) for text in modalities],
            "subject": reference("Patient", resource_id(study.pseudonym)),
            "started": fhir_datetime(study.day, study.clock, writing.zone),
            "numberOfSeries": len(acquired),
            "numberOfInstances": sum(series.instance_count for series in acquired),
            "series": [_series(series, writing) for series in acquired],
        }
    )


def _series(series: SeriesFacts, writing: Writing) -> Resource:
    device = device_id(series.manufacturer, series.model)
    return filled(
        {
            "extension": [found for found in _series_extensions(series) if found],
            "uid": series.uid,
            "number": series.number if series.number is not None and series.number >= 0 else None,
            "modality": codes.modality(series.modality),
            "numberOfInstances": series.instance_count,
            "bodySite": codes.body_site(series.body_part) or anatomic_region(series.header),
            "laterality": codes.laterality(series.laterality or text_of(series.header, _IMAGE_LATERALITY)),
            "started": fhir_datetime(series.day, series.clock, writing.zone),
            "performer": [{"actor": reference("Device", device)}] if device else [],
            "instance": [_instance(instance) for instance in series.instances],
        }
    )


def _series_extensions(series: SeriesFacts) -> Iterable[Resource | None]:
    yield modality_extension(series.modality, series.header)
    if series.has_contrast is not None:
        yield {
            "url": extension_url("kontrastmittel"),
            "extension": [extension("contrastBolus", valueBoolean=series.has_contrast)],
        }
    if series.slice_thickness_mm is not None:
        yield extension(
            extension_url("serie-schichtdicke"),
            valueQuantity=quantity(series.slice_thickness_mm, "millimeter", "mm"),
        )


def _instance(instance: InstanceFacts) -> Resource:
    details = instance_details(instance.header)
    return filled(
        {
            "extension": [details] if details else [],
            "uid": instance.uid,
            "sopClass": coding(URI, f"urn:oid:{instance.sop_class_uid}"),
            "number": instance.number if instance.number is not None and instance.number >= 0 else None,
        }
    )


def device_id(manufacturer: str, model: str) -> str:
    """Return the id of a kind of device; empty when nothing is known of it."""
    return resource_id("device", manufacturer, model) if manufacturer or model else ""


def device(manufacturer: str, model: str, writing: Writing) -> Resource:
    """Write a Device: make and model of the scanner; serial numbers and station names stay in the hospital."""
    return filled(
        {
            "resourceType": "Device",
            "id": device_id(manufacturer, model),
            "meta": metadata(versions.DEVICE, source=writing.source),
            "manufacturer": manufacturer,
            "deviceName": [{"name": model, "type": "model-name"}] if model else [],
        }
    )

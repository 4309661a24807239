"""Writes rows of the index as DICOM JSON, the results of QIDO-RS (PS3.18 section 10.6.3)."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from json.encoder import encode_basestring as quoted
from typing import Any

import sqlalchemy as sa
from pydicom.datadict import dictionary_VR

from racoon.node.archive import _store
from racoon.standards.dicomweb.dicom_json import JsonDataset, tag_key
from racoon.standards.dicomweb.query import Query

SEGMENT_SEPARATOR = "\\"


class Level(StrEnum):
    """What a query returns."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@functools.cache
def _key_and_vr(keyword: str) -> tuple[str, str]:
    """Look an attribute up once: the data dictionary would cost more than the whole statement."""
    return tag_key(keyword), dictionary_VR(keyword)


@dataclass(frozen=True)
class Layout:
    """What each result of a page is made of, worked out once for all of its shape.

    Parameters
    ----------
    elements
        Place of each element's value and its text around the value: without one, before it, behind it.  They are in key
        order; places behind the row's columns are those of the modalities, the address and the availability.
    columns
        Columns of the row that are attributes.
    frames
        Place of NumberOfFrames, -1 without it: a single frame is not mentioned.
    """

    elements: tuple[tuple[int, str, str, str], ...]
    columns: int
    frames: int


def layout_of(returned: Iterable[str]) -> Layout:
    """Work out the elements of each result from the attributes that are returned."""
    keywords = list(returned)
    extra = ["ModalitiesInStudy"] if "StudyInstanceUID" in keywords else [""]
    named = [*keywords, *extra, "RetrieveURL", "InstanceAvailability"]
    elements = sorted((*_key_and_vr(keyword), place) for place, keyword in enumerate(named) if keyword)
    frames = keywords.index("NumberOfFrames") if "NumberOfFrames" in keywords else -1
    return Layout(tuple(_frame(*found) for found in elements), len(keywords), frames)


def _frame(key: str, vr: str, place: int) -> tuple[int, str, str, str]:
    """Write what stands around a value; a person name has its components in an object (PS3.18 section F.2.2)."""
    begin = f'"{key}":{{"vr":"{vr}"'
    opened, closed = (',"Value":[{"Alphabetic":', "}]}") if vr == "PN" else (',"Value":[', "]}")
    return place, begin + "}", begin + opened, closed


def line_of(row: sa.Row[Any], level: Level, layout: Layout, base_url: str) -> str:
    """Write one result as the text of a DICOM JSON data set.

    Text, not objects: a page of a hundred results has two thousand elements, and building them only to write them out
    took longer than finding the rows.
    """
    address = f"{base_url}/studies/{row.scope_study_uid}"
    if level is not Level.STUDY:
        address += f"/series/{row.scope_series_uid}"
    if level is Level.INSTANCE:
        address += f"/instances/{row.scope_instance_uid}"
    values = [*row[: layout.columns], row.scope_modalities, address, "ONLINE"]
    left_out = layout.frames if layout.frames >= 0 and values[layout.frames] == 1 else -1
    parts = []
    for place, empty, opened, closed in layout.elements:
        value = values[place]
        if place == left_out:
            continue
        if value is None or value == "":
            parts.append(empty)
        elif place == layout.columns:
            names = ",".join(quoted(name) for name in value.split(SEGMENT_SEPARATOR) if name)
            parts.append(f"{opened}{names}{closed}")
        else:
            parts.append(f"{opened}{quoted(value) if type(value) is str else value}{closed}")
    return "{" + ",".join(parts) + "}"


def lines_with_blobs(
    connection: sa.Connection, rows: list[sa.Row[Any]], lines: list[str], level: Level, query: Query
) -> list[str]:
    """Add attributes that are no columns from the stored metadata: of the instance, or of the first one of a
    series or imaging study.
    """
    documents: list[JsonDataset] = [json.loads(line) for line in lines]
    wanted = {tag_key(keyword) for keyword in query.include}
    if level is Level.STUDY:
        _add_to_studies(connection, rows, documents, wanted)
    else:
        _add_to_series(connection, rows, documents, level, wanted, everything=query.include_all)
    return [json.dumps(document, separators=(",", ":"), ensure_ascii=False) for document in documents]


def _add_to_series(
    connection: sa.Connection,
    rows: list[sa.Row[Any]],
    documents: list[JsonDataset],
    level: Level,
    wanted: set[str],
    *,
    everything: bool,
) -> None:
    stored: dict[int, dict[str, JsonDataset]] = {}
    for row, document in zip(rows, documents, strict=True):
        if row.scope_series_id not in stored:
            lines = _store.load_metadata_lines(connection, row.scope_series_uid)
            entries = (json.loads(line) for line in lines)
            stored = {row.scope_series_id: {entry["uid"]: entry["metadata"] for entry in entries}}
        instances = stored[row.scope_series_id]
        uid = row.scope_instance_uid if level is Level.INSTANCE else next(iter(instances), "")
        for key, value in instances.get(uid, {}).items():
            if (everything and level is Level.INSTANCE) or key in wanted:
                document.setdefault(key, value)


def _add_to_studies(
    connection: sa.Connection, rows: list[sa.Row[Any]], documents: list[JsonDataset], wanted: set[str]
) -> None:
    table = _store.series.c
    for row, document in zip(rows, documents, strict=True):
        if wanted <= document.keys():
            continue
        query = (
            sa.select(table.series_uid)
            .where(table.imaging_study_uid == row.scope_study_uid)
            .order_by(table.id)
            .limit(1)
        )
        first = connection.execute(query).scalar()
        line = next(_store.load_metadata_lines(connection, first), None) if first else None
        for key, value in json.loads(line)["metadata"].items() if line else ():
            if key in wanted:
                document.setdefault(key, value)

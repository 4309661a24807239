"""Answers of WADO-RS made from archived objects (PS3.18 section 10.4), as pieces to stream."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian

from racoon.node.archive.model import InstanceRow, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.standards.dicom.pixels import decode_colour_frame, decode_frame, frame_count
from racoon.standards.dicomweb import dicom_json, media
from racoon.standards.dicomweb.multipart import Part
from racoon.standards.dicomweb.query import BadQuery

CHUNK_BYTES = 1 << 18

_NATIVE = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
)


class NoSuchFrame(SeriesNotFound):
    """The object has no frame of this number."""

    code = "archive.no_such_frame"


def stream_object(archive: Archive, row: InstanceRow) -> Iterator[bytes]:
    """Yield a file in pieces."""
    with archive.open_object(row) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def object_content(archive: Archive, row: InstanceRow, transfer_syntax: str) -> tuple[Iterator[bytes], str]:
    """Return an object's file in a transfer syntax, and that syntax.

    Parameters
    ----------
    transfer_syntax
        ``*`` or empty: as stored.  Else the stored one, or explicit VR little endian.

    Raises
    ------
    NotAcceptable
        If the object is not given in this syntax.
    """
    if transfer_syntax in ("", "*", row.transfer_syntax_uid):
        return stream_object(archive, row), row.transfer_syntax_uid
    if transfer_syntax != ExplicitVRLittleEndian:
        raise media.NotAcceptable("Objects are given as stored, or in explicit VR little endian.")
    return iter([uncompressed(archive.read_object(row))]), transfer_syntax


def uncompressed(data: bytes) -> bytes:
    """Rewrite a file in explicit VR little endian."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    if "PixelData" in dataset:
        count = frame_count(dataset)
        is_colour = int(dataset.get("SamplesPerPixel", 1)) == 3
        if is_colour:
            pixels = b"".join(decode_colour_frame(dataset, index).tobytes() for index in range(count))
            dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        elif int(dataset.BitsAllocated) == 1:
            pixels = dataset.PixelData
        else:
            pixels = b"".join(decode_frame(dataset, index).tobytes() for index in range(count))
        dataset.PixelData = pixels + b"\x00" * (len(pixels) % 2)
        dataset["PixelData"].VR = "OW" if int(dataset.BitsAllocated) > 8 else "OB"
        dataset["PixelData"].is_undefined_length = False
    buffer = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def frame_numbers(text: str) -> list[int]:
    """Read a list of frames as a path names them.

    Raises
    ------
    BadQuery
        If it is none.
    """
    pieces = text.split(",")
    if not all(piece.isascii() and piece.isdigit() and len(piece) < 9 for piece in pieces):
        raise BadQuery("Frames are whole numbers from 1, separated by commas.")
    return [int(piece) for piece in pieces]


def frame_parts(data: bytes, numbers: Sequence[int], ranges: Sequence[media.MediaRange]) -> list[Part]:
    """Return frames as parts: as stored when the client takes that, else uncompressed.

    Parameters
    ----------
    data
        The file.
    numbers
        Frame numbers from 1.
    ranges
        What the client accepts.

    Raises
    ------
    NoSuchFrame
        If a number is beyond the object's frames.
    """
    dataset = pydicom.dcmread(io.BytesIO(data))
    if "PixelData" not in dataset and "FloatPixelData" not in dataset:
        raise NoSuchFrame("The object has no frames.")
    if min(numbers) < 1 or max(numbers) > frame_count(dataset):
        raise NoSuchFrame("The object has no frame of this number.")
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    stored_type = media.FRAME_MEDIA_TYPES.get(syntax, media.OCTET_STREAM)
    if syntax not in _NATIVE and _takes_stored(ranges, stored_type, syntax):
        return [
            Part(
                f"{stored_type}; transfer-syntax={syntax}",
                [get_frame(dataset.PixelData, number - 1, number_of_frames=frame_count(dataset))],
            )
            for number in numbers
        ]
    if ranges and not any(found.accepts(media.OCTET_STREAM) for found in ranges):
        raise media.NotAcceptable("Frames are given as stored or as application/octet-stream.")
    content_type = f"{media.OCTET_STREAM}; transfer-syntax={ExplicitVRLittleEndian}"
    return [Part(content_type, [_frame_bytes(dataset, number - 1)]) for number in numbers]


def _takes_stored(ranges: Sequence[media.MediaRange], stored_type: str, syntax: str) -> bool:
    for found in ranges:
        if found.transfer_syntax in ("*", syntax) and (
            found.accepts(stored_type) or found.accepts(media.OCTET_STREAM)
        ):
            return True
        if found.media_type == stored_type and found.transfer_syntax in ("", syntax):
            return True
    return False


def _frame_bytes(dataset: Dataset, index: int) -> bytes:
    if int(dataset.get("SamplesPerPixel", 1)) == 3:
        return decode_colour_frame(dataset, index).tobytes()
    frame = decode_frame(dataset, index)
    return frame.tobytes()


def metadata_of(archive: Archive, rows: Sequence[InstanceRow], base_url: str) -> Iterator[bytes]:
    """Yield a JSON array of the metadata of some instances, series by series."""
    yield b"["
    separator = b""
    position = 0
    while position < len(rows):
        series_uid = rows[position].series_uid
        group = []
        while position < len(rows) and rows[position].series_uid == series_uid:
            group.append(rows[position])
            position += 1
        stored = {uid: (document, is_whole) for uid, document, is_whole in archive.metadata(series_uid)}
        for row in group:
            document, is_whole = stored[row.sop_instance_uid]
            if not is_whole:
                header = pydicom.dcmread(io.BytesIO(archive.read_object(row)), stop_before_pixels=True)
                document = dicom_json.to_json(header)
            yield separator + json.dumps(_addressed(document, row, base_url), separators=(",", ":")).encode()
            separator = b","
    yield b"]"


def _addressed(document: dicom_json.JsonDataset, row: InstanceRow, base_url: str) -> dicom_json.JsonDataset:
    """Give bulk data absolute addresses and say where the pixels are."""
    address = instance_url(base_url, row)
    result = {}
    for key, element in document.items():
        if "BulkDataURI" in element:
            element = element | {"BulkDataURI": f"{address}/bulkdata/{key}"}  # noqa: PLW2901
        result[key] = element
    if row.rows:
        result["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{address}/bulkdata/7FE00010"}
    result[dicom_json.tag_key("AvailableTransferSyntaxUID")] = {
        "vr": "UI",
        "Value": [row.transfer_syntax_uid],
    }
    return result


def instance_url(base_url: str, row: InstanceRow) -> str:
    """Address of an instance below the DICOMweb root."""
    return (
        f"{base_url}/studies/{row.imaging_study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}"
    )

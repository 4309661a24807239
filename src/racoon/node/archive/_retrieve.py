"""Answers of WADO-RS made from archived objects (PS3.18 section 10.4), as pieces to stream."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence

import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless

from racoon.node.archive.model import InstanceRow, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.platform.http.direct import Piece
from racoon.standards.dicom.pixels import decode_frame, frame_count
from racoon.standards.dicom.transcoding import (
    NOT_COMPRESSED,
    can_encode_htj2k,
    encode_htj2k,
    frame_bytes,
    in_htj2k,
    uncompressed,
)
from racoon.standards.dicomweb import dicom_json, media, multipart
from racoon.standards.dicomweb.multipart import Part
from racoon.standards.dicomweb.query import BadQuery

CHUNK_BYTES = 1 << 20

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


def stored_parts(archive: Archive, rows: Sequence[InstanceRow], boundary: str) -> Iterator[Piece]:
    """Yield a multipart body of whole objects as they are stored: heads as bytes, objects as open files."""
    line_end = b""
    for row in rows:
        kind = f"{media.DICOM}; transfer-syntax={row.transfer_syntax_uid}"
        yield line_end + multipart.head(kind, {}, boundary)
        yield archive.open_object(row)
        line_end = b"\r\n"
    yield line_end + multipart.end(boundary)


def object_content(archive: Archive, row: InstanceRow, transfer_syntax: str) -> tuple[Iterator[bytes], str]:
    """Return an object's file in a transfer syntax, and that syntax.

    Parameters
    ----------
    transfer_syntax
        ``*`` or empty: as stored.  Else the stored one, explicit VR little endian, or lossless HTJ2K.

    Raises
    ------
    NotAcceptable
        If the object is not given in this syntax.
    """
    if transfer_syntax in ("", "*", row.transfer_syntax_uid):
        return stream_object(archive, row), row.transfer_syntax_uid
    if not can_give(row, transfer_syntax):
        raise media.NotAcceptable(
            "Objects are given as stored, in explicit VR little endian (1.2.840.10008.1.2.1), or images without "
            "colour in lossless HTJ2K (1.2.840.10008.1.2.4.201)."
        )
    dataset = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
    if transfer_syntax == HTJ2KLossless:
        return iter([in_htj2k(dataset)]), transfer_syntax
    return iter([uncompressed(dataset)]), transfer_syntax


def can_give(row: InstanceRow, transfer_syntax: str) -> bool:
    """Tell by the index alone whether an object may be given in a transfer syntax."""
    if transfer_syntax in ("", "*", row.transfer_syntax_uid, ExplicitVRLittleEndian):
        return True
    return transfer_syntax == HTJ2KLossless and bool(row.rows) and row.sop_class_uid not in NOT_COMPRESSED


def bulk_value(dataset: Dataset, path: str) -> bytes:
    """Return a binary value by its way through the sequences: ``tag`` or ``tag/item/tag``, items from 1.

    Raises
    ------
    SeriesNotFound
        If there is none.
    """
    pieces = path.split("/")
    for tag, number in zip(pieces[:-1:2], pieces[1::2], strict=True):
        items = dataset[int(tag, 16)].value if int(tag, 16) in dataset else ()
        if not isinstance(items, Sequence) or isinstance(items, str | bytes) or int(number) > len(items):
            raise SeriesNotFound("The object has no binary value of this name.")
        dataset = items[int(number) - 1]
    tag = pieces[-1]
    value = dataset[int(tag, 16)].value if int(tag, 16) in dataset else None
    if not isinstance(value, bytes):
        raise SeriesNotFound("The object has no binary value of this name.")
    return value


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
    if _takes_htj2k(ranges) and can_encode_htj2k(dataset):
        kind = f"{media.FRAME_MEDIA_TYPES[HTJ2KLossless]}; transfer-syntax={HTJ2KLossless}"
        return [Part(kind, [encode_htj2k(decode_frame(dataset, number - 1))]) for number in numbers]
    if ranges and (
        not any(found.accepts(media.OCTET_STREAM) for found in ranges) or not _takes_native(ranges)
    ):
        raise media.NotAcceptable(
            "Frames are given as stored, uncompressed as application/octet-stream, or without colour as image/jphc."
        )
    content_type = f"{media.OCTET_STREAM}; transfer-syntax={ExplicitVRLittleEndian}"
    # The first frame is decoded now, so that a refusal can still be said; the others when they are sent.
    first = frame_bytes(dataset, numbers[0] - 1)
    rest = [Part(content_type, _later(dataset, number - 1)) for number in numbers[1:]]
    return [Part(content_type, [first]), *rest]


def _later(dataset: Dataset, index: int) -> Iterator[bytes]:
    yield frame_bytes(dataset, index)


def _takes_htj2k(ranges: Sequence[media.MediaRange]) -> bool:
    """A client asks for HTJ2K by its media type, or by its transfer syntax; else it gets what is stored."""
    return bool(ranges) and (
        ranges[0].media_type == media.FRAME_MEDIA_TYPES[HTJ2KLossless]
        or ranges[0].transfer_syntax == HTJ2KLossless
    )


def _takes_stored(ranges: Sequence[media.MediaRange], stored_type: str, syntax: str) -> bool:
    for found in ranges:
        if found.transfer_syntax in ("*", syntax) and (
            found.accepts(stored_type) or found.accepts(media.OCTET_STREAM)
        ):
            return True
        if found.media_type == stored_type and found.transfer_syntax in ("", syntax):
            return True
    return False


def _takes_native(ranges: Sequence[media.MediaRange]) -> bool:
    return any(
        found.accepts(media.OCTET_STREAM) and found.transfer_syntax in ("", "*", ExplicitVRLittleEndian)
        for found in ranges
    )


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
    result = _with_addresses(document, f"{address}/bulkdata")
    if row.rows:
        result["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{address}/bulkdata/7FE00010"}
    result[dicom_json.tag_key("AvailableTransferSyntaxUID")] = {
        "vr": "UI",
        "Value": [row.transfer_syntax_uid],
    }
    return result


def _with_addresses(document: dicom_json.JsonDataset, address: str) -> dicom_json.JsonDataset:
    result = {}
    for key, element in document.items():
        if "BulkDataURI" in element:
            result[key] = element | {"BulkDataURI": f"{address}/{key}"}
        elif element["vr"] == "SQ" and "Value" in element:
            items = [
                _with_addresses(item, f"{address}/{key}/{number}")
                for number, item in enumerate(element["Value"], start=1)
            ]
            result[key] = element | {"Value": items}
        else:
            result[key] = element
    return result


def instance_url(base_url: str, row: InstanceRow) -> str:
    """Address of an instance below the DICOMweb root."""
    return (
        f"{base_url}/studies/{row.imaging_study_uid}/series/{row.series_uid}/instances/{row.sop_instance_uid}"
    )

"""One object, one binary value, one frame: whole or in parts."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture
from starlette.testclient import TestClient

from racoon.node.archive._ranges import RangeNotSatisfiable, parse_range
from racoon.node.archive.service import Archive
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.archive.test_http import VOXELS, signed_in
from tests.unit.node.archive.test_http import client as client  # noqa: PLC0414 - the archive of the other tests
from tests.unit.node.archive.test_http import own_app as own_app  # noqa: PLC0414 -- a fixture

INSTANCE = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(1, 1, 1)}"
WHOLE = {"accept": "application/dicom; transfer-syntax=*"}


def get(client: TestClient, path: str = "", **headers: str) -> Any:
    return client.get(INSTANCE + path, headers={**WHOLE, **headers})


def test_object_goes_on_where_a_download_broke(client: TestClient) -> None:
    whole = get(client)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    assert whole.content[128:132] == b"DICM"
    size = len(whole.content)
    assert int(whole.headers["content-length"]) == size
    rest = get(client, range="bytes=100-", **{"if-range": whole.headers["etag"]})
    assert (rest.status_code, rest.headers["content-range"]) == (206, f"bytes 100-{size - 1}/{size}")
    assert whole.content[:100] + rest.content == whole.content
    assert get(client, range="bytes=-4").content == whole.content[-4:]
    other = get(client, range="bytes=100-", **{"if-range": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)
    assert get(client, range=f"bytes={size}-").status_code == 416
    assert get(client, range="bytes=0-1,4-5").content == whole.content, "several ranges: the whole is allowed"


@given(first=st.integers(0, 40), last=st.integers(0, 40), size=st.integers(1, 30))
def test_range_is_what_slicing_gives(first: int, last: int, size: int) -> None:
    body = bytes(range(size))
    try:
        part = parse_range(f"bytes={first}-{last}", size)
    except RangeNotSatisfiable:
        assert first >= size
        return
    if part is None:
        assert first > last
        return
    assert body[part[0] : part[1] + 1] == body[first : last + 1]


@pytest.mark.parametrize("header", ["", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=5-1", "bytes=1-2,3-4"])
def test_other_ranges_are_ignored(header: str) -> None:
    assert parse_range(header, 100) is None


def test_binary_value_whole_and_in_parts(own_app: FastAPI, archive: Archive) -> None:
    (item,) = ct_series(VOXELS[:1], study=7, series=1)
    profile = bytes(range(256)) * 8
    item.ICCProfile = profile
    archive.store([deidentified(item)])
    address = (
        f"/dicom-web/studies/{uid(7)}/series/{uid(7, 1)}/instances/{item.SOPInstanceUID}/bulkdata/00282000"
    )
    with signed_in(own_app, "reader") as client:
        whole = client.get(address, headers={"accept": "application/octet-stream"})
        assert (whole.status_code, whole.content) == (200, profile)
        part = client.get(address, headers={"accept": "application/octet-stream", "range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, profile[10:20])
        assert client.get(address).headers["content-type"].startswith("multipart/related")


def test_thumbnail_of_a_frame(client: TestClient) -> None:
    answer = client.get(f"{INSTANCE}/frames/1/thumbnail", headers={"accept": "image/png"})
    assert answer.status_code == 200
    assert Picture.open(io.BytesIO(answer.content)).format == "PNG"
    assert client.get(f"{INSTANCE}/frames/2/thumbnail", headers={"accept": "image/png"}).status_code == 404

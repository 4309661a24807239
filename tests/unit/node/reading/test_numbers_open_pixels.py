"""A crawl over pages of reading: each measured number leads to the slice, and to the mark or mask, it is from."""

from __future__ import annotations

import json
import re
import uuid
from html import unescape
from typing import Any

import numpy as np
import pytest
from highdicom import sr
from highdicom.sr.coding import CodedConcept

from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_drawings import OBLIQUE, Node, address, draw, running, voxels
from tests.unit.node.reading.test_foreign_reports import LENGTH, group, number
from tests.unit.node.reading.test_mask_volumes import CARDIO, REPORT, SERIES, ask_for_volume, block, taken

__all__ = ["running"]


@pytest.fixture(scope="module")
def read(running: Node) -> Node:
    """An examination with every kind of mark, a foreign report and a signed report of its own."""
    node = running
    node.as_("ada")
    slices = ct_series(
        voxels(), series=SERIES, orientation=OBLIQUE, spacing_mm=(5.3, 4.45), slice_spacing_mm=7.7
    )
    second = slices[1]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=CodedConcept("121007", "DCM", "Device"),
                observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                    uid=uid(1, 80), name="9"
                ),
            )
        ),
        procedure_reported=CodedConcept("363679005", "SCT", "Imaging procedure"),
        imaging_measurements=[
            group("line", [number(LENGTH, 5.6, "mm", [[1.5, 2.5], [9.5, 2.5]], "POLYLINE", second)])
        ],
    )
    foreign = sr.ComprehensiveSR(
        evidence=slices,
        content=content[0],
        series_instance_uid=uid(1, 70),
        series_number=70,
        sop_instance_uid=uid(1, 70, 1),
        instance_number=1,
        manufacturer="Elsewhere Works",
        is_complete=True,
    )
    node.archive.store([deidentified(item) for item in [*slices, foreign]])
    along, down = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    up = np.cross(along, down)
    frames = node.archive.arrange(uid(1, SERIES)).frames

    def at(index: int, row: float, column: float) -> Any:
        return np.array(frames[index].position_mm) + row * 5.3 * down + column * 4.45 * along

    middle = at(3, 8, 8)
    shapes = {
        "length": [at(3, 2, 2), at(3, 9, 9)],
        "bidirectional": [at(3, 2, 2), at(3, 9, 9), at(3, 2, 9), at(3, 6, 4)],
        "angle": [at(3, 2, 2), at(3, 9, 9), at(3, 2, 9)],
        "ellipse": [at(3, 8, 4), at(3, 8, 10), at(3, 5, 7), at(3, 11, 7)],
        "rectangle": [at(3, 4, 4), at(3, 4, 9), at(3, 9, 9), at(3, 9, 4)],
        "freehand": [at(3, 4, 4), at(3, 4, 9), at(3, 9, 9)],
        "sphere": [at(3, 8, 8), at(3, 8, 10)],
        "probe": [middle],
        "section": [middle, middle + along, *(middle + side * step for step in (8 * up, 9 * down) for side in (-1, 1))],
    }  # fmt: skip
    for kind, points in shapes.items():
        body = {
            "kind": kind,
            "meaning": "SCT:27925004",
            "note": "",
            "imaging_study": uid(1),
            "series": uid(1, SERIES),
            "instance": frames[3].sop_instance_uid,
            "frame": 1,
            "frame_of_reference": uid(1, 9999),
            "points_mm": [[float(value) for value in point] for point in points],
        }
        answer = node.client.put(f"/api/reading/findings/{uuid.uuid4()}?based_on=0", json=body)
        assert answer.status_code == 200, (kind, answer.text)
    revision = draw(node, block(slice(5, 12)), series=SERIES)
    volume = taken(node)
    draft = ask_for_volume(node, volume["id"], 0).json()
    node.client.post(f"{address(SERIES)}/finish", params={"based_on": revision})
    filled = node.client.post(f"{REPORT}/normal?template={CARDIO}&based_on={draft['revision']}").json()
    signed = node.client.post(f"{REPORT}/sign?template={CARDIO}&based_on={filled['revision']}")
    assert signed.status_code == 200, signed.text
    return node


def opened(node: Node, link: str) -> dict[str, Any]:
    """Follow a link to the room, and return what its page shows first."""
    answer = node.client.get(link, headers={"accept": "text/html"})
    assert answer.status_code == 200, link
    (text,) = re.findall(r'id="series-data">(.*?)</script>', answer.text, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


def test_every_number_of_a_mark_opens_its_slice(read: Node) -> None:
    answer = read.client.get(f"/api/reading/imaging-studies/{uid(1)}/findings").json()
    kinds = {item["kind"] for item in answer["findings"]}
    assert kinds == {
        "length", "bidirectional", "angle", "ellipse", "rectangle", "freehand", "sphere", "probe", "section",
        "segment",
    }  # fmt: skip
    assert {item["author"] for item in answer["findings"]} == {"ada", "DICOM SR"}
    for item in answer["findings"]:
        assert item["numbers"], item["kind"]
        page = opened(read, item["link"])
        assert page["series"] == item["series"]
        assert page["planes"][page["start"]][:2] == [item["instance"], item["frame"]], item["kind"]
        if item["kind"] == "segment":
            overlays = read.client.get(f"/reading/series/{page['series']}/overlays/{page['start']}").json()
            assert page["segment"] in overlays  # the mask has pixels on that slice
        else:
            assert page["finding"] == item["id"]


def test_numbers_of_a_signed_report_from_the_image_open_their_pixels(read: Node) -> None:
    page = read.client.get(f"{REPORT}/document?template={CARDIO}", headers={"accept": "text/html"}).text
    lines = re.findall(r'<p class="answer">(.*?)</p>', page, re.DOTALL)
    bound = [line for line in lines if "/reading/findings/" in line]
    assert len(bound) == 1
    assert re.search(r"<strong>[0-9.]+ ", bound[0])
    (link,) = [unescape(found) for found in re.findall(r'href="(/reading/findings/[^"]+)"', bound[0])]
    room = opened(read, link)
    overlays = read.client.get(f"/reading/series/{room['series']}/overlays/{room['start']}").json()
    assert room["segment"] in overlays
    # Answers as data name the same finding.
    response = read.client.get(f"{REPORT}/questionnaire-response?template={CARDIO}").text
    assert link.rpartition("/")[2] in response

"""The volume of a reader's own mask in a report: live, with its provenance, equal to the command line's."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from racoon.cli.app import main
from racoon.domain.finding import NAMES
from racoon.node.reading.findings.service import forget_subject
from racoon.node.reading.model import runs_of
from racoon.platform.audit import AuditLog
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_drawings import (
    LUNG,
    OBLIQUE,
    SHAPE,
    Node,
    address,
    draw,
    node,
    running,
    voxels,
)

__all__ = ["node", "running"]

CARDIO = "urn:racoon:questionnaire:cardio"
REPORT = f"/api/reading/imaging-studies/{uid(1)}/report"
VOXEL_ML = 7.7 * 5.3 * 4.45 / 1000
SERIES = 4
"""Oblique, with voxels so large that a small mask is as large as a heart's chamber."""


@pytest.fixture(scope="module", autouse=True)
def coarse(running: Node) -> None:
    slices = ct_series(
        voxels(), series=SERIES, orientation=OBLIQUE, spacing_mm=(5.3, 4.45), slice_spacing_mm=7.7
    )
    running.archive.store([deidentified(item) for item in slices])


@pytest.fixture(autouse=True)
def fresh(node: Node) -> None:
    with node.database.begin() as connection:
        forget_subject(connection, node.archive.instances(uid(1, SERIES))[0].pseudonym)


def block(rows: slice) -> np.ndarray:
    mask = np.zeros(SHAPE, np.bool_)
    mask[1:4, rows, 4:9] = True
    mask[2, rows, 4:12] = True
    return mask


def taken(node: Node, number: int = 1) -> dict[str, Any]:
    revision = node.client.get(address(SERIES)).json()["revision"]
    answer = node.client.post(f"{address(SERIES)}/segments/{number}/finding?based_on={revision}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def stroke(node: Node, mask: np.ndarray, number: int = 1) -> dict[str, Any]:
    revision = node.client.get(address(SERIES)).json()["revision"]
    changes = [{"segment": number, "slice": at, "runs": runs_of(mask[at])} for at in range(len(mask))]
    answer = node.client.patch(address(SERIES), params={"based_on": revision}, json=changes)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def answered(state: dict[str, Any]) -> dict[str, Any]:
    (chambers,) = [item for item in state["items"] if item["linkId"] == "chambers"]
    (volume,) = [item for item in chambers["item"] if item["linkId"] == "edv"]
    (answer,) = volume["answer"]
    found: dict[str, Any] = answer
    return found


def ask_for_volume(node: Node, finding: str, based_on: int) -> Any:
    """Save a report whose volume comes from a finding; the number beside its name is never believed."""
    extension = [{"url": "urn:racoon:fhir:answer-from-finding", "valueString": finding}]
    volume = {"linkId": "edv", "answer": [{"valueDecimal": 1.0, "extension": extension}]}
    return node.client.put(
        f"{REPORT}?template={CARDIO}&based_on={based_on}",
        json=[{"linkId": "chambers", "item": [volume]}],
    )


def test_the_volume_follows_every_stroke_into_the_report_and_equals_the_command_line(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = block(slice(5, 12))
    draw(node, mask, series=SERIES)
    finding = taken(node)
    assert (finding["kind"], finding["author"], finding["series"]) == ("segment", "ada", uid(1, SERIES))
    (number,) = finding["numbers"]
    assert (number["name"], number["unit"]) == ("volume", "mL")
    assert number["value"] == pytest.approx(mask.sum() * VOXEL_ML, abs=1e-9)
    # It leads to the slice on which the segment is largest.
    middle = node.archive.arrange(uid(1, SERIES)).frames[2].sop_instance_uid
    assert finding["instance"] == middle
    assert taken(node) == finding  # asked again, nothing changes
    draft = ask_for_volume(node, finding["id"], 0).json()
    assert answered(draft)["valueDecimal"] == number["value"]
    # A further stroke: finding and report have the new volume, with the state of the drawing it comes from.
    larger = block(slice(3, 14))
    revision = stroke(node, larger)["revision"]
    followed = node.client.get(f"/api/reading/findings/{finding['id']}").json()
    assert followed["revision"] == finding["revision"] + 1
    assert followed["numbers"][0]["value"] == pytest.approx(larger.sum() * VOXEL_ML, abs=1e-9)
    assert (followed["origin"]["drawing_revision"], followed["origin"]["segment"]) == (revision, "")
    again = ask_for_volume(node, finding["id"], draft["revision"]).json()
    assert answered(again)["valueDecimal"] == followed["numbers"][0]["value"]
    # Nothing is signed on a mask that the archive does not have.
    filled = node.client.post(f"{REPORT}/normal?template={CARDIO}&based_on={again['revision']}").json()
    sign = f"{REPORT}/sign?template={CARDIO}&based_on={filled['revision']}"
    assert node.client.post(sign).json()["code"] == "reading.mask_not_stored"
    done = node.client.post(f"{address(SERIES)}/finish", params={"based_on": revision}).json()
    stored = node.client.get(f"/api/reading/findings/{finding['id']}").json()
    assert stored["origin"]["segment"] == f"{done['instance']}:1"
    leads = node.client.get(stored["link"], follow_redirects=False).headers["location"]
    assert leads.endswith(f"&segment={done['instance']}:1")
    assert filled["problems"] == []
    signed = node.client.post(sign)
    assert signed.status_code == 200, signed.text
    # The command line measures the stored mask.
    (tmp_path / "images").mkdir()
    for row in node.archive.instances(uid(1, SERIES)):
        (tmp_path / "images" / f"{row.instance_number}.dcm").write_bytes(node.archive.read_object(row))
    (tmp_path / "seg.dcm").write_bytes(node.archive.read_object(node.archive.instance(done["instance"])))
    words = [
        "measure",
        str(tmp_path / "images"),
        str(tmp_path / "seg.dcm"),
        "--biomarkers",
        "volume",
        "--json",
    ]
    assert main(words) == 0
    (measured,) = json.loads(capsys.readouterr().out)
    assert answered(signed.json())["valueDecimal"] == pytest.approx(measured["value"], abs=1e-6)
    # The structured report points at the segment.
    (version,) = node.client.get(f"{REPORT}/versions?template={CARDIO}").json()["versions"]
    uid_of_report = next(value for name, value in version.items() if "instance" in name)
    report = pydicom.dcmread(io.BytesIO(node.archive.read_object(node.archive.instance(uid_of_report))))
    referred = [
        (reference.ReferencedSOPInstanceUID, reference.ReferencedSegmentNumber)
        for item in walk(report)
        for reference in item.get("ReferencedSOPSequence") or ()
        if "ReferencedSegmentNumber" in reference
    ]
    assert (done["instance"], 1) in referred
    volumes = [
        float(item.MeasuredValueSequence[0].NumericValue)
        for item in walk(report)
        if item.get("ValueType") == "NUM"
        and item.ConceptNameCodeSequence[0].CodeValue == NAMES["volume"].value
    ]
    assert volumes[0] == pytest.approx(measured["value"], abs=1e-6)
    # What is drawn after the signature is another state; what was signed stays.
    stroke(node, block(slice(5, 7)))
    kept = node.client.get(f"{REPORT}/questionnaire-response?template={CARDIO}").json()
    assert answered({"items": kept["item"]})["valueDecimal"] == pytest.approx(measured["value"], abs=1e-6)


def walk(item: pydicom.Dataset) -> list[pydicom.Dataset]:
    return [item, *(found for child in item.get("ContentSequence") or () for found in walk(child))]


def test_other_segments_and_other_people_leave_a_volume_alone(node: Node) -> None:
    draw(node, block(slice(5, 12)), series=SERIES)
    finding = taken(node)
    draw(node, block(slice(2, 20)), LUNG, series=SERIES)
    assert node.client.get(f"/api/reading/findings/{finding['id']}").json() == finding
    ben = node.as_("ben")
    revision = ben.get(address(SERIES)).json()["revision"]
    assert (
        ben.post(f"{address(SERIES)}/segments/1/finding?based_on={revision}").json()["code"]
        == "reading.bad_drawing"
    )
    draw(node, block(slice(1, 3)), series=SERIES)
    assert taken(node)["id"] != finding["id"]
    ada = node.as_("ada")
    assert ada.get(f"/api/reading/findings/{finding['id']}").json() == finding
    with node.database.connect() as connection:
        entries = AuditLog("node").entries(connection, action="finding.save")
    assert any(entry.target == f"finding/{finding['id']}" and entry.actor == "ada" for entry in entries)


def test_an_emptied_segment_has_no_volume_and_a_removed_one_no_finding(node: Node) -> None:
    revision = draw(node, block(slice(5, 12)), series=SERIES)
    old = node.client.post(f"{address(SERIES)}/segments/1/finding?based_on={revision - 1}")
    assert (old.status_code, old.json()["code"]) == (409, "reading.drawing_changed")
    finding = taken(node)
    stroke(node, np.zeros(SHAPE, np.bool_))
    assert node.client.get(f"/api/reading/findings/{finding['id']}").json()["numbers"][0]["value"] == 0
    revision = stroke(node, block(slice(5, 12)))["revision"]
    again = node.client.get(f"/api/reading/findings/{finding['id']}").json()
    assert again["numbers"] == finding["numbers"]
    # What its reader removed stays away until it is asked for again.
    removed = node.client.delete(f"/api/reading/findings/{finding['id']}?based_on={again['revision']}")
    assert removed.status_code == 200, removed.text
    stroke(node, block(slice(5, 13)))
    assert node.client.get(f"/api/reading/findings/{finding['id']}").json()["removed"]
    back = taken(node)
    assert (back["id"], back["removed"]) == (finding["id"], False)
    revision = node.client.get(address(SERIES)).json()["revision"]
    node.client.delete(f"{address(SERIES)}/segments/1?based_on={revision}")
    assert node.client.get(f"/api/reading/findings/{finding['id']}").json()["removed"]
    assert ask_for_volume(node, finding["id"], 0).status_code in (409, 422)

"""Blinding at the archive: what another reader stored is given to a blinded reader by no route, until both are done."""

from __future__ import annotations

import numpy as np
from starlette.testclient import TestClient

from racoon.node.archive.model import StudyFilter
from racoon.node.archive.records import StudySelection, iterate_studies
from racoon.node.archive.service import Archive
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, node
from tests.unit.node.reading.test_work import SHAPE, assign, draw, sign

__all__ = ["node"]

STUDY = 41
ROOT = f"/dicom-web/studies/{uid(STUDY)}"


def names(client: TestClient, address: str) -> bool:
    """Tell whether a route answers with anything."""
    return client.get(address, headers={"Accept": "*/*"}).status_code == 200


def seen(client: TestClient, archive: Archive, name: str, series: str, instance: str) -> dict[str, bool]:
    """Tell by which routes an object is found or given."""
    place = f"{ROOT}/series/{series}"
    whole = f"{place}/instances/{instance}"
    found = {
        address: series in client.get(address).text
        for address in (
            "/dicom-web/series?limit=1000",
            f"{ROOT}/series",
            f"/dicom-web/series?SeriesInstanceUID={series}",
        )
    }
    found |= {
        address: instance in client.get(address).text
        for address in (
            "/dicom-web/instances?limit=1000",
            f"/dicom-web/instances?SOPInstanceUID={instance}",
            f"{ROOT}/instances",
            f"{place}/instances",
            f"{ROOT}/metadata",
        )
    }
    found["whole study"] = instance.encode() in client.get(ROOT, headers={"Accept": "*/*"}).content
    found |= {
        address: names(client, address)
        for address in (
            place,
            whole,
            f"{place}/metadata",
            f"{whole}/metadata",
            f"/api/archive/series/{series}/assessment",
        )
    }
    (row,) = [
        item for item in archive.browse(StudyFilter(), seen_by=name) if item.imaging_study_uid == uid(STUDY)
    ]
    found["browser"] = series in [item.facts.series_uid for item in row.series]
    (record,) = iterate_studies(archive, StudySelection((uid(STUDY),), seen_by=name))
    found["FHIR"] = series in [item.series_uid for item in record.series]
    return found


PICTURES = (
    "rendered",
    "frames/1",
    "frames/1/rendered",
    "frames/1/thumbnail",
    "thumbnail",
    "bulkdata/7FE00010",
)


def test_no_route_gives_a_blinded_reader_what_the_other_one_stored(node: Node) -> None:
    archive: Archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    archive.store([deidentified(item) for item in ct_series(np.zeros(SHAPE, np.int16), study=STUDY)])
    assert assign(node, "doors", [STUDY]).json() == {"added": 2}
    ada = node.as_("ada")
    mask = draw(ada, STUDY)
    sign(ada, STUDY)
    report = ada.post(f"/api/reading/imaging-studies/{uid(STUDY)}/report/file").json()["sr_instance"]
    of_series = {key: archive.instance(key).series_uid for key in (mask, report)}
    for reader, is_shown in (("ada", True), ("ben", False), ("eve", True)):
        client = node.as_(reader)
        for instance, series in of_series.items():
            found = seen(client, archive, reader, series, instance)
            assert found == dict.fromkeys(found, is_shown), (reader, instance)
        page = client.get("/archive", headers={"Accept": "text/html"}).text
        assert ('class="series seg"' in page) is is_shown
        # The images themselves stay in sight, and so does what a reader made.
        assert uid(STUDY, 1) in client.get(f"{ROOT}/series").text
        for ending in PICTURES:
            address = f"{ROOT}/series/{of_series[mask]}/instances/{mask}/{ending}"
            assert names(client, address) is is_shown, (reader, ending)
    own = draw(node.as_("ben"), STUDY)
    assert own in node.client.get(f"{ROOT}/instances").text
    # Who has signed stays blind as well: an amendment must not follow the other one.
    assert own not in node.as_("ada").get(f"{ROOT}/instances").text
    ben = node.as_("ben")
    sign(ben, STUDY)
    for instance, series in of_series.items():
        found = seen(ben, archive, "ben", series, instance)
        assert all(found.values()), found


def test_the_archive_itself_reads_what_is_hidden_from_a_person(node: Node) -> None:
    """Measuring, freezing and erasing are not blinded: only what is shown to somebody asks the port."""
    archive: Archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    archive.store([deidentified(item) for item in ct_series(np.zeros(SHAPE, np.int16), study=42)])
    assign(node, "machine", [42])
    mask = draw(node.as_("ada"), 42)
    assert mask in [row.sop_instance_uid for row in archive.instances_of_study(uid(42), seen_by="")]
    assert mask not in [row.sop_instance_uid for row in archive.instances_of_study(uid(42), seen_by="ben")]
    assert mask in [row.sop_instance_uid for row in archive.segmentations(uid(42, 1))]

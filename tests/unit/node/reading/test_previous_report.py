"""The report on the examination before: whoever signed it, unless a case of the person is read blinded."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.testclient import TestClient

from racoon.node.archive.service import Archive
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, node
from tests.unit.node.reading.test_work import SHAPE, assign, sign

__all__ = ["node"]


def store(node: Node, *examinations: tuple[int, str]) -> None:
    archive: Archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    # All of one person whom no other test of this file knows.
    subject = f"SUBJ-{examinations[0][0]}"
    node.readable[subject] = True
    for study, day in examinations:
        images = ct_series(np.zeros(SHAPE, np.int16), study=study, StudyDate=day, PatientID=subject)
        archive.store([deidentified(item) for item in images])


def before(client: TestClient, study: int) -> dict[str, Any] | None:
    found: dict[str, Any] | None = client.get(f"/api/reading/imaging-studies/{uid(study)}/report").json()[
        "before"
    ]
    return found


def test_the_report_before_is_the_latest_one_whoever_signed_it(node: Node) -> None:
    store(node, (301, "20230105"), (302, "20230406"), (303, "20230707"))
    ben = node.as_("ben")
    assert before(ben, 303) is None
    sign(ben, 301)
    ada = node.as_("ada")
    found = before(ada, 303)
    assert found is not None
    assert (found["author"], found["imaging_study"], found["examined_on"]) == ("ben", uid(301), "20230105")
    assert found["answers"]["examination/quality"]
    page = ada.get(found["link"], headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "ben" in page.text
    # The address of a version and of the file keep to the same report.
    (pdf,) = {
        part.split('"')[0]
        for part in page.text.split('href="')
        if "document.pdf" in part and "language=de" in part
    }
    place = found["link"].partition("document?")[0]
    answer = ada.get(place + pdf.replace("&amp;", "&"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    # A later examination comes first; an own report is no different from another's.
    sign(ada, 302)
    later = before(ada, 303)
    assert later is not None
    assert (later["author"], later["imaging_study"]) == ("ada", uid(302))
    assert before(ada, 301) is None
    # Whoever has no right to write reports gets none, and no report answers under another examination.
    elsewhere = found["link"].replace(uid(301), uid(302))
    assert ada.get(elsewhere).status_code == 404
    assert node.as_("eve").get(found["link"]).status_code == 403


def test_a_blinded_reader_sees_the_own_report_before_and_no_other(node: Node) -> None:
    store(node, (311, "20230105"), (312, "20230406"))
    ben = node.as_("ben")
    sign(ben, 311)
    ada = node.as_("ada")
    found = before(ada, 312)
    assert found is not None
    link = found["link"]
    # From here on the later examination is read by both, blinded to each other.
    assert assign(node, "before, blinded", [312]).json() == {"added": 2}
    ada = node.as_("ada")
    assert before(ada, 312) is None
    # An opinion on the same person is not given by its address either.
    for address in (link, link.replace("/document?", "/document.pdf?")):
        assert ada.get(address).status_code == 404
    ben = node.as_("ben")
    own = before(ben, 312)
    assert own is not None
    assert own["author"] == "ben"
    assert ben.get(link).status_code == 200
    sign(ben, 312)
    assert before(node.as_("ada"), 312) is None
    sign(node.client, 312)
    found = before(node.client, 312)
    assert found is not None
    assert found["author"] == "ben"
    assert node.client.get(link).status_code == 200


def test_the_report_before_of_a_withdrawn_person_is_gone(node: Node) -> None:
    store(node, (321, "20230105"), (322, "20230406"))
    sign(node.as_("ben"), 321)
    ada = node.as_("ada")
    found = before(ada, 322)
    assert found is not None
    node.readable["SUBJ-321"] = False
    try:
        assert ada.get(found["link"]).status_code == 404
    finally:
        node.readable["SUBJ-321"] = True

"""The comorbidome at a node: values, ages and diagnoses of its own subjects, in both languages, for those who may."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
import pytest
from starlette.testclient import TestClient

from racoon.domain.clinical_criterion import ICD
from racoon.domain.identity import Role
from racoon.node.app.administration import prepare
from racoon.node.app.rooms import open_archive, open_decisions
from racoon.node.cohorts import service as cohorts
from racoon.node.curation import service as curation
from racoon.node.measuring import _store
from racoon.node.measuring.adding import Mark, PunchRule, _Number, _value, punch_marks
from racoon.node.measuring.comorbidome import condition_name, load_vectors
from racoon.node.portal.comorbidome import router as comorbidome_router
from racoon.node.portal.values import router as values_router
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountStore, install_accounts
from racoon.platform.database import Database
from racoon.platform.http import create_app
from racoon.web.pages import Site, install_pages
from tests.unit.node.compute.test_segmenting import node_with

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}
GROUP = 24
SNOMED = "http://snomed.info/sct"
AGES = {number: 38 + 2 * number for number in range(1, GROUP + 1)}


def facts_of(number: int) -> dict[str, str]:
    return {"PatientAge": f"{AGES[number]:03d}Y", "PatientSex": "FM"[number % 2]}


def store_values(database: Database, manifest, *, missing: int) -> None:
    """Lungs that grow emptier and livers fatter with age; one subject has no liver."""
    draw = np.random.default_rng(5)
    found = []
    for entry in manifest.series:
        number = int(entry.pseudonym.rpartition("-")[2])
        age = AGES[number]
        numbers = [_Number("laa_950", 0.1 * age + draw.normal(0, 0.6), "%")]
        if number != missing:
            numbers.append(_Number("liver_attenuation", 70 - 0.4 * age + draw.normal(0, 3), "[hnsf'U]"))
        found += [_value(manifest, entry, item, {"threshold_hu": -950}, "") for item in numbers]
    with database.begin() as connection:
        _store.add_values(connection, found)


def diagnosis(number: int, system: str, code: str) -> dict[str, object]:
    return {
        "key": f"c{number}{code}",
        "resource_key": f"c{number}{code}",
        "pseudonym": f"SUBJ-{number}",
        "codings": [[system, code]],
        "verification_status": "confirmed",
        "onset": "2024-01-01",
    }


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("comorbidome")
    config = node_with(folder, "released", "active", {number: facts_of(number) for number in AGES})
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    audit = AuditLog("node")
    archive, approvals = open_archive(settings, database), open_decisions(settings, audit)
    with database.connect() as connection:
        study = approvals.current(connection, "study-1")
        manifest = curation.load(connection, "study-1", study.dataset_hash)
    store_values(database, manifest, missing=3)
    # Older subjects have emphysema, and most of those heart failure too; nothing is known of the last one.
    rows = [diagnosis(number, ICD, "J43.9") for number in range(12, GROUP)]
    rows += [diagnosis(number, ICD, "I50.1") for number in range(14, GROUP)]
    rows += [diagnosis(number, SNOMED, "73211009") for number in range(1, 12)]
    with database.begin() as connection:
        cohorts.record_clinical(connection, [str(row["key"]) for row in rows], {"clinical_condition": rows})
    series = manifest.series[0].series_uid
    x, y, z, _ = archive.load_volume(series).image.affine @ [1.0, 6.0, 6.0, 1.0]
    mark = Mark("m1", (float(x), float(y), float(z)), "TMA03/B12")
    punch_marks(archive, database, manifest, series, [mark], PunchRule("sphere", 4.0))
    app = create_app("Test", "1", login_path="/login")
    app.state.audit, app.state.database, app.state.archive = audit, database, archive
    app.state.approvals = approvals
    accounts = AccountStore("node")
    accounts.create(database, "rita", PASSWORD, [Role.READER])
    accounts.create(database, "dana", PASSWORD, [Role.DATA_MANAGER])
    install_accounts(app, "node", database)
    install_pages(app, site=Site("ALPHA", "Alpha hospital"))
    app.include_router(comorbidome_router)
    app.include_router(values_router)
    app.state.manifest = manifest
    with TestClient(app, follow_redirects=False) as client:
        yield client
    database.dispose()


def sign_in(client: TestClient, name: str) -> None:
    answer = client.post("/api/session", json={"username": name, "password": PASSWORD}, headers=ORIGIN)
    assert answer.status_code < 300, answer.text


def test_diagnoses_stand_in_the_vector_and_unknown_is_not_absent(client: TestClient) -> None:
    state = client.app.state
    with state.database.connect() as connection:
        found = load_vectors(connection, state.manifest, lambda name: name != "SUBJ-24")
        everybody = load_vectors(connection, state.manifest, state.archive.is_readable)
    assert found.conditions == ("ICD-10-GM J43", "SNOMED CT 73211009", "ICD-10-GM I50")
    people = {subject.name: subject for subject in everybody.subjects}
    assert "SUBJ-24" not in {subject.name for subject in found.subjects}
    assert set(people["SUBJ-24"].conditions.values()) == {None}
    assert people["SUBJ-13"].conditions == {
        "ICD-10-GM J43": True,
        "SNOMED CT 73211009": False,
        "ICD-10-GM I50": False,
    }
    assert (people["SUBJ-13"].age_years, people["SUBJ-13"].sex) == (64.0, "M")
    # A punch belongs to its mark.
    assert len(everybody.measurements) == 2


def test_the_page_shows_the_group_in_both_languages(client: TestClient) -> None:
    sign_in(client, "dana")
    page = client.get("/values/comorbidome", params={"study": "study-1"}).text
    for expected in (
        "Low attenuation area below −950 HU",
        "ICD-10-GM J43",
        "How common each is",
        "12/23, 52 %",
        "Learnt from 23 subjects",
        "corrected for the trend with age",
        "All vectors as CSV",
        "2.1 %",
        "SUBJ-24",
    ):
        assert expected in page, expected
    assert page.count("<svg") == 3
    # Emphysema and heart failure go together: one orange line at least.
    assert 'stroke="#c4561b"' in page
    german = client.get(
        "/values/comorbidome", params={"study": "study-1"}, headers={"accept-language": "de"}
    ).text
    for expected in ("Komorbidom", "Gelernt an 23 Personen", "2,1 %", "weiblich", "Gebrechlichkeitsindex"):
        assert expected in german, expected
    with client.app.state.database.connect() as connection:
        entries = client.app.state.audit.entries(connection, 20)
    assert any(entry.action == "measurement.comorbidome" and entry.actor == "dana" for entry in entries)


def test_a_subjects_page_shows_its_vector_and_opens_the_values(client: TestClient) -> None:
    sign_in(client, "dana")
    page = client.get("/values/comorbidome", params={"study": "study-1", "subject": "SUBJ-14"}).text
    assert "ICD-10-GM I50" in page
    assert page.count('href="/values/') >= 3
    assert "z-score" in page
    assert '<h2 id="age">What the age rests on' in page
    assert page.count('href="#age"') == 1
    gone = client.get("/values/comorbidome", params={"study": "study-1", "subject": "SUBJ-3"}).text
    assert "missing" in gone
    assert "a value of the model or the age is missing" in gone
    assert client.get("/values/comorbidome", params={"study": "study-1", "subject": "X"}).status_code == 404


def test_people_choose_what_the_model_rests_on(client: TestClient) -> None:
    sign_in(client, "dana")
    name = "laa_950 "
    page = client.get("/values/comorbidome", params={"study": "study-1", "feature": name}).text
    assert "Learnt from 24 subjects" in page


def test_all_vectors_as_csv(client: TestClient) -> None:
    sign_in(client, "dana")
    answer = client.get("/values/comorbidome.csv", params={"study": "study-1"})
    rows = {row["subject"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert len(rows) == GROUP
    assert (rows["SUBJ-14"]["ICD-10-GM J43"], rows["SUBJ-2"]["ICD-10-GM J43"]) == ("1", "0")
    assert rows["SUBJ-24"]["ICD-10-GM J43"] == ""
    assert float(rows["SUBJ-14"]["age_years"]) == 66.0


def test_readers_see_no_diagnoses(client: TestClient) -> None:
    sign_in(client, "rita")
    for path in ("/values/comorbidome", "/values/comorbidome.csv"):
        assert client.get(path, params={"study": "study-1"}).status_code == 403
    assert "/values/comorbidome" not in client.get("/values", params={"study": "study-1"}).text


def test_conditions_have_short_names() -> None:
    assert condition_name(ICD, "J43.9") == "ICD-10-GM J43"
    assert condition_name(SNOMED, "73211009") == "SNOMED CT 73211009"
    assert condition_name("https://codes.example/local", "x1") == "local x1"


def test_the_piece_of_a_punch_is_a_file_beside_its_value(client: TestClient) -> None:
    sign_in(client, "dana")
    with client.app.state.database.connect() as connection:
        stored = {value.biomarker: number for number, value in _store.load_values(connection)}
    number = stored["punch_mean"]
    page = client.get(f"/values/{number}").text
    assert "Punch: mean: TMA03/B12" in page
    assert f"/values/{number}/patch.nii.gz" in page
    answer = client.get(f"/values/{number}/patch.nii.gz")
    assert answer.content[:2] == b"\x1f\x8b"
    assert client.get(f"/values/{number}/mask.nii.gz").content != answer.content
    assert client.get(f"/values/{stored['laa_950']}/patch.nii.gz").status_code == 404
    german = client.get(f"/values/{number}", headers={"accept-language": "de"}).text
    assert "Platz in der Pathologie" in german

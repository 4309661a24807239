"""The pages of what comes in: what they show, who may decide, and what a refusal says beside the form."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.intake.activity import Activity
from racoon.node.intake.http import pages
from racoon.node.intake.pull.desk import PullDesk
from racoon.node.intake.pull.model import PullState
from racoon.node.intake.service import Intake
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.http import create_app
from racoon.web.pages import Site, install_pages
from tests.planted_identifiers import make_ct
from tests.unit.node.intake.conftest import Node

PASSWORD = "correct horse"
CT = [make_ct(number, planted=False).data for number in range(1, 4)]
SignIn = Callable[..., TestClient]


@dataclass(frozen=True)
class Dicom:
    ae_title: str = "RACOON"
    host: str = "127.0.0.1"
    port: int = 11112
    certificate: Path | None = None
    calling_ae_titles: tuple[str, ...] = ("CT2",)


@dataclass(frozen=True)
class IntakeSection:
    watched_folder: Path | None = None


@dataclass(frozen=True)
class Pull:
    source: str = "PACS1"
    window: str = "20:00-06:00"
    daily_limit: int = 5000


@dataclass(frozen=True)
class Settings:
    dicom: Dicom = Dicom()
    intake: IntakeSection = IntakeSection()


@pytest.fixture
def sign_in(node: Node) -> SignIn:
    app = create_app("node", "1", login_path="/login")
    accounts = install_accounts(app, "node", node.database)
    for name, role in (("ines", Role.SITE_INFORMATICIAN), ("doris", Role.DPO), ("rita", Role.READER)):
        accounts.create(node.database, name, PASSWORD, [role], "ALPHA")
    activity = Activity(node.folder / "activity")
    node.activity = activity
    app.state.settings = Settings()
    app.state.intake = Intake(
        node.database, node.spool, node.folder / "quarantine", AuditLog("node"), activity=activity
    )
    app.state.pull = PullDesk(Pull(), node.folder / "pull", node.database, AuditLog("node"))
    install_pages(app, site=Site("ALPHA", "Hospital Alpha"))
    app.include_router(pages)

    def client(name: str, language: str = "en") -> TestClient:
        session = accounts.open_session(node.database, accounts.verify(node.database, name, PASSWORD))
        headers = {
            "authorization": f"Bearer {session.token}",
            "origin": "http://testserver",
            "accept": "text/html",
            "accept-language": language,
        }
        return TestClient(app, headers=headers)

    return client


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def fill_quarantine(node: Node) -> None:
    other = CT[1].replace(b"PLANTED4711 ", b"PLANTED4712 ")
    marked = CT[2].replace(b"ORIGINAL\\PRIMARY\\AXIAL", b"DERIVED\\PRIMARY\\REPORT")
    for data in (CT[0], other, marked, b"rubbish"):
        node.spool.put([data])
    node.loop().run_once()


def test_flow_shows_rates_senders_and_space(node: Node, sign_in: SignIn) -> None:
    ines = sign_in("ines", "de")
    empty = text_of(ines.get("/intake").text)
    assert "Noch hat niemand etwas gesendet." in empty
    activity: Activity = node.activity
    counting = activity.begin("dicom", "CT2", "10.0.0.7")
    for _ in range(3):
        activity.count(counting, 1000)
    activity.count_refused(counting)
    activity.flush()
    activity.record("http", "sender", objects=2, size_bytes=5_000_000)
    node.spool.put([b"waiting"])
    shown = text_of(ines.get("/intake").text)
    for words in ("CT2 10.0.0.7", "läuft", "5,0 MB", "Nur diese Sender werden eingelassen: CT2.", "frei von"):
        assert words in shown
    activity.finish(counting, "aborted")
    assert "abgebrochen" in text_of(ines.get("/intake").text)
    (minute,) = [item for item in activity.minutes() if item.received]
    assert (minute.received, minute.processed) == (5, 0)
    latest = activity.latest()
    assert [(item.way, item.objects, item.refused) for item in latest] == [("http", 2, 0), ("dicom", 3, 1)]


def test_a_killed_listener_leaves_no_sender_open(node: Node, sign_in: SignIn) -> None:
    folder = node.folder / "activity"
    Activity(folder).begin("dicom", "CT2")
    again = Activity(folder)
    again.end_interrupted("dicom")
    assert [item.end for item in again.latest()] == ["interrupted"]
    assert "interrupted" in text_of(sign_in("ines").get("/intake").text)


def test_list_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    activity = Activity(tmp_path / "activity")
    (tmp_path / "activity" / "activity.sqlite").write_bytes(b"no database at all, only text" * 50)
    counting = activity.begin("dicom", "CT2")
    activity.count(counting, 1)
    activity.flush()
    activity.finish(counting, "released")
    assert activity.latest() == []


def test_quarantine_says_reasons_in_plain_words_and_filters(node: Node, sign_in: SignIn) -> None:
    fill_quarantine(node)
    ines = sign_in("ines", "de")
    shown = ines.get("/intake/quarantine").text
    assert "Objekte einer Untersuchung tragen verschiedene Patienten." in shown
    assert shown.count('name="ids"') == 3
    assert ines.get("/intake/quarantine?reason=not_dicom").text.count('name="ids"') == 1
    assert "Kein Objekt passt." in text_of(ines.get("/intake/quarantine?state=deleted").text)
    assert "PLANTED4712" not in shown


def test_batch_needs_a_choice_and_a_reason_and_is_recorded(node: Node, sign_in: SignIn) -> None:
    fill_quarantine(node)
    ines = sign_in("ines")
    ids = [item.quarantine_id for item in node.intake.quarantined()]
    refused = ines.post("/intake/quarantine", data={"decision": "delete", "ids": ids, "note": " "})
    assert (refused.status_code, "Say why" in refused.text) == (400, True)
    assert refused.text.count(" checked") == len(ids), "what was chosen stays chosen"
    nothing = ines.post("/intake/quarantine", data={"decision": "delete", "note": "x"})
    assert (nothing.status_code, "Choose at least one" in nothing.text) == (400, True)
    done = ines.post("/intake/quarantine", data={"decision": "delete", "ids": ids, "note": "not ours"})
    assert "3 objects are decided." in done.text
    assert node.intake.quarantined() == []
    with node.database.connect() as connection:
        entries = AuditLog("node").entries(connection, 10)
    assert [(entry.actor, entry.actor_role, entry.action) for entry in entries] == [
        ("ines", "site_informatician", "quarantine.delete")
    ] * 3


def test_object_page_offers_what_can_be_set_right(node: Node, sign_in: SignIn) -> None:
    fill_quarantine(node)
    by_code = {item.code: item.quarantine_id for item in node.intake.quarantined()}
    ines = sign_in("ines")
    address = f"/intake/quarantine/{by_code['inconsistent_patient']}"
    shown = ines.get(address).text
    subject = node.intake.evidence(by_code["inconsistent_patient"])["belongs_to"]
    assert f'name="subject" class="mono" maxlength="64" value="{subject}"' in shown
    wrong = ines.post(f"{address}/correction", data={"note": "x", "subject": "a", "patient_id": "b\\c"})
    assert (wrong.status_code, "plain characters" in wrong.text) == (400, True)
    sent = ines.post(f"{address}/correction", data={"note": "typing error", "subject": subject})
    assert "on its way through all rules again" in sent.text
    assert node.loop().run_once().archived == 1
    assert "set right" in text_of(ines.get(address).text)
    rubbish = ines.get(f"/intake/quarantine/{by_code['not_dicom']}").text
    assert "correction" not in rubbish
    suspicion = f"/intake/quarantine/{by_code['burned_in_suspected']}"
    assert f"{suspicion}/picture" in ines.get(suspicion).text
    picture = ines.get(f"{suspicion}/picture")
    assert (picture.headers["content-type"], picture.headers["cache-control"]) == ("image/png", "no-store")
    released = ines.post(f"{suspicion}/decision", data={"decision": "release", "note": "no text"})
    assert "tried again" in text_of(released.text)
    assert node.loop().run_once().archived == 1


def test_who_may_only_look_gets_no_forms(node: Node, sign_in: SignIn) -> None:
    fill_quarantine(node)
    doris = sign_in("doris")
    (quarantine_id, *_) = [item.quarantine_id for item in node.intake.quarantined()]
    for path in ("/intake", "/intake/quarantine", f"/intake/quarantine/{quarantine_id}"):
        page = doris.get(path)
        assert (page.status_code, '<form method="post" action="/intake' in page.text) == (200, False)
    for path in ("/intake/pull", f"/intake/quarantine/{quarantine_id}/picture"):
        assert doris.get(path).status_code == 403
    for path, form in (
        ("/intake/quarantine", {"decision": "delete", "ids": quarantine_id, "note": "x"}),
        (f"/intake/quarantine/{quarantine_id}/correction", {"note": "x"}),
        ("/intake/pull/add", {"numbers": "A1"}),
        ("/intake/pull/clear", {}),
    ):
        assert doris.post(path, data=form).status_code == 403
    assert sign_in("rita").get("/intake").status_code == 403
    assert len(node.intake.quarantined()) == 3


def test_work_list_is_filled_filtered_and_cleared(node: Node, sign_in: SignIn) -> None:
    ines = sign_in("ines")
    desk: PullDesk = ines.app.state.pull
    bad = ines.post("/intake/pull/add", data={"numbers": "A1\nA*"})
    assert (bad.status_code, "A1\nA*</textarea>" in bad.text) == (400, True)
    assert desk.items() == []
    ines.post("/intake/pull/add", data={"numbers": "A1, A2;A3\n\nA1\tA4"})
    assert [item.accession_number for item in desk.items()] == ["A1", "A2", "A3", "A4"]
    work_list = desk._work_list()
    first, second, *_ = work_list.items()
    from dataclasses import replace

    work_list.save(replace(first, state=PullState.FETCHED, received=3, expected=3), objects=3)
    work_list.save(replace(second, state=PullState.REFUSED, reason="not_found"))
    german = text_of(sign_in("ines", "de").get("/intake/pull").text)
    for words in (
        "3 / 3",
        "geholt",
        "abgelehnt",
        "Das PACS kennt keine Untersuchung",
        "Objekte von 5.000 am Tag",
    ):
        assert words in german
    assert "A2" in ines.get("/intake/pull?state=refused").text
    assert "A3" not in text_of(ines.get("/intake/pull?state=refused").text)
    ines.post("/intake/pull/retry")
    ines.post("/intake/pull/clear")
    assert [(item.accession_number, item.state.value) for item in desk.items()] == [
        ("A2", "waiting"), ("A3", "waiting"), ("A4", "waiting"),
    ]  # fmt: skip
    with node.database.connect() as connection:
        entries = AuditLog("node").entries(connection, 10)
    assert sorted(entry.action for entry in entries) == ["pull.add", "pull.clear", "pull.retry"]
    assert "A2" not in str(entries), "accession numbers name patients and stay out of the audit"


def test_study_protocol_is_kept_and_removed(node: Node, sign_in: SignIn) -> None:
    ines = sign_in("ines")
    desk: PullDesk = ines.app.state.pull
    form = {"name": "lung", "modalities": "ct, pt", "first_day": "2024-01-01", "last_day": "2023-01-01"}
    wrong = ines.post("/intake/pull/protocols", data=form)
    assert (wrong.status_code, "after the first" in wrong.text) == (400, True)
    shown = ines.post(
        "/intake/pull/protocols", data=form | {"last_day": "2024-03-01", "description": "*thorax*"}
    )
    assert "*thorax*" in shown.text
    (protocol,) = desk.protocols()
    assert (protocol.modalities, protocol.searched_until) == (("CT", "PT"), None)
    twice = ines.post("/intake/pull/protocols", data=form | {"last_day": "2024-03-01"})
    assert (twice.status_code, "of this name" in twice.text) == (400, True)
    ines.post("/intake/pull/protocols/remove", data={"name": "lung"})
    assert desk.protocols() == []

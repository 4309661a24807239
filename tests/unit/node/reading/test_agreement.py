"""Agreement of a list as it is read: exact numbers of a known disagreement, pictures of it, and who must not see it."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.reading.comparing.items import compare_all
from racoon.node.reading.model import runs_of
from racoon.node.reading.reports.catalogue import newest_template
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import ORIGIN, PASSWORD, Node, node
from tests.unit.node.reading.test_work import SHAPE, THORAX, assign

__all__ = ["node"]

STUDIES = [71, 72, 73, 74, 75, 76]
NODULES = {"ada": [1, 1, 1, 1, 0, 0], "ben": [1, 1, 0, 1, 0, 1]}
SIZES = {"ada": [8.0, 10.0, 7.0, 12.0], "ben": [9.0, 12.0, 7.0, 12.0]}
SCORES = {"ada": [0, 1, 2, 3, 4, 5], "ben": [0, 2, 2, 3, 4, 3]}
LEFT = {"ada": 4, "ben": 7}
"""Left edge of a box of 6 columns, drawn on the first three cases: both share 3 of 6."""
PLACE = "/api/reading/worklists/live"


def box(client: TestClient, study: int, left: int) -> None:
    place = f"/api/reading/series/{uid(study, 1)}/drawing"
    made = client.post(f"{place}/segments?based_on=0&label=SCT:27925004").json()
    mask = np.zeros(SHAPE[1:], np.bool_)
    mask[4:10, left : left + 6] = True
    stroke = [{"segment": 1, "slice": 1, "runs": runs_of(mask)}]
    saved = client.patch(f"{place}?based_on={made['revision']}", json=stroke).json()
    assert client.post(f"{place}/finish?based_on={saved['revision']}").status_code == 200


def each_signed_in(node: Node) -> Callable[[str], TestClient]:
    """Return a way to everybody's own browser, signed in once: a password takes its time."""
    app = node.client.app

    @functools.cache
    def person(name: str) -> TestClient:
        client = TestClient(app, headers={"Accept": "application/json", "Accept-Language": "en", **ORIGIN})
        client.post("/login", data={"username": name, "password": PASSWORD})
        return client

    return person


def read(client: TestClient, name: str, at: int) -> None:
    """Answer as the tables above say, everything else as normal, and sign."""
    study = STUDIES[at]
    place = f"/api/reading/imaging-studies/{uid(study)}/report"
    form = client.get(place).json()["form"]
    lungs: list[dict[str, Any]] = [
        {"linkId": "nodules-present", "answer": [{"valueBoolean": bool(NODULES[name][at])}]},
        {"linkId": "opacities-present", "answer": [{"valueBoolean": True}]},
        {
            "linkId": "opacities",
            "item": [
                {
                    "linkId": f"score-{lobe}",
                    "answer": [{"valueInteger": SCORES[name][at] if lobe == "ru" else 1}],
                }
                for lobe in ("ru", "rm", "rl", "lu", "ll")
            ],
        },
    ]
    if NODULES[name][at]:
        asked = form["items"][1]["items"][1]["items"]
        options = {item["linkId"]: item["options"][0] for item in asked if item.get("options")}
        chosen = [
            {"linkId": key, "answer": [{"valueCoding": {"system": one["system"], "code": one["code"]}}]}
            for key, one in options.items()
        ]
        size = {"linkId": "nodule-size", "answer": [{"valueDecimal": SIZES[name][min(at, 3)]}]}
        lungs.append({"linkId": "nodules", "item": [size, *chosen]})
    saved = client.put(f"{place}?based_on=0", json=[{"linkId": "lungs", "item": lungs}])
    assert saved.status_code == 200, saved.text
    if at < 3:
        box(client, study, LEFT[name])
    filled = client.post(f"{place}/normal?based_on={saved.json()['revision']}").json()
    signed = client.post(f"{place}/sign?based_on={filled['revision']}")
    assert signed.status_code == 200, signed.text


@pytest.fixture(scope="module")
def seen(node: Node) -> dict[str, Any]:
    """Let two read six cases and keep what is shown to whom on the way."""
    state = node.client.app.state  # type: ignore[attr-defined] # a FastAPI application
    voxels = np.tile(np.arange(SHAPE[2], dtype=np.int16), (*SHAPE[:2], 1))
    for study in STUDIES:
        state.archive.store([deidentified(item) for item in ct_series(voxels, study=study)])
    state.accounts.create(node.database, "both", PASSWORD, [Role.READER, Role.DATA_MANAGER])
    assert assign(node, "live", STUDIES).json() == {"added": 12}
    assert assign(node, "mixed", STUDIES[:1], readers=["both", "ben"]).json() == {"added": 2}
    found: dict[str, Any] = {}
    people = each_signed_in(node)
    ada = people("ada")
    for at in range(6):
        read(ada, "ada", at)
    ben = people("ben")
    for at in range(5):
        read(ben, "ben", at)
    found["ben reads"] = [ben.get(f"{PLACE}/{what}").json()["code"] for what in ("agreement",)]
    found["ben's page"] = ben.get(
        "/reading/lists/live/agreement", headers={"Accept": "text/html"}
    ).status_code
    ada = people("ada")
    found["ada is done"] = ada.get(f"{PLACE}/agreement").json()["code"]
    found["foreign list"] = ada.get("/api/reading/worklists/mixed/agreement").status_code
    eve = people("eve")
    found["while it is read"] = eve.get(f"{PLACE}/agreement").json()
    both = people("both")
    found["both"] = [
        both.get(f"/api/reading/worklists/mixed/{what}").json()["code"] for what in ("agreement", "answers")
    ]
    found["both's list"] = both.get("/reading/lists/mixed", headers={"Accept": "text/html"}).text
    found["both elsewhere"] = both.get(f"{PLACE}/agreement").status_code
    ben = people("ben")
    read(ben, "ben", 5)
    found["after"] = people("ada").get(f"{PLACE}/agreement").json()
    eve = people("eve")
    found["done"] = eve.get(f"{PLACE}/agreement", headers={"Accept-Language": "de"}).json()
    html = {"Accept": "text/html", "Accept-Language": "de"}
    found["page"] = eve.get("/reading/lists/live/agreement", headers=html).text
    found["for ben"] = eve.get("/reading/lists/live/agreement?reader=nobody", headers=html).text
    return found


def test_counts_follow_the_readings(seen: dict[str, Any]) -> None:
    early, late = seen["while it is read"], seen["done"]
    assert [early[key] for key in ("cases", "complete", "readings", "readings_done")] == [6, 5, 12, 11]
    assert [late[key] for key in ("cases", "complete", "readings", "readings_done")] == [6, 6, 12, 12]


def test_known_disagreement_gives_exact_kappa_icc_and_dice(seen: dict[str, Any]) -> None:
    items = {item["link_id"]: item for item in seen["done"]["agreement"]}
    nodules = items["nodules-present"]
    # 3 of 6 both yes, 1 both no: observed 4/6, expected 20/36.
    assert (nodules["measure"], nodules["equal"], nodules["cases"]) == ("kappa", 4, 6)
    assert nodules["value"] == pytest.approx(0.25, abs=1e-12)
    score = items["score-ru"]
    first, second = np.array(SCORES["ada"]), np.array(SCORES["ben"])
    expected = np.abs(first[:, None] - second[None, :]).mean()
    assert score["measure"] == "weighted kappa"
    assert score["value"] == pytest.approx(1 - np.abs(first - second).mean() / expected, abs=1e-12)
    size = items["nodule-size"]
    table = np.array([[SIZES["ada"][at], SIZES["ben"][at]] for at in (0, 1, 3)])
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    bms = 2 * ((rows - grand) ** 2).sum() / 2
    jms = 3 * ((columns - grand) ** 2).sum()
    ems = ((table - rows[:, None] - columns + grand) ** 2).sum() / 2
    assert size["cases"] == 3
    assert size["value"] == pytest.approx((bms - ems) / (bms + ems + 2 * (jms - ems) / 3), abs=1e-12)
    assert size["limits_of_agreement"][1] == pytest.approx(-1.0)
    (mask,) = seen["done"]["masks"]
    assert mask["readers"] == ["ada", "ben"]
    assert (mask["cases"], mask["dice"], mask["lowest_dice"]) == (3, [0.5, 0.5, 0.5], 0.5)
    assert mask["hd95_mm"] == pytest.approx(3 * 0.7)
    assert mask["limits_of_agreement_ml"] == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    assert seen["done"]["masks_waiting"] == 0


def test_each_reader_stands_against_the_others(seen: dict[str, Any]) -> None:
    ada, ben = seen["done"]["readers"]
    assert (ada["reader"], ada["done"], ada["all"]) == ("ada", 6, 6)
    assert (ada["answers"], ada["equal"]) == (ben["answers"], ben["equal"])
    items = seen["done"]["agreement"]
    assert ada["answers"] == sum(item["cases"] for item in items)
    assert ada["share"][0] == pytest.approx(ada["equal"] / ada["answers"])
    assert ada["share"][1] < ada["share"][0] < ada["share"][2]
    assert (ada["dice"][0], ada["masks"]) == (0.5, 3)


def test_the_widest_disagreements_open_the_case_and_have_a_picture(seen: dict[str, Any], node: Node) -> None:
    worst = seen["done"]["worst"]
    masks = [item for item in worst if item["kind"] == "mask"]
    assert {item["dice"] for item in masks} == {0.5}
    score = next(item for item in worst if item["link_id"] == "score-ru")
    assert (score["imaging_study"], [said["answer"] for said in score["said"]]) == (uid(76), [5, 3])
    eve = node.as_("eve")
    for item in worst:
        assert eve.get(item["link"], headers={"Accept": "text/html"}).status_code == 200
    pictures = [part.partition('"')[0].replace("&amp;", "&") for part in seen["page"].split(' src="')[1:]]
    drawn = [address for address in pictures if "/agreement/picture?" in address]
    assert len(drawn) == 3
    picture = np.asarray(Image.open(io.BytesIO(eve.get(drawn[0]).content)))
    # The rims of two boxes of 6 by 6 have 20 pixels each.
    shown = [int((picture == colour).all(axis=2).sum()) for colour in ((76, 201, 240), (255, 159, 28))]
    assert sum(shown) == 20 + 20 - 2 * 3  # the shared part of the upper and lower rims is drawn once
    assert eve.get(drawn[0].replace("first=", "first=9")).status_code == 404
    assert node.as_("dan").get(drawn[0]).status_code == 403


def test_whoever_reads_blinded_is_refused_by_the_interface(seen: dict[str, Any]) -> None:
    assert seen["ben reads"] == ["reading.still_blinded"]
    assert seen["ben's page"] == 409
    # Done with the own readings is not enough: the other's are still to come, and so may a decision be.
    assert seen["ada is done"] == "reading.still_blinded"
    assert seen["foreign list"] == 404
    # Who runs lists and reads in one is a reader there.
    assert seen["both"] == ["reading.still_blinded"] * 2
    assert "Agreement is shown to you when the whole list is read." in seen["both's list"]
    assert "Dice of the masks" in seen["both's list"]
    assert seen["both elsewhere"] == 200
    assert seen["after"]["complete"] == 6


def test_the_page_says_it_in_german(seen: dict[str, Any]) -> None:
    page = seen["page"]
    for text in (
        "Übereinstimmung",
        "Jeder gegen die anderen",
        "Größte Abweichungen",
        "gewichtetes Kappa",
        "0,25",
    ):
        assert text in page
    assert 'data-live="15"' in page
    assert page.count("<svg") >= 2
    assert "Rundherd" in page
    assert seen["for ben"].count("<svg") < page.count("<svg")


def test_three_readers_are_compared_together() -> None:
    """Fleiss 1971, in small: three readers, four subjects, two categories."""
    answers = {
        "ada": [True, True, False, False],
        "ben": [True, True, False, True],
        "cy": [True, False, False, True],
    }
    signed = {
        (name, str(at)): {"nodules-present": value}
        for name, said in answers.items()
        for at, value in enumerate(said)
    }
    (found,) = compare_all(newest_template(THORAX), sorted(answers), signed, ["0", "1", "2", "3"])
    counts = np.array([[3, 0], [2, 1], [0, 3], [2, 1]], float)
    observed = ((counts**2).sum(axis=1) - 3).mean() / 6
    expected = ((counts.sum(axis=0) / 12) ** 2).sum()
    assert found.value == pytest.approx((observed - expected) / (1 - expected))
    assert (found.measure, found.equal, found.cases) == ("Fleiss' kappa", 2, 4)

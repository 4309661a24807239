"""The gallery over a real archive: what matches, its facets, tags, views, sets, freezing, thumbnails on disk."""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from racoon.domain.cohort import CohortDefinition, ImagingCriterion
from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import Pseudonym
from racoon.node.app.permission import usable_series
from racoon.node.archive.thumbnails import Thumbnails
from racoon.node.curation import service
from racoon.platform import clock
from racoon.platform.database import metadata
from tests.dicom_objects import uid
from tests.node_rooms import NodeInProcess, planted
from tests.unit.node.curation.filled import filled_node

STAFF = ("site_informatician",)


@pytest.fixture(scope="module")
def client(node: NodeInProcess) -> TestClient:
    return node.person(*STAFF)


def ids_of(client: TestClient, query: str = "") -> list[int]:
    answer = client.get(f"/api/curation/gallery?{query}")
    assert answer.status_code == 200, answer.text
    steps = answer.json()["ids"]
    found: list[int] = []
    for step in steps:
        found.append(found[-1] - step if found else step)
    assert answer.json()["total"] == len(found)
    return found


def rows_of(client: TestClient, ids: list[int]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = client.get(
        f"/api/curation/gallery/series?ids={','.join(map(str, ids))}"
    ).json()["series"]
    return rows


def facet(client: TestClient, name: str, query: str = "") -> dict[str, int]:
    found = client.get(f"/api/curation/gallery/facets?{query}").json()["facets"][name]
    return {item["value"]: item["series"] for item in found}


def test_every_image_series_is_listed_newest_first_and_no_mask(client: TestClient) -> None:
    ids = ids_of(client)
    rows = rows_of(client, ids)
    assert [row["id"] for row in rows] == ids == sorted(ids, reverse=True)
    assert {row["series"] for row in rows} == {uid(number, 1) for number in (1, 2, 3, 4)}
    assert all(row["has_mask"] and row["modality"] == "CT" and row["images"] == 4 for row in rows)


def test_filters_narrow_and_facets_count_what_the_others_leave(
    node: NodeInProcess, client: TestClient
) -> None:
    assert len(ids_of(client, "modality=CT")) == 4
    assert ids_of(client, "modality=MR") == []
    assert len(ids_of(client, f"subject={node.subject('4711')}")) == 2
    assert len(ids_of(client, f"subject={str(node.subject('4711'))[:6]}*")) >= 2
    assert len(ids_of(client, f"text={planted(3).lower()}")) == 1
    assert len(ids_of(client, "day_from=20240131&day_to=2024-01-31")) == 2
    assert len(ids_of(client, "images_from=4&images_to=4")) == 4
    assert ids_of(client, "images_from=5") == []
    # A facet that is filtered by is counted as if it were not; every other one is narrowed.
    assert facet(client, "modality", "modality=MR") == {"CT": 4}
    assert facet(client, "mask", "modality=MR") == {}
    assert facet(client, "mask") == {"yes": 4}


def test_tags_are_given_taken_counted_and_forgotten_with_the_subject(
    node: NodeInProcess, client: TestClient
) -> None:
    ids = ids_of(client)
    give = {"tag": " blurred ", "ids": ids[:3]}
    assert client.post("/api/curation/tags", json=give).json() == {"changed": 3}
    assert client.post("/api/curation/tags", json=give).json() == {"changed": 0}
    assert facet(client, "tag")["blurred"] == 3
    assert ids_of(client, "tag=blurred") == ids[:3]
    assert client.post("/api/curation/tags", json=give | {"ids": ids[:1], "take": True}).json() == {
        "changed": 1
    }
    assert [row["tags"] for row in rows_of(client, ids)] == [[], ["blurred"], ["blurred"], []]
    assert ids_of(client, "without=tag:blurred") == [ids[0], ids[3]]
    refused = client.post("/api/curation/tags", json={"tag": "x" * 41, "ids": ids})
    assert (refused.status_code, refused.json()["code"]) == (422, "curation.bad_tag")
    with node.rooms.database.begin() as connection:
        assert service.forget_subject(connection, node.subject("4712")) == 1
    assert facet(client, "tag")["blurred"] == 1


def test_what_rules_and_measuring_found_is_a_facet(node: NodeInProcess, client: TestClient) -> None:
    table = metadata("node").tables["measuring_finding"]
    found = {"study_id": "s", "dataset_hash": "h", "series_uid": uid(2, 1), "code": "measuring.empty_mask"}
    with node.rooms.database.begin() as connection:
        connection.execute(
            sa.insert(table).values(**found, message="The mask is empty.", found_at=clock.now())
        )
    assert facet(client, "check") == {"measuring.empty_mask": 1}
    (row,) = rows_of(client, ids_of(client, "check=measuring.empty_mask"))
    assert (row["series"], row["checks"]) == (uid(2, 1), ["measuring.empty_mask"])


def test_a_view_is_saved_for_everybody_and_changed_by_its_owner_only(
    node: NodeInProcess, client: TestClient
) -> None:
    subject = str(node.subject("4711"))
    other = node.person("data_manager")
    view = client.post(
        "/api/curation/views", json={"name": "two", "filter": {"subject": subject, "modality": ["CT"]}}
    ).json()
    assert view["query"] == f"modality=CT&subject={subject}"
    assert len(ids_of(other, f"within=view:{view['id']}")) == 2
    assert other.get("/api/curation/views").json()["views"] == [view]
    assert other.post("/api/curation/views", json={"name": "two"}).status_code == 403
    assert other.delete(f"/api/curation/views/{view['id']}").status_code == 403
    again = client.post("/api/curation/views", json={"name": "two", "filter": {"subject": subject}}).json()
    assert again["id"] == view["id"]
    nested = {"name": "three", "filter": {"within": [f"view:{view['id']}"]}}
    assert client.post("/api/curation/views", json=nested).json()["code"] == "curation.bad_view"
    # A view that names somebody goes with the person.
    with node.rooms.database.begin() as connection:
        assert service.forget_subject(connection, Pseudonym(subject)) >= 1
    assert client.get("/api/curation/views").json() == {"views": []}
    assert client.get("/api/curation/gallery?within=view:1").status_code == 404


def test_two_sets_are_compared_series_by_series_and_subject_by_subject(
    node: NodeInProcess, client: TestClient
) -> None:
    by_series = {row["series"]: row["id"] for row in rows_of(client, ids_of(client))}
    for tag, numbers in (("train", (1, 3)), ("test", (2, 3, 4))):
        chosen = [by_series[uid(number, 1)] for number in numbers]
        client.post("/api/curation/tags", json={"tag": tag, "ids": chosen})
    found = client.get("/api/curation/compare?first=tag:train&second=tag:test").json()
    assert found["series"] == {"first": 1, "second": 2, "both": 1}
    # 4711 has one series here and another one there: the sets are not apart.
    assert found["subjects"] == {"first": 0, "second": 1, "both": 2}
    assert found["distributions"]["modality"] == [{"first": 1, "second": 2, "both": 1, "value": "CT"}]
    for part, numbers in (("first", {1}), ("second", {2, 4}), ("both", {3})):
        assert set(ids_of(client, found["queries"][part])) == {
            by_series[uid(number, 1)] for number in numbers
        }
    page = client.get("/gallery/compare?first=tag:train&second=tag:test", headers={"Accept-Language": "de"})
    assert page.status_code == 200
    assert "nur in der ersten" in page.text
    # Each number opens the gallery with as many series as it says.
    cells = re.findall(r'<a href="/gallery\?([^"]+)">(\d+) <span', page.text)
    assert len(cells) >= 3 * len(found["distributions"]) / 2
    for query, number in cells:
        assert len(ids_of(client, unescape(query))) == int(number), query
    assert client.get("/gallery/compare?first=tag:train&second=view:99").status_code == 404


def test_the_same_series_freeze_to_the_same_hash_and_are_a_set(
    node: NodeInProcess, client: TestClient
) -> None:
    ids = ids_of(client)
    wanted = {"study": ARCHIVE, "name": "chest", "ids": ids[:2]}
    made = client.post("/api/curation/datasets", json=wanted).json()
    assert (made["series"], made["subjects"], made["left_out"]) == (2, 2, 0)
    assert (
        client.post("/api/curation/datasets", json=wanted | {"ids": ids[1::-1]}).json()["hash"]
        == made["hash"]
    )
    with node.rooms.database.connect() as connection:
        manifest = service.load(connection, ARCHIVE, made["hash"])
    assert [entry.instance_count for entry in manifest.series] == [4, 4]
    assert all(len(entry.mask_series_uids) == 1 for entry in manifest.series)
    assert ids_of(client, f"within=dataset:{ARCHIVE}/{made['hash']}") == ids[:2]
    # A study for which the site has decided nothing may use nothing.
    refused = client.post("/api/curation/datasets", json=wanted | {"study": "liver"})
    assert (refused.status_code, refused.json()["code"]) == (403, "curation.nothing_usable")


def test_a_dataset_of_the_gallery_has_the_hash_of_one_of_a_cohort(
    node: NodeInProcess, client: TestClient
) -> None:
    made = client.post(
        "/api/curation/datasets", json={"study": ARCHIVE, "name": "all", "ids": ids_of(client)}
    ).json()
    with node.rooms.database.begin() as connection:
        manifest = service.freeze(
            connection,
            node.rooms.archive,
            ARCHIVE,
            "all",
            CohortDefinition(((ImagingCriterion(modality="CT"),),)),
            readable=node.consent.condition,
            usable=usable_series(node.consent),
        )
    assert made["hash"] == manifest.hash


def test_the_folder_of_thumbnails_keeps_its_bound(node: NodeInProcess, client: TestClient) -> None:
    kept = Thumbnails(node.settings.data_directory / "small", largest_bytes=2500)
    archive = node.rooms.archive
    for number in (1, 2, 3):
        row = archive.instance(uid(number, 1, 1))
        kept.get(archive, row, 1, lambda: b"x" * 1000)
        path = next(path for path in (node.settings.data_directory / "small").glob(f"*/{uid(number, 1)}/*"))
        os.utime(path, (number, number))
    assert kept.size_bytes() == 2000
    assert not list((node.settings.data_directory / "small").glob(f"*/{uid(1, 1)}/*"))


def test_the_page_is_whole_in_both_languages(client: TestClient) -> None:
    for language, words in (("en", "Freeze to a dataset"), ("de", "Zu einem Datensatz einfrieren")):
        page = client.get("/gallery?modality=CT", headers={"Accept-Language": language})
        assert page.status_code == 200
        assert words in page.text


def test_a_withdrawal_and_a_deletion_leave_nothing_in_any_answer_and_no_picture(tmp_path: Path) -> None:
    node = filled_node(tmp_path)
    client = node.person(*STAFF)
    folder = tmp_path / "data" / "thumbnails"
    jpeg = {"Accept": "image/jpeg"}
    address = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/thumbnail"
    first = client.get(address, headers=jpeg)
    assert first.content[:2] == b"\xff\xd8"
    (kept,) = folder.glob("*/*/*.jpg")
    assert client.get(address, headers=jpeg).content == kept.read_bytes() == first.content
    client.get(f"/dicom-web/studies/{uid(3)}/series/{uid(3, 1)}/thumbnail", headers=jpeg)
    assert len(list(folder.glob("*/*/*.jpg"))) == 2
    ids = ids_of(client)
    client.post("/api/curation/tags", json={"tag": "seen", "ids": ids})
    client.post("/api/curation/datasets", json={"study": ARCHIVE, "name": "all", "ids": ids})
    node.withdraw(node.subject("4711"))
    # The door closes at once.
    assert client.get(address, headers=jpeg).status_code == 404
    assert len(ids_of(client)) == len(rows_of(client, ids)) == 2
    assert facet(client, "modality") == {"CT": 2}
    assert facet(client, "tag") == {"seen": 2}
    assert client.get("/api/curation/compare?first=all&second=tag:seen").json()["series"]["both"] == 2
    again = {"study": ARCHIVE, "name": "b", "ids": ids}
    assert client.post("/api/curation/datasets", json=again).json()["left_out"] == 2
    client.post("/api/curation/tags", json={"tag": "late", "ids": ids})
    assert facet(client, "tag")["late"] == 2
    # Its end leaves nothing on disk, and neither does a deletion.
    node.settlement.settle()
    assert [path.parent.name for path in folder.glob("*/*/*.jpg")] == [uid(3, 1)]
    asked = node.rooms.erasures.request(uid(3), reason="wrong", actor="test", actor_role="dpo")
    assert asked.proof
    assert list(folder.glob("*/*/*.jpg")) == []
    assert facet(client, "tag") == {"late": 1, "seen": 1}
    node.close()

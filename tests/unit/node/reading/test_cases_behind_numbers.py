"""Numbers over many cases: each leads to its cases, and each case to the image or the finding it is from."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.dicom_objects import uid
from tests.unit.node.reading.test_agreement import NODULES, STUDIES, each_signed_in, seen
from tests.unit.node.reading.test_answers import asked
from tests.unit.node.reading.test_findings_and_reports import Node, node

__all__ = ["node", "seen"]

HTML = {"Accept": "text/html"}
CELL = re.compile(r'<(td class="number"|dd)>(.*?)</(?:td|dd)>', re.DOTALL)


def page(client: TestClient, address: str) -> str:
    answer = client.get(address, headers=HTML)
    assert answer.status_code == 200, (address, answer.text[:300])
    return answer.text


def links(text: str, beginning: str) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]+)"', text) if link.startswith(beginning)]


def require_links(text: str, address: str) -> int:
    """Every cell with a digit other than a bare nought is a link; returns how many there are."""
    shown = [inside for _, inside in CELL.findall(text) if re.search(r"[1-9]", re.sub("<[^>]*>", "", inside))]
    assert all('<a href="' in inside for inside in shown), address
    return len(shown)


@pytest.fixture
def eve(node: Node, seen: dict[str, Any]) -> TestClient:
    assert seen["done"]["complete"] == 6
    node.client.app.state.answers = asked(node)  # type: ignore[attr-defined] # a FastAPI application
    return each_signed_in(node)("eve")


def test_numbers_of_agreement_open_the_images_of_their_cases(eve: TestClient) -> None:
    text = page(eve, "/reading/lists/live/agreement")
    assert require_links(text, "agreement") > 40
    behind = sorted(set(links(text, "/reading/lists/live/agreement/cases")))
    assert any("question=nodules-present" in link for link in behind)
    assert any("label=" in link for link in behind)
    for address in behind:
        cases = page(eve, address)
        require_links(cases, address)
        opened = links(cases, "/reading/series/") + links(cases, "/reading/findings/")
        rows = cases.count("<tr>") - 1
        assert rows == (3 if "label=" in address else len(STUDIES)), address
        assert len(opened) >= 2 * rows, address
        if "label=" in address:
            # The slice on which both differ, with the reader's own mask.
            assert all("segment=" in link and f"instance={uid(STUDIES[0])[:5]}" in link for link in opened)
    for address in opened[:4]:
        page(eve, address)
    assert eve.get("/reading/lists/nowhere/agreement/cases").status_code == 404


def test_whoever_reads_blinded_gets_no_cases(node: Node, seen: dict[str, Any]) -> None:
    both = each_signed_in(node)("both")
    assert both.get("/reading/lists/mixed/agreement/cases").json()["code"] == "reading.still_blinded"


def test_numbers_of_answers_open_the_images_of_their_reports(eve: TestClient) -> None:
    questions = eve.get("/api/reading/answers/questions").json()["questions"]
    by_name = {item["link_id"]: item["id"] for item in questions}
    nodules, size, score = (by_name[name] for name in ("nodules-present", "nodule-size", "score-ru"))
    addresses = [f"/reading/answers?first={number}" for number in (nodules, size, score)]
    for address in [*addresses, f"/reading/answers?first={nodules}&second={by_name['opacities-present']}"]:
        text = page(eve, address)
        assert require_links(text, address)
        for inside in {inside for _, inside in CELL.findall(text)}:
            (link,) = links(inside, "/reading/answers/cases") or [""]
            if not link:
                continue
            cases = page(eve, link)
            opened = links(cases, "/reading/series/") + links(cases, "/reading/findings/")
            rows = cases.count("<tr>") - 1
            assert len(opened) == rows > 0, link
            counted = re.sub("<[^>]*>", "", inside).strip()
            if "answer=" in link:
                assert rows == int(counted), link
    found = page(eve, f"/reading/answers/cases?first={nodules}&answer=%7Ctrue")
    assert found.count("<tr>") - 1 == sum(NODULES["ada"]) + sum(NODULES["ben"])
    page(eve, links(found, "/reading/series/")[0])
    assert eve.get("/reading/answers/cases?first=99999").status_code == 404

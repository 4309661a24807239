"""Pages about readings, with readings in them: agreement, reference sets, practice, answers, reports; two languages."""

from __future__ import annotations

import io

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIRequestContext, Browser, Page
from pypdf import PdfReader

from racoon.platform.database import Database
from tests.browser.reading_room.room import AXE, MARKS, read_and_sign, shot, signed_in
from tests.dicom_objects import uid

pytestmark = MARKS

SET = "/api/reading/reference-sets"
WORDS = {
    "de-DE": ("Übereinstimmung", "Referenz", "Übung", "Antworten", "Zuvor", "Signiert"),
    "en-GB": ("Agreement", "eference", "Practice", "nswers", "Before", "Signed"),
}


@pytest.fixture(scope="module")
def readings(node: tuple[str, Database], browser: Browser) -> dict[str, APIRequestContext]:
    """Two readers who disagree on a case, a reference set of one of them, and an attempt of a third person at it."""
    address, _ = node
    people = {
        name: signed_in(browser, address, name) for name in ("informatician", "reader", "second", "third")
    }
    manager, third = people["informatician"], people["third"]
    tasks = {"series": [uid(1, 1)], "readers": ["reader", "second"], "blinded": False, "due_on": "2027-01-31"}
    assert manager.post(f"{address}/api/reading/worklists/quality/tasks", data=tasks).ok
    read_and_sign(people["reader"], address, slice(20, 36), 1)
    read_and_sign(people["second"], address, slice(24, 40), 3)
    for kind in ("calibration", "teaching"):
        wanted = {
            "name": f"{kind} set",
            "kind": kind,
            "series": [uid(1, 1)],
            "reference": "reader",
            "marks": [{"what": "answers", "at_least": 0.9}, {"what": "SCT:27925004", "at_least": 0.7}],
        }
        made = manager.post(f"{address}{SET}", data=wanted)
        assert made.ok, made.text()
    assert manager.post(f"{address}{SET}/teaching set/readers", data={"readers": ["third"]}).ok
    earlier = f"{address}/api/reading/imaging-studies/{uid(2)}/report"
    filled = people["reader"].post(f"{earlier}/normal?based_on=0").json()
    assert people["reader"].post(f"{earlier}/sign?based_on={filled['revision']}").ok
    report = f"{address}/api/reading/imaging-studies/{uid(1)}/report"
    filled = third.post(f"{report}/normal?based_on=0").json()
    assert third.post(f"{report}/sign?based_on={filled['revision']}").ok
    return people


def looked_at(page: Page, name: str) -> None:
    violations = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert violations == [], name
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    shot(page, name)


@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
def test_pages_about_readings_have_no_barrier(
    node: tuple[str, Database], readings: dict[str, APIRequestContext], browser: Browser, language: str
) -> None:
    address, _ = node
    agreement, reference, practice, answers, before, signed = WORDS[language]
    places = {
        "informatician": (
            ("agreement", "/reading/lists/quality/agreement", agreement),
            ("cases-of-masks", "/reading/lists/quality/agreement/cases?label=SCT:27925004", "Dice"),
            ("reference-sets", "/reading/reference-sets", reference),
            ("answers", "/reading/answers", answers),
            ("list-quality", "/reading/lists/quality", agreement),
        ),
        "third": (("practice", "/reading/practice", practice),),
        "reader": (
            ("paper", f"/api/reading/imaging-studies/{uid(1)}/report/document", signed),
            ("worklist-done", "/reading/worklist", ""),
        ),
    }
    for name, pages in places.items():
        # The session of the person, in a browser of this language, dark.
        context = browser.new_context(
            storage_state=readings[name].storage_state(),
            locale=language,
            viewport={"width": 1366, "height": 900},
        )
        page = context.new_page()
        page.goto(f"{address}/preferences?theme=dark&next=/reading/worklist")
        for file, path, words in pages:
            answer = page.goto(f"{address}{path}")
            assert answer is not None
            assert answer.ok, path
            assert words in page.inner_text("main"), path
            looked_at(page, f"{file}-{language}")
        if name == "informatician":
            page.goto(f"{address}/reading/answers")
            page.select_option("select >> nth=0", index=2)
            page.select_option("select >> nth=1", index=3)
            page.click("main button")
            page.wait_for_selector("main table")
            # The template's words, and no truth values of a program.
            assert (
                "Rundherde × Verschattungen" if language == "de-DE" else "Nodules × Opacities"
            ) in page.inner_text("h2")
            assert page.locator("th:has-text('false')").count() == 0
            looked_at(page, f"answers-crossed-{language}")
            # A number opens its reports, and each of them its image.
            page.locator("td.number a").first.click()
            page.wait_for_selector("main a[href^='/reading/series/']")
            looked_at(page, f"cases-of-answers-{language}")
        if name == "reader":
            # What was said on the examination before stands below the questions, and opens beside them.
            page.goto(f"{address}/reading/series/{uid(1, 1)}")
            page.wait_for_selector("#stage[data-ready='all']")
            page.wait_for_selector(".previous a")
            page.locator(".before >> nth=3").scroll_into_view_if_needed()
            assert before in page.inner_text(".previous")
            looked_at(page, f"before-{language}")
        if name == "third":
            page.locator("main a[href*='/reading/practice/']").first.click()
            page.wait_for_selector("article, table")
            looked_at(page, f"practice-case-{language}")
        context.close()


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_report_as_a_file_says_the_same_in_both_languages(
    node: tuple[str, Database], readings: dict[str, APIRequestContext], language: str
) -> None:
    pytest.importorskip("reportlab", reason="REPORTLAB IS MISSING: pip install racoon[pdf]")
    place = f"{node[0]}/api/reading/imaging-studies/{uid(1)}/report/document.pdf?language={language}"
    answer = readings["reader"].get(place)
    assert answer.ok
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.body())).pages)
    assert ("Nur für die Forschung" if language == "de" else "For research use only") in text
    keep_pdf(answer.body(), language)


def keep_pdf(data: bytes, language: str) -> None:
    """Keep the file beside the pictures, where a folder is named for them."""
    import os
    from pathlib import Path

    if folder := os.environ.get("RACOON_SCREENSHOTS"):
        Path(folder, f"report-{language}.pdf").write_bytes(data)

"""Reports are filled and signed by keyboard; no barrier, two languages."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from racoon.node.reading.keys import KEYS
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from tests.browser.reading_room.room import (
    AXE,
    MARKS,
    OpenRoom,
    api,
    drag,
    findings,
    shot,
    wait_for_saved,
    wait_until,
)
from tests.dicom_objects import uid

pytestmark = MARKS


def test_a_normal_report_is_signed_by_keyboard(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    page = open_room("second")
    actions = ["Alt+n", "Control+Enter", "Enter"]
    page.wait_for_selector("#report fieldset")
    page.keyboard.press(actions[0])
    wait_until(page, "document.activeElement.id === 'sign'")
    page.keyboard.press(actions[1])
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press(actions[2])
    page.wait_for_selector("#report-panel.signed")
    shot(page, "signed")
    report = api(page, f"/api/reading/imaging-studies/{uid(1)}/report/questionnaire-response")
    assert report["status"] == "completed"
    with node[1].connect() as connection:
        (entry,) = AuditLog("node").entries(connection, action="report.sign")
    shown = api(page, f"/api/reading/imaging-studies/{uid(1)}/report")
    assert (entry.actor, entry.details["sha256"]) == ("second", shown["signed_hash"])
    page.reload()
    page.wait_for_selector("#report-panel.signed")
    assert page.locator("#report input:not(:disabled):not([readonly])").count() == 0
    assert len(actions) <= 25
    # Amended with a reason, signed again, read as a page.
    page.click("#amend")
    page.fill("#words-text", "Side was wrong.")
    page.click("#words-dialog button[value=send]")
    page.wait_for_selector("#report-panel:not(.signed)")
    wait_until(page, "document.querySelector('#amending').textContent.includes('Side was wrong.')")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    page.click("#read-report")
    page.wait_for_selector("text=Version")
    assert page.locator("dd:has-text('Side was wrong.')").count() == 1
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    shot(page, "report")


def test_a_reader_works_a_list_off_by_keyboard(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    page = open_room()
    page.goto(page.url.partition("/reading")[0] + "/reading/worklist")
    page.wait_for_selector("text=Next case")
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    shot(page, "worklist")
    # From the list to a signed report and back to the list, without the mouse.
    page.locator("text=Next case").focus()
    actions = ["Enter", "Alt+n", "Control+Enter", "Enter", "Alt+j"]
    page.keyboard.press(actions[0])
    page.wait_for_selector("#stage[data-ready='all']")
    page.keyboard.press(actions[1])
    wait_until(page, "document.activeElement.id === 'sign'")
    page.keyboard.press(actions[2])
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press(actions[3])
    page.wait_for_selector("#report-panel.signed")
    page.keyboard.press(actions[4])
    page.wait_for_selector("text=1 / 1")
    assert page.locator("text=Next case").count() == 0
    assert len(actions) <= 25


def test_form_asks_what_matters_and_takes_a_size_from_the_image(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("l")
    drag(page, (0.3, 0.4), (0.36, 0.4))
    wait_for_saved(page, 1)
    page.click("#findings button.finding")
    yes = "[data-path='lungs/nodules-present'] label:has-text('yes')"
    assert page.locator("[data-path='lungs/nodules']").is_hidden()
    page.click(yes)
    page.click("text=+ Nodule")
    size = "[data-path='lungs/nodules[0]/nodule-size']"
    page.click(f"{size} .take")
    page.wait_for_selector(f"{size} .source:visible")
    (found,) = findings(page)
    value = found["numbers"][0]["value"]
    assert page.input_value(f"{size} input") == f"{value:.1f}"
    report = api(page, f"/api/reading/imaging-studies/{uid(1)}/report")
    (lungs,) = [item for item in report["items"] if item["linkId"] == "lungs"]
    text = json.dumps(lungs)
    assert f'"valueDecimal": {value!r}' in text
    assert found["id"] in text
    # A sum that the node computes, digits as answers, and a reason at the field when something is missing.
    page.click("[data-path='lungs/opacities-present'] label:has-text('yes')")
    page.wait_for_selector("[data-path='lungs/opacities']:visible")
    for lobe, score in zip(("ru", "rm", "rl", "lu", "ll"), (1, 0, 5, 2, 3), strict=True):
        page.locator(f"[data-path='lungs/opacities/score-{lobe}'] input").first.focus()
        page.keyboard.press(str(score))
    score = "[data-path='lungs/opacities/score-sum'] input"
    wait_until(page, f'document.querySelector("{score}").value === "11"')
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=This question needs an answer. >> visible=true")
    shot(page, "form")
    assert page.locator("#sign-dialog[open]").count() == 0
    page.reload()
    page.wait_for_selector("#stage[data-ready='all']")
    assert page.input_value("[data-path='lungs/opacities/score-sum'] input") == "11"


def test_what_is_typed_while_the_node_answers_is_kept(open_room: OpenRoom) -> None:
    page = open_room()
    page.click("[data-path='lungs/opacities-present'] label:has-text('yes')")
    page.wait_for_selector("[data-path='lungs/opacities']:visible")
    page.click("[data-path='lungs/nodules-present'] label:has-text('yes')")
    page.wait_for_selector("text=+ Nodule >> visible=true")
    page.evaluate(
        """() => {
            const fetched = window.fetch;
            window.fetch = async (address, options) => {
                const answer = await fetched(address, options);
                if (options?.method === 'PUT') await new Promise((done) => setTimeout(done, 1500));
                return answer;
            };
        }"""
    )
    # The answer to this draws the form again; each score is typed while an older answer is on its way.
    page.click("text=+ Nodule")
    for lobe, score in zip(("ru", "rm", "rl", "lu", "ll"), (1, 0, 5, 2, 3), strict=True):
        page.locator(f"[data-path='lungs/opacities/score-{lobe}'] input").first.focus()
        page.keyboard.press(str(score))
        page.wait_for_timeout(700)
    total = "[data-path='lungs/opacities/score-sum'] input"
    wait_until(page, f'document.querySelector("{total}").value === "11"')
    assert page.locator("[data-path='lungs/nodules[0]']").count() == 1


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_room_has_no_barrier_and_speaks_its_language(open_room: OpenRoom, language: str) -> None:
    page = open_room(language=language)
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    assert (
        page.locator("#normal")
        .inner_text()
        .startswith("Alles Übrige" if language == "de-DE" else "Everything else")
    )
    page.locator("#stage").focus()
    page.keyboard.press("?")
    page.wait_for_selector("#help-dialog[open]")
    assert page.locator("#help-dialog dt").count() == len(KEYS)
    shot(page, f"keys-{language}")
    # On paper stands the table alone.
    page.emulate_media(media="print")
    assert page.locator("#tools").is_hidden()
    assert page.locator("#print-keys").is_hidden()
    assert page.locator("#help-dialog dt").last.is_visible()
    colour = page.locator("#help-dialog dd").last.evaluate("item => getComputedStyle(item).color")
    assert colour == "rgb(0, 0, 0)"
    shot(page, f"keys-on-paper-{language}")
    page.emulate_media(media="screen")
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []


def test_who_may_not_measure_has_no_tools_for_it(open_room: OpenRoom) -> None:
    page = open_room("informatician")
    assert page.locator("[data-tool='Length']").count() == 0
    assert page.locator("#report").count() == 0
    page.keyboard.press("l")
    assert page.inner_text("#status") == "Your roles do not allow this."


@pytest.mark.parametrize("language", ["de-DE", "en-GB"])
def test_another_template_is_chosen_without_losing_what_was_begun(open_room: OpenRoom, language: str) -> None:
    # The other reader has this case in a list, which leaves no choice.
    page = open_room("second", language=language)
    page.wait_for_selector("#report fieldset")
    level = {"de-DE": "Vorlage 2 · Entwurf", "en-GB": "Template 2 · draft"}[language]
    assert page.inner_text("#template-level") == level
    page.keyboard.press("Alt+n")
    wait_until(page, "document.activeElement.id === 'sign'")
    page.select_option("#template", "urn:racoon:questionnaire:gecco-short")
    page.wait_for_url("**template=urn*gecco-short*")
    page.wait_for_selector("#stage[data-ready='all']")
    page.wait_for_selector("#report [data-link='disease-diabetes']")
    # The address keeps the choice while slices go by.
    page.focus("#stage")
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**frame=1*template=urn*gecco-short*")
    page.locator("#template").scroll_into_view_if_needed()
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    shot(page, f"template-choice-{language}")
    page.select_option("#template", "urn:racoon:questionnaire:thorax-short")
    page.wait_for_url("**template=urn*thorax-short*")
    page.wait_for_selector("#stage[data-ready='all']")
    page.wait_for_selector("#report [data-link='nodules-present']")
    wait_until(page, "document.querySelector('#report-open').textContent !== ''")
    kept = api(page, f"/api/reading/imaging-studies/{uid(1)}/report")
    assert kept["problems"] == []
    assert kept["revision"] == 1

"""Lists, decisions between two readings, proposed values."""

from __future__ import annotations

import json
import re

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from racoon.node.measuring import _store as measured
from racoon.platform.database import Database
from tests.browser.reading_room.room import (
    AXE,
    MARKS,
    PREFILLED,
    OpenRoom,
    api,
    read_and_sign,
    shot,
    signed_in,
    wait_until,
)
from tests.dicom_objects import uid
from tests.unit.node.reading.test_proposals import value

pytestmark = MARKS


def test_a_third_reader_decides_with_both_readings_in_sight(
    open_room: OpenRoom, node: tuple[str, Database], browser: Browser
) -> None:
    address, _ = node
    tasks = {"series": [uid(1, 1)], "readers": ["reader", "second"], "adjudicator": "third"}
    manager = signed_in(browser, address, "informatician")
    assert manager.post(f"{address}/api/reading/worklists/decide/tasks", data=tasks).json() == {"added": 3}
    read_and_sign(signed_in(browser, address, "reader"), address, slice(20, 36), 1)
    read_and_sign(signed_in(browser, address, "second"), address, slice(24, 40), 3)
    page = open_room("third", f"?list=decide&instance={uid(1, 1, 7)}", "de-DE")
    page.wait_for_selector("#stage[data-masks='6']")
    assert "Abweichende Antworten: 2" in page.inner_text("#differing")
    # Boxes of 16 columns that share 12: Dice 0.75.
    assert "0,75" in page.inner_text("#mask-agreement")
    # Each of these numbers opens the slice on which the masks differ most.
    opening = {link.get_attribute("href") for link in page.locator("#mask-agreement a").all()}
    assert page.locator("#mask-agreement td.number").count() == page.locator("#mask-agreement a").count() == 3
    (slice_,) = opening
    assert slice_ is not None
    assert re.fullmatch(r"/reading/series/[0-9.]+\?list=decide&instance=[0-9.]+&frame=1", slice_)
    assert page.request.get(f"{address}{slice_}").ok
    shown = page.locator("#legend li:has(input:checked)").all_inner_texts()
    assert [name.partition("· ")[2].split()[0] for name in shown] == ["reader", "second"]
    page.click("#decision-panel summary")
    shot(page, "decision-panel")
    assert "Kappa" in page.inner_text("#list-agreement")
    names = page.locator("#legend li").all_inner_texts()
    assert any("· reader" in name for name in names)
    assert any("· second" in name for name in names)
    page.click("#begin-ways button >> nth=0")
    wait_until(page, "document.querySelector('#status').textContent === 'Gespeichert'")
    both = page.locator("[data-path='lungs/opacities/score-ru'] .readings")
    assert both.inner_text().split("\n") == ["≠", "reader: 1", "second: 3"]
    both.scroll_into_view_if_needed()
    shot(page, "decision")
    both.locator("button >> nth=1").click()
    wait_until(page, "document.querySelector('#report-open').textContent.includes('signiert werden')")
    violations = Axe().run(page, options=AXE).response["violations"]
    assert violations == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    shot(page, "decision-whole")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    case = f"/api/reading/worklists/decide/cases/{uid(1)}/decision"
    assert api(page, case)["whose"]["lungs/opacities/score-ru"] == "second"


def test_a_list_is_made_of_a_dataset_and_a_protocol(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    address, _ = node
    page = open_room("informatician", language="de-DE")

    def look(name: str) -> None:
        found = [
            f"{item['id']}: {item['nodes'][0]['target']}"
            for item in Axe().run(page, options=AXE).response["violations"]
        ]
        assert found == [], name
        shot(page, name)

    page.goto(f"{address}/reading/protocols/new")
    text = page.input_value("#text")
    page.fill("#text", text.replace("version: 1", "version: one").replace("hanging:", "hangings:"))
    page.click("main button.primary")
    assert page.locator("[role=alert] li").count() == 2
    look("protocol-wrong")
    page.fill("#text", text)
    page.click("main button.primary")
    page.wait_for_selector("text=lung-pilot|1")
    page.goto(f"{address}/reading/lists/new")
    page.select_option("#study", "PROJ-1")
    page.select_option("#protocol", "lung-pilot|1")
    page.fill("#name", "studie")
    page.check("input[value=reader]")
    page.check("input[value=second]")
    page.select_option("#adjudicator", "third")
    page.click("button[value=look]")
    assert "2" in page.inner_text("[role=status] strong >> nth=0")
    look("list-new")
    page.click("button[value=make]")
    page.wait_for_url("**/reading/lists/studie")
    look("list")
    page.select_option("select[name=to] >> nth=0", "third")
    page.click("form button.second >> nth=0")
    assert (
        page.locator("[role=alert]").inner_text()
        == "Diese Person befundet oder entscheidet denselben Fall schon."
    )
    page.goto(f"{address}/preferences?theme=dark&next=/reading/lists")
    look("lists")
    page.goto(f"{address}/reading/templates")
    look("templates")
    page.click("text=Neue Vorlage")
    page.wait_for_selector("#preview fieldset")
    page.click("[data-add=choice]")
    page.wait_for_selector("#preview .chip >> text=second")
    page.click("#preview .chip >> text=second")
    page.wait_for_selector("#preview .chip input:checked")
    look("template-editor")
    page.fill("#text", page.input_value("#text").replace('"type": "choice"', '"type": "quantity"'))
    page.wait_for_selector("#state.bad")
    assert "quantity" in page.inner_text("#state")


def test_a_measured_value_is_proposed_and_accepted(
    open_room: OpenRoom, node: tuple[str, Database], browser: Browser
) -> None:
    address, database = node
    with database.begin() as connection:
        measured.save_series(connection, [value(1, "laa_950", 7.5)], [], ("PROJ-1", "a" * 64, uid(1, 1)))
    manager = signed_in(browser, address, "informatician")
    assert manager.post(f"{address}/api/reading/protocols", data={"document": PREFILLED}).ok
    wanted = {"protocol": "prefilled|1", "study": "PROJ-1", "readers": ["reader"]}
    assert manager.post(f"{address}/api/reading/worklists/prefilled/from-protocol", data=wanted).ok
    page = open_room(query="?list=prefilled", language="de-DE")
    # The protocol's window, not the site's.
    assert page.locator("#presets button[aria-pressed='true']").inner_text().endswith("Lunge")
    proposal = page.locator("[data-proposal='lungs/emphysema']")
    assert "laa_950 7,5 %" in proposal.inner_text()
    assert page.locator("[data-path='lungs/emphysema'] input:checked").count() == 0
    proposal.scroll_into_view_if_needed()
    shot(page, "proposal")
    found = [item["id"] for item in Axe().run(page, options=AXE).response["violations"]]
    assert found == []
    proposal.locator("button >> nth=0").click()
    page.wait_for_selector("[data-proposal='lungs/emphysema'][data-state='accepted']")
    assert page.locator("[data-path='lungs/emphysema'] input:checked").count() == 1
    page.keyboard.press("Alt+n")
    wait_until(page, "document.querySelector('#report-open').textContent.includes('signiert werden')")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    response = api(page, f"/api/reading/imaging-studies/{uid(1)}/report/questionnaire-response")
    assert json.dumps(response).count('"valueCode": "automatic"') == 1

"""The volume of a drawn mask in a report, live; signing stores the mask."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page

from racoon.platform.database import Database
from tests.browser.reading_room.room import MARKS, OpenRoom, api, drag, shot, signed_in, wait_until
from tests.dicom_objects import uid

pytestmark = MARKS

CARDIO = "urn:racoon:questionnaire:cardio"
EDV = "[data-path='chambers/edv']"


def volume(page: Page) -> float:
    return float(page.get_attribute("#drawn-segments .volume", "data-volume") or 0)


def answered(page: Page) -> float:
    report = api(page, f"/api/reading/imaging-studies/{uid(3)}/report?template={CARDIO}")
    (chambers,) = [item for item in report["items"] if item["linkId"] == "chambers"]
    (found,) = [item for item in chambers["item"] if item["linkId"] == "edv"]
    return float(found["answer"][0]["valueDecimal"])


def test_a_volume_flows_into_the_report_and_follows_the_pen(
    open_room: OpenRoom, node: tuple[str, Database], browser: Browser
) -> None:
    address = node[0]
    task = {"series": [uid(3, 1)], "readers": ["second"], "template": CARDIO}
    made = signed_in(browser, address, "informatician").post(
        f"{address}/api/reading/worklists/hearts/tasks", data=task
    )
    assert made.ok, made.text()
    page = open_room("second")
    page.goto(f"{address}/reading/series/{uid(3, 1)}?instance={uid(3, 1, 5)}&list=hearts")
    page.wait_for_selector("#stage[data-ready='all'][data-index='4']")
    page.click("#drawing-panel summary")
    page.fill("#brush-size", "60")
    page.locator("#stage").focus()
    page.keyboard.press("d")
    drag(page, (0.45, 0.40), (0.55, 0.60))
    page.wait_for_selector("#drawn-segments li")
    wait_until(page, "Number(document.querySelector('#drawn-segments .volume').dataset.volume) > 5")
    page.keyboard.press("V")
    page.wait_for_selector("#findings li.here .numbers[data-volume]")
    page.click(f"{EDV} .take")
    page.wait_for_selector(f"{EDV} .source:visible")
    wait_until(page, "document.querySelector('#status').textContent === 'Saved'")
    first = volume(page)
    assert answered(page) == pytest.approx(first, abs=1e-9)
    # On to the next slices: list, form and what the node keeps have the new volume without a further click.
    page.locator("#stage").focus()
    for index in (5, 6, 7):
        page.keyboard.press("c")
        page.wait_for_selector(f"#stage[data-index='{index}']")
    wait_until(
        page, f"Number(document.querySelector('#drawn-segments .volume').dataset.volume) > {3.9 * first}"
    )
    now = volume(page)
    wait_until(page, f"Number(document.querySelector('#findings .numbers').dataset.volume) === {now}")
    wait_until(page, f"document.querySelector(\"{EDV} input\").value === '{now:.1f}'")
    wait_until(page, "document.querySelector('#status').textContent === 'Saved'")
    assert answered(page) == pytest.approx(now, abs=1e-9)
    shot(page, "volume")
    page.keyboard.press("Alt+n")
    wait_until(page, "document.activeElement.id === 'sign'")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    (found,) = api(page, f"/api/reading/imaging-studies/{uid(3)}/findings")["findings"]
    assert found["origin"]["segment"]
    assert found["numbers"][0]["value"] == pytest.approx(now, abs=1e-9)
    # The pen goes on after the signature; the page knew that the mask was stored.
    page.locator("#stage").focus()
    page.keyboard.press("c")
    wait_until(page, f"Number(document.querySelector('#drawn-segments .volume').dataset.volume) > {now}")

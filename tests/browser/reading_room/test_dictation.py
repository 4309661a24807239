"""Free texts: dictation software can write to every field, names are what can be said, codes come by key and voice."""

from __future__ import annotations

import json

from axe_playwright_python.sync_playwright import Axe

from tests.browser.reading_room.room import AXE, MARKS, OpenRoom, api, shot, wait_until
from tests.dicom_objects import uid

pytestmark = MARKS

REPORT = f"/api/reading/imaging-studies/{uid(1)}/report"
REMARKS = "[data-path='conclusion/remarks']"

VOICE_NAMES = """() => [...document.querySelectorAll(
    '#report input, #report select, #report textarea, #report button, #report-panel button')]
  .filter((field) => field.checkVisibility())
  .map((field) => {
    const own = field.matches('input[type=radio], input[type=checkbox], button');
    const shown = own ? field.closest('label, button').innerText : field.labels[0]?.innerText ?? '';
    return [shown, field.getAttribute('aria-label') ?? field.labels?.[0]?.textContent ?? field.textContent];
  })"""
"""What stands at each control of the form, and the name that assistive software takes."""


def saved(word: str) -> str:
    return f"document.querySelector('#status').textContent === '{word}'"


def test_dictated_words_are_kept_and_coded_by_key(open_room: OpenRoom) -> None:
    page = open_room(language="de-DE")
    page.focus(f"{REMARKS} textarea")
    # As dictation does it: words come without keys, as one input event.
    page.keyboard.insert_text("Links basal ein Rundherd")
    page.wait_for_selector(f"{REMARKS} .offered button")
    shot(page, "codes-offered")
    page.keyboard.press("Alt+k")
    wait_until(page, "document.activeElement.closest('.offered') !== null")
    page.keyboard.press("1")
    page.wait_for_selector(f"{REMARKS} .codes li")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.insert_text(". Kein Rundherd rechts.")
    page.wait_for_timeout(600)
    assert page.locator(f"{REMARKS} .offered").is_hidden()
    wait_until(page, saved("Gespeichert"))
    found = json.dumps(api(page, REPORT)["items"])
    assert '"valueString": "Links basal ein Rundherd. Kein Rundherd rechts."' in found
    assert '"text": "Rundherd"' in found
    assert '"code": "27925004"' in found
    page.locator(f"{REMARKS} .codes").scroll_into_view_if_needed()
    shot(page, "codes-taken")
    violations = [item["id"] for item in Axe().run(page, options=AXE).response["violations"]]
    assert violations == []
    # Without its words the code goes; the node says so and the page shows it.
    page.fill(f"{REMARKS} textarea", "Unverändert.")
    wait_until(page, saved("Gespeichert"))
    wait_until(page, f'document.querySelectorAll("{REMARKS} .codes li").length === 0')
    assert "27925004" not in json.dumps(api(page, REPORT)["items"])


def test_every_control_is_called_what_is_written_on_it(open_room: OpenRoom) -> None:
    page = open_room(language="de-DE")
    page.click("[data-path='lungs/nodules-present'] label:has-text('ja')")
    page.wait_for_selector("[data-path='lungs/nodules'] button >> visible=true")
    controls = page.evaluate(VOICE_NAMES)
    assert len(controls) > 30
    for shown, name in controls:
        assert shown.strip(), name
        # WCAG 2.5.3: what is seen is in the name, so that it can be said.
        assert shown.split("\n")[0].strip().casefold() in " ".join(name.split()).casefold(), (shown, name)


def test_commands_are_run_by_their_names(open_room: OpenRoom) -> None:
    page = open_room(language="de-DE")
    page.get_by_role("button", name="Alles Übrige unauffällig").click()
    wait_until(page, "document.activeElement.id === 'sign'")
    # What has no button of its own is said or typed in the list of keys.
    page.get_by_role("button", name="Tasten").click()
    page.wait_for_selector("#help-dialog[open]")
    page.keyboard.insert_text("Bericht signieren")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sign-dialog[open]")
    assert page.locator("#help-dialog[open]").count() == 0
    page.get_by_role("button", name="Zurück", exact=True).click()
    page.get_by_role("button", name="Tasten").click()
    page.keyboard.insert_text("drei Ebenen")
    assert page.locator("#help-dialog .keys dt:visible").count() == 1
    shot(page, "commands")
    violations = [item["id"] for item in Axe().run(page, options=AXE).response["violations"]]
    assert violations == []
    page.keyboard.press("Enter")
    page.wait_for_selector("#planes:visible")
    page.get_by_role("button", name="Tasten").click()
    page.keyboard.insert_text("gibt es nicht")
    page.keyboard.press("Enter")
    assert page.locator("#help-dialog[open]").count() == 1

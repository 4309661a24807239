"""Every page of both roles in a real Chromium, German and English, light and dark, on a living network.

A page is right when it answers 200, has no barrier that axe finds (WCAG 2 A and AA), says nothing on the
console, asks nobody else for anything, and shows the research-use label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from racoon.domain.analysis import parse_plan
from tests.live import LiveDemo

pytestmark = [pytest.mark.external, pytest.mark.slow, pytest.mark.timeout(300)]

SITE = "ALPHA"

LABEL = {
    "en": "For research use only. Not for diagnosis.",
    "de": "Nur für die Forschung. Nicht für die Diagnostik.",
}

LOOKS = (("en", "dark"), ("de", "light"))

PAGES = {
    ("CENTRAL", "office"): (
        "/",
        "/studies",
        "/studies/{study}",
        "/studies/{study}/application",
        "/studies/{study}/application/print",
        "/studies/{study}/summary",
        "/studies/{study}/forms",
        "/studies/{study}/forms/application",
        "/studies/{study}/forms/ALPHA",
        "/portfolio",
        "/onboarding",
        "/onboarding/ALPHA",
        "/studies/{study}/plans/{plan}",
        "/analyses/{study}.analysis-1",
        "/permissions",
        "/sites",
        "/monitoring",
        "/public",
        "/nowhere",
    ),
    ("CENTRAL", "pi"): ("/studies/{study}/cohort",),
    ("CENTRAL", "auditor"): ("/audit",),
    (SITE, "informatician"): (
        "/",
        "/studies",
        "/studies/{study}",
        "/intake",
        "/intake/quarantine",
        "/intake/pull",
        "/intake/messages",
        "/intake/sources",
        "/intake/tables",
        "/intake/tables/new",
        "/intake/neighbours",
        "/intake/outgoing",
        "/gallery",
        "/pool",
        "/reviews",
        "/reading/lists",
        "/reading/reference-sets",
        "/reading/answers",
        "/archive/grants",
        "/deletions/new",
        "/jobs",
        "/releases",
        "/nowhere",
    ),
    (SITE, "radiologist"): (
        "/archive",
        "/values",
        "/analyses/{study}/{plan}",
        "{pixels}",
        "/gallery",
        "/reading/practice",
    ),
    (SITE, "dpo"): ("/audit", "/audit?outcome=refused", "/consent", "/reviews", "/deletions"),
}

AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


@dataclass
class Visitor:
    """A browser window of one person, and everything it complained about."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def sign_in(self, login: str, password: str) -> None:
        self.page.goto(f"{self.address}/login")
        self.page.fill("[name=username]", login)
        self.page.fill("[name=password]", password)
        self.page.click("main button")
        self.page.wait_for_url(f"{self.address}/")

    def visit(self, path: str) -> int:
        answer = self.page.goto(f"{self.address}{path}")
        assert answer is not None
        if self.page.locator("#stage:not([role=listbox])").count():
            self.page.wait_for_selector("#stage[data-masks]")
        return answer.status


def look_over(page: Page, language: str) -> list[str]:
    """List what is wrong with the page that is shown."""
    found = []
    if page.locator("html").get_attribute("lang") != language:
        found.append("another language")
    if not page.get_by_text(LABEL[language]).first.is_visible():
        found.append("no research-use label")
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found.append("wider than the window")
    for violation in Axe().run(page, options=AXE).response["violations"]:
        places = "; ".join(str(node["target"]) for node in violation["nodes"][:3])
        found.append(f"{violation['id']}: {violation['help']} at {places}")
    return found


@pytest.fixture
def open_window(browser: Browser, light_demo: LiveDemo) -> Iterator[Callable[[str, str, str, str], Visitor]]:
    opened: list[BrowserContext] = []

    def open_(participant: str, login: str, language: str, theme: str) -> Visitor:
        context = browser.new_context(
            viewport={"width": 1366, "height": 768},
            locale="de-DE" if language == "de" else "en-GB",
            color_scheme="dark" if theme == "dark" else "light",
        )
        opened.append(context)
        address = f"http://127.0.0.1:{light_demo.ports(participant)[0]}"
        visitor = Visitor(context.new_page(), address)
        page, complaints = visitor.page, visitor.complaints
        # The browser itself reports an answer of 404 on the console; that page is asked for on purpose.
        page.on(
            "console",
            lambda line: (
                complaints.append(line.text)
                if line.type == "error" and "status of 404" not in line.text
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith((address, "blob:", "data:")) else complaints.append(sent.url)
            ),
        )
        visitor.sign_in(login, light_demo.password(login))
        return visitor

    yield open_
    for context in opened:
        context.close()


@pytest.mark.parametrize(("language", "theme"), LOOKS)
@pytest.mark.parametrize(("participant", "login"), PAGES)
def test_pages_are_right(
    participant: str,
    login: str,
    language: str,
    theme: str,
    light_demo: LiveDemo,
    open_window: Callable[[str, str, str, str], Visitor],
) -> None:
    visitor = open_window(participant, login, language, theme)
    study = light_demo.summary["study_id"]
    with light_demo.node(SITE, "radiologist") as client:
        pixels = client.measurements(study)[0]["link"]
    plan = light_demo.central("office").study(study)["definition"]["analyses"][0]
    wrong = {}
    for template in PAGES[participant, login]:
        path = template.format(study=study, pixels=pixels, plan=parse_plan(plan).hash)
        status = visitor.visit(path)
        found = look_over(visitor.page, language)
        if status != (404 if path == "/nowhere" else 200):
            found.append(f"answer {status}")
        if found:
            wrong[path] = found
    assert wrong == {}
    assert visitor.complaints == []


@pytest.mark.parametrize("participant", ["CENTRAL", SITE])
def test_sign_in_page_is_right(participant: str, light_demo: LiveDemo, browser: Browser) -> None:
    context = browser.new_context(locale="de-DE")
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{light_demo.ports(participant)[0]}/studies")
    assert page.locator("h1").inner_text() == "Anmelden"
    assert look_over(page, "de") == []
    context.close()


def test_a_number_opens_its_pixels_by_clicks(
    light_demo: LiveDemo, open_window: Callable[[str, str, str, str], Visitor]
) -> None:
    """From the start page to the slice and the mask behind a number, with the mouse only."""
    visitor = open_window(SITE, "radiologist", "de", "light")
    page = visitor.page
    page.click("nav >> text=Werte")
    page.select_option("#measurement", label="Volumen: Leber")
    page.click("main button")
    page.click("tbody tr:has-text('gültig') td.number a >> nth=0")
    page.wait_for_selector("img.slice")
    page.click("a:has(img.slice)")
    page.wait_for_selector("#stage[data-masks]")
    if "plain=true" not in page.url:
        page.goto(f"{page.url}&plain=true")
        page.wait_for_selector("#stage[data-masks]")
    levels = "node => new Set(node.getContext('2d').getImageData(0, 0, node.width, node.height).data).size"
    assert page.locator("#image").evaluate(levels) > 20
    covered = (
        "node => node.getContext('2d').getImageData(0, 0, node.width, node.height).data"
        ".filter((value, at) => at % 4 === 3 && value > 0).length"
    )
    assert page.locator("#overlay").evaluate(covered) > 50
    assert page.locator("#legend li.here input:checked").count() == 1
    assert "10200004" in page.locator("#legend li:has(input:checked)").inner_text()
    assert visitor.complaints == []

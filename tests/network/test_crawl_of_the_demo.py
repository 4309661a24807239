"""A crawl of the running demo: every number that came from an image opens the slice it came from.

Every page that a link leads to is read, at a site and at CENTRAL. A cell that holds a number either opens its images,
or stands in the table below with the reason why no image is behind it; a new page with a number of neither kind fails.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
import pytest

from tests.live import LiveDemo

pytestmark = pytest.mark.slow

MOST_PAGES = 700
"""More than the demo has; a crawl that does not end fails."""

NUMBER = re.compile(r"[−-]?\d[\d.,]{0,18}( ?(mL|HU|mm|cm|cm²|mm²|%|SUV|mg|°))?( ?[(\[].*)?")
"""A number, with its unit and with limits in brackets; dates, UIDs and names are none."""

ROOM = re.compile(r"/reading/(series|findings)/[^/?#]+")

NOT_FROM_IMAGES: Mapping[str, Mapping[str, str]] = {
    "/": {"Archive": "series stored", "Intake": "objects waiting"},
    "/studies/*": {
        "Measurements": "definitions asked for",
        "Smallest cell here": "a rule of the release gate",
        "Smallest group for a model here": "a rule of the release gate",
        "Parameters per subject at most": "a rule of the release gate",
        "Fewest sites": "a rule of the plan",
    },
    "/values/*": {
        "Tube voltage, kV": "how the image was taken, from its header",
        "Slice thickness, mm": "how the image was taken, from its header",
        "lower_hu": "a parameter of the definition",
        "upper_hu": "a parameter of the definition",
    },
    "/values/comorbidome": {
        "Subjects": "people", "Biomarkers": "definitions", "Diagnoses": "codes from the clinic",
        "Values that are missing": "no number where there was no image", "Age": "from the clinic",
    },
    "/reading/templates": {"Version": "of a form"},
    "/reading/protocols/new": {"Version": "of a form"},
    "/consent": {"*": "documents of consent"},
    "/intake*": {"*": "objects on their way"},
    "/jobs": {"*": "work of the node"},
}  # fmt: skip
"""By page, the heading or column of numbers without an image, and what they are."""

NOT_FROM_IMAGES_AT_CENTRAL: Mapping[str, Mapping[str, str]] = {
    "/": {"*": "studies and cases"},
    "/studies": {"*": "cases reached"},
    "/portfolio": {"*": "cases and time"},
    "/sites": {"*": "versions"},
    "/monitoring": {"*": "state of nodes"},
    "/onboarding*": {"*": "steps done"},
    "/studies/*/cohort": {"*": "people counted before any image was read"},
    "/studies/*/application*": {"*": "what was asked for"},
    "/studies/*/forms*": {"*": "what was asked for"},
    "/library*": {"*": "models"},
}


@dataclass
class Cell:
    """A table's cell, a fact or a large figure, with what stands over it and where it leads."""

    heading: str
    column: str
    text: str
    links: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """Cells and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[Cell] = []
        self.links: list[str] = []
        self._columns: list[str] = []
        self._heading, self._reading, self._place = "", "", 0
        self._is_head = False
        self._cell: Cell | None = None
        self._ends = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a heading, a cell, a link."""
        given = dict(attrs)
        if tag == "table":
            self._columns = []
        if tag == "tr":
            self._place = 0
        if tag in ("h1", "h2", "h3", "dt", "caption"):
            self._reading, self._heading = tag, ""
        if tag in ("thead", "tbody"):
            self._is_head = tag == "thead"
        if tag == "th" and self._is_head:
            self._reading = tag
            self._columns.append("")
        elif tag == "th":
            self._place += 1
        if tag in ("td", "dd") or (tag == "p" and "figure" in (given.get("class") or "").split()):
            column = ""
            if tag == "td":
                column = self._columns[self._place] if self._place < len(self._columns) else ""
                self._place += 1
            self._cell, self._ends = Cell(self._heading.strip(), column.strip(" ▲▼"), ""), tag
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
            if self._cell is not None:
                self._cell.links.append(str(given["href"]))

    def handle_endtag(self, tag: str) -> None:
        """End a heading or a cell."""
        if tag == self._reading:
            self._reading = ""
        if self._cell is not None and tag == self._ends:
            self._cell.text = " ".join(self._cell.text.split())
            self.cells.append(self._cell)
            self._cell = None

    def handle_data(self, data: str) -> None:
        """Add words to what is being read."""
        if self._reading == "th":
            self._columns[-1] += data
        elif self._reading:
            self._heading += data
        if self._cell is not None:
            self._cell.text += data

    def numbers(self) -> list[Cell]:
        """Return the cells that hold a number other than nought."""
        return [cell for cell in self.cells if NUMBER.fullmatch(cell.text) and re.search("[1-9]", cell.text)]


class Person:
    """Somebody with a browser at one server; pages are fetched once."""

    def __init__(self, demo: LiveDemo, name: str, login: str) -> None:
        self.origin = f"http://127.0.0.1:{demo.ports(name)[0]}"
        self.client = httpx.Client(base_url=self.origin, headers={"accept": "text/html"}, timeout=60)
        said = self.client.post(
            "/api/session", json={"username": login, "password": demo.password(login)}
        ).json()
        self.client.cookies.clear()
        self.client.headers["Authorization"] = f"Bearer {said['token']}"
        self._pages: dict[str, str] = {}

    def text(self, address: str) -> str:
        """Return a page; everything a page links to has to be there."""
        address = address.partition("#")[0]
        if address not in self._pages:
            answer = self.client.get(address)
            assert answer.status_code == 200, (address, answer.status_code)
            self._pages[address] = answer.text
        return self._pages[address]

    def crawl(self) -> Iterator[tuple[str, Page]]:
        """Yield every page that links lead to, the room apart."""
        found, begun = ["/"], 0
        while begun < len(found):
            address = found[begun]
            begun += 1
            assert begun < MOST_PAGES, "the crawl does not end"
            page = Page(self.text(address))
            yield address, page
            for link in page.links:
                target = link.partition("#")[0]
                if target.startswith("/") and target not in found and is_page(target):
                    found.append(target)

    def room(self, link: str) -> dict[str, object]:
        """Open the reading room and return what it shows first."""
        answer = self.client.get(link, follow_redirects=True)
        assert answer.status_code == 200, link
        (shown,) = re.findall(r'id="series-data">(.*?)</script>', answer.text, re.DOTALL)
        found: dict[str, object] = json.loads(unescape(shown) if shown.startswith("&") else shown)
        return found


def is_page(address: str) -> bool:
    """Tell a page from files, the room, and the switches of language and order, which show the same numbers again."""
    path, query = urlsplit(address).path, urlsplit(address).query
    if ROOM.match(path) or path.startswith(("/api/", "/static/", "/preferences", "/ohif", "/docs")):
        return False
    return not re.search(r"\.(csv|json|dcm|zip|png|gz|html|pdf)$", path) and "sort=" not in query


def pattern(address: str) -> str:
    """Return the kind of a page: numbers and names of studies, values and runs are one kind."""
    return re.sub(
        r"/(RS-[0-9]+[^/]*|[0-9][0-9a-f.]*|[0-9a-f]{8,}|ALPHA|BRAVO|CHARLIE)(?=/|$)",
        "/*",
        address.partition("?")[0],
    )


def excused(cell: Cell, address: str, table: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether a number is listed as one without an image."""
    kind = pattern(address)
    return any(
        {"*", cell.column or cell.heading} & set(names)
        for listed, names in table.items()
        if kind == listed or (listed.endswith("*") and listed != "/*" and kind.startswith(listed[:-1]))
    )


def sites(demo: LiveDemo) -> list[str]:
    return [name for name in json.loads((demo.folder / "ports.json").read_text()) if name != "CENTRAL"]


@pytest.fixture(scope="module")
def site(light_demo: LiveDemo) -> str:
    return sites(light_demo)[0]


@pytest.fixture(scope="module")
def person_at(light_demo: LiveDemo) -> Iterator[Callable[[str, str], Person]]:
    """Sign people in; their connections end with the module."""
    people: dict[tuple[str, str], Person] = {}

    def enter(name: str, login: str) -> Person:
        if (name, login) not in people:
            people[name, login] = Person(light_demo, name, login)
        return people[name, login]

    yield enter
    for person in people.values():
        person.client.close()


@pytest.fixture(scope="module")
def reader(light_demo: LiveDemo, site: str, person_at: Callable[[str, str], Person]) -> Person:
    """The radiologist, after a line was drawn and a report signed that took its length."""
    person = person_at(site, "radiologist")
    series = light_demo.node(site, "radiologist").measurements(light_demo.summary["study_id"])[0]["link"]
    shown = person.room(series)
    plane = shown["planes"][1]  # type: ignore[index] # what the page says of itself
    study = shown["study"]
    metadata = person.client.get(
        f"/dicom-web/studies/{study}/series/{shown['series']}/instances/{plane[0]}/metadata",
        headers={"accept": "application/dicom+json"},
    ).json()[0]
    across = metadata["00200037"]["Value"]
    corner = metadata["00200032"]["Value"]
    spacing = float(metadata["00280030"]["Value"][1])
    finding = "6f0c1f5c-5f0f-4d3e-9f3c-0a7f5c1b2d3e"

    def at(column: float) -> list[float]:
        return [float(corner[axis]) + column * spacing * float(across[axis]) for axis in range(3)]

    body = {
        "kind": "length", "meaning": "SCT:27925004", "note": "", "imaging_study": study, "series": shown["series"],
        "instance": plane[0], "frame": plane[1], "frame_of_reference": metadata["00200052"]["Value"][0],
        "points_mm": [at(2), at(8)],
    }  # fmt: skip
    saved = person.client.put(f"/api/reading/findings/{finding}?based_on=0", json=body)
    assert saved.status_code == 200, saved.text
    report, template = f"/api/reading/imaging-studies/{study}/report", "urn:racoon:questionnaire:thorax-short"
    taken = {
        "extension": [{"url": "urn:racoon:fhir:answer-from-finding", "valueString": finding}],
        "valueDecimal": 1.0,
    }
    nodule = [
        {
            "linkId": "nodule-lobe",
            "answer": [{"valueCoding": {"system": "http://snomed.info/sct", "code": "42400003"}}],
        },
        {
            "linkId": "nodule-density",
            "answer": [{"valueCoding": {"system": "urn:racoon:codes", "code": "nodule-solid"}}],
        },
        {"linkId": "nodule-size", "answer": [taken]},
    ]
    items = [
        {"linkId": "lungs", "item": [
            {"linkId": "nodules-present", "answer": [{"valueBoolean": True}]},
            {"linkId": "nodules", "item": nodule},
        ]}
    ]  # fmt: skip
    draft = person.client.put(f"{report}?template={template}&based_on=0", json=items)
    assert draft.status_code == 200, draft.text
    filled = person.client.post(
        f"{report}/normal?template={template}&based_on={draft.json()['revision']}"
    ).json()
    signed = person.client.post(f"{report}/sign?template={template}&based_on={filled['revision']}")
    assert signed.status_code == 200, signed.text
    return person


def require_images(person: Person, name: str) -> int:
    """Follow every number of every page; returns how many lead to images."""
    without, led = [], 0
    for address, page in person.crawl():
        for cell in page.numbers():
            if excused(cell, address, NOT_FROM_IMAGES):
                continue
            opening = [link for link in cell.links if ROOM.match(urlsplit(link).path)]
            if not opening and cell.links:
                # A number over many cases leads to its cases, and they to the room.
                behind = Page(person.text(cell.links[0] if not cell.links[0].startswith("#") else address))
                opening = [link for link in behind.links if ROOM.match(urlsplit(link).path)]
            if opening:
                led += 1
            else:
                without.append((address, cell.heading, cell.column, cell.text))
    assert without == [], f"{name}: numbers without an image"
    return led


def test_every_number_of_a_site_opens_its_images(
    site: str, reader: Person, person_at: Callable[[str, str], Person]
) -> None:
    assert require_images(reader, "reader") > 200
    manager = person_at(site, "informatician")
    assert require_images(manager, "manager") > 200


def test_every_value_opens_the_slice_it_was_measured_in(
    light_demo: LiveDemo, site: str, reader: Person
) -> None:
    """What the page says against the node's own database, read without our code."""
    connection = sqlite3.connect(f"file:{light_demo.data(site) / 'node.sqlite'}?mode=ro", uri=True)
    rows = connection.execute(
        "SELECT id, series_uid, key_instance_uid FROM measurement WHERE value IS NOT NULL"
    ).fetchall()
    connection.close()
    assert len(rows) > 50
    for number, series_uid, instance_uid in rows:
        page = Page(reader.text(f"/values/{number}"))
        (figure,) = [cell for cell in page.numbers() if cell.links and not cell.column][:1]
        shown = reader.room(figure.links[0])
        assert shown["series"] == series_uid
        assert instance_uid, "a value without the slice it came from"
        assert shown["planes"][shown["start"]][0] == instance_uid, number  # type: ignore[index]


def test_numbers_over_signed_reports_open_the_finding_they_were_taken_from(
    site: str, reader: Person, person_at: Callable[[str, str], Person]
) -> None:
    manager = person_at(site, "informatician")
    asked = manager.client.get("/api/reading/answers/questions").json()["questions"]
    (size,) = [item for item in asked if item["link_id"] == "nodule-size"]
    page = Page(manager.text(f"/reading/answers?first={size['id']}"))
    numbers = page.numbers()
    assert numbers
    for cell in numbers:
        (link,) = cell.links
        cases = Page(manager.text(link))
        opened = [found for found in cases.links if ROOM.match(found)]
        assert opened == ["/reading/findings/6f0c1f5c-5f0f-4d3e-9f3c-0a7f5c1b2d3e"]
        shown = reader.room(opened[0])
        assert shown["start"] == 1


def test_every_number_of_central_names_the_sites_where_its_images_are(
    light_demo: LiveDemo, reader: Person, person_at: Callable[[str, str], Person]
) -> None:
    leader = person_at("CENTRAL", "pi")
    doors = {f"http://127.0.0.1:{light_demo.ports(name)[0]}": name for name in sites(light_demo)}
    measured, opened = 0, set()
    for address, page in leader.crawl():
        numbers = [cell for cell in page.numbers() if not excused(cell, address, NOT_FROM_IMAGES_AT_CENTRAL)]
        if not numbers:
            continue
        named = {link for link in page.links if any(link.startswith(door) for door in doors)}
        assert {doors["{0.scheme}://{0.netloc}".format(urlsplit(link))] for link in named} == set(
            doors.values()
        ), (
            address,
            numbers[0],
        )
        measured += len(numbers)
        opened |= {link.removeprefix(reader.origin) for link in named if link.startswith(reader.origin)}
    assert measured > 100
    # Who has rights at the site gets there from CENTRAL's page to the slice.
    assert len(opened) > 3
    for link in opened:
        page = Page(reader.text(link))
        assert any(ROOM.match(found) for found in page.links) or "<svg" in reader.text(link), link

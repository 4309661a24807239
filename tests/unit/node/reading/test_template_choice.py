"""What a report is written with where no list says so: chosen by the reader, with its quality level in sight."""

from __future__ import annotations

import json

import numpy as np

from racoon.node.archive.service import Archive
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, node
from tests.unit.node.reading.test_prefilled_reports import URL, release
from tests.unit.node.reading.test_work import SHAPE, assign

__all__ = ["node"]

HTML = {"Accept": "text/html"}
NEURO = "urn:racoon:questionnaire:neuro"
SHORT = "urn:racoon:questionnaire:thorax-short"
GECCO = "urn:racoon:questionnaire:gecco-short"


def store(node: Node, study: int, body_part: str) -> None:
    archive: Archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    images = ct_series(np.zeros(SHAPE, np.int16), study=study, BodyPartExamined=body_part)
    archive.store([deidentified(item) for item in images])


def opened(node: Node, study: int, query: str = "") -> tuple[str, str]:
    """Return which template the room writes with, and the text of its choice."""
    page = node.client.get(f"/reading/series/{uid(study, 1)}{query}", headers=HTML)
    assert page.status_code == 200
    script = page.text.partition('id="series-data">')[2].partition("</script>")[0]
    choice = page.text.partition('<select id="template">')[2].partition("</select>")[0]
    chosen: str = json.loads(script)["template"]
    return chosen, choice


def test_a_report_begins_with_the_template_of_the_body_part_and_may_have_another(node: Node) -> None:
    release(node)
    store(node, 401, "HEAD")
    store(node, 402, "CHEST")
    node.as_("ada")
    assert opened(node, 402)[0] == SHORT
    chosen, choice = opened(node, 401)
    assert chosen == NEURO
    # Every template that reports may be written with, each with version and quality level.
    levels = {line.partition('"')[2].partition('"')[0]: line for line in choice.split("<option")[1:]}
    assert {NEURO, SHORT, GECCO, URL} <= set(levels)
    assert levels[NEURO].endswith("draft</option>")
    assert "selected" in levels[NEURO]
    assert levels[URL].endswith("released by an expert group</option>")
    assert opened(node, 401, f"?template={GECCO}")[0] == GECCO
    gone = node.client.get(f"/reading/series/{uid(401, 1)}?template=urn:nowhere", headers=HTML)
    assert gone.status_code == 404
    # What was begun is gone on with.
    place = f"/api/reading/imaging-studies/{uid(401)}/report"
    begun = node.client.post(f"{place}/normal?template={SHORT}&based_on=0")
    assert begun.status_code == 200, begun.text
    assert opened(node, 401)[0] == SHORT
    node.as_("ben")
    assert opened(node, 401)[0] == NEURO
    form = node.client.get(f"{place}?template={URL}").json()["form"]
    assert (form["version"], form["level"]) == ("1", "released by an expert group")


def test_a_list_leaves_no_choice(node: Node) -> None:
    store(node, 403, "HEAD")
    assert assign(node, "chosen", [403]).json() == {"added": 2}
    node.as_("ada")
    assert opened(node, 403, f"?list=chosen&template={GECCO}") == (SHORT, "")


def test_paper_and_planners_pages_name_the_level(node: Node) -> None:
    store(node, 404, "CHEST")
    ada = node.as_("ada")
    place = f"/api/reading/imaging-studies/{uid(404)}/report"
    filled = ada.post(f"{place}/normal?based_on=0").json()
    assert ada.post(f"{place}/sign?based_on={filled['revision']}").status_code == 200
    for language, level in (("en", "draft"), ("de", "Entwurf")):
        page = ada.get(f"{place}/document", headers={**HTML, "Accept-Language": language}).text
        assert f'<span class="mono">{SHORT}|2</span> · {level}' in page
    eve = node.as_("eve")
    page = eve.get("/reading/protocols/new", headers=HTML).text
    assert f"<code>{NEURO}</code></td><td>2</td><td>draft</td>" in page

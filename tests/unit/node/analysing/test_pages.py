"""The page of the cases behind an analysis, and the rows a notebook at the site reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from racoon.client import NodeClient
from racoon.domain.analysis import parse_plan
from racoon.domain.coding import Code
from racoon.domain.cohort import CohortDefinition, ImagingCriterion
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.domain.study import StudyDefinition
from racoon.node.app import permission
from racoon.node.curation import service as curation
from racoon.node.measuring import service as measuring
from racoon.platform import clock
from racoon.platform.database import metadata
from tests.node_rooms import NodeInProcess

PAGE = Path(__file__).resolve().parents[4] / "docs" / "how-to" / "run-an-analysis.md"
LIVER = Code("10200004", "SCT", "Liver")
COHORT = CohortDefinition(((ImagingCriterion(modality="CT"),),))
MEASURING = MeasuringPlan("livers", (Measurement("volume", "1", LIVER, Bins(0.0, 0.1, 0.01)),))
PLAN = parse_plan(
    {
        "name": "Livers",
        "variables": [
            {
                "name": "liver_ml",
                "kind": "number",
                "unit": "mL",
                "source": f"measured {MEASURING.measurements[0].key}",
            },
            {"name": "large", "kind": "truth", "derivation": "liver_ml >= 0.01"},
        ],
        "estimators": [{"estimator": "description", "title": "Table 1", "variables": ["liver_ml", "large"]}],
    }
)
STUDY = "study-1"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    found.rely_on()
    found.rely_on(STUDY)
    for number, patient in ((1, "4711"), (2, "4712"), (3, "4713")):
        found.store(number, patient)
    definition = StudyDefinition(
        "Livers", "", "federated", COHORT.to_dict(), measuring=MEASURING, analyses=(PLAN,)
    )
    with found.rooms.database.begin() as connection:
        usable = permission.usable_series(found.consent)
        manifest = curation.freeze(
            connection, found.rooms.archive, STUDY, "main", COHORT,
            readable=found.consent.condition, usable=usable,
        )  # fmt: skip
        row: dict[str, Any] = {
            "study_id": STUDY, "study_hash": definition.hash, "definition": definition.to_dict(),
            "requested_by": "office", "central_state": "active", "track_state": "released", "version": 9,
            "last_actor": "x", "vote": "yes", "dataset_hash": manifest.hash, "offered_at": clock.now(),
        }  # fmt: skip
        connection.execute(metadata("node").tables["study_at_site"].insert(), row)
    measuring.run_protocol(
        MEASURING, manifest, found.rooms.archive, found.rooms.database, lambda _d, _t, _n: None
    )
    yield found
    found.close()


def test_each_point_opens_its_case_and_a_withdrawal_takes_it_away(node: NodeInProcess) -> None:
    path = f"/analyses/{STUDY}/{PLAN.hash[:12]}"
    client = node.person("site_informatician", "reader")
    page = client.get(path)
    assert page.status_code == 200, page.text
    links = re.findall(r'<a href="(/reading/series/[^"]+)" aria-label="([^"]+)"', page.text)
    assert len(links) == 3
    assert any(str(node.subject("4711")) in label for _, label in links)
    assert client.get(links[0][0]).status_code == 200
    german = client.get(path, headers={"accept-language": "de"}).text
    assert "Fälle hinter den Zahlen" in german
    node.withdraw(node.subject("4711"))
    after = client.get(path).text
    assert str(node.subject("4711")) not in after
    assert "2 subjects" in after
    assert client.get(f"/analyses/{STUDY}/0000").status_code == 404
    assert node.person("dpo").get(path).status_code == 403


class Person(NodeClient):
    """The client of somebody who is signed in at the node."""

    def __init__(self, node: NodeInProcess) -> None:
        super().__init__("http://127.0.0.1:8600")
        self.close()
        self._client = node.person("data_manager")  # type: ignore[assignment]  # a browser of the test


def test_the_guide_reads_the_rows_at_the_site(
    node: NodeInProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    block = next(
        text
        for text in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        if "node." in text
    )
    exec(compile(block, PAGE.name, "exec"), {"node": Person(node), "study_id": STUDY, "plan_name": "Livers"})
    assert capsys.readouterr().out.startswith("3 subjects; columns: subject, liver_ml, large")
    with node.rooms.database.connect() as connection:
        assert node.rooms.audit.verify(connection).valid
        entries = connection.execute(metadata("node").tables["audit"].select()).all()
    assert any("analysis.table_read" in str(entry) for entry in entries)

"""A round at a real node: rows from its own tables, its own gate, and a memory of about whom sums have left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from racoon.domain.analysis import parse_plan
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import BadAnalysisJob, NotMeasured
from racoon.node.analysing.service import load_subjects
from racoon.node.analysing.worker import analyse_handler
from racoon.node.approvals.model import StudyAtSite, job_content_hash
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.service import ReleaseGate
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all, metadata
from racoon.protocol.messages import JobOffer, Message
from racoon.science.analysis import Question
from racoon.science.statistics import Moments
from racoon.science.statistics.regression import ModelStep

KEY = "volume@1 SCT:10200004"
SUBJECTS = 60
AGES = [40.0 + number / 2 for number in range(SUBJECTS)]
VOLUMES = [1000.0 + 10 * number for number in range(SUBJECTS)]
OTHERS = {"series_uid": "2.25.999", "pseudonym": "P999"}


class Line:
    """What would go to CENTRAL."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def put(self, _connection: Any, _kind: str, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def manifest(database: Database) -> DatasetManifest:
    """Every subject has two series: the second a year later and 20 mL larger."""
    series, facts, values = [], [], []
    for number in range(SUBJECTS):
        for visit in (0, 1):
            uid, name = f"2.25.{number}.{visit}", f"P{number:03d}"
            series.append(DatasetSeries(uid, Pseudonym(name), 10, "0" * 64))
            gender = "unknown" if visit == 0 and number == 0 else ["female", "male"][number % 2]
            facts.append(_fact(uid, name, AGES[number] + visit, gender))
            values.append((uid, name, VOLUMES[number] - 10 + 20 * visit, number != 3 or visit == 0))
    found = DatasetManifest("study-1", "main", tuple(series))
    facts.append(_fact(OTHERS["series_uid"], OTHERS["pseudonym"], 99.0, "male"))
    values.append((OTHERS["series_uid"], OTHERS["pseudonym"], 1e6, True))
    with database.begin() as connection:
        tables = metadata("node").tables
        connection.execute(tables["series_fact"].insert(), facts)
        connection.execute(tables["measurement"].insert(), [_value(found.hash, *value) for value in values])
    return found


def _fact(uid: str, pseudonym: str, age: float, gender: str) -> dict[str, Any]:
    return {
        "series_uid": uid, "imaging_study_uid": f"{uid}.1", "pseudonym": pseudonym, "modality": "CT",
        "body_part": "CHEST", "gender": gender, "age_years": age, "slice_thickness_mm": 1.0, "instance_count": 10,
    }  # fmt: skip


def _value(dataset: str, uid: str, pseudonym: str, value: float, valid: bool) -> dict[str, Any]:
    return {
        "study_id": "study-1", "dataset_hash": dataset, "series_uid": uid, "pseudonym": pseudonym,
        "measurement": KEY, "biomarker": "volume", "version": "1", "label_key": "SCT:10200004", "label": None,
        "parameters_hash": "0" * 64, "value": value, "unit": "mL", "valid": valid, "reason": "", "parameters": {},
        "masks": [], "automation": None, "key_instance_uid": "", "key_frame": 0, "key_slice": None,
        "software": "test", "computed_at": datetime.now(UTC),
    }  # fmt: skip


def plan_of(*conditions: str, key: str = KEY) -> Any:
    return parse_plan(
        {
            "name": "livers",
            "variables": [
                {"name": "age", "kind": "number", "source": "subject.age_years"},
                {"name": "sex", "kind": "category", "levels": ["female", "male"], "source": "subject.gender"},
                {"name": "liver_ml", "kind": "number", "source": f"measured {key}"},
                {"name": "large", "kind": "truth", "derivation": "liver_ml >= 1300"},
            ],
            "estimators": [
                {"estimator": "description", "title": "Table 1", "variables": ["age", "liver_ml", "sex"]},
                {
                    "estimator": "model",
                    "title": "Large",
                    "outcome": "large",
                    "terms": ["age"],
                    "family": "binomial",
                },
            ],
            "subgroups": [
                {"name": f"group {number}", "condition": condition}
                for number, condition in enumerate(conditions)
            ],
        }
    )


class Site:
    """One node's analysing room with its gate."""

    def __init__(self, database: Database, manifest: DatasetManifest) -> None:
        self.database, self.manifest, self.line = database, manifest, Line()
        self.gate = ReleaseGate(DisclosurePolicy(), self.line, AuditLog("node"))
        self.withdrawn: set[str] = set()
        self.jobs = 0

    def run(self, plan: Any, *questions: Question, sites: int = 3) -> dict[str, Any]:
        """Do one job; returns what left."""
        self.jobs += 1
        asked = questions or tuple(
            Question(0, name) for name in ("", *(group.name for group in plan.subgroups))
        )
        parameters = {
            "plan": plan.to_dict(), "dataset_hash": self.manifest.hash, "round": 1, "sites": sites,
            "questions": [question.to_dict() for question in asked],
        }  # fmt: skip
        offer = JobOffer(
            job_id=f"job-{self.jobs}", run_id="run-1", study_id="study-1", study_hash="0" * 64, kind="analyse",
            plan_hash=plan.hash, content_hash=job_content_hash("analyse", parameters), parameters=parameters,
            not_after=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
        study = StudyAtSite(
            "study-1", "0" * 64, None, "active", "released", 1, None, "yes", self.manifest.hash,
            datetime.now(UTC),
        )  # fmt: skip
        outcome = analyse_handler(lambda *_: self.manifest, self._load)(offer, study, lambda *_: None)
        with self.database.begin() as connection:
            released = self.gate.submit(connection, offer, outcome.aggregate, outcome.files)
        return {
            "answers": released.payload["answers"],
            "codes": {item.reason_code for item in released.suppressed},
        }

    def _load(self, plan: Any, manifest: DatasetManifest) -> Any:
        with self.database.connect() as connection:
            return load_subjects(connection, plan, manifest, lambda subject: subject not in self.withdrawn)


@pytest.fixture
def site(database: Database, manifest: DatasetManifest) -> Site:
    return Site(database, manifest)


def test_rows_are_subjects_of_the_dataset_with_first_age_and_mean_value(site: Site) -> None:
    found = site.run(plan_of())
    ages, livers, sexes = found["answers"][0]["value"]["variables"]
    assert Moments.from_dict(ages["groups"][0]["moments"]) == Moments.of(AGES)
    # The second value of subject 3 is not valid: its mean is the first alone.
    wanted = [volume - 10 if number == 3 else volume for number, volume in enumerate(VOLUMES)]
    assert Moments.from_dict(livers["groups"][0]["moments"]) == Moments.of(wanted)
    assert sexes["table"]["cells"] == [[30], [30]]
    assert site.line.sent[0].kind == "analyse"


def test_what_was_not_measured_is_named(site: Site) -> None:
    with pytest.raises(NotMeasured, match=r"volume@1 SCT:1 on the frozen dataset"):
        site.run(plan_of(key="volume@1 SCT:1"))
    with pytest.raises(BadAnalysisJob):
        site.run(plan_of(), Question(7))
    assert site.line.sent == []


def test_a_plan_that_differs_from_an_earlier_one_in_a_few_subjects_is_refused(site: Site) -> None:
    first = site.run(plan_of("age < 60"))
    assert [answer["value"] is not None for answer in first["answers"]] == [True, True]
    again = site.run(plan_of("age < 60"))
    assert again["answers"] == first["answers"]
    near = site.run(plan_of("age < 61"))
    assert [answer["value"] is not None for answer in near["answers"]] == [True, False]
    assert near["codes"] == {"release.earlier_population"}
    assert near["answers"][1]["reasons"] == [
        "This choice of subjects differs in too few of them from one that was analysed before."
    ]
    far = site.run(plan_of("age < 63"))
    assert [answer["value"] is not None for answer in far["answers"]] == [True, True]
    # What was refused left nothing, so it is no earlier choice: 60.5 is near 60 and 61, but only 60 counts.
    assert site.run(plan_of("age < 60.5"))["codes"] == {"release.earlier_population"}


def test_a_withdrawal_between_two_rounds_cannot_be_subtracted(site: Site) -> None:
    assert site.run(plan_of())["codes"] == set()
    site.withdrawn = {"P007"}
    after = site.run(plan_of())
    assert after["answers"][0]["value"] is None
    assert after["codes"] == {"release.earlier_population"}
    site.withdrawn = {f"P{number:03d}" for number in range(6)}
    assert site.run(plan_of())["answers"][0]["value"] is not None


def test_coefficients_that_single_out_a_subject_get_no_answer(site: Site) -> None:
    kind = site.run(plan_of(), Question(1, coefficients=(0.0, 0.0)))["answers"][0]
    assert ModelStep.from_dict(kind["value"]).n == SUBJECTS
    # A steep logistic curve through one age: every other row has weight 0.
    steep = site.run(plan_of(), Question(1, coefficients=(-400.0 * AGES[25], 400.0)))
    assert (steep["answers"][0]["value"], steep["codes"]) == (None, {"release.dominance"})


def test_too_few_sites_get_no_answer(site: Site) -> None:
    alone = site.run(plan_of(), sites=2)
    assert (alone["answers"][0]["value"], alone["codes"]) == (None, {"release.analysis_sites"})


def test_coefficients_that_move_a_few_subjects_between_cells_get_no_answer(site: Site) -> None:
    document = plan_of().to_dict()
    document["variables"].append({"name": "male", "kind": "truth", "derivation": "sex = 'male'"})
    document["estimators"].append(
        {"estimator": "prediction", "title": "Risk", "outcome": "male", "score": "Large", "edges": [0.5]}
    )
    plan = parse_plan(document)

    def ask(age: float) -> dict[str, Any]:
        # Risks are at least one half from this age on.
        return site.run(plan, Question(2, coefficients=(-age, 1.0)))

    def counts(found: dict[str, Any]) -> list[int] | None:
        value = found["answers"][0]["value"]
        return None if value is None else value["variables"][0]["positive"]

    assert counts(ask(50.0)) == [10, 20]
    assert counts(ask(50.0)) == [10, 20]
    near = ask(51.0)
    assert (counts(near), near["codes"]) == (None, {"release.earlier_population"})
    assert counts(ask(60.0)) == [20, 10]


def test_cells_of_one_round_are_compared_too(site: Site) -> None:
    document = plan_of().to_dict()
    document["variables"].append({"name": "male", "kind": "truth", "derivation": "sex = 'male'"})
    document["estimators"].append(
        {"estimator": "prediction", "title": "Risk", "outcome": "male", "score": "Large", "edges": [0.5]}
    )
    asked = [Question(2, coefficients=(-age, 1.0)) for age in (50.0, 51.0)]
    both = site.run(parse_plan(document), *asked)["answers"]
    assert [answer["value"] is not None for answer in both] == [True, False]

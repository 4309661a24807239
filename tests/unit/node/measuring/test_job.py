"""The job handler: from an offer to what the release gate gets."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from racoon.errors import Defect
from racoon.node.approvals.model import StudyAtSite, job_content_hash
from racoon.node.measuring.worker import measure_handler
from racoon.node.release.jobs import PROTECT
from racoon.node.release.policy import DisclosurePolicy
from racoon.protocol.messages import JobOffer
from racoon.science.statistics import Moments
from tests.unit.node.measuring.cohort import SUBJECTS


def offer_of(plan, document=None, **changes):
    parameters = {"plan": document or plan.to_dict(), "dataset_hash": "0" * 64}
    fields = {
        "job_id": "job-1",
        "run_id": "run-1",
        "study_id": "study-1",
        "study_hash": "0" * 64,
        "kind": "measure",
        "plan_hash": plan.hash,
        "content_hash": job_content_hash("measure", parameters),
        "parameters": parameters,
        "not_after": datetime.now(UTC) + timedelta(hours=1),
    }
    return JobOffer(**{**fields, **changes})


@pytest.fixture
def study(manifest):
    return StudyAtSite(
        study_id="study-1",
        study_hash="0" * 64,
        definition=None,
        central_state="active",
        track_state="released",
        version=1,
        last_actor=None,
        vote="yes",
        dataset_hash=manifest.hash,
        offered_at=datetime.now(UTC),
    )


def test_what_leaves_is_the_exact_sum_of_what_was_stored(plan, manifest, archive, database, study):
    handler = measure_handler(database, archive, lambda *_: manifest)
    steps = []
    outcome = handler(offer_of(plan), study, lambda *step: steps.append(step))
    assert steps[-1][:2] == (SUBJECTS, SUBJECTS)
    released = PROTECT["measure"](outcome.aggregate, DisclosurePolicy())
    assert released.payload["dataset_hash"] == manifest.hash
    by_name = {item["key"]: item for item in released.payload["measurements"]}
    density = by_name["mean_density@1 SCT:10200004"]
    assert Moments.from_dict(density["moments"]) == Moments.of([40.0 + n for n in range(1, SUBJECTS + 1)])
    again = handler(offer_of(plan), study, lambda *_: None)
    assert again.aggregate == outcome.aggregate


def test_a_plan_other_than_the_one_named_is_not_run(plan, manifest, archive, database, study):
    handler = measure_handler(database, archive, lambda *_: manifest)
    for offer in (offer_of(plan, plan_hash="1" * 64), offer_of(plan, {"measurements": [{}]})):
        with pytest.raises(Defect):
            handler(offer, study, lambda *_: None)
    for without in (None, dataclasses.replace(study, dataset_hash=None)):
        with pytest.raises(Defect, match="no dataset"):
            handler(offer_of(plan), without, lambda *_: None)

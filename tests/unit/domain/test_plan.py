"""Plans, datasets and study documents: what is hashed is what was meant."""

from __future__ import annotations

import json

import pytest

from racoon.domain.canonical import canonical_json, content_hash
from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym, Role
from racoon.domain.permission import PERMISSIONS, is_permitted
from racoon.domain.plan import Bins, Measurement, MeasuringPlan, TrainingPlan
from racoon.domain.study import StudyDefinition

LIVER = Code("10200004", "SCT", "Liver")
MEASURING = MeasuringPlan("organs", (Measurement("volume", "1", LIVER, Bins(0, 3000, 100)),))
TRAINING = TrainingPlan("opacities", "CT", (LIVER,))
STUDY = StudyDefinition(
    title="t",
    lay_summary="l",
    mode="federated",
    cohort={"version": "2", "inclusionCriteria": [[{"x-imaging": {"modality": "CT"}}]]},
    measuring=MEASURING,
    training=TRAINING,
    evaluation_sites=("HOLDOUT",),
)


def test_documents_survive_the_wire() -> None:
    again = StudyDefinition.from_dict(json.loads(json.dumps(STUDY.to_dict())))
    assert again == STUDY
    assert again.hash == STUDY.hash
    assert again.plan_hashes == {MEASURING.hash, TRAINING.hash}


def test_another_bin_is_another_plan() -> None:
    other = MeasuringPlan("organs", (Measurement("volume", "1", LIVER, Bins(0, 3000, 50)),))
    assert other.hash != MEASURING.hash


def test_manifest_hash_does_not_depend_on_the_order_of_series() -> None:
    first = DatasetSeries("1.2", Pseudonym("A"), 3, "a" * 64)
    second = DatasetSeries("1.3", Pseudonym("B"), 4, "b" * 64, ("1.4",))
    one, two = (DatasetManifest("s", "n", series) for series in ((first, second), (second, first)))
    assert one.hash == two.hash
    assert one.subject_count == 2
    assert DatasetManifest.from_dict(one.to_dict()).hash == one.hash


def test_canonical_json_is_the_standard_s_example() -> None:
    # RFC 8785 section 3.2.2: numbers in ECMAScript form, keys sorted by UTF-16 code units.
    assert (
        canonical_json({"b": 1e30, "a": [4.50, 2e-3, True, None]}) == b'{"a":[4.5,0.002,true,null],"b":1e+30}'
    )
    assert content_hash({"a": 1}) == content_hash({"a": 1.0})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**60, object(), {"a": {1, 2}}])
def test_what_json_cannot_say_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(value)


def test_permissions_are_denied_by_default_and_exactly_the_table() -> None:
    for place, table in PERMISSIONS.items():
        assert not is_permitted(place, Role, "no.such.action")
        for action, allowed in table.items():
            assert not is_permitted(place, [], action)
            for role in Role:
                assert is_permitted(place, [role], action) == (role in allowed)


def test_no_network_role_sees_images_and_no_site_role_starts_runs() -> None:
    network = {Role.COORDINATOR, Role.ADMIN_CENTRAL, Role.ETHICS_OFFICE, Role.AUDITOR}
    assert not any(is_permitted("node", [role], "image.read") for role in network)
    assert not is_permitted("central", [Role.SITE_INFORMATICIAN, Role.READER, Role.DPO], "run.start")

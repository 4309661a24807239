"""Outliers within the network, and questions to who drew a mask."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from racoon.central.analyses.network import network_references
from racoon.domain.identity import Role
from racoon.node.measuring import service
from racoon.node.measuring.checks import NetworkReference
from racoon.node.measuring.quality import CheckMissing, ChecksOpen
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.science.statistics import Moments

DANA = User("dana", frozenset({Role.DATA_MANAGER}))
RITA = User("rita", frozenset({Role.READER}))


def payload(plan, shift: float, count: int = 10) -> dict[str, object]:
    return {
        "measurements": [
            {
                "key": item.key,
                "unit": "mL",
                "moments": Moments.of([shift + 0.1 * n for n in range(count)]).to_dict(),
            }
            for item in plan.measurements
        ]
    }


def test_figures_of_the_network_need_three_sites_and_twenty_values(plan):
    released = {"A": payload(plan, 1.0), "B": payload(plan, 2.0), "C": payload(plan, 3.0)}
    found = network_references(plan, released)
    assert set(found) == {item.key for item in plan.measurements}
    first = next(iter(found.values()))
    assert (first["sites"], first["subjects"]) == (3, 30)
    assert first["mean"] == pytest.approx(2.45)
    assert network_references(plan, {"A": released["A"], "B": released["B"]}) == {}
    assert network_references(plan, {site: payload(plan, 1.0, 5) for site in "ABC"}) == {}
    broken = {**released, "C": {"measurements": [{"key": plan.measurements[0].key, "moments": "x"}]}}
    assert network_references(plan, broken) == {}


def test_a_value_far_from_the_network_waits_for_a_person(plan, manifest, archive, database):
    key = plan.measurements[1].key  # mean density of livers, 41 to 48 HU here
    with database.begin() as connection:
        service.note_network(connection, "study-1", {key: NetworkReference(4, 200, 20.0, 4.0)})
        service.note_network(connection, "study-1", {key: NetworkReference(4, 200, 20.0, 5.0)})
    service.run_protocol(plan, manifest, archive, database)
    with database.connect() as connection:
        found = [item for item in service.checks(connection) if item.code == "value.network_outlier"]
    # Five standard deviations above 20 HU lie at 45 HU: subjects 6, 7 and 8.
    assert sorted(item.pseudonym for item in found) == ["SUBJ-6", "SUBJ-7", "SUBJ-8"]
    assert "from the network's mean 20 (4 sites, 200 values)" in found[0].sentence()
    assert "vom Mittel 20 des Netzes" in found[0].sentence("de")


def test_a_question_goes_to_who_drew_the_mask_and_holds_the_sign_off(plan, manifest, archive, database):
    audit = AuditLog("node")
    service.run_protocol(plan, manifest, archive, database)
    with database.begin() as connection:
        checks = service.checks(connection)
        about = next(item for item in checks if item.mask is not None)
        for item in checks:
            service.decide(connection, audit, DANA, item.number, "kept")
        number = service.ask(connection, audit, DANA, about.number, "Is the dome left out?")
        (query,) = service.queries(connection, "study-1")
        assert (query.number, query.is_open, query.asked_by) == (number, True, "dana")
        assert query.asked_of == about.mask.algorithm_name
        with pytest.raises(ChecksOpen):
            service.sign_off(connection, audit, DANA, "study-1", manifest.hash)
        service.answer(connection, audit, RITA, number, "Yes, by mistake.")
        (query,) = service.queries(connection, "study-1")
        assert (query.answer, query.answered_by, query.is_open) == ("Yes, by mistake.", "rita", False)
        assert query.answered_at <= datetime.now(UTC)
        with pytest.raises(CheckMissing):
            service.answer(connection, audit, RITA, number, "again")
        with pytest.raises(CheckMissing):
            service.ask(connection, audit, DANA, 999, "which?")
        service.sign_off(connection, audit, DANA, "study-1", manifest.hash)
        actions = [entry.action for entry in audit.entries(connection, 50)]
        assert {"measurement.ask", "measurement.answer"} <= set(actions)
        service.forget_subject(connection, query.pseudonym, [query.series_uid])
        assert service.queries(connection, "study-1") == []

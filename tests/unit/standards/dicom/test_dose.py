"""Dose reports: cumulative values are taken, contained reports left out, unknown units not guessed."""

from __future__ import annotations

from itertools import permutations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from racoon.standards.dicom.dose import DoseReport, current_reports, describe_doses, read_dose_report


def code(value: str, meaning: str = "") -> Sequence:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return Sequence([item])


def content(kind: str, concept: str, *children: Dataset, **values: object) -> Dataset:
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence = kind, code(concept)
    for keyword, value in values.items():
        setattr(item, keyword, value)
    if children:
        item.ContentSequence = Sequence(children)
    return item


def number(concept: str, value: float, unit: str, *children: Dataset) -> Dataset:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = str(value), code(unit)
    return content("NUM", concept, *children, MeasuredValueSequence=Sequence([measured]))


def report(*items: Dataset, study: str = "1.2.3") -> Dataset:
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.SOPInstanceUID = study, "1.2.3.4"
    dataset.ContentDate, dataset.ContentTime = "20260101", "101500"
    dataset.ContentSequence = Sequence(items)
    return dataset


def ct(dlp: float, *events: str) -> Dataset:
    total = content("CONTAINER", "113811", number("113813", dlp, "mGy.cm"))
    done = [content("CONTAINER", "113819", content("UIDREF", "113769", UID=uid)) for uid in events]
    return report(total, *done)


def read(dataset: Dataset) -> DoseReport:
    found = read_dose_report(dataset)
    assert found is not None
    return found


def test_reports_of_a_growing_study_leave_the_last() -> None:
    reports = [read(ct(7.46, "1.1")), read(ct(77.27, "1.1", "1.2")), read(ct(236.09, "1.1", "1.2", "1.3"))]
    for order in permutations(reports):
        (study,) = describe_doses(order)
        assert (study["superseded"], study["totals"][0]["value"]) == (2, 236.09)


def test_same_report_sent_twice_counts_once() -> None:
    assert len(current_reports([read(ct(5, "1.1")), read(ct(5, "1.1"))])) == 1


def test_reports_of_different_radiation_stand_side_by_side() -> None:
    (study,) = describe_doses([read(ct(60, "1.1")), read(ct(56, "1.2"))])
    assert (study["superseded"], study["totals"], len(study["current"])) == (0, None, 2)


def test_planes_and_sides_are_told_apart() -> None:
    plane = content("CODE", "113764", ConceptCodeSequence=code("113620", "Plane A"))
    side = content("CODE", "G-C171", ConceptCodeSequence=code("T-04020", "Right breast"))
    found = read(
        report(
            content("CONTAINER", "113702", plane, number("113722", 0.5, "Gy.m2")),
            content("CONTAINER", "113702", number("111637", 1.2, "mGy", side)),
        )
    )
    assert [(total.name, total.part) for total in found.totals] == [
        ("dose_area_product_total", "Plane A"),
        ("average_glandular_dose", "Right breast"),
    ]


@pytest.mark.parametrize(
    ("unit", "expected"), [("mGycm", [12.0]), ("mGy.cm", [12.0]), ("Sv", []), ("Gy.m2", []), ("", [])]
)
def test_unit_that_is_not_known_is_not_guessed(unit: str, expected: list[float]) -> None:
    found = read(report(content("CONTAINER", "113811", number("113813", 12, unit))))
    assert [total.value for total in found.totals] == expected


def test_units_are_brought_together() -> None:
    found = read(
        report(content("CONTAINER", "113702", number("113722", 25.0, "uGy.m2"), number("113730", 2, "min")))
    )
    assert [(total.value, total.unit) for total in found.totals] == [
        (pytest.approx(25e-6), "Gy.m2"),
        (120.0, "s"),
    ]


def test_other_reports_hold_no_dose() -> None:
    assert read_dose_report(report(content("TEXT", "121070"))) is None
    assert read_dose_report(Dataset()) is None


def test_hostile_depth_ends() -> None:
    item = content("CONTAINER", "113811", number("113813", 1, "mGy.cm"))
    for _ in range(200):
        item = content("CONTAINER", "121070", item)
    assert read_dose_report(report(item)) is None

"""The form of a cohort: what it makes, what it finds wrong, and what it says."""

from __future__ import annotations

import pytest
from hypothesis import given

from racoon.central.cohorts import writing
from racoon.central.cohorts.filling import form_of
from racoon.central.cohorts.wording import sentence_of
from racoon.central.cohorts.writing import change, groups_of, read_form
from racoon.domain.clinical_criterion import ICD
from racoon.domain.cohort import CohortDefinition, parse_cohort
from tests.cohort_populations import definitions

FORM = {
    "include.0.0.kind": "imaging",
    "include.0.0.modality": "ct",
    "include.0.0.thickness": "1,5",
    "include.0.0.near": "observation",
    "include.0.0.near_system": "http://loinc.org",
    "include.0.0.near_codes": "1988-5",
    "include.0.0.near_compare": "ge",
    "include.0.0.near_value": "10",
    "include.0.0.near_unit": "mg/L",
    "include.0.0.days_before": "7",
    "include.0.0.days_after": "3",
    "include.1.0.kind": "age",
    "include.1.0.compare": "ge",
    "include.1.0.years": "18",
    "include.1.1.kind": "gender",
    "include.1.1.female": "yes",
    "exclude.0.0.kind": "condition",
    "exclude.0.0.system": ICD,
    "exclude.0.0.codes": "C34, http://snomed.info/sct|93880001",
}


@given(definitions)
def test_a_definition_survives_the_form(definition: CohortDefinition) -> None:
    written = read_form(form_of(definition))
    assert written.problems == {}
    assert written.definition is not None
    assert written.definition.hash == definition.hash
    for language in ("en", "de"):
        assert sentence_of(definition, language).endswith(".")


def test_the_form_makes_what_the_parser_reads() -> None:
    definition = read_form(FORM).definition
    assert definition is not None
    assert parse_cohort(definition.to_dict()).hash == definition.hash
    assert sentence_of(definition, "en") == (
        "Subjects with an image series (modality CT, slices of at most 1.5 mm, with the laboratory value 1988-5 "
        "(LOINC) of at least 10 mg/L between 7 days before and 3 days after the examination) and (an age at the "
        "examination of at least 18 years or the sex female), except those with the diagnosis "
        "C34 (ICD-10-GM with subdivisions) or 93880001 (SNOMED CT)."
    )
    assert sentence_of(definition, "de") == (
        "Personen mit einer Bildserie (Modalität CT, Schichten von höchstens 1,5 mm, mit dem Laborwert 1988-5 "
        "(LOINC) von mindestens 10 mg/L zwischen 7 Tagen vor und 3 Tagen nach der Untersuchung) und (einem Alter "
        "bei der Untersuchung von mindestens 18 Jahren oder dem Geschlecht weiblich), ausgenommen solche mit der "
        "Diagnose C34 (ICD-10-GM mit Untergruppen) oder 93880001 (SNOMED CT)."
    )


def test_answers_consents_and_availability_in_words() -> None:
    form = {
        "include.0.0.kind": "imaging",
        "include.0.0.modality": "CT",
        "include.0.0.question": "effusion",
        "include.0.0.answers": "true, http://radlex.org|RID34539",
        "include.0.0.inPacs": "yes",
        "include.0.0.annotated": "yes",
        "include.1.0.kind": "consent",
        "include.1.0.use": "yes",
        "include.1.0.others": "2.16.840.1.113883.3.1937.777.24.5.3.50",
    }
    definition = read_form(form).definition
    assert definition is not None
    assert parse_cohort(definition.to_dict()).hash == definition.hash
    assert sentence_of(definition, "en") == (
        "Subjects with an image series (modality CT, known to the clinic's system, with a finding or a signed report, "
        "the answer yes or RID34539 (http://radlex.org) to effusion in a signed report) and a consent in force to "
        "2.16.840.1.113883.3.1937.777.24.5.3.50 or use for research."
    )
    assert sentence_of(definition, "de") == (
        "Personen mit einer Bildserie (Modalität CT, im System der Klinik bekannt, mit einem Befund oder signierten "
        "Bericht, Antwort ja oder RID34539 (http://radlex.org) auf effusion in einem signierten Bericht) und einer "
        "gültigen Einwilligung in 2.16.840.1.113883.3.1937.777.24.5.3.50 oder Nutzung für die Forschung."
    )


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("include.0.0.thickness", "thin", writing.NO_NUMBER),
        ("include.0.0.thickness", "1e999", writing.NO_NUMBER),
        ("include.0.0.modality", "computed tomography", writing.NO_CODE_STRING),
        ("include.0.0.label", "lung", writing.NO_LABEL),
        ("include.0.0.studies", "0", writing.NO_STUDY),
        ("include.0.0.days_before", "-1", writing.NO_WHOLE_NUMBER),
        ("include.0.0.near_codes", " , ", writing.NO_CODE),
        ("include.0.0.near_after", "31.01.2026", writing.NO_DAY),
        ("include.1.0.years", "", writing.NO_NUMBER),
        ("include.0.0.question", "pleural effusion", writing.NO_QUESTION),
        ("include.0.0.answers", "yes", writing.NO_ANSWER),
        ("include.0.0.template", "https://racoon.example/chest|1", writing.NO_TEMPLATE),
        ("include.1.2.others", "research", writing.NO_POLICY),
    ],
)
def test_what_is_wrong_is_said_at_its_field(name: str, text: str, problem: str) -> None:
    more = {"include.0.0.question": "effusion", "include.0.0.answers": "true", "include.1.2.kind": "consent"}
    written = read_form({**FORM, **more, "include.1.2.use": "yes", name: text})
    assert (written.definition, dict(written.problems)) == (None, {name: problem})


def test_more_that_is_wrong() -> None:
    assert dict(read_form({}).problems) == {"": writing.NO_CRITERION}
    empty = {"include.0.0.kind": "imaging", "include.0.0.studies": "2", "include.0.1.kind": "gender"}
    assert dict(read_form(empty).problems) == {
        "include.0.0.modality": writing.NO_CONDITION,
        "include.0.1.female": writing.NO_GENDER,
    }
    reversed_range = {"include.0.0.near_compare": "range", "include.0.0.near_value_to": "9"}
    assert dict(read_form(FORM | reversed_range).problems) == {
        "include.0.0.near_value_to": writing.WRONG_RANGE
    }


def test_buttons_add_and_remove() -> None:
    added, focus = change({**FORM, "kind.exclude.new": "age"}, "add.exclude.new")
    assert (focus, added["exclude.1.0.kind"]) == ("exclude.1.0", "age")
    more, focus = change({**FORM, "kind.include.0": "procedure"}, "add.include.0")
    assert (focus, more["include.0.1.kind"]) == ("include.0.1", "procedure")
    less, focus = change(more, "remove.include.0.0")
    assert (focus, groups_of(less, "include")[0]) == ("", [{"kind": "procedure"}])
    gone, _ = change(less, "remove.include.0.0")
    assert [row["kind"] for row in groups_of(gone, "include")[0]] == ["age", "gender"]
    for nonsense in (
        "add.nothing.0",
        "add.include.9",
        "remove.include.0.x",
        "remove.include.99.0",
        "check",
        "",
    ):
        assert change(FORM, nonsense)[0] == {**FORM}

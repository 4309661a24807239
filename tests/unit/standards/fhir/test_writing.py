"""What is written passes the rule tables, keeps its way back to the pixels, and holds no free text."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.coding import Code
from racoon.standards.fhir import building, codes
from racoon.standards.fhir.acquisition import EXTENSION_OF_MODALITY, modality_extension
from racoon.standards.fhir.acquisition_codes import FORMER, RADIONUCLIDES, TRACERS, VIEW_POSITIONS, VIEWS
from racoon.standards.fhir.findings import MeasuredFacts, NothingMeasured, measurement, report
from racoon.standards.fhir.imaging import (
    InstanceFacts,
    SeriesFacts,
    StudyFacts,
    Writing,
    device,
    imaging_study,
)
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.rules.extensions import EXTENSIONS
from racoon.standards.fhir.subjects import (
    SubjectFacts,
    patient,
    provenance,
    research_study,
    research_subject,
)
from racoon.standards.fhir.versions import VERSIONS, extension_url

BERLIN = ZoneInfo("Europe/Berlin")
WHEN = datetime(2026, 3, 4, 5, 6, 7, 89_000, UTC)
PSEUDONYM = "R1-ABCDEFGHIJKLMNOPQRSTUVWXYZA"


def dicom(**values: Any) -> dict[str, Any]:
    """Header as DICOM JSON: ``dicom(t00180060=120)``."""
    return {
        name[1:]: {"vr": "UN", "Value": value if isinstance(value, list) else [value]}
        for name, value in values.items()
    }


CT = SeriesFacts(
    uid="2.25.1.1",
    modality="CT",
    number=2,
    instance_count=4,
    body_part="CHEST",
    laterality="L",
    day="20240131",
    clock="101500",
    manufacturer="Phantom Works",
    model="Model 7",
    has_contrast=True,
    slice_thickness_mm=2.5,
    header=dicom(
        t00180060=120,
        t00189345=4.04,
        t00181150=600,
        t00181152=38,
        t00181151=96,
        t00181210="B30f",
    ),
    instances=(
        InstanceFacts(
            "2.25.1.1.1",
            "1.2.840.10008.5.1.4.1.1.2",
            1,
            dicom(t00280030=[0.8, 0.7], t00180050=2.5, t00080008=["ORIGINAL", "PRIMARY", "AXIAL", "LEAK"]),
        ),
    ),
)
STUDY = StudyFacts("2.25.1", PSEUDONYM, "20240131", "101500.123", (CT,), WHEN)
VALUE = MeasuredFacts(
    identity="17",
    pseudonym=PSEUDONYM,
    imaging_study_uid="2.25.1",
    series_uid="2.25.1.1",
    instance_uid="2.25.1.1.1",
    biomarker="volume",
    version="1",
    title="Volume",
    formula="voxels times voxel volume",
    value=1234.5,
    unit="mL",
    label=Code("39607008", "SCT", "Lung"),
    automation="automatic",
    software="racoon 0.1",
    computed_at=WHEN,
    day="20240131",
    clock="101500",
)


def errors(resource: dict[str, Any], writing: Writing) -> list[str]:
    return [
        f"{item.path} {item.message}" for item in check(resource, writing.version) if item.severity == "error"
    ]


def written(version: str) -> list[dict[str, Any]]:
    """One resource of every kind we write."""
    writing = Writing(VERSIONS[version], BERLIN, "urn:racoon:site:alpha", "urn:racoon:alpha:pseudonym")
    study = imaging_study(STUDY, writing)
    value = measurement(VALUE, writing)
    return [
        study,
        value,
        device("Phantom Works", "Model 7", writing),
        patient(SubjectFacts(PSEUDONYM, "F", "1961"), writing, WHEN),
        report(study, [value], WHEN, writing),
        research_study("study-1", "Lungs", "active", writing),
        research_subject("study-1", PSEUDONYM, "released", WHEN, writing),
        provenance(value, [building.reference("ImagingStudy", "2.25.1")], "racoon 0.1", WHEN, writing),
    ]


def test_everything_written_passes_its_own_rules(writing: Writing) -> None:
    for item in written(writing.version.name):
        assert errors(item, writing) == [], item["resourceType"]


def test_study_says_what_dicom_says(writing: Writing) -> None:
    study = imaging_study(STUDY, writing)
    assert study["started"] == "2024-01-31T10:15:00+01:00"
    assert study["identifier"] == [{"system": "urn:dicom:uid", "value": "urn:oid:2.25.1"}]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 4)
    (series,) = study["series"]
    assert series["uid"] == "2.25.1.1"
    assert series["bodySite"]["code"] == "51185008"
    assert series["laterality"]["code"] == "7771000"
    assert series["performer"] == [
        {"actor": {"reference": f"Device/{device('Phantom Works', 'Model 7', writing)['id']}"}}
    ]
    ct = next(item for item in series["extension"] if item["url"] == extension_url("modalitaet-ct"))
    assert {part["url"]: part.get("valueQuantity", {}).get("code") for part in ct["extension"]} == {
        "CTDIvol": "mGy",
        "KVP": "kV",
        "exposureTime": "ms",
        "exposure": "mA.s",
        "xRayTubeCurrent": "mA",
        "convolutionalKernel": None,
    }
    (details,) = series["instance"][0]["extension"]
    spacing = {
        part["url"]: part["valueQuantity"]["value"]
        for part in details["extension"]
        if "Spacing" in part["url"]
    }
    assert spacing == {"pixelSpacingX": 0.7, "pixelSpacingY": 0.8}


def test_masks_and_reports_are_no_acquisition(writing: Writing) -> None:
    seg = replace(CT, uid="2.25.1.2", modality="SEG", instances=())
    study = imaging_study(replace(STUDY, series=(CT, seg)), writing)
    assert [item["uid"] for item in study["series"]] == ["2.25.1.1"]
    assert study["numberOfSeries"] == 1


def test_body_part_without_a_code_is_left_out(writing: Writing) -> None:
    (series,) = imaging_study(
        replace(STUDY, series=(replace(CT, body_part="HERR MUELLER", laterality="X"),)), writing
    )["series"]
    assert "bodySite" not in series
    assert "laterality" not in series


def test_value_opens_its_pixels(writing: Writing) -> None:
    value = measurement(VALUE, writing)
    assert {item["url"]: item["valueId"] for item in value["extension"]} == {
        extension_url("series-uid"): "2.25.1.1",
        extension_url("sop-instanz-uid"): "2.25.1.1.1",
    }
    assert value["valueQuantity"] == {
        "value": 1234.5,
        "unit": "milliliter",
        "system": "http://unitsofmeasure.org",
        "code": "mL",
    }
    assert value["code"]["coding"][0]["version"] == "1"
    assert value["bodySite"]["coding"][0]["code"] == "39607008"
    has_category = any(item["code"] == "122869004" for item in value["category"][0]["coding"])
    assert has_category == (writing.version.name == "2027-ballot")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_value_without_a_number_is_no_observation(writing: Writing, number: float) -> None:
    with pytest.raises(NothingMeasured):
        measurement(replace(VALUE, value=number), writing)


@pytest.mark.parametrize(
    ("modality", "header", "parts"),
    [
        (
            "MR",
            dicom(t00180087=3, t00180020=["SE", "XX"], t00180021=["SK", "SP"], t00180081=88, t00181314=130),
            ["magneticFieldStrength", "scanningSequence", "scanningSequenceVariant", "echoTime", "flipAngle"],
        ),
        (
            "PT",
            dicom(
                t00541001="BQML",
                t00541000=["WHOLE BODY", "IMAGE"],
                t00080032="113000",
                t00540016={
                    **dicom(t00181072="103000.00", t00181074=1.96e8, t00181075=6586.2),
                    **dicom(
                        t00540304=dicom(t00080100="35321007", t00080102="SCT", t00080104="FDG"),
                        t00540300=dicom(t00080100="C-111A1", t00080102="SRT", t00080104="^18^Fluorine"),
                    ),
                },
            ),
            [
                "radiopharmaceutical",
                "radionuclide",
                "tracerExposureTime",
                "units",
                "radionuclideTotalDose",
                "radionuclideHalfLife",
                "seriesType",
            ],
        ),
        ("US", dicom(t00186031="LINEAR", t00280014=1), ["transducerType", "ultrasoundColor"]),
        ("MG", dicom(t00180060=28, t00181152=90), ["KVP", "exposure"]),
        ("CT", {}, []),
        ("XA", dicom(t00180060=80), []),
    ],
)
def test_each_modality_has_its_own_extension(modality: str, header: dict[str, Any], parts: list[str]) -> None:
    built = modality_extension(modality, header)
    assert [part["url"] for part in (built or {}).get("extension", [])] == parts
    if built:
        study = replace(STUDY, series=(replace(CT, modality=modality, header=header, instances=()),))
        for version in VERSIONS.values():
            used = Writing(version, BERLIN, "urn:x", "urn:y")
            assert errors(imaging_study(study, used), used) == []


def test_kernel_that_is_no_technical_word_is_left_out() -> None:
    assert modality_extension("CT", dicom(t00181210="Müller, Hans *01.02.1950")) is None


@given(
    description=st.text(min_size=1, max_size=40),
    sex=st.sampled_from(["F", "M", "O", "", "X"]),
    body_part=st.text(max_size=20),
    day=st.text(max_size=10),
    clock=st.text(max_size=10),
)
def test_no_header_makes_writing_fail_or_break_a_rule(
    description: str, sex: str, body_part: str, day: str, clock: str
) -> None:
    writing = Writing(VERSIONS["2027-ballot"], BERLIN, "urn:x", "urn:y")
    series = replace(
        CT, body_part=body_part, day=day, clock=clock, header=dicom(t00181210=description, t00180060="x")
    )
    study = imaging_study(replace(STUDY, day=day, clock=clock, series=(series,)), writing)
    assert errors(study, writing) == []
    assert errors(patient(SubjectFacts(PSEUDONYM, sex, day[:4]), writing), writing) == []


def test_free_text_has_no_way_out(writing: Writing) -> None:
    """Descriptions are no argument of the builders at all; what is, is a code, a number or a technical word."""
    text = json.dumps(imaging_study(STUDY, writing))
    assert "description" not in text
    assert "LEAK" not in text


def test_body_sites_are_those_of_dicom() -> None:
    from pydicom.sr._concepts_dict import concepts

    known = {code for meanings in concepts["SCT"].values() for code in meanings}
    table = {**codes.BODY_SITES, **codes.LATERALITIES}
    assert {name: code for name, (code, _) in table.items() if code not in known} == {}


def test_ids_that_do_not_fit_become_hashes() -> None:
    assert building.resource_id("2.25.1") == "2.25.1"
    made = building.resource_id("Müller")
    assert made.startswith("h-")
    assert building.ID_PATTERN.fullmatch(made)


_DRUG = {
    **dicom(t00181072="103000", t00181074=370, t00181075=21624.0),
    **dicom(
        t00540304=dicom(t00080100="96390006", t00080102="SCT", t00080104="LEAK"),
        t00540300=dicom(t00080100="C-163A8", t00080102="SRT", t00080104="LEAK"),
    ),
}
FULL: dict[str, dict[str, Any]] = {
    "modalitaet-ct": dicom(
        t00189345=4.04, t00180060=120, t00181150=600, t00181152=38, t00181151=96, t00181210="B30f"
    ),
    "modalitaet-mg-cr-dx": dicom(
        t00180060=28,
        t00181150=900,
        t00181152=90,
        t00181151=100,
        t00540220=dicom(t00080100="R-10242", t00080102="SRT"),
    ),
    "modalitaet-mr": dicom(
        t00180087=3,
        t00180020=["SE"],
        t00180021=["SK"],
        t00180081=88,
        t00180080=2500,
        t00180082=150,
        t00181314=90,
    ),
    "modalitaet-pt": dicom(
        t00541001="BQML", t00541000=["STATIC", "IMAGE"], t00080032="113000", t00540016=_DRUG
    ),
    "modalitaet-nm": dicom(t00541001="CNTS", t00080032="113000", t00540016=_DRUG),
    "modalitaet-us": dicom(
        t00186031="CURVED_LINEAR", t00280014=1, t00186011=dicom(t00186030=3500, t00186032=4000)
    ),
}
"""A header for each modality that says everything its extension holds; words beside codes are planted."""


@pytest.mark.parametrize("modality", sorted(EXTENSION_OF_MODALITY))
def test_every_part_of_every_published_extension_is_written(writing: Writing, modality: str) -> None:
    name = EXTENSION_OF_MODALITY[modality]
    series = replace(CT, modality=modality, header=FULL[name], instances=())
    study = imaging_study(replace(STUDY, series=(series,)), writing)
    built = modality_extension(modality, FULL[name])
    assert built is not None
    assert {part["url"] for part in built["extension"]} == set(EXTENSIONS[extension_url(name)].parts)
    assert errors(study, writing) == []
    assert "LEAK" not in json.dumps(study), "words beside a code are not the standard's"


@pytest.mark.parametrize("kernel", ["Zacharias", "ZACHARIAS 1950", "Müller", "LEAK4711"])
def test_kernel_that_may_be_a_name_is_left_out(kernel: str) -> None:
    assert modality_extension("CT", dicom(t00181210=kernel)) is None


def test_meaning_of_a_structure_is_ours_or_none() -> None:
    assert codes.code_of(Code("39607008", "SCT", "LEAK")) == {
        "system": building.SNOMED, "code": "39607008", "display": "Lung"
    }  # fmt: skip
    assert codes.code_of(Code("123456789", "SCT", "LEAK")) == {"system": building.SNOMED, "code": "123456789"}


def test_words_and_codes_of_acquisition_are_those_of_the_standard() -> None:
    """Beside the tables of PS3.16 that pydicom publishes."""
    from pydicom.sr._cid_dict import cid_concepts
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    for table, groups in ((RADIONUCLIDES, (18, 4020)), (TRACERS, (25, 4021)), (VIEWS, (4010, 4014))):
        names = {name for group in groups for name in cid_concepts[group].get("SCT", ())}
        published = {code for name in names for code in concepts["SCT"][name]}
        assert set(table) == published
        words = {
            code: {entry[code][0] for name in names if code in (entry := concepts["SCT"][name])}
            for code in table
        }
        assert [code for code, word in table.items() if word not in words[code]] == []
    known = {*RADIONUCLIDES, *TRACERS, *VIEWS}
    assert {old: new for old, new in mapping["SRT"].items() if new in known} == FORMER
    assert set(VIEW_POSITIONS.values()) <= set(VIEWS)


@pytest.mark.parametrize(
    ("term", "code"), [("AP", "399348003"), ("MLO", "399368009"), ("PA ", ""), ("Müller", "")]
)
def test_view_without_a_code_is_read_from_its_defined_term(term: str, code: str) -> None:
    built = modality_extension("MG", dicom(t00185101=term))
    found = built["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] if built else ""
    assert found == code


@pytest.mark.parametrize(
    ("value", "scheme", "code"), [("51185008", "SCT", "51185008"), ("51185008", "99X", ""), ("1", "SCT", "")]
)
def test_place_and_side_are_read_from_the_image_where_the_series_says_none(
    writing: Writing, value: str, scheme: str, code: str
) -> None:
    header = dicom(t00082218=dicom(t00080100=value, t00080102=scheme, t00080104="LEAK"), t00200062="R")
    series = replace(CT, body_part="", laterality="", header=header)
    (said,) = imaging_study(replace(STUDY, series=(series,)), writing)["series"]
    assert said.get("bodySite", {}).get("code", "") == code
    assert said["laterality"]["code"] == "24028007"
    assert "LEAK" not in json.dumps(said)

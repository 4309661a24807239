"""The tables are the standard's, and say something about every class the product promises to take."""

from __future__ import annotations

from importlib import import_module

import pytest
from pydicom.datadict import keyword_for_tag

from racoon.node.deid import rules
from racoon.node.deid.model import OPTIONS
from racoon.node.deid.profiles import profile_named, profiles
from racoon.node.deid.rules import Action, confidentiality_table, edition, structured_content_table

_BASIC = {
    "D_TAGS": "D", "Z_TAGS": "Z", "X_TAGS": "X", "U_TAGS": "U", "Z_D_TAGS": "Z/D", "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D", "X_Z_D_TAGS": "X/Z/D", "X_Z_U_STAR_TAGS": "X/Z/U*",
}  # fmt: skip


def test_every_cell_of_the_basic_profile_agrees_with_a_second_transcription() -> None:
    pytest.importorskip("dicomanonymizer", reason="dicom-anonymizer is not installed")
    source = import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    second = {
        entry[0] << 16 | entry[1]: action
        for group, action in _BASIC.items()
        for entry in getattr(source, group)
        if len(entry) == 2
    }
    table = {tag: row["basic"] for tag, row in confidentiality_table().items()}
    new_in_2026d = {0x3004007F}
    assert second.keys() ^ table.keys() == new_in_2026d
    assert {tag: (table[tag], second[tag]) for tag in second if table[tag] != second[tag]} == {}


def test_option_columns_are_the_standard_s() -> None:
    table = confidentiality_table()
    assert edition() == "2026d"
    assert table[0x00080020]["modified_dates"] == "C"
    assert table[0x00100030]["modified_dates"] == ""
    assert table[0x00101010]["patient_characteristics"] == "K"
    assert table[0x00181000]["device_identity"] == "K"
    assert table[0x00080080]["institution_identity"] == "K"
    assert table[0x0040A730]["clean_structured_content"] == "C"
    assert table[0x0020000D]["uids"] == "K"
    assert structured_content_table()["DCM", "121031", "DATE"]["basic"].startswith("X")


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_the_person_and_the_house_never_stay_whatever_the_profile(profile: str) -> None:
    chosen = profile_named(profile)
    for row in confidentiality_table().values():
        keyword = row["keyword"]
        named = (
            "Institution",
            "Physician",
            "Operator",
            "PatientAddress",
            "PatientTelephone",
            "OtherPatient",
            "Issuer",
        )
        if keyword.startswith(named) and row["basic"] != "U":
            assert rules.action_for(int(row["tag"], 16), "3", chosen) < Action.CLEAN, keyword


def test_every_promised_kind_of_object_has_rules() -> None:
    promised = {
        "2", "2.1", "2.2", "4", "4.1", "4.3", "4.4", "66.4", "66.7", "88.11", "88.22", "88.33", "88.34", "88.67",
        "481.3", "30", "104.1", "7", "7.2", "7.3", "7.4", "6.1", "3.1", "128", "130", "20", "1.2", "1.2.1", "1.1",
        "1.1.1", "1", "12.1", "13.1.3",
    }  # fmt: skip
    supported = rules.supported_sop_classes()
    assert {f"1.2.840.10008.5.1.4.1.1.{uid}" for uid in promised} <= supported.keys()


def test_no_list_lets_a_name_an_address_or_a_private_element_through() -> None:
    for sop_class in rules.supported_sop_classes():
        found = rules.rules_for(sop_class, profile_named("device"))
        assert found is not None
        for tag in {*found.top, *found.nested}:
            keyword = keyword_for_tag(tag)
            assert not tag >> 16 & 1
            parts = ("Institution", "Address", "Telephone", "Operator", "Insurance")
            assert not any(part in keyword for part in parts), keyword
            assert tag >> 24 not in (0x50, 0x60), "curves and overlays never pass"


def test_options_are_columns_of_the_table_or_work_on_pixels() -> None:
    row = next(iter(confidentiality_table().values()))
    assert OPTIONS.keys() - row.keys() == {"clean_pixel_data"}

"""Reading protocols: what is read back, and every mistake said in words."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.domain.reading_protocol import MESSAGES, BadProtocol, protocol_of

TEMPLATES = ["urn:racoon:questionnaire:thorax-short"]


def document(**more: Any) -> dict[str, Any]:
    return {"name": "lung-pilot", "version": 1, "template": TEMPLATES[0], **more}


def problems(document: object) -> list[str]:
    with pytest.raises(BadProtocol) as caught:
        protocol_of(document, TEMPLATES)
    return [problem.said() for problem in caught.value.problems]


def test_a_protocol_is_read_back_as_it_was_written() -> None:
    given = document(
        series={"modality": "ct", "words": ["Lung"], "thickest_mm": 3, "prefer": "most images"},
        hanging={"window": "Lung", "layout": "planes", "prior": True},
        readers=2,
        adjudication=True,
        blinding={"readers": True, "machines": True},
        order="as listed",
    )
    protocol = protocol_of(given, TEMPLATES)
    assert (protocol.series.modality, protocol.series.words) == ("CT", ("lung",))
    assert protocol_of(protocol.to_dict(), TEMPLATES) == protocol
    assert protocol.digest() != protocol_of(document(), TEMPLATES).digest()


def test_every_mistake_is_said_at_once_and_in_words() -> None:
    said = problems(
        {
            "name": "Lung Pilot",
            "template": "urn:none",
            "readers": 0,
            "adjudication": True,
            "order": "by age",
            "blinding": {"readers": "yes"},
            "series": {"words": "lung", "modalty": "CT"},
            "hanging": "planes",
        }
    )
    assert "name is made of small letters, digits and hyphens, at most 60 of them." in said
    assert "version is missing." in said
    assert "readers is a whole number from 1 to 10." in said
    assert "order is one of: random, as listed." in said
    assert "blinding.readers is yes or no." in said
    assert "series.words is a list of texts." in said
    assert any(text.startswith("series.modalty is not part of a protocol.") for text in said)
    assert "hanging is a table of its own." in said
    assert "There is no report template of the address in template." in said
    assert any("exactly two readers" in text for text in said)
    assert problems([1]) == [MESSAGES["not_a_table"]]


def test_labels_are_a_shipped_list_or_the_studys_own() -> None:
    shipped = protocol_of(document(labels="chest"), TEMPLATES)
    assert {label.code.key: [code.value for code in label.also] for label in shipped.labels}[
        "SCT:39607008"
    ] == ["RID1301"]
    assert protocol_of(shipped.to_dict(), TEMPLATES) == shipped
    own = {"code": "SCT:39607008", "english": "Lung", "german": "Lunge", "colour": "#12AB34"}
    (label,) = protocol_of(document(labels=[own]), TEMPLATES).labels
    assert (label.german, label.colour) == ("Lunge", "#12ab34")
    said = problems(document(labels=[own, own | {"colour": "red"}, {"code": "lung", "english": "x"}]))
    assert "labels[1].colour is a colour such as #4cc9f0." in said
    assert "labels[2].code is a code such as SCT:39607008." in said
    assert "labels has the same code twice." in said
    assert problems(document(labels="knee"))[0].startswith("labels is the name of a list (anything, chest)")

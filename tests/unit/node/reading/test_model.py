"""Letters, planes and runs of the viewer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.ext import babel_extract

from racoon.node.reading.model import (
    CT_PRESETS,
    FINDING_LABELS,
    edge_letters,
    plane_name,
    presets_for,
    runs_of,
)
from racoon.standards.dicom.volume import FindingCode
from racoon.web.translation import translations


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
def test_runs_are_the_mask(seed: int, rows: int, columns: int) -> None:
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.5
    rebuilt = np.zeros(mask.size, np.bool_)
    runs = runs_of(mask)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        assert length > 0
        assert not rebuilt[start : start + length].any()
        rebuilt[start : start + length] = True
    np.testing.assert_array_equal(rebuilt.reshape(mask.shape), mask)
    assert all(isinstance(value, int) for value in runs)


@pytest.mark.parametrize(
    ("orientation", "letters", "name"),
    [
        ((1, 0, 0, 0, 1, 0), ("R", "L", "A", "P"), "axial"),
        ((0, 1, 0, 0, 0, -1), ("A", "P", "H", "F"), "sagittal"),
        ((1, 0, 0, 0, 0, -1), ("R", "L", "H", "F"), "coronal"),
        ((-1, 0, 0, 0, 1, 0), ("L", "R", "A", "P"), "axial"),
        ((1, 0, 0, 0, 0.94, -0.34), ("R", "L", "AH", "PF"), "axial"),
        ((1, 0, 0, 0, 0.71, -0.71), ("R", "L", "AH", "PF"), "oblique"),
    ],
)
def test_edges_are_named_as_a_radiologist_expects(
    orientation: tuple[float, ...], letters: tuple[str, ...], name: str
) -> None:
    assert edge_letters(orientation) == letters
    assert plane_name(orientation) == name


def test_presets_start_with_what_the_object_proposes() -> None:
    own, *rest = presets_for("CT", (50.0, 350.0), (0.0, 10.0))
    assert (own.name, own.centre, own.width) == ("As stored", 50.0, 350.0)
    assert tuple(rest) == CT_PRESETS
    assert [preset.name for preset in presets_for("MR", None, (500.0, 900.0))] == ["Automatic"]


def test_every_finding_has_a_label() -> None:
    assert set(FINDING_LABELS) == {code.value for code in FindingCode}


def shown_texts(repository: Path) -> Iterator[str]:
    templates = repository / "src" / "racoon" / "web" / "templates" / "node"
    for folder in ("archive", "reading"):
        for path in sorted((templates / folder).glob("*.html")):
            with path.open("rb") as stream:
                for _, _, message, _ in babel_extract(stream, ("_", "ngettext"), (), {}):
                    text = message if isinstance(message, str) else (message or ("",))[0]
                    if text:  # a variable is no text
                        yield text
    yield from (preset.name for preset in presets_for("CT", (1.0, 2.0), (0.0, 1.0)))
    yield from (*FINDING_LABELS.values(), "Automatic", "axial", "sagittal", "coronal", "oblique")


def test_every_text_is_there_in_german(repository: Path) -> None:
    german = translations("de")
    texts = sorted(set(shown_texts(repository)))
    assert len(texts) > 50
    same = {
        "axial",
        "sagittal",
        "Matrix",
        "Pixel",
        "Ellipse",
        "Version",
        "DLP",
        "Person",
        "Dice",
        "HD95 mm",
        "Name",
    }
    untouched = [text for text in texts if german.ngettext(text, text, 1) == german.gettext(text) == text]
    assert sorted(set(untouched) - same) == []

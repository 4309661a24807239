"""Text that a reader finds in the pixels stops an image; without a reader nothing changes."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from PIL import Image, ImageDraw

from racoon.node.deid import text_detection
from racoon.node.deid.model import Quarantined, QuarantineReason
from racoon.node.deid.service import Deidentifier
from racoon.node.deid.text_detection import TextDetector, detector_for, frames_with_text
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.settings import ConfigurationError
from tests.planted_identifiers import make_ct

BURNED_IN = QuarantineReason.BURNED_IN_SUSPECTED


@dataclass(frozen=True)
class CornerReader:
    """Reads one word where the upper left corner is white, as a machine's annotation is."""

    name: str = "corner 1"

    def count_words(self, picture: npt.NDArray[np.uint8]) -> int:
        return int(picture[:4, :4].mean() > 250)


def image(*, text: bool, image_type: str = "DERIVED\\PRIMARY\\MPR", frames: int = 1) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.ImageType = image_type.split("\\")
    pixels = np.full((frames, dataset.Rows, dataset.Columns), 1000, "<u2")
    if text:
        pixels[-1, :4, :4] = 4095
    pixels[:, -1, -1] = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def deidentifier(detector: TextDetector | None, **options: object) -> Deidentifier:
    return Deidentifier("basic", Pseudonymiser(None, None), detector=detector, **options)


def test_words_in_the_pixels_stop_an_image_until_a_person_has_looked() -> None:
    reader = deidentifier(CornerReader())
    with pytest.raises(Quarantined) as stopped:
        reader.apply(image(text=True))
    assert stopped.value.reason is BURNED_IN
    assert stopped.value.details == {"frames_with_text": [1], "rule": "corner 1"}
    released = reader.apply(image(text=True), released=frozenset({BURNED_IN}))
    assert "no words" not in released.evidence["pixels"]


def test_image_without_words_passes_and_says_who_looked() -> None:
    assert deidentifier(CornerReader()).apply(image(text=False)).evidence["pixels"] == (
        "untouched; no words found by corner 1"
    )
    assert deidentifier(None).apply(image(text=True)).evidence["pixels"] == "untouched"


def test_original_slices_are_looked_at_only_on_request() -> None:
    slice_ = image(text=True, image_type="ORIGINAL\\PRIMARY\\AXIAL")
    assert deidentifier(CornerReader()).apply(slice_)
    with pytest.raises(Quarantined):
        deidentifier(CornerReader(), detect_text="all").apply(slice_)


def test_of_many_frames_the_first_the_last_and_some_between_are_read() -> None:
    assert frames_with_text(CornerReader(), image(text=True, frames=60)) == [60]


def test_what_was_asked_for_is_never_left_out_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    assert detector_for("off") is None
    monkeypatch.setattr(text_detection.shutil, "which", lambda _program: None)
    assert detector_for("derived") is None
    with pytest.raises(ConfigurationError, match="tesseract-ocr"):
        detector_for("all")


@pytest.mark.external
@pytest.mark.parametrize("ink", [255, 0])
def test_tesseract_reads_a_name_and_not_the_noise(ink: int, needs_program: Callable[[str, str], str]) -> None:
    needs_program("tesseract", "tesseract-ocr")
    detector = detector_for("all")
    assert detector is not None
    noise = np.random.default_rng(7).integers(90, 120, (512, 512), dtype=np.uint8)
    assert detector.count_words(noise) == 0
    picture = Image.fromarray(noise)
    ImageDraw.Draw(picture).text((20, 20), "MUELLER HANS 12.03.1961", fill=ink, font_size=18)
    assert detector.count_words(np.asarray(picture)) >= 1
    assert detector.name.startswith("tesseract ")

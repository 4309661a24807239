"""What the tests of the reading room share: the invented chest, and how a page is asked and driven."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import APIRequestContext, Browser, Page
from pydicom.dataset import Dataset

from racoon.node.reading.http._page import is_room_built
from racoon.node.reading.model import mask_of_runs, runs_of
from tests.dicom_objects import ct_series, pet_series, uid

MARKS = [
    pytest.mark.external,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not is_room_built(), reason="THE READING ROOM IS NOT BUILT: make viewer"),
]

PASSWORD = "a long enough password"


SERIES = f"/reading/series/{uid(1, 1)}"


THORAX = "urn:racoon:questionnaire:thorax-short"


OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)


SUV_FACTOR = 70_000.0 / (350e6 * 0.5 ** (3600.0 / 6586.2))
"""Weight in g over what is left of the dose an hour after it was given."""


AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


OVERLAP = """([image, masks]) => {
    const overlay = document.querySelector(masks);
    const { width, height } = overlay;
    const small = new OffscreenCanvas(width, height).getContext('2d');
    small.drawImage(document.querySelector(`${image} canvas`), 0, 0, width, height);
    const grey = small.getImageData(0, 0, width, height).data;
    const mask = overlay.getContext('2d').getImageData(0, 0, width, height).data;
    let [left, right, top, bottom] = [width, 0, height, 0];
    for (let at = 0; at < width * height; at++) {
        if (!mask[4 * at + 3]) continue;
        const [x, y] = [at % width, Math.floor(at / width)];
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    let [both, onlyMask, onlyBright] = [0, 0, 0];
    for (let y = top - 5; y <= bottom + 5; y++) {
        for (let x = left - 5; x <= right + 5; x++) {
            const at = 4 * (y * width + x);
            // Half way between lung and nodule: the image is smoothed between pixels, the mask is not.
            const [isMask, isBright] = [mask[at + 3] > 0, grey[at] > 165];
            both += isMask && isBright; onlyMask += isMask && !isBright; onlyBright += !isMask && isBright;
        }
    }
    return [both, onlyMask, onlyBright];
}"""
"""How many pixels of a canvas are mask and bright, only mask, only bright, around the mask."""


def chest() -> np.ndarray:  # type: ignore[type-arg]  # of voxels
    """Soft tissue with two dark lungs and a bright nodule that is largest in the middle."""
    row, column = np.mgrid[:128, :96]
    voxels = np.full((12, 128, 96), -1000, np.int16)
    voxels[:, ((row - 64) / 58) ** 2 + ((column - 48) / 44) ** 2 <= 1] = 40
    for middle in (28, 68):
        voxels[:, ((row - 64) / 40) ** 2 + ((column - middle) / 15) ** 2 <= 1] = -850
    for index in range(12):
        radius = 9 - abs(index - 6)
        voxels[index, (row - 60) ** 2 + (column - 28) ** 2 <= radius**2] = 100
    return voxels


def uptake() -> list[Dataset]:
    """The same chest as a PET with pixels four times as large: SUV 1, and 8 where the nodule is."""
    nodule = chest()[:, :128, :96].reshape(12, 32, 4, 24, 4).transpose(0, 1, 3, 2, 4) == 100
    values = np.where(nodule.any(axis=(3, 4)), 8.0, 1.0) / SUV_FACTOR
    corner = (
        np.array([-20.0, -30.0, 100.0])
        + 1.5 * 0.7 * np.array(OBLIQUE[:3])
        + 1.5 * 0.8 * np.array(OBLIQUE[3:])
    )
    return pet_series(
        np.rint(values).astype(np.int16),
        study=3,
        subject="SUBJ-3",
        orientation=OBLIQUE,
        origin_mm=corner,
        spacing_mm=(3.2, 2.8),
    )


def plain_film() -> Dataset:
    """A radiograph: no place in space, bright is low."""
    row, column = np.mgrid[:90, :70]
    (film,) = ct_series((row * 20 + column).astype(np.int16)[None], study=4, series=1, subject="SUBJ-4")
    film.SOPClassUID, film.Modality = "1.2.840.10008.5.1.4.1.1.1.1", "DX"
    film.PhotometricInterpretation, film.SeriesDescription = "MONOCHROME1", "Chest pa"
    film.RescaleIntercept, film.RescaleType = 0, "US"
    film.WindowCenter, film.WindowWidth = 1900, 2000
    film.ImagerPixelSpacing = [0.2, 0.2]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID"):
        delattr(film, keyword)
    return film


def enhanced_mr() -> Dataset:
    """Six frames in one object, 2 mm apart, oblique; each frame is brighter than the one before."""
    (made,) = ct_series(np.zeros((1, 40, 30), np.int16), study=4, series=2, subject="SUBJ-4")
    made.SOPClassUID, made.Modality, made.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.4.1", "MR", 6
    made.SeriesDescription = "T1 enhanced"
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    measures, turned, values = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [1.5, 1.0], 2.0
    turned.ImageOrientationPatient = list(OBLIQUE)
    values.RescaleIntercept, values.RescaleSlope, values.RescaleType = 0, 1, "US"
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [turned]
    shared.PixelValueTransformationSequence = [values]
    made.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for number in range(6):
        place, content, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [
            round(float(value), 6) for value in 2.0 * number * np.cross(row, column)
        ]
        content.StackID, content.InStackPositionNumber = "1", number + 1
        content.DimensionIndexValues = [1, number + 1]
        frame.PlanePositionSequence, frame.FrameContentSequence = [place], [content]
        frames.append(frame)
    made.PerFrameFunctionalGroupsSequence = frames
    pixels = np.full((6, 40, 30), 100) + 400 * np.arange(6)[:, None, None]
    made.PixelData = pixels.astype("<u2").tobytes()
    made.WindowCenter, made.WindowWidth = 1200, 2400
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleIntercept",
        "RescaleSlope",
    ):
        delattr(made, keyword)
    return made


def shot(page: Page, name: str) -> None:
    """Keep a picture for a person to look at, where a folder is named for it."""
    if folder := os.environ.get("RACOON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def api(page: Page, address: str) -> Any:
    return page.evaluate("async (address) => (await fetch(address)).json()", address)


def findings(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api(page, f"/api/reading/imaging-studies/{uid(1)}/findings")["findings"]
    return found


def grey(page: Page) -> list[int]:
    """Grey levels of the drawn image, 64 × 64."""
    script = """(canvas) => {
        const small = new OffscreenCanvas(64, 64).getContext('2d');
        small.drawImage(canvas, 0, 0, 64, 64);
        return [...small.getImageData(0, 0, 64, 64).data].filter((value, at) => at % 4 === 0);
    }"""
    found: list[int] = page.locator("#viewport canvas").first.evaluate(script)
    return found


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the stage, in parts of its size."""
    box = page.locator("#viewport").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def on_stage(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place of the stage, in parts of its size, on the screen."""
    box = page.locator("#viewport").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def outline(page: Page, corners: list[tuple[float, float]]) -> None:
    """Draw around corners and back to the first with the button held."""
    page.mouse.move(*on_stage(page, *corners[0]))
    page.mouse.down()
    for x, y in [*corners[1:], corners[0]]:
        page.mouse.move(*on_stage(page, x, y), steps=6)
    page.mouse.up()


def wait_until(page: Page, condition: str) -> None:
    """Wait for an expression; the page's own policy forbids what Playwright's waiting does inside it."""
    for _ in range(600):
        if page.evaluate(f"() => Boolean({condition})"):
            return
        page.wait_for_timeout(100)
    shot(page, "not-reached")
    pytest.fail(f"was never true: {condition}; status: {page.inner_text('#status')}")


def wait_for_saved(page: Page, count: int) -> None:
    wait_until(page, f"document.querySelectorAll('#findings li').length === {count}")
    wait_until(page, "document.querySelector('#status').textContent === 'Saved'")


def pixel_affine() -> np.ndarray:  # type: ignore[type-arg]  # four by four
    """Millimetres of (row, column, 1) by the header alone, slice 7."""
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    origin = np.array([-20.0, -30.0, 100.0]) + 6 * 2.5 * np.cross(row, column)
    return np.column_stack([column * 0.8, row * 0.7, origin])


def plane_grey(page: Page) -> list[int]:
    """Grey levels of the coronal plane, 32 × 32."""
    script = """(canvas) => {
        const small = new OffscreenCanvas(32, 32).getContext('2d');
        small.drawImage(canvas, 0, 0, 32, 32);
        return [...small.getImageData(0, 0, 32, 32).data].filter((value, at) => at % 4 === 0);
    }"""
    found: list[int] = page.locator("#plane-coronal canvas").first.evaluate(script)
    return found


def drawing(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = api(page, f"/api/reading/series/{uid(1, 1)}/drawing")
    return found


def drawn_slices(page: Page, segment: int = 1) -> dict[int, Any]:
    """Masks (row, column) of a segment by slice, as the node has them."""
    return {
        item["slice"]: mask_of_runs(item["runs"], (128, 96))
        for item in drawing(page)["slices"]
        if item["segment"] == segment
    }


def wait_for_drawn(
    page: Page, is_there: Callable[[dict[int, Any]], bool], segment: int = 1
) -> dict[int, Any]:
    """Wait until the node has what was drawn; several strokes may have come in one request."""
    for _ in range(300):
        found = drawn_slices(page, segment)
        if is_there(found) and page.inner_text("#status") != "Saving …":
            return found
        page.wait_for_timeout(50)
    pytest.fail(f"the node has slices {sorted(found)}; {page.inner_text('#status')}")


LAID_OUT = """() => {
    const box = document.querySelector('#viewport').getBoundingClientRect();
    const canvas = document.querySelector('#viewport canvas').getBoundingClientRect();
    const ruler = document.querySelector('#ruler').getBoundingClientRect();
    return {
        place: [box.x, box.y, box.width, box.height, ruler.width],
        label: document.querySelector('#ruler-label').textContent,
        fits: Math.abs(box.width - canvas.width) < 1 && Math.abs(box.height - canvas.height) < 1,
    };
}"""
"""Where stage and ruler lie, in one reading, and whether what is drawn has the stage's size."""


def laid_out(page: Page) -> dict[str, Any]:
    """Stage and ruler when they rest: a line of help that opens or closes moves and rescales both."""
    before = None
    for _ in range(100):
        now: dict[str, Any] = page.evaluate(LAID_OUT)
        if now == before and now["fits"]:
            return now
        before = now
        page.wait_for_timeout(60)
    pytest.fail(f"the stage does not come to rest: {before}")


def screen_of(page: Page, row: float, column: float) -> tuple[float, float]:
    """Where a pixel lies on the screen, by the length of the ruler alone: the image is centred."""
    found = laid_out(page)
    x, y, width, height, ruler = found["place"]
    length, unit = found["label"].split()
    per_mm = ruler / (float(length) * (10 if unit == "cm" else 1))
    return (
        x + width / 2 + (column - 47.5) * 0.7 * per_mm,
        y + height / 2 + (row - 63.5) * 0.8 * per_mm,
    )


def signed_in(browser: Browser, address: str, name: str) -> APIRequestContext:
    """Somebody who asks the node without a page."""
    request = browser.new_context(extra_http_headers={"Origin": address}).request
    form = {"username": name, "password": PASSWORD}
    assert request.post(f"{address}/login", form=form, max_redirects=0).status == 303
    return request


def read_and_sign(somebody: APIRequestContext, address: str, columns: slice, score: int) -> None:
    """Draw a box around the nodule, answer all but one question as normal, and sign."""
    place = f"{address}/api/reading/series/{uid(1, 1)}/drawing"
    made = somebody.post(f"{place}/segments?based_on=0&label=SCT:27925004").json()
    mask = np.zeros((128, 96), np.bool_)
    mask[52:68, columns] = True
    stroke = [{"segment": 1, "slice": 6, "runs": runs_of(mask)}]
    saved = somebody.patch(f"{place}?based_on={made['revision']}", data=stroke).json()
    assert somebody.post(f"{place}/finish?based_on={saved['revision']}").ok
    report = f"{address}/api/reading/imaging-studies/{uid(1)}/report"
    scores = {"ru": score, "rm": 0, "rl": 0, "lu": 0, "ll": 0}
    opacities = [
        {"linkId": f"score-{lobe}", "answer": [{"valueInteger": value}]} for lobe, value in scores.items()
    ]
    lungs = [
        {"linkId": "opacities-present", "answer": [{"valueBoolean": True}]},
        {"linkId": "opacities", "item": opacities},
    ]
    kept = somebody.put(f"{report}?based_on=0", data=[{"linkId": "lungs", "item": lungs}]).json()
    filled = somebody.post(f"{report}/normal?based_on={kept['revision']}").json()
    assert filled["problems"] == []
    assert somebody.post(f"{report}/sign?based_on={filled['revision']}").ok


PREFILLED = """
name: prefilled
version: 1
template: urn:racoon:questionnaire:thorax-short
series: {prefer: first series}
hanging: {window: Lung}
blinding: {readers: false}
proposals:
  - question: emphysema
    biomarker: laa_950
    answers: [{from: 0, answer: "272519000"}, {from: 5, answer: "255604002"}]
"""


OpenRoom = Callable[..., Page]

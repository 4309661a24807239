"""The manifest of real images: which files, what they show, and which invented hospital gets them.

A manifest is TOML; ``examples/real-data.toml`` explains every key.  A bare folder gets a manifest made up
by rule.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from racoon.demo.labels import ABNORMAL, ANATOMICAL, LEFT, RIGHT, TISSUE, Label
from racoon.demo.nifti import load_nifti
from racoon.domain.coding import Code
from racoon.errors import Refused

CATEGORIES = {"anatomy": ANATOMICAL, "tissue": TISSUE, "abnormality": ABNORMAL}
SIDES = {"left": LEFT, "right": RIGHT}


class ManifestRefused(Refused):
    """The manifest cannot be used; the message names the file, the key and the fix."""

    code = "demo.manifest"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CodeTable(_Table):
    """A code: value, scheme, meaning."""

    value: str
    scheme: str
    meaning: str

    def get_code(self) -> Code:
        """The domain's code."""
        return Code(self.value, self.scheme, self.meaning)


class LabelTable(_Table):
    """Something that is outlined."""

    key: str
    code: CodeTable
    category: Literal["anatomy", "tissue", "abnormality"] = "anatomy"
    side: Literal["left", "right"] | None = None
    modality: Literal["CT", "MR"]
    largest_ml: float = 3000.0

    def get_label(self) -> Label:
        """The writer's label."""
        side = SIDES[self.side] if self.side else None
        return Label(self.key, CATEGORIES[self.category], self.code.get_code(), side)


class SiteRule(_Table):
    """Which images of a group go to a site: the first rule that fits decides."""

    code: str
    stored: Literal["integer", "float"] | None = None
    maximum_below: float | None = None
    cases: int | None = Field(default=None, ge=1)


class ImageGroup(_Table):
    """Images of one kind."""

    name: str
    kind: Literal["nifti", "dicom"]
    modality: Literal["CT", "MR"]
    images: str
    outlines: str | None = None
    values: Mapping[str, tuple[int, ...]] = Field(default_factory=dict)
    contours: str | None = None
    regions: Mapping[str, str] = Field(default_factory=dict)
    description: str = ""
    body_part: str = "CHEST"
    truth: str = ""
    holdout_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sites: tuple[SiteRule, ...]


class TrainingTable(_Table):
    """What a network learns from the images."""

    name: str
    modality: Literal["CT", "MR"]
    labels: tuple[str, ...]
    size: tuple[int, int] = (64, 64)
    window_hu: tuple[float, float] | None = None
    rounds: Annotated[int, Field(ge=1)] = 6
    local_steps: Annotated[int, Field(ge=1)] = 20
    batch_size: Annotated[int, Field(ge=1)] = 8
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2


class Manifest(_Table):
    """The whole manifest, with ``root`` resolved to a folder."""

    title: str
    statement: str
    licence: str
    root: Path
    training: TrainingTable
    labels: tuple[LabelTable, ...]
    images: tuple[ImageGroup, ...]

    def get_labels(self) -> dict[str, Label]:
        """Labels by key."""
        return {label.key: label.get_label() for label in self.labels}

    @property
    def site_codes(self) -> list[str]:
        """Sites in the order they are first named."""
        return list(dict.fromkeys(rule.code for group in self.images for rule in group.sites))


def load_manifest(source: Path) -> Manifest:
    """Load a manifest, or make one up for a bare folder.

    Raises
    ------
    ManifestRefused
        When the file is missing, is not TOML, has an unknown or wrong key, or its root is absent.
    """
    if source.is_dir():
        return invent_manifest(source)
    if not source.is_file():
        raise ManifestRefused(
            f"There is no manifest or folder {source.name}; give the path of one that exists."
        )
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ManifestRefused(f"{source.name} is not a TOML file: {error}.") from error
    root = (source.parent / str(document.get("root", "."))).resolve()
    if not root.is_dir():
        raise ManifestRefused(
            f"{source.name} says that the images lie in {document.get('root')!r} beside it, and there is "
            "no such folder. Put the images there or change the key 'root'.",
            details={"root": str(root)},
        )
    try:
        manifest = Manifest.model_validate({**document, "root": root})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ManifestRefused(f"{source.name}: key {key}: {first['msg']}.") from error
    _check_labels(manifest, source.name)
    return manifest


def _check_labels(manifest: Manifest, name: str) -> None:
    known = {label.key for label in manifest.labels}
    used = set(manifest.training.labels)
    for group in manifest.images:
        used |= set(group.values) | set(group.regions)
    if used - known:
        raise ManifestRefused(
            f"{name} uses labels that [[labels]] does not define: {', '.join(sorted(used - known))}."
        )


def invent_manifest(folder: Path) -> Manifest:
    """Make up a manifest for a bare folder: three sites in turn, outlines from a folder ``labels``.

    NIfTI files lie in ``images`` with outlines of the same name in ``labels``, or directly in the folder;
    anything else is searched for DICOM files.
    """
    place = "images" if (folder / "images").is_dir() else "."
    found = sorted((folder / place).glob("*.nii*"))
    sites = tuple(SiteRule(code=code) for code in ("ALPHA", "BRAVO", "CHARLIE"))
    outlined = CodeTable(value="OUTLINED", scheme="99RACOON", meaning="Outlined structure")
    modality: Literal["CT", "MR"] = "MR"
    labels = folder / "labels"
    if found:
        modality = "CT" if float(load_nifti(found[0]).data.min()) < -200 else "MR"
        group = ImageGroup(
            name="image",
            kind="nifti",
            modality=modality,
            images=f"{place}/*.nii*",
            outlines="labels/{name}" if labels.is_dir() else None,
            values={"outlined": tuple(range(1, 256))} if labels.is_dir() else {},
            sites=sites,
            holdout_share=0.12,
        )
    else:
        modality = "CT"
        group = ImageGroup(name="image", kind="dicom", modality=modality, images=".", sites=sites)
    return Manifest(
        title=f"Images of the folder {folder.name}",
        statement="Real images as given by the user. The split into sites is ours: files in turn.",
        licence="as given by the user",
        root=folder.resolve(),
        training=TrainingTable(name="outlined structure", modality=modality, labels=("outlined",)),
        labels=(LabelTable(key="outlined", code=outlined, modality=modality),),
        images=(group,),
    )

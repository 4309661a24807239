"""The structures of one series as cropped regions, built while the masks stream by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from racoon.domain.coding import Code
from racoon.node.archive.service import SegmentationMask
from racoon.node.measuring.model import MaskSource, Task, level_of
from racoon.science.biomarkers import Region
from racoon.science.biomarkers.panel import join
from racoon.science.biomarkers.structures import WHOLES, structure_name
from racoon.science.image import Image
from racoon.science.segmentation import BODY_VERSION, segment_body


@dataclass(frozen=True)
class Structure:
    """A region and the segments it was made of."""

    region: Region
    sources: tuple[MaskSource, ...]


@dataclass(frozen=True)
class Part:
    """One segment: its code, the house's name for it, who drew it, where it lies."""

    key: str
    name: str
    level: str
    structure: Structure


@dataclass(frozen=True)
class Wanted:
    """Which segments a plan needs: by code as its labels say, and by name as its definitions say.

    Parameters
    ----------
    keys
        ``scheme:value``.
    names
        Canonical names, with the parts a whole may be built from.
    """

    keys: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> Wanted:
        """Collect what some tasks need."""
        keys: set[str] = set()
        names: set[str] = set()
        for task in tasks:
            keys |= {key for key in (task.label_key, *task.within) if key}
            names |= task.structures
            if task.measurement.label:
                names.add(name_of(task.measurement.label))
        return cls(frozenset(keys), frozenset(with_parts(names - {""})))


def name_of(label: Code) -> str:
    """The house's name of a structure that a plan names by its code."""
    return structure_name(label.meaning, label)


def with_parts(names: Collection[str]) -> set[str]:
    """Names and those of all parts they may be built from."""
    found = set(names)
    pending = list(names)
    while pending:
        for parts in WHOLES.get(pending.pop(), ()):
            pending += [part for part in parts if part not in found]
            found |= set(parts)
    return found


class Structures:
    """The structures a plan needs of one series.

    Parameters
    ----------
    image
        The loaded volume.
    masks
        All segments of the series, one at a time; only the wanted ones are kept, and only their crops.
    wanted
        Which to keep.
    """

    def __init__(self, image: Image, masks: Iterable[SegmentationMask], wanted: Wanted) -> None:
        self._image = image
        self._parts: list[Part] = []
        self._joined: dict[tuple[str, tuple[str, ...]], Structure | None] = {}
        self._body: Structure | None = None
        for item in masks:
            label = item.mask.label
            name = structure_name(item.name or label.meaning, label)
            if label.key in wanted.keys or name in wanted.names:
                source = MaskSource(
                    item.seg_instance_uid, item.segment_number, item.algorithm_type, item.algorithm_name
                )
                structure = Structure(Region(image, item.mask.voxels), (source,))
                self._parts.append(Part(label.key, name, level_of(item.algorithm_type), structure))

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts)

    def get(self, keys: tuple[str, ...], drawn: str = "") -> Structure | None:
        """Return the union of all segments with one of these codes; ``None`` when there is none."""
        if (drawn, keys) not in self._joined:
            found = [part for key in keys for part in self._drawn(drawn) if part.key == key]
            self._joined[drawn, keys] = self._join([part.structure for part in found])
        return self._joined[drawn, keys]

    def named(self, name: str, drawn: str = "") -> Structure | None:
        """Return a structure by its canonical name, or the whole of its parts; ``None`` when there is none."""
        key = (f"name {drawn}", (name,))
        if key not in self._joined:
            found = [part.structure for part in self._drawn(drawn) if part.name == name]
            self._joined[key] = self._join(found or self._pieces(name, drawn))
        return self._joined[key]

    def of_label(self, label: Code, drawn: str = "") -> Structure | None:
        """Return the structure a plan names by its code: that code's segments, else by name or from parts."""
        name = name_of(label)
        return self.get((label.key,), drawn) or (self.named(name, drawn) if name else None)

    def body(self) -> Structure:
        """Return the body, found by thresholds; computed once."""
        if self._body is None:
            source = MaskSource("", 0, "AUTOMATIC", BODY_VERSION)
            self._body = Structure(Region(self._image, segment_body(self._image)), (source,))
        return self._body

    def _drawn(self, level: str) -> list[Part]:
        return [part for part in self._parts if not level or part.level == level]

    def _pieces(self, name: str, drawn: str) -> list[Structure]:
        for parts in WHOLES.get(name, ()):
            present = [found for part in parts if (found := self.named(part, drawn)) is not None]
            # One lung is not both; a lobe may be missing at the edge of a scan.
            if len(present) >= 2:
                return present
        return []

    def _join(self, parts: list[Structure]) -> Structure | None:
        if len(parts) < 2:
            return parts[0] if parts else None
        sources = tuple(source for part in parts for source in part.sources)
        return Structure(join(self._image, [part.region for part in parts]), sources)

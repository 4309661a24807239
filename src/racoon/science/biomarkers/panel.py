"""Many biomarkers on many structures of one image: which rule fits which mask, and what is missing."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from racoon.errors import Refused
from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.catalogue import CATALOGUE, newest_definitions
from racoon.science.biomarkers.definition import Definition, Value
from racoon.science.biomarkers.region import Region
from racoon.science.biomarkers.structures import WHOLES, family
from racoon.science.geometry.box import Box, union
from racoon.science.image import Image

REFERENCES: Mapping[str, str] = {"opacity_involvement": "lung"}
"""Structure that a definition with a reference takes when nobody names one."""


class UnknownChoice(Refused):
    """Somebody asks for a biomarker that is not in the catalogue."""

    code = "biomarkers.unknown_choice"


@dataclass(frozen=True, eq=False)
class Structure:
    """A region with a name.

    Parameters
    ----------
    name
        Canonical name; empty when nobody said what the mask shows.
    title
        What to call it in a result.
    members
        Positions, in the list given to the panel, of the masks it was made of.
    """

    name: str
    title: str
    region: Region
    members: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Row:
    """One value of a panel; ``structure`` is None when the mask it needs is not there."""

    definition: Definition
    structure: Structure | None
    value: Value


def choose(names: Sequence[str]) -> tuple[Definition, ...]:
    """Look definitions up by ``id`` (newest version) or ``id@version``.

    Raises
    ------
    UnknownChoice
        If one is not in the catalogue.
    """
    newest = {definition.id: definition for definition in newest_definitions()}
    found = []
    for name in names:
        definition = CATALOGUE.get(name) or newest.get(name)
        if definition is None:
            raise UnknownChoice(
                f"There is no biomarker {name[:60]!r}; the page on biomarkers lists them all."
            )
        found.append(definition)
    return tuple(found)


def with_wholes(image: Image, structures: Sequence[Structure]) -> list[Structure]:
    """Add the wholes whose parts are there: both lungs from lobes or sides."""
    found = list(structures)
    for whole, choices in WHOLES.items():
        names = {structure.name for structure in found}
        if whole in names:
            continue
        for parts in choices:
            present = [structure for structure in found if structure.name in parts]
            if len({structure.name for structure in present}) >= 2:
                region = join(image, [structure.region for structure in present])
                members = tuple(member for structure in present for member in structure.members)
                found.append(Structure(whole, whole, region, members))
                break
    return found


def join(image: Image, regions: Sequence[Region]) -> Region:
    """Unite regions of one image."""
    filled = [(region.box, region.mask) for region in regions if region.box is not None]
    if not filled:
        return Region(image, np.zeros((1, 1, 1), bool), Box((0, 0, 0), (1, 1, 1)))
    box = filled[0][0]
    for other, _ in filled[1:]:
        box = union(box, other)
    mask: NDArray[np.bool_] = np.zeros(box.shape, bool)
    for own, crop in filled:
        place = tuple(
            slice(low - start, high - start)
            for low, high, start in zip(own.start, own.stop, box.start, strict=True)
        )
        mask[place] |= crop
    return Region(image, mask, box)


def measure_panel(
    structures: Sequence[Structure],
    context: Context,
    chosen: Sequence[Definition] | None,
    parameters: Mapping[str, float | int | str],
    *,
    everything: bool = False,
    threads: int = 1,
) -> list[Row]:
    """Measure what fits.

    Parameters
    ----------
    structures
        With their wholes.
    context
        Facts of the image.
    chosen
        These definitions; None for all that fit the structures' names.
    parameters
        Overrides; each definition takes those it has.
    everything
        Also list what cannot be measured here, with its reason.
    threads
        How many structures to measure at once.

    Notes
    -----
    A chosen definition is measured on the structures it is meant for; when the masks have no names it is
    measured on all of them, because the person who chose it knows what they show.  Unnamed masks never get a
    valid value of a rule for a certain structure that nobody chose.
    """
    by_name = {structure.name: structure.region for structure in structures if structure.name}
    context = dataclasses.replace(context, structures=by_name)
    work: list[_Work] = []
    for definition in chosen if chosen is not None else newest_definitions():
        used = {name: value for name, value in parameters.items() if name in definition.defaults}
        own = context
        if definition.needs_reference:
            own = dataclasses.replace(context, reference=by_name.get(REFERENCES.get(definition.id, "")))
        targets = list(_targets(definition, structures, is_chosen=chosen is not None or everything))
        work += [
            _Work(definition, structure, own, used, is_asked=chosen is not None) for structure in targets
        ]
        if not targets and (chosen is not None or everything):
            work.append(_Work(definition, None, own, used, is_asked=True))
    rows = _measure_all(work, threads)
    return [
        row
        for row in rows
        if row.value.reason != "wrong_modality" or chosen is not None or everything or row.structure is None
    ]


@dataclass(frozen=True, eq=False)
class _Work:
    """One definition on one structure; ``is_asked`` when a person chose the definition."""

    definition: Definition
    structure: Structure | None
    context: Context
    parameters: Mapping[str, float | int | str]
    is_asked: bool

    def measure(self) -> Row:
        definition, structure = self.definition, self.structure
        if structure is None:
            return Row(definition, None, definition.missing("mask_missing", self.context, self.parameters))
        is_guess = not self.is_asked and bool(definition.applies_to) and not structure.name
        if is_guess and definition.method == "length":
            # Centrelines take seconds, and of an unknown structure they mean nothing.
            missing = definition.missing("structure_unknown", self.context, self.parameters)
            return Row(definition, structure, missing)
        value = definition.compute_region(structure.region, self.context, self.parameters)
        if is_guess and value.valid:
            value = dataclasses.replace(value, valid=False, reason="structure_unknown")
        return Row(definition, structure, value)


def _measure_all(work: Sequence[_Work], threads: int) -> list[Row]:
    """Measure in the order asked for; each structure stays in one thread, which keeps what its definitions share."""
    if threads <= 1:
        return [item.measure() for item in work]
    groups: dict[int, list[int]] = defaultdict(list)
    for place, item in enumerate(work):
        groups[id(item.structure)].append(place)
    # Large structures first: the last one to end decides.
    order = sorted(groups.values(), key=lambda places: -_size(work[places[0]]))
    rows: dict[int, Row] = {}

    def measure(places: Sequence[int]) -> list[Row]:
        found = [work[place].measure() for place in places]
        structure = work[places[0]].structure
        if structure is not None:
            # The values of all structures together would be another copy of the image.
            structure.region.forget()
        return found

    with ThreadPoolExecutor(threads) as pool:
        for places, found in zip(order, pool.map(measure, order), strict=True):
            rows.update(zip(places, found, strict=True))
    return [rows[place] for place in range(len(work))]


def _size(item: _Work) -> int:
    return item.structure.region.mask.size if item.structure else 0


def _targets(
    definition: Definition, structures: Sequence[Structure], *, is_chosen: bool
) -> Iterable[Structure]:
    if not definition.applies_to:
        return structures if is_chosen or not definition.needs_reference else ()
    wanted = set(definition.applies_to)
    named = [structure for structure in structures if family(structure.name) & wanted]
    if named or not is_chosen:
        return named
    return [structure for structure in structures if not structure.name]

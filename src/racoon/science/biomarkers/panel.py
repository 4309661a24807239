"""Many biomarkers on many structures of one image: which rule fits which mask, and what is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from racoon.errors import Refused
from racoon.science.biomarkers.catalogue import CATALOGUE, newest_definitions
from racoon.science.biomarkers.definition import Context, Definition, Value
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

    Notes
    -----
    A chosen definition is measured on the structures it is meant for; when the masks have no names it is
    measured on all of them, because the person who chose it knows what they show.  Unnamed masks never get a
    valid value of a rule for a certain structure that nobody chose.
    """
    by_name = {structure.name: structure.region for structure in structures if structure.name}
    context = dataclasses.replace(context, structures=by_name)
    rows: list[Row] = []
    for definition in chosen if chosen is not None else newest_definitions():
        used = {name: value for name, value in parameters.items() if name in definition.defaults}
        own = context
        if definition.needs_reference:
            own = dataclasses.replace(context, reference=by_name.get(REFERENCES.get(definition.id, "")))
        targets = list(_targets(definition, structures, is_chosen=chosen is not None or everything))
        for structure in targets:
            is_guess = chosen is None and bool(definition.applies_to) and not structure.name
            if is_guess and definition.method == "length":
                # Centrelines take seconds, and of an unknown structure they mean nothing.
                rows.append(Row(definition, structure, definition.missing("structure_unknown", own, used)))
                continue
            value = definition.compute_region(structure.region, own, used)
            if value.reason == "wrong_modality" and chosen is None and not everything:
                continue
            if is_guess and value.valid:
                value = dataclasses.replace(value, valid=False, reason="structure_unknown")
            rows.append(Row(definition, structure, value))
        if not targets and (chosen is not None or everything):
            rows.append(Row(definition, None, definition.missing("mask_missing", own, used)))
    return rows


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

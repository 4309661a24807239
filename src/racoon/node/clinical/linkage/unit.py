"""The linkage unit: compares rows of bits in memory, answers each site for itself, forgets."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import combinations, count
from pathlib import Path
from typing import Any

import numpy as np

from racoon.node.clinical.linkage.model import LinkageRefused, LinkageUnit
from racoon.platform.files import write_atomically
from racoon.protocol.linkage import FILTER_BYTES, FilterPackage, LinkAnswer, read_package
from racoon.science.linkage.matching import MARGIN, THRESHOLD, link

_NUMBERS = count(1)
"""Names groups of rows while they are compared."""


class ComparingUnit:
    """Compares all sites with all others by likeness of bits.

    Parameters
    ----------
    threshold, margin
        As :func:`racoon.science.linkage.matching.link` takes them.
    """

    def __init__(self, threshold: float = THRESHOLD, margin: float = MARGIN) -> None:
        self._threshold, self._margin = threshold, margin

    def link(self, packages: Sequence[FilterPackage]) -> Sequence[LinkAnswer]:
        """Compare the sites two by two; a person of three sites gets one name where the pairs agree."""
        _check(packages)
        rows = [
            np.frombuffer(item.rows(), np.uint8).reshape(len(item.records), FILTER_BYTES) for item in packages
        ]
        group: dict[tuple[int, int], int] = {}
        members: dict[int, list[tuple[int, int]]] = {}
        unclear = 0
        for a, b in combinations(range(len(packages)), 2):
            found = link(rows[a], rows[b], self._threshold, self._margin)
            unclear += found.unclear
            for left, right in zip(found.left.tolist(), found.right.tolist(), strict=True):
                unclear += not _join(group, members, (a, left), (b, right))
        pairs: list[dict[str, str]] = [{} for _ in packages]
        elsewhere: list[list[str]] = [[] for _ in packages]
        for people in members.values():
            name = secrets.token_hex(16)
            for site, row in people:
                pairs[site][packages[site].records[row]] = name
            # By lot, so that no site's counts lose more than another's.
            counting = secrets.choice(people)
            for site, row in people:
                if (site, row) != counting:
                    elsewhere[site].append(packages[site].records[row])
        sites = sorted(item.site for item in packages)
        return [
            LinkAnswer(
                project=item.project,
                site=item.site,
                sites=sites,
                pairs=found,
                counted_elsewhere=sorted(away),
                unclear=unclear,
                threshold=self._threshold,
            )
            for item, found, away in zip(packages, pairs, elsewhere, strict=True)
        ]


def _join(
    group: dict[tuple[int, int], int],
    members: dict[int, list[tuple[int, int]]],
    left: tuple[int, int],
    right: tuple[int, int],
) -> bool:
    """Put two rows into one group; refuse a group with two rows of one site."""
    first, second = group.get(left), group.get(right)
    together = [*(members[first] if first is not None else [left])]
    if second is None:
        together.append(right)
    elif second != first:
        together += members[second]
    if len({site for site, _ in together}) != len(together):
        return False
    for old in {number for number in (first, second) if number is not None}:
        del members[old]
    fresh = next(_NUMBERS)
    members[fresh] = together
    group |= dict.fromkeys(together, fresh)
    return True


def _check(packages: Sequence[FilterPackage]) -> None:
    if len(packages) < 2:
        raise LinkageRefused("A linkage needs the packages of two sites at least.")
    if len({item.site for item in packages}) != len(packages):
        raise LinkageRefused("Two packages are of one site. Take the newer one.")
    if len({item.project for item in packages}) != 1:
        raise LinkageRefused("The packages are of different projects, which are never linked.")
    if len({item.key_mark for item in packages}) != 1:
        raise LinkageRefused(
            "The sites used different secrets. They agree on one and write their packages again."
        )


def link_files(files: Sequence[Path], folder: Path, unit: LinkageUnit) -> dict[str, Any]:
    """Link packages in files, write an answer for each site, and delete the packages.

    Parameters
    ----------
    files
        The sites' packages; they are gone afterwards, also where the linkage is refused for good.
    folder
        Where ``SITE.links.json`` go.
    unit
        Who compares.
    """
    packages = [read_package(file.read_bytes()) for file in files]
    answers = unit.link(packages)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for answer in answers:
        write_atomically(folder / f"{answer.site}.links.json", answer.model_dump_json().encode())
    for file in files:
        # The bits are what an attacker would want: no copy outlives the comparison.
        file.write_bytes(b"\0" * file.stat().st_size)
        file.unlink()
    return {
        "project": answers[0].project,
        "sites": answers[0].sites,
        "persons": {item.site: len(item.records) for item in packages},
        "linked": {answer.site: len(answer.pairs) for answer in answers},
        "unclear": answers[0].unclear,
        "threshold": answers[0].threshold,
        "deleted": len(files),
    }

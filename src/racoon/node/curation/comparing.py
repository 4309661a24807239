"""Two sets side by side: what is in one only, in the other only, in both, and how each part is made up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from racoon.domain.identity import Pseudonym
from racoon.node.archive.gallery import FACETS
from racoon.node.curation.gallery import Gallery
from racoon.node.curation.model import GalleryFilter, SetName
from racoon.platform.auth import User
from racoon.platform.database import Database

PARTS = ("first", "second", "both")
"""In the first only, in the second only, in both."""


@dataclass(frozen=True)
class Comparison:
    """Two sets compared.

    Parameters
    ----------
    series, subjects
        Numbers by part; a subject is in both when each set has a series of the subject, be it another one.
    distributions
        By facet, by value: numbers in the order of :data:`PARTS`.
    queries
        By part: the query of the gallery that shows it.
    """

    series: dict[str, int]
    subjects: dict[str, int]
    distributions: dict[str, dict[str, tuple[int, int, int]]]
    queries: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "series": self.series,
            "subjects": self.subjects,
            "distributions": {
                facet: [
                    dict(zip(PARTS, numbers, strict=True)) | {"value": value}
                    for value, numbers in found.items()
                ]
                for facet, found in self.distributions.items()
            },
            "queries": self.queries,
        }


def compare(database: Database, gallery: Gallery, user: User, first: str, second: str) -> Comparison:
    """Compare two sets, of the series that the person may see now.

    Parameters
    ----------
    first, second
        Names of sets: ``view:7``, ``tag:blurred``, ``dataset:STUDY/HASH``, ``all``.

    Raises
    ------
    NoSuchSet, DatasetMissing
    """
    names = SetName.parse(first), SetName.parse(second)
    with database.connect() as connection:
        a, b = (gallery.distribution_of(connection, user, name) for name in names)
    parts = (a.keys() - b.keys(), b.keys() - a.keys(), a.keys() & b.keys())
    people: tuple[set[Pseudonym], ...] = ({item[0] for item in a.values()}, {item[0] for item in b.values()})
    counts: list[list[Counter[str]]] = [[Counter() for _ in FACETS] for _ in PARTS]
    known = b | a
    for part, uids in enumerate(parts):
        for uid in uids:
            for place, value in enumerate(known[uid][1]):
                counts[part][place][value] += 1
    distributions: dict[str, dict[str, tuple[int, int, int]]] = {}
    for place, facet in enumerate(FACETS):
        total = sum((counts[part][place] for part in range(3)), Counter[str]())
        distributions[facet] = {
            value: (counts[0][place][value], counts[1][place][value], counts[2][place][value])
            for value, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))
        }
    return Comparison(
        series={name: len(uids) for name, uids in zip(PARTS, parts, strict=True)},
        subjects={
            "first": len(people[0] - people[1]),
            "second": len(people[1] - people[0]),
            "both": len(people[0] & people[1]),
        },
        distributions=distributions,
        queries={
            "first": GalleryFilter(within=(first,), without=(second,)).query(),
            "second": GalleryFilter(within=(second,), without=(first,)).query(),
            "both": GalleryFilter(within=(first, second)).query(),
        },
    )

"""What a site does for a linkage: rows of its patients out, names of pairs back; names of people never leave."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon.domain.identity import Pseudonym
from racoon.node.clinical.linkage.model import LinkageRefused, key_mark, person_of
from racoon.node.clinical.numbers import patient_number
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.files import write_atomically
from racoon.protocol.linkage import FilterPackage, LinkAnswer
from racoon.science.linkage.filters import Person, encode
from racoon.standards.fhir.building import Resource

Linkable = Callable[[Collection[Pseudonym]], Collection[Pseudonym]]
"""Says who may be linked for the project."""


@dataclass(frozen=True)
class Prepared:
    """A package and what was left out of it.

    Parameters
    ----------
    records
        Random name of a row to the subject; it stays at the site.
    incomplete, not_permitted
        Patients without name or birth date, and subjects who may not be linked.
    """

    package: FilterPackage
    records: Mapping[str, Pseudonym]
    incomplete: int
    not_permitted: int


def prepare_package(
    patients: Iterable[Resource],
    names: Pseudonymiser,
    linkable: Linkable,
    *,
    project: str,
    site: str,
    key: bytes,
    systems: Sequence[str] = (),
) -> Prepared:
    """Make a site's package of everybody who may be linked.

    Parameters
    ----------
    patients
        Patients with names, as the clinic has them.
    names
        The door to who is who.
    linkable
        Says who may be linked.
    project, site
        For the package.
    key
        As :func:`racoon.node.clinical.linkage.model.read_secret` gives it.
    systems
        Identifier systems of the number that is in the images.
    """
    people: dict[Pseudonym, Person] = {}
    incomplete = 0
    for patient in patients:
        person = person_of(patient)
        number, how = patient_number(patient, systems)
        if person is None or how == "other":
            incomplete += 1
            continue
        people.setdefault(names.pseudonym(number), person)
    allowed = sorted(set(linkable(people)) & people.keys())
    # Rows in the order of random names: the order of a hospital's lists would tell something too.
    records = dict(sorted((secrets.token_hex(16), subject) for subject in allowed))
    rows = encode([people[subject] for subject in records.values()], key)
    package = FilterPackage(
        project=project,
        site=site,
        key_mark=key_mark(key),
        records=list(records),
        filters=base64.b64encode(rows.tobytes()).decode(),
    )
    return Prepared(package, records, incomplete, len(people) - len(allowed))


class LinkageFolder:
    """What a site keeps of its linkages: random names while it waits, then pairs by pseudonym.

    Parameters
    ----------
    folder
        Below the node's data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep_records(self, project: str, records: Mapping[str, Pseudonym]) -> None:
        """Keep whose row is which until the answer comes; a second package replaces the first."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._folder / f"{project}.records.json", json.dumps(dict(records)).encode())

    def take_answer(self, answer: LinkAnswer) -> int:
        """Turn the unit's answer into pairs by pseudonym; returns how many.

        Raises
        ------
        LinkageRefused
            If nothing waits for it, or it names rows that were never sent.
        """
        file = self._folder / f"{answer.project}.records.json"
        if not file.is_file():
            raise LinkageRefused("No package of this project waits for an answer here.")
        records: dict[str, str] = json.loads(file.read_bytes())
        away = answer.counted_elsewhere
        if not set(answer.pairs) <= records.keys() or not set(away or ()) <= answer.pairs.keys():
            raise LinkageRefused(
                "This answer belongs to another package. Ask the linkage unit for the newest one."
            )
        document = {
            "project": answer.project,
            "sites": answer.sites,
            "threshold": answer.threshold,
            "unclear": answer.unclear,
            "links": {records[row]: name for row, name in sorted(answer.pairs.items())},
            "counted_elsewhere": None if away is None else sorted(records[row] for row in away),
        }
        write_atomically(self._folder / f"{answer.project}.links.json", json.dumps(document).encode())
        file.unlink()
        return len(answer.pairs)

    def links(self, project: str) -> dict[Pseudonym, str] | None:
        """Return the pairs of a project; None where nothing was linked, which is the default."""
        file = self._folder / f"{project}.links.json"
        if not file.is_file():
            return None
        return {Pseudonym(subject): name for subject, name in json.loads(file.read_bytes())["links"].items()}

    def counted_elsewhere(self, project: str) -> frozenset[Pseudonym] | None:
        """Return whom another site of a linkage counts; None where nothing was linked, or the unit did not say."""
        file = self._folder / f"{project}.links.json"
        found = (
            json.loads(file.read_bytes()).get("counted_elsewhere")
            if is_name(project) and file.is_file()
            else None
        )
        return None if found is None else frozenset(Pseudonym(subject) for subject in found)


def is_name(project: str) -> bool:
    """Tell whether the id of a study can be the name of a file."""
    return (
        bool(project) and all(letter.isalnum() or letter in "-_." for letter in project) and project[0] != "."
    )

"""Two sites and a unit link persons: nothing of anybody is in what goes over, and nothing is left when it is done."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from racoon.errors import RacoonError
from racoon.node.app import linking
from racoon.node.clinical.linkage.model import LinkageRefused, read_secret, write_secret
from racoon.node.clinical.linkage.unit import ComparingUnit, link_files
from racoon.node.settings import load_node_settings
from racoon.science.linkage.filters import Person
from racoon.science.linkage.rehearsal import invent, mistype
from tests.node_rooms import NodeInProcess

PROJECT = "linked-study"


def _patient(number: str, person: Person) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    names = [{"use": "official", "family": person.family, "given": person.given.split()}]
    names += [{"use": "maiden", "family": person.birth_name}] if person.birth_name else []
    return {
        "resourceType": "Patient",
        "id": f"id-{number}",
        "identifier": [{"type": kind, "value": number}],
        "name": names,
        "birthDate": person.born,
        "gender": person.sex or "unknown",
        "address": [{"postalCode": person.postcode}],
    }


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two sites with 40 patients each, of whom they share 20."""
    chance, found = random.Random(5), {}
    people = invent(60, chance)
    shared = [mistype(person, chance) for person in people[:20]]
    for site, persons in (("ALPHA", people[:40]), ("BETA", [*shared, *people[40:]])):
        folder = tmp_path_factory.mktemp(site)
        node = NodeInProcess(folder, site=site)
        node.rely_on(PROJECT)
        lines = [_patient(f"{site}{index:03d}", person) for index, person in enumerate(persons)]
        source = folder / "patients.ndjson"
        source.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
        found[site] = (node, source, persons)
    return found


def test_two_sites_are_linked_and_nobody_is_named_on_the_way(sites: dict[str, Any], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write_secret(secret)
    packages = []
    for site, (node, source, _) in sites.items():
        out = tmp_path / f"{site}.filters"
        facts = linking.encode(node.config, source, out, project=PROJECT, secret=secret)
        assert facts["persons"] == 40
        packages.append(out)
    wire = b"".join(file.read_bytes() for file in packages)
    report = link_files(packages, tmp_path / "answers", ComparingUnit(threshold=0.8))
    assert report["deleted"] == 2
    assert not any(file.exists() for file in packages), "the unit keeps rows of bits"
    wire += b"".join(file.read_bytes() for file in (tmp_path / "answers").iterdir())

    assert secret.read_bytes().strip() not in wire
    for site, (node, _, persons) in sites.items():
        for index, person in enumerate(persons):
            number = f"{site}{index:03d}"
            pseudonym = str(node.subject(number))
            for planted in (number, pseudonym, person.family, person.born, f'"{person.postcode}"'):
                assert planted.encode() not in wire, planted

    links = {}
    for site, (node, _, _) in sites.items():
        assert linking.show(node.config, PROJECT)["statement"] == linking.NO_LINKAGE
        linking.take(node.config, tmp_path / "answers" / f"{site}.links.json")
        links[site] = linking.show(node.config, PROJECT)["links"]
    common = set(links["ALPHA"].values()) & set(links["BETA"].values())
    assert len(common) >= 15
    by_name = {name: subject for subject, name in links["BETA"].items()}
    numbers = {str(sites["ALPHA"][0].subject(f"ALPHA{index:03d}")): index for index in range(40)}
    for subject, name in links["ALPHA"].items():
        other = f"BETA{numbers[subject]:03d}"
        assert by_name[name] == str(sites["BETA"][0].subject(other)), "two persons are linked as one"
    assert not list(tmp_path.glob("answers/*")), "an answer is left"
    # Counts have everybody once: of each pair exactly one site counts.
    counting = []
    for site, (node, _, _) in sites.items():
        folder = linking.linkage_folder(load_node_settings(node.config))
        away = folder.counted_elsewhere(PROJECT)
        assert away is not None
        assert away <= links[site].keys()
        counting += [name for subject, name in links[site].items() if subject not in away]
        assert folder.counted_elsewhere("another-study") is None
        assert folder.counted_elsewhere("../linkage/linked-study") is None
    assert sorted(counting) == sorted(common)


def test_without_consent_or_basis_nobody_is_linked(tmp_path: Path, sites: dict[str, Any]) -> None:
    secret = tmp_path / "secret"
    write_secret(secret)
    node, source, _ = sites["ALPHA"]
    with pytest.raises(LinkageRefused) as caught:
        linking.encode(node.config, source, tmp_path / "out", project="another-study", secret=secret)
    assert "Nobody here may be linked" in caught.value.public_message
    assert not (tmp_path / "out").exists()


def test_packages_of_two_secrets_or_projects_are_not_compared(tmp_path: Path, sites: dict[str, Any]) -> None:
    packages = []
    for number, (site, (node, source, _)) in enumerate(sites.items()):
        secret = tmp_path / f"secret{number}"
        write_secret(secret)
        packages.append(tmp_path / site)
        linking.encode(node.config, source, packages[-1], project=PROJECT, secret=secret)
    with pytest.raises(LinkageRefused) as caught:
        link_files(packages, tmp_path / "answers", ComparingUnit())
    assert "different secrets" in caught.value.public_message
    with pytest.raises(LinkageRefused):
        link_files(packages[:1], tmp_path / "answers", ComparingUnit())


def test_a_secret_is_for_its_owner_and_for_one_project(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write_secret(secret)
    assert read_secret(secret, "one") != read_secret(secret, "two")
    with pytest.raises(LinkageRefused):
        write_secret(secret)
    secret.chmod(0o644)
    with pytest.raises(LinkageRefused) as caught:
        read_secret(secret, "one")
    assert "chmod 600" in caught.value.public_message


def test_what_is_no_package_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"{}")
    (tmp_path / "b").write_bytes(b"\x00")
    with pytest.raises(RacoonError) as caught:
        link_files([tmp_path / "a", tmp_path / "b"], tmp_path / "answers", ComparingUnit())
    assert caught.value.error_code == "linkage.bad_file"

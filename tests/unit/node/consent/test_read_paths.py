"""Every way to read a subject at a node, listed: none returns anything after a withdrawal, and a new one has to ask.

What must not leak could have leaked: the same questions are asked before the withdrawal, and must find the subject.
"""

from __future__ import annotations

import inspect
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from starlette.testclient import TestClient

from racoon.domain.coding import Code
from racoon.domain.cohort import CohortDefinition, ImagingCriterion
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym, Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.errors import RacoonError
from racoon.node.app import permission
from racoon.node.archive import gallery as index
from racoon.node.archive import records
from racoon.node.archive.model import SeriesFilter, SeriesNotFound, StudyFilter
from racoon.node.archive.records import StudySelection
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.curation import service as curation
from racoon.node.curation.gallery import Gallery
from racoon.node.curation.model import GalleryFilter, SetName
from racoon.node.measuring import service as measuring
from racoon.platform.auth import User
from tests.dicom_objects import uid
from tests.node_rooms import NodeInProcess

STUDY = "liver"
COHORT = CohortDefinition(((ImagingCriterion(modality="CT"),),))
PLAN = MeasuringPlan("organs", (Measurement("volume", "1", Code("10200004", "SCT"), Bins(0, 3000, 100)),))
FINDING = str(uuid.UUID(int=7))

SHOWS_NO_IMAGE = {
    "/audit": "the audit keeps pseudonyms and hashes, also of who withdrew",
    "/api/archive/deletions": "proofs of deletion: UIDs and hashes of what is gone",
    "/deletions": "the same proofs as a page",
    "/api/consent/subjects/{pseudonym}": "what is known of the permission itself",
    "/api/consent/withdrawals": "who withdrew",
    "/consent": "the same as a page",
}
"""Routes that name a subject after the withdrawal, on purpose."""

FILLED: dict[str, str] = {
    "study": uid(1),
    "series": uid(1, 1),
    "instance": uid(1, 1, 2),
    "frame": "1",
    "frames": "1",
    "index": "1",
    "tag:path": "7FE00010",
    "finding_id": FINDING,
    "study_id": STUDY,
    "job_id": "none",
    "number:int": "1",
    "number": "1",
    "doubt_id": "1",
    "deletion_id": "none",
    "quarantine_id": "none",
    "token": "none",
    "plan": "none",
    "name": "pilot",
    "part": "image",
    "path:path": "viewer",
    "attempt": "none",
    "layer": uid(1, 50),
}
"""What stands for each parameter of a path; a new one makes the test fail until it is said here."""


@pytest.fixture
def filled(node: NodeInProcess) -> NodeInProcess:
    node.rely_on()
    node.rely_on(STUDY)
    node.store(1, "4711")
    node.store(2, "4712")
    return node


def freeze(node: NodeInProcess) -> DatasetManifest:
    with node.rooms.database.begin() as connection:
        return curation.freeze(
            connection,
            node.rooms.archive,
            STUDY,
            "first",
            COHORT,
            readable=node.consent.condition,
            usable=permission.usable_series(node.consent),
        )


def measure(node: NodeInProcess, manifest: DatasetManifest) -> None:
    measuring.run_protocol(PLAN, manifest, node.rooms.archive, node.rooms.database, lambda _d, _t, _n: None)


def save_finding(client: TestClient) -> None:
    body = {
        "kind": "length",
        "meaning": "SCT:27925004",
        "imaging_study": uid(1),
        "series": uid(1, 1),
        "instance": uid(1, 1, 2),
        "frame": 1,
        "frame_of_reference": uid(1, 9999),
        "points_mm": [[-20.0, -30.0, 102.5], [-13.0, -22.0, 102.5]],
    }
    assert client.put(f"/api/reading/findings/{FINDING}?based_on=0", json=body).status_code == 200


def addresses(node: NodeInProcess, subject: Pseudonym) -> Iterator[tuple[str, str]]:
    """Yield the pattern and one address of every route that reads."""
    kinds = ("Patient", "ImagingStudy", "Observation", "DiagnosticReport", "ResearchSubject")
    for method, pattern in node.routes():
        if method != "GET":
            continue
        for kind in kinds if "{kind}" in pattern else ("",):
            known = FILLED | {"kind": kind, "identity": str(subject).lower(), "pseudonym": str(subject)}
            missing = set(re.findall(r"{([^}]+)}", pattern)) - set(known)
            assert not missing, f"say in FILLED what stands for {missing} in {pattern}"
            yield pattern, re.sub(r"{([^}]+)}", lambda match, known=known: known[match[1]], pattern)


def shown_by_routes(node: NodeInProcess, client: TestClient, subject: Pseudonym) -> set[str]:
    """Ask every route; return the patterns of those that answered with anything of the subject."""
    marks = [mark.encode() for mark in (str(subject), f"{uid(1)}.", f'{uid(1)}"', f"{uid(1)}<")]
    shown = set()
    for pattern, address in addresses(node, subject):
        answer = client.get(address, follow_redirects=False)
        assert answer.status_code < 500, (address, answer.text)
        # A picture has no words: that it is given is enough, where the path names the subject's own image.
        is_own = any(name in pattern for name in ("{study}", "{series}", "{finding_id}", "{number:int}"))
        given = answer.status_code in (200, 206, 303) and (is_own or any(m in answer.content for m in marks))
        if given and not _is_empty(answer):
            shown.add(pattern)
    return shown


def _is_empty(answer: Any) -> bool:
    return answer.content in (b"", b"[]", b'{"findings":[]}', b'{"findings":[],"left_out":[]}')


def test_no_route_shows_a_subject_after_the_withdrawal(filled: NodeInProcess) -> None:
    subject = filled.subject("4711")
    measure(filled, freeze(filled))
    client = filled.person("site_informatician", "reader", "data_manager", "dpo", "auditor", "diz")
    save_finding(client)
    tasks = {"series": [uid(1, 1)], "readers": ["somebody"]}
    assert client.post("/api/reading/worklists/pilot/tasks", json=tasks).json() == {"added": 1}
    before = shown_by_routes(filled, client, subject)
    assert {
        "/dicom-web/studies",
        "/archive",
        "/api/measurements",
        "/values/{number:int}",
        "/fhir/{kind}",
    } <= before
    assert len([pattern for pattern in before if pattern.startswith("/dicom-web/studies/")]) >= 17, before
    filled.withdraw(subject)
    after = shown_by_routes(filled, client, subject)
    assert after <= set(SHOWS_NO_IMAGE), after - set(SHOWS_NO_IMAGE)
    # The other patient is still there.
    assert uid(2) in client.get("/dicom-web/studies").text


# -- the functions behind: public names of the rooms that hold images and facts

Probe = Callable[[NodeInProcess], Any]


def _row(node: NodeInProcess) -> Any:
    return node.kept_row  # type: ignore[attr-defined]  # an instance found before the withdrawal


def _with(node: NodeInProcess, ask: Callable[[Any], Any]) -> Any:
    with node.rooms.database.connect() as connection:
        return ask(connection)


def _archive(node: NodeInProcess) -> Archive:
    return node.rooms.archive


def _readable_among(node: NodeInProcess) -> list[str]:
    with node.rooms.database.connect() as connection:
        return sorted(_archive(node).readable_among(connection, [node.subject("4711")]))


ARCHIVE: dict[str, Probe | str] = {
    "series": lambda node: [r.facts.series_uid for r in _archive(node).series(SeriesFilter())],
    "browse": lambda node: [row.imaging_study_uid for row in _archive(node).browse(StudyFilter())],
    "series_row": lambda node: _archive(node).series_row(uid(1, 1)),
    "instances": lambda node: _archive(node).instances(uid(1, 1)),
    "instances_of_study": lambda node: _archive(node).instances_of_study(uid(1), seen_by=""),
    "instance": lambda node: _archive(node).instance(uid(1, 1, 1)),
    "segmentations": lambda node: _archive(node).segmentations(uid(1, 1)),
    "evidence": lambda node: _archive(node).evidence(uid(1, 1, 1)),
    "metadata": lambda node: list(_archive(node).metadata(uid(1, 1))),
    "read_object": lambda node: _archive(node).read_object(_row(node)),
    "open_object": lambda node: _archive(node).open_object(_row(node)).close() or "opened",
    "arrange": lambda node: _archive(node).arrange(uid(1, 1)),
    "load_volume": lambda node: _archive(node).load_volume(uid(1, 1)),
    "load_masks": lambda node: _archive(node).load_masks(uid(1, 1)),
    "iterate_masks": lambda node: list(_archive(node).iterate_masks(uid(1, 1))),
    "hidden_from": "a condition on statements that ask; narrows what is shown",
    "is_readable": lambda node: _archive(node).is_readable(node.subject("4711")),
    "readable_among": _readable_among,
    "content_hash": "a hash over what instances() gives",
    "counts": "numbers of the whole archive",
    "filter_choices": "modalities and body parts that occur",
    "store": "writes",
    "sweep": "compares objects and index, shows none",
    "reindex": "rebuilds the index, shows none",
    "series_without_values": "narrows what is shown",
    "objects": "the archive's own",
    "database": "the archive's own",
}
RECORDS: dict[str, Probe | str] = {
    "iterate_studies": lambda node: [
        r.imaging_study_uid for r in records.iterate_studies(_archive(node), StudySelection())
    ],
    "iterate_subjects": lambda node: [str(r.pseudonym) for r in records.iterate_subjects(_archive(node))],
    "studies_of_series": lambda node: records.studies_of_series(_archive(node), [uid(1, 1)]),
    "series_uids_of": lambda node: records.series_uids_of(
        _archive(node), pseudonyms=[str(node.subject("4711"))]
    ),
    "everybody": "every subject that has images: identities are compared before anything is shown",
    "subjects_of_studies": "whose an order's images are, to stop a case of two people",
    "days_of_studies": "moved days of images beside an order; the page asks consent itself",
    "studies_of_subjects": "as above; what would leave asks consent itself",
    "count_stored_between": "a number, for people who look after a merge that was taken back",
    "evidence_of_study": "what de-identification took out, without values; the page asks for readable resources",
    "people_of_images": "sexes and years of birth to compare with the clinic's; the page leaves out who withdrew",
    "devices": "makers and models of scanners, of readable subjects",
    "holdings": "names series to be erased, shows none",
}
COHORTS: dict[str, Probe | str] = {
    "count_subjects": lambda node: _with(
        node, lambda c: cohorts.count_subjects(c, COHORT, node.consent.condition) - 1
    ),
    "members": lambda node: _with(
        node,
        lambda c: node.subject("4711") in cohorts.members(c, COHORT, node.consent.condition),
    ),
    "select_series": lambda node: _with(
        node,
        lambda c: [
            s.series_uid
            for s in cohorts.select_series(c, COHORT, node.consent.condition)
            if s.pseudonym == node.subject("4711")
        ],
    ),
    "facts_of_series": lambda node: _with(node, lambda c: cohorts.facts_of_series(c, [uid(1, 1)])),
    "days_of_series": lambda node: _with(node, lambda c: cohorts.days_of_series(c, [uid(1, 1)])),
    "imaging_days": "of subjects of a list whom consent permits",
    "features": "of series that consent was asked for, to match controls",
    "clinical_facts": "of subjects that the analysing room has asked consent for",
    "record": "writes",
    "record_finding": "writes",
    "record_report": "writes",
    "record_consent": "writes",
    "forget_finding": "writes",
    "fact_tables": "the tables themselves, without a row",
    "refresh": "copies the facts; what is read of the copy asks consent",
    "record_clinical": "writes",
    "record_measured": "writes",
    "forget": "writes",
    "forget_subject": "writes",
}
CURATION: dict[str, Probe | str] = {
    "freeze": lambda node: [e.pseudonym for e in freeze(node).series if e.pseudonym == node.subject("4711")],
    "load": "the whole manifest; jobs get it by permission.load_usable, rows of FHIR ask the archive",
    "freeze_matched": "freezes as `freeze` does, which is asked here, and leaves cases without a control out",
    "pairs": "of a dataset, for jobs that get it by permission.load_usable",
    "forget_pairs": "writes",
    "datasets": "names and numbers of datasets",
    "datasets_with": "asked by the withdrawal itself",
    "keep": "writes",
    "forget_series": "writes",
    "forget_subject": "writes",
    "content_hash_of": "a hash",
}


def _sight(node: NodeInProcess) -> index.Sight:
    return index.Sight(node.consent.condition)


def _gallery(node: NodeInProcess) -> Gallery:
    return node.app.state.gallery  # type: ignore[no-any-return]  # what the application holds


ALL_SERIES = index.SeriesCriteria()
INDEX: dict[str, Probe | str] = {
    "is_image": "a condition that narrows",
    "matching": lambda node: _with(
        node,
        lambda c: [uid for (uid,) in c.execute(index.matching(ALL_SERIES, _sight(node)))],
    ),
    "outline": lambda node: _with(node, lambda c: len(index.outline(c, ALL_SERIES, _sight(node))) - 1),
    "rows": lambda node: _with(
        node, lambda c: [row.series_uid for row in index.rows(c, range(1, 9), _sight(node))]
    ),
    "uids_of": lambda node: _with(node, lambda c: list(index.uids_of(c, range(1, 9), _sight(node)))),
    "facets": lambda node: _with(
        node, lambda c: index.facets(c, ALL_SERIES, _sight(node))["modality"].get("CT", 0) - 1
    ),
    "distribution": lambda node: _with(
        node, lambda c: [uid for uid, _, _ in index.distribution(c, ALL_SERIES, _sight(node))]
    ),
    "contents": lambda node: _with(
        node, lambda c: [found.series_uid for found in index.contents(c, [uid(1, 1)], _sight(node))]
    ),
}
SOMEBODY = User("somebody", frozenset({Role.DATA_MANAGER}))
GALLERY: dict[str, Probe | str] = {
    "outline": lambda node: len(_gallery(node).outline(SOMEBODY, GalleryFilter())) - 1,
    "facets": lambda node: _gallery(node).facets(SOMEBODY, GalleryFilter())["modality"].get("CT", 0) - 1,
    "rows": lambda node: [item.row.series_uid for item in _gallery(node).rows(SOMEBODY, range(1, 9))],
    "distribution_of": lambda node: _with(
        node, lambda c: list(_gallery(node).distribution_of(c, SOMEBODY, SetName("all")))
    ),
    "tag": lambda node: _gallery(node).tag(SOMEBODY, f"tag {uuid.uuid4().hex}", range(1, 9)) - 1,
    "freeze": lambda node: [
        entry.series_uid
        for entry in _gallery(node)
        .freeze(SOMEBODY, STUDY, "probe", range(1, 9), permission.usable_series(node.consent))
        .series
    ],
    "views": "filters; one that names a subject is removed with the subject",
    "save_view": "writes",
    "delete_view": "writes",
    "sets": "names of tags, views and datasets",
}
PERMISSION: dict[str, Probe | str] = {
    "load_usable": lambda node: _with(
        node,
        lambda c: [
            e.series_uid
            for e in permission.load_usable(c, node.consent, STUDY, node.manifest.hash).series  # type: ignore[attr-defined]  # set by the test
            if e.pseudonym == node.subject("4711")
        ],
    ),
    "open_consent": "builds",
    "usable_series": "the port of freeze",
    "take_consents": "writes",
}
ROOMS: dict[str, tuple[Any, dict[str, Probe | str]]] = {
    "archive": (Archive, ARCHIVE),
    "records": (records, RECORDS),
    "cohorts": (cohorts, COHORTS),
    "curation": (curation, CURATION),
    "gallery": (Gallery, GALLERY),
    "index": (index, INDEX),
    "permission": (permission, PERMISSION),
}


def public_names(room: Any) -> set[str]:
    """Names of what a room offers: functions of a module that it defines or names as its own, what a class has."""
    if inspect.isclass(room):
        return {name for name in dir(room) if not name.startswith("_")}
    named = getattr(room, "__all__", ())
    return {
        name
        for name, found in vars(room).items()
        if isinstance(found, FunctionType)
        and (found.__module__ == room.__name__ or name in named)
        and not name.startswith("_")
    }


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_every_function_of_a_room_is_listed(name: str) -> None:
    room, known = ROOMS[name]
    assert public_names(room) == set(known), "a new way to read: give a probe, or say why it shows nobody"


def answers(node: NodeInProcess) -> dict[str, bool]:
    """Ask every probe; tell which found the subject."""
    found = {}
    for name, (_, known) in ROOMS.items():
        for function, probe in known.items():
            if not isinstance(probe, str):
                try:
                    answer = probe(node)
                except (SeriesNotFound, RacoonError):
                    answer = None
                if isinstance(answer, list) and answer and isinstance(answer[0], str):
                    own = (str(node.subject("4711")), uid(1), uid(1, 1), uid(1, 50))
                    answer = [item for item in answer if item in own]
                found[f"{name}.{function}"] = bool(answer)
    return found


def test_no_function_returns_a_subject_after_the_withdrawal(filled: NodeInProcess) -> None:
    subject = filled.subject("4711")
    filled.manifest = freeze(filled)  # type: ignore[attr-defined]  # what the probes start from
    filled.kept_row = filled.rooms.archive.instance(uid(1, 1, 1))  # type: ignore[attr-defined]  # found before
    before = answers(filled)
    assert all(before.values()), [name for name, found in before.items() if not found]
    filled.withdraw(subject)
    after = answers(filled)
    assert not any(after.values()), [name for name, found in after.items() if found]


def test_nothing_builds_an_archive_without_consent() -> None:
    source = Path(inspect.getfile(Archive)).parents[2]
    found = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if any(
            line.strip().removeprefix("return ") in ("Archive(", "ArchiveReader(")
            for line in path.read_text("utf-8").splitlines()
        )
    ]
    assert found == ["node/app/rooms.py"]
    rooms = (source / "node/app/rooms.py").read_text(encoding="utf-8")
    assert "is_readable=consent.is_readable" in rooms
    assert "readable_among=consent.readable_among" in rooms


INDEX_READERS = {
    "_browse.py": "lists for Archive.browse, which asks",
    "_conditions.py": "conditions of _search, which asks for every row",
    "_deletion_routes.py": "routes, listed above",
    "_documents.py": "writes rows of _search, which asks for every row",
    "_hiding.py": "conditions that narrow statements, which ask themselves",
    "_ingest.py": "writes",
    "_rebuild.py": "compares objects and index",
    "_removal.py": "removes",
    "_search.py": "asks for every row",
    "access.py": "who was granted what, by UID",
    "assessing.py": "finds the series whose metadata it asks the archive for",
    "derived.py": "takes objects in; asks before it shows the study it files them under",
    "deletion.py": "proofs of what is gone",
    "dimse/identifiers.py": "words of the query service",
    "dimse/provider.py": "searches with the archive's readable_among, reads by its read_object",
    "gallery.py": "listed above",
    "http.py": "searches with the archive's readable_among",
    "reader.py": "listed above: what an Archive inherits",
    "records.py": "listed above",
    "service.py": "listed above",
}
"""Who reads the archive's index; any other room has to ask one of the functions above."""


def test_nobody_else_reads_the_index() -> None:
    folder = Path(inspect.getfile(Archive)).parent
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if re.search(r"^(from|import) .*\b(_store|_search)\b", path.read_text("utf-8"), re.MULTILINE)
    }
    assert found <= set(INDEX_READERS), "a new way to read: let it ask the archive, and say here that it does"

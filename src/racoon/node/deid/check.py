"""Look at de-identified objects from outside, as a data protection officer does.

Every element is held against the same tables that the engine works by, but without knowing the original: a
value that the rules would change again is a finding.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from racoon.domain.identity import PatientId, Pseudonym
from racoon.errors import Refused
from racoon.node.deid import cleaning
from racoon.node.deid._handlers import HANDLERS
from racoon.node.deid._job import Job
from racoon.node.deid._risk import risk_of
from racoon.node.deid.identifiers import KnownIdentifiers
from racoon.node.deid.model import Profile
from racoon.node.deid.profiles import profile_named
from racoon.node.deid.rules import Action, RuleSet, Step, rule_set_version, rules_for
from racoon.node.pseudonyms.model import is_pseudonym
from racoon.standards.dicom.elements import Dataset, Element, MalformedDicom, name_of
from racoon.standards.dicom.reading import DicomFile, items_of, read_file
from racoon.standards.dicom.text import encodings_of, text_of, values_of
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID, is_standard


class Category(StrEnum):
    """Kinds of findings, the gravest first."""

    KNOWN_IDENTIFIER = "known_identifier"
    NOT_DEIDENTIFIED = "not_deidentified"
    PERSON = "person"
    FREE_TEXT = "free_text"
    SHOULD_BE_EMPTY = "should_be_empty"
    OUTSIDE_LIST = "outside_list"
    PRIVATE = "private"
    FOREIGN_UID = "foreign_uid"
    HEAD_OF_FILE = "head_of_file"
    PIXELS = "pixels"
    NO_RULES = "no_rules"
    UNREADABLE = "unreadable"


class NothingToCheck(Refused):
    """The folder is not there, or empty."""

    code = "deid.nothing_to_check"


@dataclass
class Check:
    """What a check found.

    Parameters
    ----------
    folder, profile, rule_set
        What was checked, against what.
    known_count
        How many known identifiers were searched for.
    files, objects
        Files seen, and those that were DICOM objects.
    by_class, subjects
        Objects per SOP class; pseudonyms met.
    findings
        Per category: element names with how often.
    examples
        Per category: up to five file names.
    """

    folder: str
    profile: Profile
    rule_set: str
    known_count: int = 0
    files: int = 0
    objects: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    subjects: set[str] = field(default_factory=set)
    findings: dict[Category, Counter[str]] = field(default_factory=dict)
    examples: dict[Category, list[str]] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def add(self, category: Category, place: str, file: str) -> None:
        """Note a finding."""
        self.findings.setdefault(category, Counter())[place] += 1
        names = self.examples.setdefault(category, [])
        if file not in names and len(names) < 5:
            names.append(file)

    def as_json(self) -> dict[str, object]:
        """The same for machines; no value of any object is in it."""
        ordered = [category for category in Category if category in self.findings]
        return {
            "folder": self.folder,
            "profile": self.profile.name,
            "rule_set": self.rule_set,
            "known_identifiers_searched": self.known_count,
            "files": self.files,
            "objects": self.objects,
            "subjects": len(self.subjects),
            "sop_classes": dict(sorted(self.by_class.items())),
            "clean": self.is_clean,
            "findings": [
                {
                    "category": category.value,
                    "count": self.findings[category].total(),
                    "elements": dict(sorted(self.findings[category].items())),
                    "examples": self.examples[category],
                }
                for category in ordered
            ],
        }


def check_folder(folder: Path, profile: str = "basic", known: Sequence[str] = ()) -> Check:
    """Check every file of a folder.

    Parameters
    ----------
    folder
        Folder with objects that are said to be de-identified.
    profile
        Name or file of the profile they were made with.
    known
        Values that must not occur anywhere in the files, pixels included, in any usual encoding.

    Raises
    ------
    NothingToCheck
        If there is no file.
    """
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    if not files:
        raise NothingToCheck(f"There is nothing to check in {folder}. Name a folder with DICOM files.")
    tokens = _tokens(known)
    result = Check(str(folder), profile_named(profile), rule_set_version(), known_count=len(known))
    for path in files:
        result.files += 1
        name = str(path.relative_to(folder))
        data = path.read_bytes()
        lower = data.lower()
        if any(token in lower for token in tokens):
            result.add(Category.KNOWN_IDENTIFIER, "bytes", name)
        try:
            file = read_file(data)
            result.objects += 1
            _check(file, data, name, result)
        except (MalformedDicom, ValueError, KeyError, IndexError, TypeError):
            result.add(Category.UNREADABLE, "file", name)
    return result


def _tokens(known: Sequence[str]) -> list[bytes]:
    texts = {part.strip() for text in known for part in (text, *text.split("^")) if len(part.strip()) >= 3}
    encodings = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
    return [text.lower().encode(code, "ignore") for text in sorted(texts) for code in encodings]


def _check(file: DicomFile, data: bytes, name: str, result: Check) -> None:
    dataset = file.dataset
    sop_class = text_of(dataset.get(0x00080016))
    rules = rules_for(sop_class, result.profile)
    result.by_class[rules.sop_class_name if rules else "?"] += 1
    if text_of(dataset.get(0x00120062)) != "YES":
        result.add(Category.NOT_DEIDENTIFIED, "(0012,0062)", name)
    if any(data[:128]) and data[128:132] == b"DICM":
        result.add(Category.HEAD_OF_FILE, "preamble", name)
    for tag in file.meta:
        if tag not in _META or (
            tag == _IMPLEMENTATION and text_of(file.meta[tag]) != IMPLEMENTATION_CLASS_UID
        ):
            result.add(Category.HEAD_OF_FILE, name_of(tag), name)
    if rules is None:
        result.add(Category.NO_RULES, "(0008,0016)", name)
        return
    if rules.kind == "image" and risk_of(dataset, is_big_endian=file.is_big_endian).suspicions:
        blanked = (
            "113101" in {_code(item) for item in items_of(dataset[0x00120064])}
            if 0x00120064 in dataset
            else False
        )
        if not blanked:
            result.add(Category.PIXELS, "(7FE0,0010)", name)
    job = _outside_job(result.profile, rules)
    subject = text_of(dataset.get(0x00100020))
    if is_pseudonym(subject):
        result.subjects.add(subject)
    for category, tag in _findings(job, dataset, is_top=True, encodings=encodings_of(dataset)):
        result.add(category, name_of(tag), name)


_META = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020003, 0x00020010, 0x00020012, 0x00020013})
_IMPLEMENTATION, _METHODS = 0x00020012, 0x00120064
_MARKS = frozenset({0x00080005, 0x00120062, 0x00120063, 0x00120064, 0x00280303})
_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_TOKEN = re.compile(r"[A-Z2-7]{12}")
_SAYS_NOTHING = frozenset({"", "REMOVED", "CONTRAST", "19000101", "000000", "19000101000000", "000Y", "0"})


def _code(item: Dataset) -> str:
    return text_of(item.get(_CODE_VALUE))


class _NoNames:
    """Outside of the node nobody can make a pseudonym."""

    def uid(self, original: str, domain: str) -> str:  # noqa: ARG002 - the port's signature
        """Give it back."""
        return original

    def token(self, text: str, domain: str) -> str:  # noqa: ARG002 - the port's signature
        """Give it back."""
        return text


def _outside_job(profile: Profile, rules: RuleSet) -> Job:
    nobody = KnownIdentifiers(frozenset(), ())
    return Job(_NoNames(), "", PatientId("-"), Pseudonym("-"), 0, profile, rules, nobody)


def _findings(
    job: Job, dataset: Dataset, *, is_top: bool, encodings: tuple[str, ...]
) -> Iterator[tuple[Category, int]]:
    steps = job.rules.top if is_top else job.rules.nested
    is_code = _SCHEME in dataset and _CODE_VALUE in dataset
    if is_code and not _is_clean_code(dataset, encodings):
        yield Category.FREE_TEXT, _MEANING
    for tag, element in dataset.items():
        group = tag >> 16
        if (
            (is_top and tag in _MARKS)
            or group == 0x7FE0
            or (is_code and tag in (_CODE_VALUE, _SCHEME, _MEANING))
        ):
            continue
        if group & 1:
            if not _is_safe_private(job.profile, dataset, tag):
                yield Category.PRIVATE, tag
            continue
        step = steps.get(tag)
        if step is None:
            yield Category.OUTSIDE_LIST, tag
        elif step.kind == "sequence":
            for item in items_of(element) if element.vr == "SQ" else ():
                inner = encodings_of(item, encodings)
                yield from _findings(job, item, is_top=False, encodings=inner)
        elif (category := _judge(job, element, step, encodings)) is not None:
            yield category, tag


def _judge(job: Job, element: Element, step: Step, encodings: tuple[str, ...]) -> Category | None:
    text = text_of(element, encodings)
    if not element.value or text in _SAYS_NOTHING:
        return None
    if step.kind == "pseudonym":
        return None if is_pseudonym(text) else Category.PERSON
    if step.kind == "name":
        return Category.PERSON
    if step.kind == "uid":
        own = all(is_standard(uid) or uid.startswith("2.25.") for uid in values_of(element))
        return None if own else Category.FOREIGN_UID
    if step.action < Action.CLEAN:
        return Category.SHOULD_BE_EMPTY
    if step.kind == "birth_date":
        return (
            None if text.endswith("0101") and job.profile.birth_date == "year" else Category.SHOULD_BE_EMPTY
        )
    if step.kind in ("token", "label", "date", "datetime", "binary"):
        is_fine = (
            step.kind not in ("token", "label") or _TOKEN.fullmatch(text) or cleaning.clean_text(text) == text
        )
        return None if is_fine else Category.FREE_TEXT
    value = HANDLERS[step.kind](job, element, encodings)
    if _TOKEN.fullmatch(text) and element.tag == 0x0040A160:
        return None
    if element.tag == 0x0040A160 and cleaning.clean_technical(text) == text:
        return None
    return None if value == bytes(element.value).rstrip(b"\0 ").lstrip() else Category.FREE_TEXT


def _is_clean_code(item: Dataset, encodings: tuple[str, ...]) -> bool:
    scheme, value, meaning = (text_of(item.get(tag), encodings) for tag in (_SCHEME, _CODE_VALUE, _MEANING))
    is_own = scheme.startswith("99") and (_TOKEN.fullmatch(value) is not None or value == "REMOVED")
    if not (is_own or cleaning.is_public_code(scheme, value)):
        return False
    return (
        meaning in ("Coded concept", "Removed") or cleaning.clean_meaning(scheme, value, meaning) == meaning
    )


def _is_safe_private(profile: Profile, dataset: Dataset, tag: int) -> bool:
    group, element = tag >> 16, tag & 0xFFFF
    for entry in profile.safe_private:
        creator, group_text, element_text = entry.split("|")
        if group != int(group_text, 16):
            continue
        if element < 0x100:
            if text_of(dataset.get(tag)) == creator:
                return True
        elif element & 0xFF == int(element_text, 16):
            owner = group << 16 | element >> 8
            if text_of(dataset.get(owner)) == creator:
                return True
    return False

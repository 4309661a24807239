"""Makes a foreign Questionnaire fit the subset and reports everything it changed.

Nothing is guessed silently: each change is a note with the place and what was there.  What cannot be carried is taken
out and said to be lost.  The result is read by ``template_of`` like a template of our own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from racoon.domain.questionnaire.prefill import contexts_of, prefill_of
from racoon.domain.questionnaire.template import (
    INITIAL_EXPRESSION,
    KINDS,
    LAUNCH_CONTEXT,
    OPERATORS,
    VALUE_NAMES,
    BadTemplate,
    is_known_extension,
    is_known_key,
    template_of,
)
from racoon.domain.questionnaire.words import is_date

NOTES: Mapping[str, str] = {
    "no_address": "The template had no address or version and got one.",
    "no_link_id": "The item had no linkId and got one made of its text.",
    "link_id_not_text": "The linkId was not a text and became one.",
    "link_id_changed": "The linkId was there twice or held characters that paths are made of.",
    "no_text": "The item had no text; it got the one of the question before it.",
    "script": "Text of a script stood as an item and was taken out.",
    "empty_group": "A group without items became a line of text.",
    "no_code": "Answers to choose had no code; they got one made of their words.",
    "placeholder": "An answer that only means \u201cnot chosen\u201d was taken out.",
    "double_answer": "An answer to choose was there twice.",
    "no_answers": "A choice without answers became a text.",
    "type": "The type is not supported and became another one.",
    "initial": "The first answer had another type than its question; it was read or taken out.",
    "condition": "A condition could not be carried; the item is always asked.",
    "repeats": "Only groups and choices may repeat; the question is asked once.",
    "key": "The item held something that is not supported and was taken out.",
    "extension": "An extension is not supported and was taken out.",
    "prefill": "A first answer from elsewhere cannot be carried; the question begins empty.",
    "launch_context": "A launch context is not known here and was taken out.",
    "active": "Scripts, styles, pictures and links to elsewhere were taken out; nothing of them was run.",
    "control": "A control has no counterpart among questions and was taken out.",
    "free_words": "Words that stood between the questions were taken out.",
    "lifted": "Questions below a question stand beside it now.",
}
"""What a note's code means, for pages and commands."""

IMPORTED = "urn:racoon:imported:"

_PLACEHOLDERS = frozenset({"", "-", "–", "—", "--"})
_SCRIPT = re.compile(r"\bfunction\s*\(|\bvar\s+\w+\s*=|document\.|=>|\$\(")
_NEAREST = {
    "open-choice": "choice", "quantity": "decimal", "dateTime": "string", "time": "string", "url": "string",
    "reference": "string", "attachment": "string", "question": "string",
}  # fmt: skip


@dataclass(frozen=True)
class Note:
    """One line of the lint report.

    Parameters
    ----------
    place
        Link id of the item, or empty for the template.
    code
        A key of :data:`NOTES`.
    detail
        What was there.
    is_loss
        Whether something of the foreign template is gone.
    """

    place: str
    code: str
    detail: str = ""
    is_loss: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"place": self.place, "code": self.code, "detail": self.detail, "loss": self.is_loss}


@dataclass(frozen=True)
class Normalised:
    """A Questionnaire within the subset, and the lint report."""

    document: dict[str, Any]
    notes: tuple[Note, ...]


@dataclass
class _Work:
    system: str
    used: set[str] = field(default_factory=set)
    notes: list[Note] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    contexts: frozenset[str] = frozenset()

    def note(self, place: str, code: str, detail: object = "", *, is_loss: bool = False) -> None:
        self.notes.append(Note(place, code, str(detail)[:200], is_loss))


def normalised(document: object, name: str, version: str = "1") -> Normalised:
    """Make a foreign Questionnaire fit.

    Parameters
    ----------
    name
        Names the template where it has no address, and its codes where it has none.

    Raises
    ------
    BadTemplate
        If it is no Questionnaire, or has no question that can be carried.
    """
    if not isinstance(document, Mapping) or document.get("resourceType") != "Questionnaire":
        raise BadTemplate("A template is a FHIR Questionnaire.")
    slug = _slug(name) or "template"
    work = _Work(IMPORTED + slug)
    kept = {
        key: document[key]
        for key in (
            "title",
            "_title",
            "description",
            "status",
            "copyright",
            "publisher",
            "name",
            "url",
            "version",
        )
        if isinstance(document.get(key), str | Mapping)
    }
    kept["title"] = str(kept.get("title") or name)
    if not kept.get("url") or not kept.get("version"):
        work.note("", "no_address")
    kept = {
        "resourceType": "Questionnaire",
        "url": IMPORTED + slug,
        "version": version,
        "status": "draft",
    } | kept
    if contexts := _contexts(work, document):
        kept["extension"] = contexts
    named = {code for found in contexts for code in contexts_of({"extension": [found]}, LAUNCH_CONTEXT)}
    work.contexts = frozenset(named)
    kept["item"] = _items(work, _list(document.get("item")), 0)
    kept["item"] = [_with_conditions(work, item) for item in kept["item"]]
    if not any(item.is_question for item in template_of(kept).walk()):
        raise BadTemplate("The template has no question that can be carried.")
    return Normalised(kept, tuple(work.notes))


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _slug(text: str) -> str:
    plain = text.replace("ß", "ss")
    for letter, both in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("Ä", "Ae"), ("Ö", "Oe"), ("Ü", "Ue")):
        plain = plain.replace(letter, both)
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:48].strip("-")


def _items(work: _Work, found: Sequence[Any], depth: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    before = ""
    for entry in found:
        if not isinstance(entry, Mapping) or depth > 8:
            work.note("", "key", entry, is_loss=True)
            continue
        text = str(entry.get("text") or "").strip()
        if _SCRIPT.search(text) and not entry.get("item"):
            work.note(str(entry.get("linkId") or ""), "script", text, is_loss=True)
            continue
        item = _item(work, entry, text, before, depth)
        items.append(item)
        if item["type"] != "group" and entry.get("item"):
            work.note(item["linkId"], "lifted", text)
            items += _items(work, _list(entry["item"]), depth + 1)
        before = text or before
    return items


def _item(work: _Work, entry: Mapping[str, Any], text: str, before: str, depth: int) -> dict[str, Any]:
    link_id = _link_id(work, entry.get("linkId"), text or before)
    if not text:
        work.note(link_id, "no_text", before)
        text = f"{before.rstrip(':')} …".strip()
    if _SCRIPT.search(text):
        work.note(link_id, "script", text, is_loss=True)
        text = link_id
    kind = str(entry.get("type"))
    if kind not in KINDS:
        nearest = _NEAREST.get(kind, "string")
        work.note(link_id, "type", f"{kind} → {nearest}", is_loss=True)
        kind = nearest
    item = {"linkId": link_id, "type": kind, "text": text} | _kept(work, entry, link_id)
    if kind == "group":
        item["item"] = _items(work, _list(entry.get("item")), depth + 1)
        if not item["item"]:
            work.note(link_id, "empty_group", text)
            return {"linkId": link_id, "type": "display", "text": text}
    if kind == "choice":
        _choice(work, item, entry)
    elif entry.get("answerOption"):
        work.note(link_id, "key", "answerOption", is_loss=True)
    if item["type"] not in ("group", "choice") and item.get("repeats"):
        work.note(link_id, "repeats", is_loss=True)
        item["repeats"] = False
    initial = _initial(work, item, _list(entry.get("initial")))
    return item | ({"initial": initial} if initial else {})


def _kept(work: _Work, entry: Mapping[str, Any], link_id: str) -> dict[str, Any]:
    """Return what an item may keep as it is; everything else is said to be lost."""
    item: dict[str, Any] = {}
    for key in sorted(
        set(map(str, entry)) - {"linkId", "type", "text", "item", "answerOption", "initial", "extension"}
    ):
        if is_known_key(key):
            item[key] = entry[key]
        elif key != "answerValueSet":
            work.note(link_id, "key", key, is_loss=True)
    extensions = [found for found in _list(entry.get("extension")) if isinstance(found, Mapping)]
    known = [dict(found) for found in extensions if is_known_extension(str(found.get("url")))]
    if known := [found for found in known if _is_carried(work, entry, link_id, found)]:
        item["extension"] = known
    for found in extensions:
        if not is_known_extension(str(found.get("url"))):
            work.note(link_id, "extension", found.get("url"), is_loss=True)
    return item


def _is_carried(work: _Work, entry: Mapping[str, Any], link_id: str, extension: Mapping[str, Any]) -> bool:
    """Tell whether a first answer from elsewhere can be carried; everything else can."""
    if extension.get("url") != INITIAL_EXPRESSION:
        return True
    expression = extension.get("valueExpression")
    given = expression if isinstance(expression, Mapping) else {}
    try:
        found = prefill_of(given)
        if entry.get("initial"):
            raise ValueError("the question has a first answer already")
        if entry.get("type") in ("group", "display"):
            raise ValueError("only a question has a first answer")
        if found.context not in work.contexts:
            raise ValueError(f"the template does not name %{found.context} as launchContext")
    except ValueError as error:
        work.note(link_id, "prefill", f"{given.get('expression', '')}: {error}", is_loss=True)
        return False
    return True


def _contexts(work: _Work, document: Mapping[str, Any]) -> list[dict[str, Any]]:
    kept = []
    for found in _list(document.get("extension")):
        if not isinstance(found, Mapping) or found.get("url") != LAUNCH_CONTEXT:
            continue
        try:
            contexts_of({"extension": [found]}, LAUNCH_CONTEXT)
        except (ValueError, AttributeError) as error:
            work.note("", "launch_context", error, is_loss=True)
            continue
        kept.append(dict(found))
    return kept


def _link_id(work: _Work, given: object, text: str) -> str:
    if given is None or given == "":
        wanted, code = _slug(text) or "item", "no_link_id"
    elif not isinstance(given, str):
        wanted, code = str(given), "link_id_not_text"
    else:
        wanted, code = given, ""
    clean = re.sub(r"[/\[\]]+", "-", wanted)
    found, number = clean, 2
    while found in work.used:
        found, number = f"{clean}-{number}", number + 1
    if not code and found != wanted:
        code = "link_id_changed"
    work.used.add(found)
    if given not in (None, ""):
        work.renamed.setdefault(str(given), found)
    if code:
        work.note(found, code, "" if given is None else given)
    return found


def _choice(work: _Work, item: dict[str, Any], entry: Mapping[str, Any]) -> None:
    link_id, options = item["linkId"], []
    seen: set[tuple[Any, str, str]] = set()
    is_uncoded = False
    for found in _list(entry.get("answerOption")):
        given = found.get("valueCoding") if isinstance(found, Mapping) else None
        if given is None and isinstance(found, Mapping):
            words = next((value for key, value in found.items() if key.startswith("value")), None)
            given = {"display": str(words)} if words is not None else None
        coding = dict(given) if isinstance(given, Mapping) else {}
        words = str(coding.get("display") or coding.get("code") or "").strip()
        if words in _PLACEHOLDERS:
            work.note(link_id, "placeholder", words)
            continue
        if not coding.get("code"):
            is_uncoded = True
            taken = {code: display for _, code, display in seen}
            code, number = _slug(words) or "answer", 2
            while taken.get(code, words) != words:
                code, number = f"{_slug(words) or 'answer'}-{number}", number + 1
            coding |= {"system": work.system, "code": code, "display": words}
        key = (coding.get("system"), coding["code"], words)
        if key in seen:
            work.note(link_id, "double_answer", words, is_loss=True)
            continue
        seen.add(key)
        options.append({"valueCoding": coding})
    if is_uncoded:
        work.note(link_id, "no_code")
    if options:
        item["answerOption"] = options
        return
    work.note(link_id, "no_answers", entry.get("answerValueSet", ""), is_loss=True)
    item["type"], item["repeats"] = "string", False


def _initial(work: _Work, item: Mapping[str, Any], given: Sequence[Any]) -> list[dict[str, Any]]:
    kind, kept = str(item["type"]), []
    name = VALUE_NAMES.get(kind, "")
    for entry in given:
        values = (
            [value for key, value in entry.items() if key.startswith("value")]
            if isinstance(entry, Mapping)
            else []
        )
        value = _as(kind, values[0], item) if values and name else None
        if value is None:
            work.note(item["linkId"], "initial", values[0] if values else entry, is_loss=True)
            continue
        if entry.get(name) is not value and entry.get(name) != value:
            work.note(item["linkId"], "initial", values[0])
        kept.append({name: value})
    return kept


def _as(kind: str, value: Any, item: Mapping[str, Any]) -> Any:
    """Read a first answer as the kind of its question, or return None."""
    if kind == "boolean":
        return (
            value
            if isinstance(value, bool)
            else {"checked": True, "true": True, "false": False}.get(str(value))
        )
    if kind in ("integer", "decimal"):
        try:
            number = float(value)
        except (TypeError, ValueError):
            return None
        if kind == "integer":
            return int(number) if number.is_integer() else None
        return value if isinstance(value, float) else int(number) if number.is_integer() else number
    if kind == "choice":
        words = value.get("display") or value.get("code") if isinstance(value, Mapping) else value
        options = [option["valueCoding"] for option in item.get("answerOption", ())]
        return next((coding for coding in options if words in (coding["code"], coding.get("display"))), None)
    if kind == "date":
        return value if is_date(value) else None
    return value if isinstance(value, str) and value else None


def _with_conditions(work: _Work, item: dict[str, Any]) -> dict[str, Any]:
    """Let conditions name the items by their new link ids; what names none is taken out."""
    kept = []
    for condition in _list(item.get("enableWhen")):
        name = work.renamed.get(str(condition.get("question"))) if isinstance(condition, Mapping) else None
        answers = (
            [key for key in condition if key.startswith("answer")] if isinstance(condition, Mapping) else []
        )
        if name is None or condition.get("operator") not in OPERATORS or len(answers) != 1:
            work.note(item["linkId"], "condition", condition, is_loss=True)
            continue
        kept.append(dict(condition) | {"question": name})
    item = {key: value for key, value in item.items() if key != "enableWhen"}
    if kept:
        item["enableWhen"] = kept
    if item.get("item"):
        item["item"] = [_with_conditions(work, child) for child in item["item"]]
    return item

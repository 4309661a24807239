"""A site's own use & access process beside the network's site track: steps as data, each with who, when and what.

The network's track is the same at every site; what a hospital asks of a study beyond it, it writes down as a document
of its own.  Nothing of the network's track can be left out that way: a local process only adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from racoon.domain.governance.approval import Block
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_PATH
from racoon.domain.identity import Role

MAX_STEPS = 20
LONGEST_TEXT = 2000

LOCAL_MISSING = "A step of this site's own process is missing for this version of the study."
LOCAL_REFUSED = "A step of this site's own process ended with a no for this version of the study."
LOCAL_ENDED = "A decision of this site's own process has ended"
LOCAL_FIRST = "a step of this site's own process comes first."

_DECIDERS = frozenset({Role.SITE_INFORMATICIAN, Role.DIZ, Role.UAC_MEMBER, Role.UAC_CHAIR, Role.DPO})


@dataclass(frozen=True)
class LocalField:
    """Something to hand in with a step: its code, and what it is called by language."""

    key: str
    label: Mapping[str, str]


@dataclass(frozen=True)
class LocalStep:
    """One step of a site's own process.

    Parameters
    ----------
    key
        Stable code; letters, digits, underscore.
    title, question
        What it is called and what is decided, by language (``en``, ``de``).
    before
        State of the site track that nobody may enter before this step is done with a yes.
    roles
        Who may decide; only roles that decide on the site track.
    fields
        What has to be handed in with a yes.
    four_eyes
        Whether another person has to decide than the one who decided the local step before.
    needs_last_day
        Whether a yes needs a last day.
    """

    key: str
    title: Mapping[str, str]
    question: Mapping[str, str]
    before: str
    roles: frozenset[Role]
    fields: tuple[LocalField, ...] = ()
    four_eyes: bool = False
    needs_last_day: bool = False


@dataclass(frozen=True)
class LocalProcess:
    """A site's own process; the empty one asks nothing.

    Parameters
    ----------
    name
        Its name by language.
    steps
        In the order in which they are taken.
    """

    name: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[LocalStep, ...] = ()

    def up_to(self, state: str) -> LocalProcess:
        """Return the part that stands before a state of the site track, or at it."""
        last = SITE_TRACK_PATH.index(state)
        steps = tuple(step for step in self.steps if SITE_TRACK_PATH.index(step.before) <= last)
        return LocalProcess(self.name, steps)

    def step(self, key: str) -> LocalStep | None:
        """Return a step by its key."""
        return next((item for item in self.steps if item.key == key), None)


@dataclass(frozen=True)
class LocalDecision:
    """One decision of the site's own process, as the node signs it.

    Parameters
    ----------
    step, study_id, study_hash
        Which step, for exactly one version of a study.
    positive
        Whether the decision is a yes.
    decided_at
        Aware time.
    valid_until
        Last day (UTC) on which it holds, or ``None`` without an end.
    actor, actor_role
        Who decided.
    handed_in
        What was handed in, by field code.
    """

    step: str
    study_id: str
    study_hash: str
    positive: bool
    decided_at: datetime
    valid_until: date | None
    actor: str
    actor_role: str
    handed_in: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the record that is signed."""
        return {
            "step": self.step,
            "study_id": self.study_id,
            "study_hash": self.study_hash,
            "positive": self.positive,
            "decided_at": self.decided_at.isoformat(),
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
            "actor": self.actor,
            "actor_role": self.actor_role,
            "handed_in": dict(self.handed_in),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> LocalDecision:
        """Read a record again."""
        last = record["valid_until"]
        return cls(
            **{
                **record,
                "decided_at": datetime.fromisoformat(record["decided_at"]),
                "valid_until": date.fromisoformat(last) if last else None,
            }
        )

    def holds(self, now: datetime) -> bool:
        """Tell whether it is a yes that has not ended."""
        return self.positive and not self.is_over(now)

    def is_over(self, now: datetime) -> bool:
        """Tell whether its last day has passed."""
        return self.valid_until is not None and now.date() > self.valid_until


def read_process(document: Any) -> LocalProcess:
    """Read and check the document of a site's own process.

    Parameters
    ----------
    document
        ``{"name": WORDS, "steps": [{"key", "title", "question", "before", "roles", "fields", "four_eyes",
        "needs_last_day"}]}``; words are ``{"en": …, "de": …}``, fields ``[{"key", "label": WORDS}]``.

    Raises
    ------
    ValueError
        With the first thing that is wrong and where.
    """
    if not isinstance(document, Mapping) or set(document) - {"name", "steps"}:
        raise ValueError("a process has a name and steps, nothing else")
    steps = document.get("steps")
    if not isinstance(steps, list) or not 1 <= len(steps) <= MAX_STEPS:
        raise ValueError(f"a process has 1 to {MAX_STEPS} steps")
    read = tuple(_step(number, item) for number, item in enumerate(steps, 1))
    if len({step.key for step in read}) != len(read):
        raise ValueError("each step has a key of its own")
    places = [SITE_TRACK_PATH.index(step.before) for step in read]
    if places != sorted(places):
        raise ValueError("steps stand in the order of the site track they come before")
    return LocalProcess(_words("name", document.get("name")), read)


_KEYS = frozenset({"key", "title", "question", "before", "roles", "fields", "four_eyes", "needs_last_day"})
_FIRST = SITE_TRACK_PATH.index("requested") + 1


def _step(number: int, item: Any) -> LocalStep:
    where = f"step {number}"
    if not isinstance(item, Mapping) or (strange := set(item) - _KEYS):
        extra = f": {', '.join(sorted(strange))}" if isinstance(item, Mapping) else ""
        raise ValueError(f"{where} has unknown entries{extra}")
    key = _code(where, item.get("key"))
    before = item.get("before")
    if before not in SITE_TRACK_PATH[_FIRST:]:
        raise ValueError(f"{where}: before is one of {', '.join(SITE_TRACK_PATH[_FIRST:])}")
    names = item.get("roles")
    possible = {role.value for role in _DECIDERS}
    if not isinstance(names, list) or not names or set(map(str, names)) - possible:
        raise ValueError(f"{where}: roles are some of {', '.join(sorted(possible))}")
    fields = item.get("fields", [])
    if not isinstance(fields, list) or not all(
        isinstance(entry, Mapping) and set(entry) == {"key", "label"} for entry in fields
    ):
        raise ValueError(f"{where}: each field has a key and a label")
    flags = {name: item.get(name, False) for name in ("four_eyes", "needs_last_day")}
    if not all(isinstance(value, bool) for value in flags.values()):
        raise ValueError(f"{where}: four_eyes and needs_last_day are true or false")
    return LocalStep(
        key=key,
        title=_words(f"{where}: title", item.get("title")),
        question=_words(f"{where}: question", item.get("question")),
        before=str(before),
        roles=frozenset(Role(name) for name in names),
        fields=tuple(
            LocalField(_code(where, entry["key"]), _words(f"{where}: label", entry["label"]))
            for entry in fields
        ),
        **flags,
    )


def _code(where: str, value: Any) -> str:
    if not (isinstance(value, str) and value.isidentifier() and value.isascii() and len(value) <= 40):
        raise ValueError(f"{where}: a key is a word of letters, digits and _")
    return value


def _words(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping) or set(value) != {"en", "de"}:
        raise ValueError(f"{where} says it in en and de")
    if not all(isinstance(text, str) and 0 < len(text.strip()) <= LONGEST_TEXT for text in value.values()):
        raise ValueError(f"{where} says it in en and de")
    return {str(language): str(text).strip() for language, text in value.items()}


def newest_of(decisions: Sequence[LocalDecision]) -> dict[str, LocalDecision]:
    """Return the last decision on each step."""
    return {item.step: item for item in decisions}


def next_local_step(
    process: LocalProcess, decisions: Sequence[LocalDecision], now: datetime
) -> LocalStep | None:
    """Return the first step that no valid yes answers; ``None`` when all are done."""
    held = newest_of(decisions)
    return next(
        (step for step in process.steps if step.key not in held or not held[step.key].holds(now)), None
    )


def find_local_block(
    process: LocalProcess, decisions: Sequence[LocalDecision], now: datetime
) -> Block | None:
    """Find why the site's own process does not allow work on data; the words may leave the site, its own do not.

    Parameters
    ----------
    process
        As configured now: a step that is added later blocks until it is taken.
    decisions
        Genuine decisions on one version of a study, oldest first.
    now
        Aware time.
    """
    step = next_local_step(process, decisions, now)
    if step is None:
        return None
    held = newest_of(decisions).get(step.key)
    if held is None:
        return Block("approvals.local_missing", LOCAL_MISSING)
    if not held.positive:
        return Block("approvals.local_refused", LOCAL_REFUSED)
    return Block("approvals.local_expired", f"{LOCAL_ENDED}: {held.valid_until}")


def check_local_order(
    process: LocalProcess, decisions: Sequence[LocalDecision], target: str, now: datetime
) -> None:
    """Check that the site track may go to a state: all local steps before it are done with a yes.

    Raises
    ------
    TransitionRefused
        When one is not.
    """
    step = next_local_step(process, decisions, now)
    if step is None or target not in SITE_TRACK_PATH:
        return
    if SITE_TRACK_PATH.index(target) >= SITE_TRACK_PATH.index(step.before):
        raise TransitionRefused(f"site track: {LOCAL_FIRST}", code="track.local_first")


def check_local_step(
    process: LocalProcess,
    decisions: Sequence[LocalDecision],
    key: str,
    *,
    actor: str,
    roles: frozenset[Role],
    positive: bool,
    handed_in: Mapping[str, str],
    valid_until: date | None,
    previous_actor: str | None,
    now: datetime,
) -> LocalStep:
    """Check that a person may decide a step now.

    Parameters
    ----------
    process, decisions
        The site's, for one version of a study.
    key
        The step; one that has a valid yes may be decided again, one beyond the first open one may not.
    actor, roles
        Who decides, and the roles held.
    positive, handed_in, valid_until
        The decision.
    previous_actor
        Who decided the local step before; matters for four-eyes steps.
    now
        Aware time.

    Raises
    ------
    TransitionRefused
        When a rule of the process says no.
    """
    step = process.step(key)
    if step is None:
        raise TransitionRefused("This site's own process has no such step.", code="track.local_step")
    following = next_local_step(process, decisions, now)
    if following is not None and process.steps.index(step) > process.steps.index(following):
        raise TransitionRefused(
            "Another step of this site's own process comes first.", code="track.local_first"
        )
    if not step.roles & roles:
        raise TransitionRefused(
            f"local process: the step belongs to: {', '.join(sorted(step.roles))}.", code="track.local_role"
        )
    if step.four_eyes and previous_actor is not None and previous_actor == actor:
        raise TransitionRefused("local process: the step needs a second person.", code="track.local_person")
    if positive:
        missing = [item.key for item in step.fields if not handed_in.get(item.key, "").strip()]
        if missing:
            raise TransitionRefused(
                f"local process: the step needs: {', '.join(missing)}.", code="track.local_fields"
            )
        if step.needs_last_day and valid_until is None:
            raise TransitionRefused("local process: the step needs a last day.", code="track.local_day")
    if set(handed_in) - {*(item.key for item in step.fields), "comment"} or any(
        len(text) > LONGEST_TEXT for text in handed_in.values()
    ):
        raise TransitionRefused(
            "local process: more was handed in than the step asks for.", code="track.local_fields"
        )
    return step


def previous_decider(process: LocalProcess, decisions: Sequence[LocalDecision], key: str) -> str | None:
    """Return who decided the local step before, ``None`` for the first or while nobody did."""
    keys = [step.key for step in process.steps]
    held = newest_of(decisions)
    place = keys.index(key) if key in keys else 0
    before = held.get(keys[place - 1]) if place else None
    return before.actor if before else None

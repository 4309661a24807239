"""Words and rules of studies at CENTRAL.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, ClassVar

from racoon.domain.analysis.sources import MEASURED
from racoon.domain.application import FIELDS, LONGEST_TEXT, check_application, read_answer
from racoon.domain.cohort import CohortDefect, parse_cohort
from racoon.domain.governance.machine import Transition
from racoon.domain.governance.site_track import (
    OPTED_IN_STATES,
    POSITIVE_STATES,
    SITE_TRACK_STATES,
    SITE_TRACK_TABLE,
)
from racoon.domain.governance.study import LAST_DAYS
from racoon.domain.identity import Role, is_site_code
from racoon.domain.study import StudyDefinition
from racoon.errors import Defect
from racoon.protocol.messages import TrackChanged

REQUIRED_FIELDS = tuple(name for name, field in FIELDS.items() if field.is_required)
"""Fields of the application without which a study cannot be submitted."""

DATA_ORIGINS = ("synthetic", "real")
"""What every page and report says about the images; a study names one of them."""

DEFINITION_STATES = frozenset({"concept", "rework"})
"""States in which the definition may change."""

FREEZE_STATES = frozenset({"preparing", "active", "analysis"})
"""States in which datasets may be frozen."""


class StudyDefect(Defect):
    """The study's document or a request about it is wrong."""

    code: ClassVar[str] = "study.invalid"


class UnknownStudy(StudyDefect):
    """There is no such study."""

    code: ClassVar[str] = "study.unknown"
    status: ClassVar[int] = 404


class UnknownAmendment(StudyDefect):
    """There is no such amendment."""

    code: ClassVar[str] = "amendment.unknown"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class SiteTrack:
    """Where one site stands in a study, as the site itself has signed it.

    Parameters
    ----------
    site
        Site code.
    state
        State of ``domain.governance.site_track``.
    study_hash
        Version of the definition the site decided on.
    version
        The site's own version number of the track.
    since
        Aware time of its last decision.
    public_reason
        In the site's words.
    standing
        Whether work may run there now and what was decided until when, as the site signed it
        (``protocol.messages.SiteStanding``); ``None`` before its first decision.
    reminded_at
        When CENTRAL last reminded the site that a decision waits.
    """

    site: str
    state: str
    study_hash: str
    version: int
    since: datetime
    public_reason: str = ""
    standing: Mapping[str, Any] | None = None
    reminded_at: datetime | None = None


@dataclass(frozen=True)
class Study:
    """One research study.

    Parameters
    ----------
    study_id
        Identifies the study in the network.
    definition, hash
        Current version of the document, and its hash.
    state
        State of ``domain.governance.study``.
    version
        Optimistic version number; each change counts one up.
    created_by, created_at, changed_at
        Who and when.
    last_actor
        Who took the last step.
    """

    study_id: str
    definition: StudyDefinition
    hash: str
    state: str
    version: int
    created_by: str
    created_at: datetime
    changed_at: datetime
    last_actor: str | None


@dataclass(frozen=True)
class Amendment:
    """A new version of a study's definition on its way; the study keeps its own until this one is in force.

    Parameters
    ----------
    study_id, number
        Which study, and the how manyeth change.
    definition, hash
        The new version.
    reason
        What changes and why, in words for the sites.
    state
        State of ``domain.governance.amendment``.
    version
        Optimistic version number.
    created_by, created_at, changed_at, last_actor
        Who and when.
    """

    study_id: str
    number: int
    definition: StudyDefinition
    hash: str
    reason: str
    state: str
    version: int
    created_by: str
    created_at: datetime
    changed_at: datetime
    last_actor: str


def read_definition(document: Mapping[str, Any]) -> StudyDefinition:
    """Read and check a study's document.

    Raises
    ------
    StudyDefect
        With the first thing that is wrong.
    """
    unknown = set(document) - set(_FIELDS)
    if unknown:
        raise StudyDefect(f"The study has unknown fields: {', '.join(sorted(unknown))}.")
    try:
        definition = StudyDefinition.from_dict(dict(document))
        parse_cohort(definition.cohort)
        fits = StudyDefinition.from_dict(definition.to_dict()).hash == definition.hash
    except CohortDefect as error:
        raise StudyDefect(error.public_message, code="study.cohort") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StudyDefect(f"The study cannot be read; check the field {error}.") from error
    if not fits:
        raise StudyDefect("The study holds values that have no exact form.")
    _check_words(definition)
    _check_sites(definition)
    _check_analyses(definition)
    return definition


def _check_words(definition: StudyDefinition) -> None:
    if not str(definition.title).strip():
        raise StudyDefect("The study needs a title.")
    if definition.mode not in ("federated", "pooled"):
        raise StudyDefect("The study's mode is federated or pooled.")
    origin = definition.application.get("data_origin")
    if origin is not None and origin not in DATA_ORIGINS:
        raise StudyDefect(f"application.data_origin is one of: {', '.join(DATA_ORIGINS)}.")


def _check_sites(definition: StudyDefinition) -> None:
    named = [*definition.evaluation_sites, *([definition.pool_site] if definition.pool_site else [])]
    if not all(is_site_code(str(code)) for code in named):
        raise StudyDefect("evaluation_sites and pool_site hold site codes.")
    if definition.pool_site in definition.evaluation_sites:
        raise StudyDefect(
            "A site that evaluates takes part in no training: pool_site cannot be an evaluation site."
        )


def _check_analyses(definition: StudyDefinition) -> None:
    keys = {item.key for item in definition.measuring.measurements} if definition.measuring else set()
    for plan in definition.analyses:
        for variable in plan.variables:
            key = variable.source.removeprefix(MEASURED)
            if variable.source.startswith(MEASURED) and key not in keys:
                raise StudyDefect(
                    f"{plan.name}: {variable.name} is taken from {key!r}, which the study does not measure."
                )
            if not variable.source and variable.derivation is None:
                raise StudyDefect(
                    f"{plan.name}: {variable.name} needs a source at the sites, or a derivation."
                )
    if len({plan.name for plan in definition.analyses}) != len(definition.analyses):
        raise StudyDefect("Analyses of one study have different names.")


_FIELDS = (*StudyDefinition("", "", "federated", {}).to_dict(), "analyses")


def missing_fields(definition: StudyDefinition) -> list[str]:
    """Name what the application still lacks before it can be submitted."""
    missing = [name for name in REQUIRED_FIELDS if not str(definition.application.get(name, "")).strip()]
    if not definition.lay_summary.strip():
        missing.insert(0, "lay_summary")
    missing += sorted(set(check_application(definition.application, definition.mode)) - set(missing))
    if not definition.plan_hashes:
        missing.append("measuring or training or analyses")
    return missing


def check_last_days(artefacts: Mapping[str, Any], now: datetime) -> None:
    """Check the last days that are handed in with a step.

    Raises
    ------
    StudyDefect
        When one cannot be read or is over.
    """
    for name in LAST_DAYS:
        if name not in artefacts:
            continue
        try:
            day = date.fromisoformat(str(artefacts[name]))
        except ValueError:
            day = date.min
        if day < now.date():
            raise StudyDefect(
                "The last day is written as 2027-12-31 and is not over yet.", code="study.last_day"
            )


def ended(artefacts: Mapping[str, Any], now: datetime) -> str | None:
    """Say what a study rests on has ended, with its last day; ``None`` while everything holds."""
    for name, sentence in LAST_DAYS.items():
        day = artefacts.get(name)
        if day and now.date() > date.fromisoformat(str(day)):
            return f"{sentence}: {day}"
    return None


def with_answers(definition: StudyDefinition, answers: Mapping[str, str]) -> StudyDefinition:
    """Put answers of the form into a definition; an empty answer takes the field away.

    Raises
    ------
    StudyDefect
        For a field the form does not have, or an answer beyond all limits.
    """
    if strange := sorted(set(answers) - set(FIELDS) - {"title", "lay_summary"}):
        raise StudyDefect(f"The form has no such field: {', '.join(strange)}.", code="application.field")
    if any(len(text) > 2 * LONGEST_TEXT for text in answers.values()):
        raise StudyDefect(
            "This answer is too long; shorten it or attach a document.", code="application.long"
        )
    if not answers.get("title", definition.title).strip():
        raise StudyDefect("The study needs a title.")
    application = dict(definition.application)
    for name in set(answers) & set(FIELDS):
        value = read_answer(name, answers[name])
        if value == "":
            application.pop(name, None)
        else:
            application[name] = value
    return replace(
        definition,
        title=answers.get("title", definition.title).strip(),
        lay_summary=answers.get("lay_summary", definition.lay_summary).strip(),
        application=application,
    )


def facts_of(
    study: Study,
    tracks: Sequence[SiteTrack],
    artefacts: Mapping[str, Any],
    end: Mapping[str, Any],
    now: datetime,
    held_from: str | None = None,
) -> dict[str, Any]:
    """Compute what the guards of the state table look at.

    Parameters
    ----------
    study, tracks
        As loaded in the transaction of the step.
    artefacts
        Handed in with the step.
    end
        Artefacts of earlier steps that speak about deletion, retention and last days.
    now
        Aware time.
    held_from
        State the study was in before it was held.
    """
    current = [track for track in tracks if track.study_hash == study.hash]
    return {
        "missing_fields": missing_fields(study.definition),
        "requested_sites": len(tracks),
        "positive_sites": sum(track.state in POSITIVE_STATES for track in current),
        "opted_in_sites": sum(track.state in OPTED_IN_STATES for track in current),
        "deletion_confirmed": bool(artefacts.get("deletion_confirmed") or end.get("deletion_confirmed")),
        "ended": ended({**end, **artefacts}, now),
        "held_from": held_from,
        "retention_noted": bool(artefacts.get("retention_noted") or end.get("retention_noted")),
    }


def check_track_change(message: TrackChanged, track: SiteTrack | None) -> bool:
    """Check a site's decision against the track's table.

    Returns
    -------
    bool
        ``False`` when it is older than what is known already.

    Raises
    ------
    StudyDefect
        When the site was never asked, or the step is not in the table.
    """
    if track is None:
        raise StudyDefect("CENTRAL did not ask this site for this study.", code="study.not_requested")
    if message.target not in SITE_TRACK_STATES or message.target in ("not_requested", "requested"):
        raise StudyDefect("A site's decision cannot lead to this state.", code="study.track_step")
    row = SITE_TRACK_TABLE.find(message.source, message.target)
    if row is None or not any(role.value == message.actor_role for role in row.roles):
        raise StudyDefect("This step is not in the table of site tracks.", code="study.track_step")
    return message.version > track.version


def roles_text(roles: Iterable[Role]) -> str:
    """Write roles for the history."""
    return ", ".join(sorted(role.value for role in roles))


def describe_step(
    row: Transition, study: Study, facts: Mapping[str, Any], actor: str, roles: Collection[Role]
) -> dict[str, Any]:
    """Describe a step of the table, and why it is not possible for this person yet."""
    obstacle = None
    if not row.roles & set(roles):
        obstacle = "role"
    elif row.four_eyes and study.last_actor == actor:
        obstacle = "second person"
    elif row.guard is not None:
        # Artefacts are not handed in yet; guards look at the study and its sites.
        renews = set(row.optional) & set(LAST_DAYS)
        obstacle = row.guard({**facts, "ended": None} if renews else facts)
    return {
        "target": row.target,
        "roles": sorted(role.value for role in row.roles),
        "artefacts": list(row.artefacts),
        "optional": list(row.optional),
        "four_eyes": row.four_eyes,
        "obstacle": obstacle,
    }

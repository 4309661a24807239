"""One application, a filled form for each site: what the study wants, and what this site has to decide.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from racoon.central.studies.matrix import MatrixRow
from racoon.central.studies.model import Study
from racoon.domain.application import GROUPS
from racoon.domain.governance.site_track import SITE_TRACK_PATH, SITE_TRACK_TABLE

FORM = "racoon-site-form-1"
"""Name and version of the JSON form."""

Say = Callable[[str | None], str]
"""Says a code or a sentence of the product in the form's language."""


@dataclass(frozen=True)
class Answer:
    """One question with its answer, in the form's language; ``answer`` is empty where nothing was said."""

    field: str
    question: str
    answer: str


@dataclass(frozen=True)
class Section:
    """Answers that belong together."""

    title: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class FormStep:
    """A step that the site decides.

    Parameters
    ----------
    state, name
        State of the site track, and in words.
    roles, hands_in
        Who decides and what is handed in, in words.
    four_eyes
        Whether another person decides than the one before.
    is_reached
        Whether the site stands there or beyond.
    days
        Days the site spent there so far; ``None`` before.
    """

    state: str
    name: str
    roles: tuple[str, ...]
    hands_in: tuple[str, ...]
    four_eyes: bool
    is_reached: bool
    days: float | None


@dataclass(frozen=True)
class SiteForm:
    """The filled form of a study for one site, or of none: the application itself.

    Parameters
    ----------
    study
        The study.
    language
        ``"de"`` or ``"en"``.
    site, site_name, city
        As CENTRAL's record names the site; empty for the application itself.
    state
        Where the site stands, in words.
    deadline
        Last day for votes, if one is set.
    sections, steps
        What is asked and what is decided.
    """

    study: Study
    language: str
    site: str
    site_name: str
    city: str
    state: str
    deadline: date | None
    sections: tuple[Section, ...]
    steps: tuple[FormStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the form as a document."""
        return {
            "form": FORM,
            "language": self.language,
            "study": {
                "study_id": self.study.study_id,
                "study_hash": self.study.hash,
                "title": self.study.definition.title,
                "lay_summary": self.study.definition.lay_summary,
                "mode": self.study.definition.mode,
                "state": self.study.state,
            },
            "site": {"code": self.site, "name": self.site_name, "city": self.city} if self.site else None,
            "site_state": self.state,
            "deadline": self.deadline.isoformat() if self.deadline else None,
            "sections": [
                {
                    "title": section.title,
                    "answers": [
                        {"field": item.field, "question": item.question, "answer": item.answer}
                        for item in section.answers
                    ],
                }
                for section in self.sections
            ],
            "steps": [
                {
                    "state": step.state,
                    "name": step.name,
                    "roles": list(step.roles),
                    "hands_in": list(step.hands_in),
                    "four_eyes": step.four_eyes,
                    "is_reached": step.is_reached,
                    "days": step.days,
                }
                for step in self.steps
            ],
        }


def application_sections(study: Study, say: Say) -> tuple[Section, ...]:
    """Put the answers of the application in words."""
    answers = study.definition.application
    return tuple(
        Section(
            say(group.title),
            tuple(
                Answer(field.name, say(field.label), _text(field.kind, answers.get(field.name), say))
                for field in group.fields
            ),
        )
        for group in GROUPS
    )


def _text(kind: str, value: Any, say: Say) -> str:
    if value is None or value == "":
        return ""
    return say(f"choice.{value}") if kind in ("choice", "yes_no") else str(value)


def work_section(study: Study, say: Say, title: str) -> Section:
    """Say what would run at a site, from the definition that it approves."""
    definition = study.definition
    measurements = definition.measuring.measurements if definition.measuring else ()
    answers = [
        Answer("mode", say("Mode"), say(definition.mode)),
        Answer(
            "measurements",
            say("Measurements"),
            ", ".join(
                f"{item.biomarker} {item.version}" + (f": {say(item.label.meaning)}" if item.label else "")
                for item in measurements
            ),
        ),
        Answer(
            "training",
            say("Training"),
            f"{definition.training.name} ({definition.training.architecture})" if definition.training else "",
        ),
        Answer("analyses", say("Analyses"), ", ".join(plan.name for plan in definition.analyses)),
        Answer("pool", say("Pool"), definition.pool_site or ""),
    ]
    return Section(title, tuple(answers))


def site_form(
    study: Study,
    row: MatrixRow | None,
    *,
    language: str,
    say: Say,
    name: str = "",
    city: str = "",
    deadline: date | None = None,
) -> SiteForm:
    """Fill the form.

    Parameters
    ----------
    study
        The study.
    row
        Where the site stands; ``None`` for the application itself.
    language, say
        Language, and its words.
    name, city
        Of the site's record.
    deadline
        Last day for votes.
    """
    sections = (*application_sections(study, say), work_section(study, say, say("What would run at a site")))
    return SiteForm(
        study=study,
        language=language,
        site=row.site if row else "",
        site_name=name,
        city=city,
        state=say(row.state) if row else "",
        deadline=deadline,
        sections=sections,
        steps=_steps(row, say) if row else (),
    )


def _steps(row: MatrixRow, say: Say) -> tuple[FormStep, ...]:
    steps = []
    for state in SITE_TRACK_PATH[1:]:
        step = next(item for item in SITE_TRACK_TABLE.transitions if item.target == state)
        steps.append(
            FormStep(
                state=state,
                name=say(state),
                roles=tuple(say(role.value) for role in sorted(step.roles)),
                hands_in=tuple(say(name) for name in step.artefacts),
                four_eyes=step.four_eyes,
                is_reached=state in row.days,
                days=round(row.days[state], 1) if state in row.days else None,
            )
        )
    return tuple(steps)

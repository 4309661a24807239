"""Words of proposals, and how automatic an answer is.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from racoon.domain.questionnaire import Answer, Coding, Item, Template, same_answers
from racoon.domain.reading_protocol import ProposalRule
from racoon.errors import Refused

PROPOSED, ACCEPTED, REJECTED = "proposed", "accepted", "rejected"

ASSISTED, AUTOMATIC = "assisted", "automatic"
"""An answer that is the accepted proposal is automatic; any other answer to a question with a proposal is assisted;
without a proposal it is manual, which is not written."""


class NoSuchProposal(Refused):
    """Nothing is proposed there."""

    code = "reading.no_such_proposal"
    status = 404


class UndecidedProposals(Refused):
    """A report is signed when every proposal is accepted or rejected."""

    code = "reading.undecided_proposals"
    status = 409


@dataclass(frozen=True)
class Proposal:
    """A proposed answer.

    Parameters
    ----------
    path
        Of the question in the form.
    answer
        What is proposed.
    source
        The measured value: biomarker, version, label, value, unit, software, automation, series, link to its pixels.
    state
        :data:`PROPOSED`, :data:`ACCEPTED` or :data:`REJECTED`.
    """

    path: str
    answer: Answer
    source: Mapping[str, Any]
    state: str = PROPOSED


def answer_of(rule: ProposalRule, item: Item, value: float) -> Answer | None:
    """Return what a rule makes of a value, or None where it says nothing.

    A measured number answers a number; steps answer everything else: the last one that the value reaches.
    """
    if not rule.answers:
        return Answer(value) if item.kind == "decimal" else None
    reached = [said for least, said in rule.answers if value >= least]
    if not reached:
        return None
    said = reached[-1]
    if item.kind == "boolean":
        return Answer(said == "true")
    if item.kind == "integer":
        return Answer(int(said))
    options: list[Coding] = [option.coding for option in item.options if option.coding.code == said]
    return Answer(options[0]) if options else None


def path_of(template: Template, link_id: str) -> str | None:
    """Return the path of a question that no repeated group holds, or None."""

    def find(items: tuple[Item, ...], above: str) -> str | None:
        for item in items:
            if item.link_id == link_id and item.is_question:
                return f"{above}{link_id}"
            inside = None if item.repeats else find(item.items, f"{above}{item.link_id}/")
            if inside:
                return inside
        return None

    return find(template.items, "")


def levels_of(proposals: Mapping[str, Proposal], answers: Mapping[str, tuple[Answer, ...]]) -> dict[str, str]:
    """Say how automatic each answer to a question with a proposal is."""
    return {
        path: AUTOMATIC
        if found.state == ACCEPTED and same_answers(answers[path], (found.answer,))
        else ASSISTED
        for path, found in proposals.items()
        if path in answers
    }

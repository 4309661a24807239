"""Cohort conditions on what was signed in reports, and on what the subject consented to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from racoon.domain.clinical_criterion import CONTEXT_SYSTEM, CohortDefect
from racoon.domain.consent import POLICY_ROOT

CONSENT_CONTEXT = "Einwilligung"
"""Context code of the national portal for consents."""

POLICY_SYSTEM = f"urn:oid:{POLICY_ROOT}"

POLICY_PATTERN = re.compile(re.escape(POLICY_ROOT) + r"(?:\.\d{1,4}){1,4}")
"""Codes of the policies of the broad consent."""

AVAILABILITY = ("inPacs", "deidentified", "annotated")
"""Where a series is and what was done with it, beside ``hasMask``:

``inPacs``: the clinic's own system names it; ``deidentified``: it lies in the node's archive; ``annotated``: somebody
marked a finding in its examination or signed a report on it."""

QUESTION_PATTERN = re.compile(r"\S{1,200}")
_FIELDS = {"template", "question", "answers"}


@dataclass(frozen=True)
class ReportAnswer:
    """A coded answer in a signed report on the examination of the series.

    Parameters
    ----------
    question
        Link id of the question in its template.
    answers
        Pairs of system and code, any of which will do; ``("", "true")`` and ``("", "false")`` for yes and no.
    template
        Address of the template without its version; any template with such a question when empty.
    """

    question: str
    answers: tuple[tuple[str, str], ...]
    template: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the form inside ``x-imaging``."""
        document: dict[str, Any] = {
            "question": self.question,
            "answers": [{"system": system, "code": code} for system, code in sorted(set(self.answers))],
        }
        return document | ({"template": self.template} if self.template else {})


def parse_answered(found: dict[str, Any], where: str) -> ReportAnswer:
    """Read a condition on an answer of a report.

    Raises
    ------
    CohortDefect
        For whatever is not understood; nothing is ignored.
    """
    unknown = set(found) - _FIELDS
    if unknown:
        raise CohortDefect(f"{where}: x-imaging answered has no {', '.join(sorted(unknown))}.")
    question, template = found.get("question"), found.get("template", "")
    if not isinstance(question, str) or not QUESTION_PATTERN.fullmatch(question):
        raise CohortDefect(f"{where}: x-imaging answered needs the link id of a question.")
    if not isinstance(template, str) or "|" in template or len(template) > 200:
        raise CohortDefect(f"{where}: x-imaging answered names its template by address, without a version.")
    answers = found.get("answers")
    if not isinstance(answers, list) or not answers:
        raise CohortDefect(f"{where}: x-imaging answered needs at least one answer.")
    return ReportAnswer(question, tuple(sorted({_coded(item, where) for item in answers})), template)


def _coded(item: Any, where: str) -> tuple[str, str]:
    if not isinstance(item, dict) or not set(item) <= {"system", "code", "display"}:
        raise CohortDefect(f"{where}: an answer has a system and a code.")
    system, code = item.get("system", ""), item.get("code")
    if not isinstance(system, str) or not isinstance(code, str) or not code or len(code) > 80:
        raise CohortDefect(f"{where}: an answer has a system and a code.")
    if not system and code not in ("true", "false"):
        raise CohortDefect(f"{where}: an answer without a system is true or false.")
    return system, code


@dataclass(frozen=True)
class ConsentCriterion:
    """The newest broad consent of the subject permits one of the policies today.

    Parameters
    ----------
    policies
        Codes of policies, any of which will do.
    """

    policies: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the CCDL form."""
        return {
            "context": {"code": CONSENT_CONTEXT, "system": CONTEXT_SYSTEM, "display": CONSENT_CONTEXT},
            "termCodes": [
                {"code": policy, "system": POLICY_SYSTEM, "display": policy}
                for policy in sorted(set(self.policies))
            ],
        }


def parse_consent(item: dict[str, Any], where: str) -> ConsentCriterion:
    """Read a criterion on consent.

    Raises
    ------
    CohortDefect
        For whatever is not understood; nothing is ignored.
    """
    unknown = set(item) - {"context", "termCodes"}
    if unknown:
        raise CohortDefect(f"{where}: {', '.join(sorted(unknown))} is not supported at the nodes yet.")
    policies = set()
    for code in item.get("termCodes") or []:
        policy = code.get("code") if isinstance(code, dict) and code.get("system") == POLICY_SYSTEM else None
        if not isinstance(policy, str) or not POLICY_PATTERN.fullmatch(policy):
            raise CohortDefect(f"{where}: a criterion on consent names policies of {POLICY_SYSTEM}.")
        policies.add(policy)
    if not policies:
        raise CohortDefect(f"{where}: a criterion on consent needs at least one policy.")
    return ConsentCriterion(tuple(sorted(policies)))


def parse_available(found: list[Any], where: str) -> tuple[str, ...]:
    """Read where a series has to be.

    Raises
    ------
    CohortDefect
    """
    if not found or not all(isinstance(word, str) and word in AVAILABILITY for word in found):
        raise CohortDefect(f"{where}: x-imaging available holds one or more of {', '.join(AVAILABILITY)}.")
    return tuple(sorted(set(found)))

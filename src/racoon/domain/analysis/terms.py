"""Terms of a model: variables, splines with published knots, covariates that switch on in time, interactions."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from racoon.errors import Defect

_FACTOR = re.compile(
    r"(?:(?P<function>spline|after)\()?\s*(?P<name>[A-Za-z][A-Za-z0-9_]{0,63})\s*(?P<rest>,[^()]*)?(?P<end>\))?"
)


class TermDefect(Defect):
    """A term of a model that is not understood."""

    code: ClassVar[str] = "analysis.term"


@dataclass(frozen=True)
class Factor:
    """One factor of a term.

    Parameters
    ----------
    name
        Variable.
    kind
        ``plain``; ``spline``: a cubic spline that is linear beyond its outer knots; ``after``: 0 until the time the
        variable names, 1 from then on.
    knots
        Of the spline, ascending.
    """

    name: str
    kind: Literal["plain", "spline", "after"] = "plain"
    knots: tuple[float, ...] = ()


def parse_term(text: str) -> tuple[Factor, ...]:
    """Read a term: factors joined by ``:``.

    Raises
    ------
    TermDefect
        Says what a term looks like.
    """
    return tuple(_factor(part.strip(), text) for part in text.split(":"))


def _factor(part: str, text: str) -> Factor:
    found = _FACTOR.fullmatch(part)
    if (
        found is None
        or bool(found["function"]) != bool(found["end"])
        or (found["rest"] and not found["function"])
    ):
        raise TermDefect(
            f"The term {text[:80]!r} is not understood; write a variable, spline(age, 30, 50, 70), after(day), or "
            "several of them with ':' between."
        )
    if found["function"] != "spline":
        if found["rest"]:
            raise TermDefect(f"The term {text[:80]!r}: after() takes one variable.")
        return Factor(found["name"], "after" if found["function"] else "plain")
    try:
        knots = tuple(float(knot) for knot in (found["rest"] or "").split(",")[1:])
    except ValueError as error:
        raise TermDefect(f"The term {text[:80]!r}: the knots of a spline are numbers.") from error
    if len(knots) < 3 or any(b <= a for a, b in itertools.pairwise(knots)):
        raise TermDefect(f"The term {text[:80]!r}: a spline has three or more ascending knots.")
    return Factor(found["name"], "spline", knots)

"""CENTRAL's part: the answers that are there, the questions that are still open, and the sites that left.

An analysis is replayed from its answers: the same answers lead to the same next questions, so nothing but answers has
to be kept, and a run goes on after any interruption without asking for a released number again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from racoon.domain.analysis import AnalysisPlan
from racoon.science.analysis.questions import Answer, Part, Question

TOO_FEW_SITES = "Too few sites take part in this analysis."
NO_SITE = "No site may take part."
NOT_HARMONISED = "The values of this site are not harmonised."


@dataclass(frozen=True)
class Book:
    """What is known of an analysis.

    Parameters
    ----------
    sites
        Asked at the start.
    answers
        By question and site; never changed once there.
    left
        Sites that answer nothing more, with the reason in public words.
    """

    sites: tuple[str, ...]
    answers: Mapping[Question, Mapping[str, Answer]] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)

    def with_answers(self, question: Question, found: Mapping[str, Answer]) -> Book:
        """Return a book with more answers; the first answer of a site stays."""
        merged = {**found, **self.answers.get(question, {})}
        return replace(self, answers={**self.answers, question: merged})


class Waiting(Exception):
    """An estimator can't go on before sites have answered."""

    def __init__(self, questions: Mapping[Question, Sequence[str]]) -> None:
        super().__init__(*questions)
        self.questions = {question: tuple(sites) for question, sites in questions.items()}

    @classmethod
    def all_of(cls, waits: Iterable[Waiting]) -> Waiting:
        """Make one of several: their questions are asked in one round."""
        questions: dict[Question, Sequence[str]] = {}
        for wait in waits:
            questions |= wait.questions
        return cls(questions)


class SiteLeft(Exception):
    """Sites that took part in an estimator don't answer its next question."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        super().__init__(", ".join(sorted(reasons)))
        self.reasons = dict(reasons)


@dataclass
class Inquiry:
    """One estimator's view of the book; it also notes who counts and what stayed.

    Parameters
    ----------
    plan
        Whose estimator.
    place, subgroup
        Which one.
    book
        Answers so far.
    without
        Sites that left while this estimator was computed.
    harmony
        By place of an estimator: what each site needs to harmonise its rows, ``None`` where nothing is harmonised.
    """

    plan: AnalysisPlan
    place: int
    subgroup: str
    book: Book
    without: Mapping[str, str] = field(default_factory=dict)
    refused: set[tuple[str, str]] = field(default_factory=set)
    counted: set[str] = field(default_factory=set)
    least: int = 0
    asked: set[Question] = field(default_factory=set)
    harmony: Callable[[int], Mapping[str, tuple[float, ...]] | None] = field(default=lambda _: None)

    def __post_init__(self) -> None:
        self.refused |= set(self.without.items())

    @property
    def withheld(self) -> tuple[tuple[str, str], ...]:
        """Sites whose part stayed, with the reason."""
        return tuple(sorted(self.refused))

    @property
    def rounds(self) -> int:
        """Rounds in which sites were asked; an answer that serves twice was asked for once."""
        return len(self.asked)

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites whose numbers count."""
        return tuple(sorted(self.counted))

    def about(self, place: int) -> Inquiry:
        """Look at another estimator of the plan, for the same rows; who counts there is not who counts here."""
        return Inquiry(
            self.plan, place, self.subgroup, self.book, self.without, asked=self.asked, harmony=self.harmony
        )

    def place_of(self, title: str) -> int:
        """Find an earlier estimator by its title."""
        places = [place for place, item in enumerate(self.plan.estimators) if item.title == title]
        return max(place for place in places if place < self.place)

    def first(self, coefficients: Sequence[float] = (), part: Part = "sums") -> dict[str, Answer]:
        """Ask everybody the first question; whoever's gate lets nothing out is noted and left out.

        Parameters
        ----------
        coefficients
            Where the fit starts; empty for what is not fitted.
        part
            What is asked for.
        """
        question = Question(self.place, self.subgroup, part, tuple(coefficients))
        sites = [site for site in self.book.sites if site not in self.without]
        if (harmony := self.harmony(self.place)) is not None:
            self.refused |= {(site, NOT_HARMONISED) for site in sites if site not in harmony}
            sites = [site for site in sites if site in harmony]
        found = self._known(question, sites)
        for site, answer in found.items():
            self.refused |= {(site, reason) for reason in answer.reasons}
            self.least = max(self.least, answer.least_sites)
        return {site: answer for site, answer in sorted(found.items()) if answer.value is not None}

    def again(self, question: Question, sites: Sequence[str]) -> dict[str, Answer]:
        """Ask those who count a further question.

        Raises
        ------
        Waiting
            Before all have answered.
        SiteLeft
            When one of them does not answer, or not any more.
        """
        found = self._known(question, sites)
        if silent := {site: answer.reasons[0] for site, answer in found.items() if answer.value is None}:
            raise SiteLeft(silent)
        return dict(sorted(found.items()))

    def too_few(self) -> tuple[str, ...]:
        """Say why the sites that count are too few; the strictest of plan and sites wins."""
        if not self.counted and not self.refused:
            return (NO_SITE,)
        return (TOO_FEW_SITES,) if len(self.counted) < max(self.least, 1) else ()

    def _known(self, question: Question, sites: Sequence[str]) -> dict[str, Answer]:
        harmony = self.harmony(question.place)
        asked = {
            site: question if harmony is None else replace(question, harmony=harmony[site]) for site in sites
        }
        found = {site: self.book.answers.get(own, {}).get(site) for site, own in asked.items()}
        missing = [site for site, answer in found.items() if answer is None]
        if gone := {site: self.book.left[site] for site in missing if site in self.book.left}:
            raise SiteLeft(gone)
        if missing:
            waiting: dict[Question, list[str]] = {}
            for site in missing:
                waiting.setdefault(asked[site], []).append(site)
            raise Waiting(waiting)
        self.asked.add(question)
        return {site: answer for site, answer in found.items() if answer is not None}

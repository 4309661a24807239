"""The ledger of squared scores: what robust variances let out, and what a second one would add to it."""

from __future__ import annotations

from typing import Protocol

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.node.release import _store
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.populations import SQUARES_RULE, Scores, too_like_earlier_squares


class _Question(Protocol):
    """What is needed of a question; the estimators are loaded by those who analyse."""

    @property
    def place(self) -> int: ...

    @property
    def subgroup(self) -> str: ...


class SquaresLedger:
    """Scores of which sums of squares have left this site, as one round sees them.

    Parameters
    ----------
    connection
        Open write transaction, the one in which the round's job ends.
    study_id, plan_hash
        Whose round.
    policy
        Limits of this site.
    """

    def __init__(
        self, connection: sa.Connection, study_id: str, plan_hash: str, policy: DisclosurePolicy
    ) -> None:
        self._connection, self._study_id, self._plan_hash = connection, study_id, plan_hash
        self._policy = policy
        self._known: dict[tuple[str, str, int, str], Scores] | None = None

    def judge(self, name: str, question: _Question, scores: Scores) -> dict[str, str]:
        """Hold squares back that tell too much together with earlier ones, of this round too.

        Returns
        -------
        dict
            By the name of the squares: code of the rule; empty where they may leave.
        """
        known, key = self._load(), self._key(question, scores)
        if key in known:
            return {}
        same = sum(other[1:] == key[1:] for other in known)
        if too_like_earlier_squares(scores, known.values(), same, self._policy):
            return {name: SQUARES_RULE}
        known[key] = scores
        return {}

    def save(self, question: _Question, scores: Scores) -> None:
        """Remember scores of which squares leave now; the same ones once."""
        digest, plan_hash, place, subgroup = self._key(question, scores)
        rows = _store.load_scores(self._connection)
        if not any(
            (row.scores_hash, *self._model_of(row)) == (digest, plan_hash, place, subgroup) for row in rows
        ):
            _store.save_scores(
                self._connection,
                digest,
                scores,
                plan_hash=plan_hash,
                place=place,
                subgroup=subgroup,
                study_id=self._study_id,
            )

    def _load(self) -> dict[tuple[str, str, int, str], Scores]:
        if self._known is None:
            self._known = {
                (row.scores_hash, *self._model_of(row)): {
                    name: tuple(own) for name, own in row.scores.items()
                }
                for row in _store.load_scores(self._connection)
            }
        return self._known

    @staticmethod
    def _model_of(row: sa.Row[tuple[object, ...]]) -> tuple[str, int, str]:
        return row.plan_hash, row.place, row.subgroup

    def _key(self, question: _Question, scores: Scores) -> tuple[str, str, int, str]:
        digest = content_hash({name: list(own) for name, own in sorted(scores.items())})
        return digest, self._plan_hash, question.place, question.subgroup[:200]

"""Differentially private rounds: Opacus bounds and blurs each case's gradient and counts what the rounds cost.

Poisson sampling over cases, one window of each case taken, gradients clipped per case, Gaussian noise on the sum
(DP-SGD, doi:10.1145/2976749.2978318); ε by Opacus's Rényi accountant (doi:10.1109/CSF.2017.11).  Sampling and noise
come from the operating system's randomness and not from the plan's seed, which others know; so a round that is done
again has other bits.  What is *not* covered by ε: the number of cases, the time a round takes, and scores, which pass
the gate of ``release``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.accountants import RDPAccountant
from opacus.optimizers import DPOptimizer

from racoon.domain.plan import TrainingPlan
from racoon.domain.training import Privacy
from racoon.errors import Refused
from racoon.learning.cases import Case
from racoon.learning.losses import task_loss
from racoon.learning.networks import load_into, weights_of
from racoon.learning.sampling import Sample, single_case_samplers
from racoon.learning.spending import BudgetSpent, Charge, Purse, append_charge, load_charges
from racoon.learning.strategies import rate_at
from racoon.learning.training import RoundFacts, Trainer
from racoon.learning.weights import Weights, check_weights, limit_update


class NotPrivate(Refused):
    """A private training that cannot keep its promise here."""

    code = "learning.not_private"


def spent_epsilon(charges: Iterable[Charge], delta: float) -> float:
    """Compute ε of some rounds together, for add-or-remove-one-case neighbours."""
    accountant = RDPAccountant()
    accountant.history = [(charge.noise, charge.rate, charge.steps) for charge in charges]
    return float(accountant.get_epsilon(delta)) if accountant.history else 0.0


class PrivateTrainer(Trainer):
    """Trains a plan with a privacy part, and charges each round before it begins.

    Parameters
    ----------
    plan, cases
        As :class:`~racoon.learning.training.Trainer`.
    purse
        The site's account for the study.
    run
        Name of the run in the ledger.

    Raises
    ------
    NotPrivate
        If the plan says nothing of privacy, or the site has fewer cases than a step takes on average.
    """

    def __init__(self, plan: TrainingPlan, cases: Sequence[Case], purse: Purse, run: str) -> None:
        super().__init__(plan, cases)
        if plan.privacy is None:
            raise NotPrivate("The plan has no privacy part.")
        if plan.batch_size > len(cases):
            raise NotPrivate("A private training needs at least as many cases as its batch size.")
        self._privacy: Privacy = plan.privacy
        self._purse, self._run = purse, run
        self._samplers = single_case_samplers(plan, cases)
        self._rate_of_cases = plan.batch_size / len(cases)
        try:
            self._wrapped = GradSampleModule(self._network)
        except NotImplementedError as error:
            raise NotPrivate("The plan's network has layers without a gradient per case.") from error

    def charge_of(self, round_index: int) -> Charge:
        """Return what a round costs at this site."""
        return Charge(
            self._run, round_index, self._privacy.noise, self._rate_of_cases, self._plan.local_steps
        )

    def require_affordable(self, rounds: int) -> None:
        """Refuse if so many rounds more would exceed the plan's ε for this run, or the site's budget.

        Raises
        ------
        BudgetSpent
        """
        before = load_charges(self._purse.ledger)
        more = [self.charge_of(0)] * rounds
        own = [charge for charge in before if charge.run == self._run]
        if spent_epsilon([*own, *more], self._privacy.delta) > self._privacy.epsilon:
            raise BudgetSpent("The training would cost more privacy at this site than its plan allows.")
        budget = self._purse.budget
        if budget is not None and spent_epsilon([*before, *more], self._privacy.delta) > budget:
            raise BudgetSpent("The training would cost more privacy than this site grants the study.")

    def train_round(
        self, weights: Weights, round_index: int, correction: Weights | None = None
    ) -> tuple[Weights, RoundFacts]:
        """Charge and do one round's steps from the given weights.

        Raises
        ------
        BudgetSpent
            Before anything is looked at.
        """
        started = time.monotonic()
        if correction is not None:
            raise NotPrivate("A private training takes no correction of its gradients.")
        check_weights(weights, self._shapes)
        self.require_affordable(1)
        append_charge(self._purse.ledger, self.charge_of(round_index))
        load_into(self._network, weights)
        self._wrapped.train()
        optimiser = DPOptimizer(
            torch.optim.AdamW(self._network.parameters(), lr=self._plan.learning_rate, weight_decay=1e-4),
            noise_multiplier=self._privacy.noise,
            max_grad_norm=self._privacy.clip,
            expected_batch_size=self._plan.batch_size,
            loss_reduction="mean",
            generator=torch.Generator().manual_seed(secrets.randbits(63)),
        )
        generator = np.random.Generator(np.random.Philox(secrets.randbits(128)))
        for step in range(self._plan.local_steps):
            for group in optimiser.param_groups:
                group["lr"] = rate_at(self._plan, round_index * self._plan.local_steps + step)
            chosen = np.flatnonzero(generator.random(len(self._cases)) < self._rate_of_cases)
            self._step(optimiser, [self._samplers[int(number)](generator) for number in chosen])
        trained = limit_update(weights, weights_of(self._network), self._plan.update_norm)
        check_weights(trained, self._shapes)
        charges = [charge for charge in load_charges(self._purse.ledger) if charge.run == self._run]
        # The loss is computed from the cases without noise, so it does not leave.
        return trained, RoundFacts(
            round_index,
            None,
            self._plan.local_steps,
            len(self._cases),
            time.monotonic() - started,
            spent_epsilon(charges, self._privacy.delta),
        )

    def _step(self, optimiser: DPOptimizer, samples: Sequence[Sample]) -> None:
        optimiser.zero_grad(set_to_none=True)
        if samples:
            images = torch.from_numpy(np.stack([image for image, _ in samples]))
            # Opacus's hooks want a gradient that reaches the input; without one torch warns in every step.
            scores = self._wrapped(images.requires_grad_())
            wanted = np.stack([shown for _, shown in samples])
            classes = torch.from_numpy(wanted if wanted.dtype == np.float32 else wanted.astype(np.int64))
            # One loss per case: Dice over a batch would let a case change the gradients of the others.
            losses = [
                task_loss(self._plan, scores[i : i + 1], classes[i : i + 1]) for i in range(len(samples))
            ]
            torch.stack(losses).mean().backward()
        else:
            # Nobody was drawn: the step is noise alone, and must happen.
            for value in self._network.parameters():
                value.grad_sample = torch.zeros((0, *value.shape))
        optimiser.step()

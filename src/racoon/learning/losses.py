"""What a step of training makes smaller, by a plan's task."""

from __future__ import annotations

import torch
from torch import nn

from racoon.domain.plan import CLASSIFICATION, REGRESSION, TrainingPlan


def task_loss(plan: TrainingPlan, scores: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return the loss of a batch.

    Parameters
    ----------
    plan
        Its task and loss; a classification's class weights.
    scores
        What the network gave: ``(sample, class, …)``, or ``(sample, 1)`` of a regression.
    wanted
        Classes ``(sample, …)``, one class or one number a sample.
    """
    if plan.task == REGRESSION:
        error = nn.functional.huber_loss if plan.loss == "huber" else nn.functional.mse_loss
        return error(scores[:, 0], wanted)
    if plan.task == CLASSIFICATION:
        entropy = nn.functional.cross_entropy(scores, wanted, reduction="none")
        weights = plan.target.weights if plan.target else ()
        # A plain mean of weighed cases: torch's own divides by the batch's weights, and then the other cases of a
        # batch change what one case does.
        return (entropy * torch.tensor(weights)[wanted]).mean() if weights else entropy.mean()
    return segmentation_loss(scores, wanted, plan.loss)


def segmentation_loss(scores: torch.Tensor, classes: torch.Tensor, name: str = "dice_ce") -> torch.Tensor:
    """Cross entropy plus, with ``dice_ce``, soft Dice over the batch; background is left out of the Dice part
    (doi:10.1109/3DV.2016.79).

    Parameters
    ----------
    scores
        ``(sample, class, …)`` before softmax.
    classes
        ``(sample, …)``.
    name
        ``dice_ce`` or ``ce``.
    """
    entropy = nn.functional.cross_entropy(scores, classes)
    if name == "ce":
        return entropy
    shares = scores.softmax(dim=1)[:, 1:]
    wanted = nn.functional.one_hot(classes, scores.shape[1]).movedim(-1, 1)[:, 1:].to(shares.dtype)
    space = (0, *range(2, scores.dim()))
    overlap = (shares * wanted).sum(dim=space)
    size = (shares + wanted).sum(dim=space)
    dice = (2.0 * overlap + 1.0) / (size + 1.0)
    return entropy + 1.0 - dice.mean()

"""One step of training: what a stage leaves as it is, what it lessens, and how."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ferbench.benchmark.learning.material import Run
from ferbench.datasets.augmentation import sent
from ferbench.models.architecture import Stage


def set_frozen(model: nn.Module, stage: Stage) -> None:
    """Lets every parameter learn but those that the stage leaves as they are."""
    model.requires_grad_(True)
    for part in stage.frozen:
        model.get_submodule(part).requires_grad_(False)


def set_training(model: nn.Module, stage: Stage) -> None:
    """Training mode for what the stage trains, evaluation mode for what it leaves as it is."""
    model.train()
    for part in stage.frozen:
        model.get_submodule(part).eval()


Objective = Callable[[Tensor, Tensor], Tensor]
"""The loss of a batch, by its inputs and truths."""


def objective_of(model: nn.Module, stage: Stage, forward: Callable[[Tensor], Tensor], loss: nn.Module) -> Objective:
    """What a stage lessens: the loss of the model's outputs, or what the model makes of it."""

    def of_outputs(outputs: Tensor, truth: Tensor) -> Tensor:
        found: Tensor = loss(outputs.float(), truth)  # never in half precision
        return found

    if stage.mixup:
        return mixed(forward, of_outputs, stage.mixup)
    if not stage.objective:
        return lambda inputs, truth: of_outputs(forward(inputs), truth)
    method = getattr(model, stage.objective)
    return lambda inputs, truth: method(inputs, truth, of_outputs)


def mixed(forward: Callable[[Tensor], Tensor], loss: Objective, strength: float) -> Objective:
    """Mixup: the loss of inputs of which each has a share of another one, to both truths in these shares.

    One share a batch, as in the paper's code. Both draws are the CPU's, so that every device draws the same.
    Source: Zhang et al. 2018, arXiv 1710.09412.
    """
    shares = torch.distributions.Beta(strength, strength)

    def of_mixed(inputs: Tensor, truth: Tensor) -> Tensor:
        share = float(shares.sample())
        other = sent(torch.randperm(len(inputs)), inputs.device)
        outputs = forward(torch.lerp(inputs[other], inputs, share))
        return share * loss(outputs, truth) + (1 - share) * loss(outputs, truth[other])

    return of_mixed


def training_step(
    objective: Objective, update: torch.optim.Optimizer, inputs: Tensor, truth: Tensor, stage: Stage, run: Run
) -> Tensor:
    """One step of the optimiser; returns the loss, detached."""
    with run.autocast():
        loss = objective(inputs, truth)
    update.zero_grad(set_to_none=True)
    loss.backward()
    if stage.gradient_norm is not None:
        nn.utils.clip_grad_norm_([p for g in update.param_groups for p in g["params"]], stage.gradient_norm)
    update.step()
    return loss.detach()

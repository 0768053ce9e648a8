"""What moves the weights: optimisers, the learning rate's schedule, and the moving average."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from medinv.config import TrainConfig
from medinv.models.base import Calibrated
from medinv.training.muon import Muon

Many = tuple[Tensor, ...] | list[Tensor]


class Optimiser:
    """The optimisers of a network and their schedules, stepped and saved as one."""

    def __init__(self, network: Calibrated, recipe: TrainConfig, steps: int):
        self.factor = schedule(recipe, steps)
        self.optimisers = make_optimisers(network, recipe)
        self.schedules = [LambdaLR(optimiser, self.factor) for optimiser in self.optimisers]

    def step(self) -> None:
        """One step along the gradients, and one along the schedule."""
        for optimiser, rate in zip(self.optimisers, self.schedules, strict=True):
            optimiser.step()
            rate.step()

    def state_dict(self) -> dict:
        """What a checkpoint needs."""
        return {
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "schedules": [rate.state_dict() for rate in self.schedules],
        }

    def load_state_dict(self, state: dict) -> None:
        """From a checkpoint."""
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        for rate, saved in zip(self.schedules, state["schedules"], strict=True):
            rate.load_state_dict(saved)
            # The schedule of this recipe, which may have more epochs than the saved one had.
            for group, base in zip(rate.optimizer.param_groups, rate.base_lrs, strict=True):
                group["lr"] = base * self.factor(rate.last_epoch)


def make_optimisers(network: Calibrated, recipe: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters or, where the recipe says so, Muon for the kernels.

    Beside Muon, SGD serves the head and the rest, at rates that served every network tried.
    """
    if recipe.optimiser == "muon":
        return _muon(network, recipe)
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        (decayed if network.decays(name, parameter) else free).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    on_device = all(parameter.is_cuda for parameter in (*decayed, *free))
    rate, betas = recipe.learning_rate, (0.9, 0.99)
    return [torch.optim.AdamW(groups, lr=rate, betas=betas, fused=on_device or None)]


def _muon(network: Calibrated, recipe: TrainConfig) -> list[torch.optim.Optimizer]:
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 2]
    head = list(network.get_submodule("head").parameters())
    taken = {id(parameter) for parameter in (*kernels, *head)}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in taken]
    groups = [{"params": rest, "lr": 0.05}, {"params": head, "lr": 0.3}]
    return [
        Muon(kernels, recipe.learning_rate, rescale=not recipe.bounds_gain),
        torch.optim.SGD(groups, momentum=0.85, nesterov=True),
    ]


def schedule(recipe: TrainConfig, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at a step, of `steps` an epoch.

    It is a linear warm-up, then half a cosine or a straight line down.
    """
    warmup, total = recipe.warmup * steps, recipe.epochs * steps

    def factor(step: int) -> float:
        gone = max(0, step - warmup) / max(1, total - warmup)
        fall = 1 - gone if recipe.schedule == "linear" else (1 + math.cos(math.pi * gone)) / 2
        return min(1.0, (step + 1) / max(1, warmup)) * (fall + 0.005)

    return factor


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a network's weights and buffers.

    The decay is min(decay, (1 + n) / (10 + n)) at update n, so that after few steps the average
    does not hold the untrained weights still.
    """

    @torch.no_grad()
    def update(average: Many, current: Many, count: Tensor | int) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        if average[0].is_floating_point():
            torch._foreach_lerp_(average, current, share)
        else:
            torch._foreach_copy_(average, current)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)

"""The image on its way through the trunk, decoded from every depth, and what each stage holds."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from medinv.explanation.result import Depth, Probe, Stage, Trace
from medinv.explanation.trunk import Explainable, last_state, mean_grey, picture
from medinv.models.depths import State, decode, run, steps

RIDGE = 1e-2  # of the probe, relative to the mean squared length of what it sees
BATCH = 64


@torch.no_grad()
def trace(model: Explainable, x: Tensor, *, iterations: int = 4) -> Trace:
    """Follow one image `x` (1, C, *size) of integer grey levels through every layer and back.

    `iterations` of power iteration are spent on the condition number of a layer that does not know
    its own.
    """
    path, depths, before = steps(model.trunk), [], x
    states = list(run(path, x))
    for number, (step, state) in enumerate(zip(path, states, strict=True), start=1):
        image = decode(path[:number], state)
        with torch.enable_grad():
            condition = step.layer.condition_number(before, iterations).item()
        depths.append(
            Depth(
                name=step.name,
                shape=tuple(state.here.shape[1:]),
                image=picture(image).numpy(),
                max_abs_error=(image - x).abs().max().item(),
                exact=bool((image.round() == x).all()),
                condition_number=condition,
                energy_share=state.energy_share().item(),
            )
        )
        before = state.here
    return Trace(tuple(depths), _stages(model, x, states[-1]))


def _stages(model: Explainable, x: Tensor, last: State) -> tuple[Stage, ...]:
    """What each stage holds alone and with all coarser ones."""
    parts, path = [last.here, *reversed(last.left)], steps(model.trunk)
    total = torch.stack([part.square().sum() for part in parts]).sum()
    grey = (x - mean_grey(model, x)).square().sum()
    stages = []
    for index, part in enumerate(parts):
        alone = decode(path, _only(parts, {index}))
        together = alone if index == 0 else decode(path, _only(parts, set(range(index + 1))))
        stages.append(
            Stage(
                name=f"level {len(parts) - index}",
                values=part[0].numel(),
                energy_share=(part.square().sum() / total).item(),
                image=picture(alone).numpy(),
                variance_explained=1 - ((x - together).square().sum() / grey).item(),
            )
        )
    return tuple(stages)


def _only(parts: list[Tensor], wanted: set[int]) -> State:
    chosen = [
        part if index in wanted else torch.zeros_like(part) for index, part in enumerate(parts)
    ]
    return State(chosen[0], tuple(reversed(chosen[1:])))


@torch.no_grad()
def probe(
    model: Explainable,
    fit: tuple[NDArray, NDArray],
    test: tuple[NDArray, NDArray],
    *,
    seed: int = 0,
) -> tuple[Probe, ...]:
    """How well a ridge classifier tells the classes from what stands at each depth.

    The depths are the input, and what goes on and what leaves after each level. fit, test: stored
    images (N, C, *size) uint8 and labels (N,) 0 or 1, of different patients. Beside each figure
    stands the same with the labels of `fit` shuffled. What is found can be used by a linear head;
    that the network uses it is not said.
    """
    sham = np.random.default_rng(seed).permutation(fit[1])
    targets = torch.from_numpy(np.stack([fit[1], sham], 1) * 2.0 - 1)
    seen, unseen, probes = _by_depth(model, fit[0]), _by_depth(model, test[0]), []
    for name, known in seen.items():
        centre = known.mean(0)
        kernel = (known - centre) @ (known - centre).T
        kernel += torch.eye(len(kernel), dtype=kernel.dtype) * RIDGE * kernel.diagonal().mean()
        wanted = targets.to(kernel.dtype)
        weights = torch.linalg.solve(kernel, wanted - wanted.mean(0))
        scores = ((unseen[name] - centre) @ (known - centre).T @ weights).numpy()
        auc, sham_auc = (float(roc_auc_score(test[1], scores[:, k])) for k in (0, 1))
        probes.append(Probe(name, auc, sham_auc, len(test[1])))
    return tuple(probes)


def _by_depth(model: Explainable, images: NDArray) -> dict[str, Tensor]:
    """What stands at each depth, flattened (N, values)."""
    path, dtype = steps(model.trunk), model.decision_logit.dtype
    depths: dict[str, list[Tensor]] = {}
    for start in range(0, len(images), BATCH):
        x = torch.from_numpy(images[start : start + BATCH]).to(dtype)
        depths.setdefault("input", []).append(x.flatten(1))
        level = 0
        for step, state in zip(path, run(path, x), strict=True):
            if step.kept is not None:
                level += 1
                depths.setdefault(f"level {level}, goes on", []).append(state.here.flatten(1))
                depths.setdefault(f"level {level}, leaves", []).append(state.left[-1].flatten(1))
        depths.setdefault("last level, decides", []).append(last_state(model, x).flatten(1))
    return {name: torch.cat(parts) for name, parts in depths.items()}

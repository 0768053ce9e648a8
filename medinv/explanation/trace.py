"""The image on its way through the trunk, decoded from every depth, and what each stage holds."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from medinv.explanation.result import Depth, Probe, Stage, Trace
from medinv.explanation.trunk import Explainable, State, back, run, steps

RIDGE = 1e-2  # of the probe, relative to the mean squared length of what it sees
BATCH = 64


@torch.no_grad()
def trace(model: Explainable, x: Tensor, *, iterations: int = 10) -> Trace:
    """Follow one image `x` (1, C, *size) of integer grey levels through every layer of the trunk and back.

    `iterations` of power iteration are spent on the condition number of a layer that does not know its own.
    """
    path, depths, before = steps(model.trunk), [], x
    for number, (step, state) in enumerate(zip(path, run(path, x)), start=1):
        image = back(path[:number], state)
        error = (image - x).abs().max().item()
        with torch.enable_grad():
            condition = step.layer.condition_number(before, iterations).item()
        depths.append(
            Depth(
                step.name,
                tuple(state.here.shape[1:]),
                _picture(image),
                error,
                bool((image.round() == x).all()),
                condition,
                state.energy_share().item(),
            )
        )
        before = state.here
    return Trace(tuple(depths), _stages(model, x, state))


def _stages(model: Explainable, x: Tensor, last: State) -> tuple[Stage, ...]:
    """What each stage holds alone and with all coarser ones."""
    parts, path = [last.here, *reversed(last.left)], steps(model.trunk)
    total = sum(part.square().sum() for part in parts)
    grey = (x - model.trunk.layers[0].mean.reshape(-1, *[1] * (x.ndim - 2))).square().sum()
    found = []
    for index, part in enumerate(parts):
        alone = back(path, _only(parts, {index}))
        together = alone if index == 0 else back(path, _only(parts, set(range(index + 1))))
        explained = 1 - ((x - together).square().sum() / grey).item()
        found.append(
            Stage(
                f"level {len(parts) - index}",
                part[0].numel(),
                (part.square().sum() / total).item(),
                _picture(alone),
                explained,
            )
        )
    return tuple(found)


def _only(parts: list[Tensor], wanted: set[int]) -> State:
    chosen = [
        part if index in wanted else torch.zeros_like(part) for index, part in enumerate(parts)
    ]
    return State(chosen[0], tuple(reversed(chosen[1:])))


def _picture(image: Tensor) -> NDArray:
    """(1, C, *size) to (*size): the sum over channels of which images here have one."""
    return image[0].sum(0).cpu().numpy()


@torch.no_grad()
def probe(
    model: Explainable,
    fit: tuple[NDArray, NDArray],
    test: tuple[NDArray, NDArray],
    *,
    seed: int = 0,
) -> tuple[Probe, ...]:
    """How well a ridge classifier tells the classes from the input, and from what goes on and what leaves after each level.

    fit, test: stored images (N, C, *size) uint8 and labels (N,) 0 or 1, of different patients. Beside each figure stands the same with the labels of `fit`
    shuffled. What is found can be used by a linear head; that the network uses it is not said.
    """
    sham = np.random.default_rng(seed).permutation(fit[1])
    seen, found = _by_place(model, fit[0]), []
    for (name, known), new in zip(seen.items(), _by_place(model, test[0]).values()):
        centre = known.mean(0)
        kernel, across = (known - centre) @ (known - centre).T, (new - centre) @ (known - centre).T
        kernel += torch.eye(len(kernel), dtype=kernel.dtype) * RIDGE * kernel.diagonal().mean()
        wanted = torch.from_numpy(np.stack([fit[1], sham], 1) * 2.0 - 1).to(kernel.dtype)
        scores = (across @ torch.linalg.solve(kernel, wanted - wanted.mean(0))).numpy()
        found.append(
            Probe(
                name, *(float(roc_auc_score(test[1], scores[:, k])) for k in (0, 1)), len(test[1])
            )
        )
    return tuple(found)


def _by_place(model: Explainable, images: NDArray) -> dict[str, Tensor]:
    """What stands at each place, flattened (N, values)."""
    path, dtype, places = steps(model.trunk), next(model.trunk.buffers()).dtype, {}
    for start in range(0, len(images), BATCH):
        x = torch.from_numpy(images[start : start + BATCH]).to(dtype)
        places.setdefault("input", []).append(x.flatten(1))
        level = 0
        for step, state in zip(path, run(path, x)):
            if step.kept is not None:
                level += 1
                places.setdefault(f"level {level}, goes on", []).append(state.here.flatten(1))
                places.setdefault(f"level {level}, leaves", []).append(state.left[-1].flatten(1))
        places.setdefault("last level, decides", []).append(state.here.flatten(1))
    return {name: torch.cat(parts) for name, parts in places.items()}

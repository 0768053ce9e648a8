"""ReLU generators and a twin, as the list of layers that they are."""

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.config import PooledConfig, PooledTwinConfig
from medinv.models.base import Calibrated
from medinv.models.pooled import POOLED, PooledClassifier, PooledTwin
from pipelines.seeds.pursuit.layers import Layer

TOP = 16.0  # digits hold levels 0..16


def generator_of(widths: Sequence[int], seed: int) -> list[Layer]:
    """A random ReLU network: Gaussian weights of variance 2 / inputs, no biases, codes free."""
    drawn = np.random.default_rng(seed)
    pairs = itertools.pairwise(widths)
    weights = [drawn.standard_normal((n, m)) * (2 / m) ** 0.5 for m, n in pairs]
    return [
        Layer(w, np.zeros(len(w)), low=-np.inf if index == 0 else 0.0)
        for index, w in enumerate(weights)
    ]


def outputs(layers: Sequence[Layer], x: np.ndarray) -> list[np.ndarray]:
    """What stands after each layer."""
    found = []
    for layer in layers:
        x = layer(x)
        found.append(x)
    return found


def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits (N, 1, 8, 8) in levels 0..16, float64, and labels."""
    images, labels = load_digits(return_X_y=True)
    return torch.from_numpy(images).view(-1, 1, 8, 8), torch.from_numpy(labels)


def descended(
    layers: Sequence[Layer], y: np.ndarray, start: np.ndarray, *, steps: int
) -> tuple[np.ndarray, float]:
    """The input that Adam finds for an output, kept in its bounds, and the misfit that is left."""
    weights = [(torch.from_numpy(one.weight), torch.from_numpy(one.bias)) for one in layers]
    target, x = torch.from_numpy(y), torch.tensor(start, requires_grad=True)
    optimiser = torch.optim.Adam([x], 0.1 * max(float(np.abs(start).max()), 1e-3))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        here = x
        for (weight, bias), layer in zip(weights, layers, strict=True):
            here = weight @ here + bias
            here = here.relu() if layer.cuts else here
        loss = (here - target).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            x.clamp_(layers[0].low, layers[0].high)
    return x.detach().numpy(), loss.item() ** 0.5


def settings(hidden: tuple[int, ...]) -> dict:
    return {
        "channels": 1,
        "classes": tuple("0123456789"),
        "mean": 5.0,
        "std": 6.0,
        "depths": (2,) * len(hidden),
        "hidden": hidden,
    }


def twin_of(hidden: tuple[int, ...], seed: int, steps: int) -> PooledTwin:
    """The ordinary network of these widths, trained on digits."""
    torch.manual_seed(seed)
    return _trained(PooledTwin(PooledTwinConfig(**settings(hidden))), steps)


def invertible_of(hidden: tuple[int, ...], seed: int, steps: int) -> PooledClassifier:
    """Its invertible counterpart, trained in the same way."""
    torch.manual_seed(seed)
    model = POOLED.build(PooledConfig(**settings(hidden)), (1, 8, 8))
    with torch.no_grad():
        model.trunk.initialise(digits()[0][:256].float())
    return _trained(model, steps)


def _trained(model: Calibrated, steps: int) -> Calibrated:
    x, y = digits()
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        rows = torch.randint(1000, (64,))
        loss = F.cross_entropy(model.logits(x[rows].float()), y[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.double().eval().requires_grad_(False)


def layers_of(twin: PooledTwin) -> list[tuple[str, Layer]]:
    """The twin on 8 x 8 digits as layers of matrices: each block with what is linear before it.

    What comes last is the mean over places, which cuts nothing.
    """
    parts: list[nn.Module] = []
    found: list[tuple[str, Layer]] = []
    shape, scale = (1, 8, 8), (twin.mean, twin.std)
    for module in twin.body:
        if not isinstance(module, nn.ReLU):
            parts.append(module)
            continue
        layer, shape = _matrix(nn.Sequential(*parts), shape, scale)
        found.append((f"block {len(found) + 1}", layer))
        parts, scale = [], None
    mean, _ = _matrix(nn.Flatten(2), shape, None, pooled=True)
    return [*found, ("means over places", mean)]


def _matrix(
    part: nn.Module,
    shape: tuple[int, ...],
    scale: tuple[float, float] | None,
    *,
    pooled: bool = False,
) -> tuple[Layer, tuple[int, ...]]:
    """An affine map as a matrix, by what it does to zero and to each unit vector."""
    size = int(np.prod(shape))
    probes = torch.cat([torch.zeros(1, size), torch.eye(size)]).double().view(-1, *shape)
    if scale is not None:
        probes = (probes - scale[0]) / scale[1]
    with torch.no_grad():
        out = part(probes)
        out = out.mean(2) if pooled else out
    flat = out.flatten(1).numpy()
    high = np.inf if scale is None else TOP
    layer = Layer((flat[1:] - flat[0]).T, flat[0], 0.0, high, cuts=not pooled)
    return layer, tuple(out.shape[1:])

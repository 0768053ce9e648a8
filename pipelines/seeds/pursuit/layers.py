"""A ReLU layer inverted by a linear programme, and told whether that is the only answer.

What y = relu(W x + b) says of x is a polyhedron: an equation where y > 0, an inequality where
y = 0,

    W_A x + b_A = y_A,    W_I x + b_I <= 0,    low <= x <= high.

With noise of at most t a value, A are those with y > t, the equations become
|W_A x + b_A - y_A| <= e, the inequalities W_I x + b_I <= e, and the programme asks for the least e
(Lei, Jalal, Dhillon and Dimakis, NeurIPS 2019). The truth meets them with e = 2 t, so that where
W_A has full rank no x is off by more than 3 t |W_A^+|, in the largest value: the noise of the layer
before. A network is inverted from its last layer to its first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

ZERO = 1e-9  # at and below it a value counts as cut off


@dataclass(frozen=True)
class Layer:
    """y = relu(W x + b), or W x + b where `cuts` is false; low <= x <= high is known of x."""

    weight: np.ndarray
    bias: np.ndarray
    low: float = 0.0
    high: float = np.inf
    cuts: bool = True

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = self.weight @ x + self.bias
        return np.maximum(y, 0) if self.cuts else y


@dataclass(frozen=True)
class Answer:
    """An x that gives y up to `residual` a value, and whether without noise there is no other.

    error: the bound of |x - truth| in the largest value; 0 without noise, infinite where the rank
    of the equations is not full.
    """

    x: np.ndarray
    residual: float
    unique: bool
    error: float


def invert(layer: Layer, y: np.ndarray, *, noise: float = 0.0) -> Answer:
    """The x of a layer's output `y`, of which each value is off by at most `noise`.

    Raises ValueError where the programme has no answer.
    """
    weight, bias = layer.weight, layer.bias
    active = _active(layer, y, noise)
    on, off = weight[active], weight[~active]
    gap = y[active] - bias[active]
    slack = -np.ones((len(weight) + len(gap), 1))
    rows = np.hstack([np.vstack([on, -on, off]), slack])
    limits = np.concatenate([gap, -gap, -bias[~active]])
    cost = np.zeros(weight.shape[1] + 1)
    cost[-1] = 1
    bounds = [(layer.low, layer.high)] * weight.shape[1] + [(0, None)]
    found = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
    if found.x is None:
        raise ValueError(f"the linear programme of a layer {weight.shape} gave no answer")
    x = found.x[:-1]
    residual = float(found.x[-1])
    if not noise:
        x = _polished(layer, on, gap, x) if residual < 1e-7 else x
        return Answer(x, residual, only(layer, y, x), 0.0)
    full = len(on) > 0 and np.linalg.matrix_rank(on) == weight.shape[1]
    grows = np.abs(np.linalg.pinv(on)).sum(1).max() if full else np.inf
    return Answer(x, residual, full, 3 * noise * grows)


def only(layer: Layer, y: np.ndarray, x: np.ndarray) -> bool:
    """Whether no other x gives the same output, to rounding.

    Another one is x + d with W_A d = 0, d >= 0 where x is at its lower bound, d <= 0 at its upper,
    W_i d <= 0 where a cut value is just met. Those inequalities are tried by a programme for the
    largest sum of what they leave free: if it is zero they are equations, and the rank decides.
    """
    active = _active(layer, y)
    at_low, at_high = x <= layer.low + 1e-7, x >= layer.high - 1e-7
    met = ~active & (layer.weight @ x + layer.bias > -1e-7)
    on, size = layer.weight[active], len(x)
    unit = np.eye(size)
    # Rows g with g d <= 0.
    sides = np.vstack([-unit[at_low], unit[at_high], layer.weight[met]])
    if np.linalg.matrix_rank(np.vstack([on, sides]), tol=1e-8) < size:
        return False
    if not len(sides) or np.linalg.matrix_rank(on, tol=1e-8) == size:
        return True
    found = linprog(
        sides.sum(0),
        A_ub=sides,
        b_ub=np.zeros(len(sides)),
        A_eq=on if len(on) else None,
        b_eq=np.zeros(len(on)) if len(on) else None,
        bounds=[(-1, 1)] * size,
        method="highs",
    )
    return bool(found.fun > -1e-7)


def backwards(
    layers: Sequence[Layer], y: np.ndarray, *, noise: float = 0.0
) -> tuple[np.ndarray, list[bool]]:
    """The input of a network from its output, last layer first, and which layers were unique.

    With noise, a layer of which no bound of the error is known hands on half its largest value.
    """
    unique = []
    for layer in reversed(layers):
        answer = invert(layer, y, noise=noise)
        y = answer.x
        noise = min(answer.error, 0.5 * float(np.abs(y).max()))
        unique.append(answer.unique)
    return y, unique


def spread(
    layer: Layer, y: np.ndarray, *, directions: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Two inputs with the same output that lie far apart: the farthest along random directions."""
    active, generator = _active(layer, y), np.random.default_rng(seed)
    pairs = []
    for _ in range(directions):
        direction = generator.standard_normal(layer.weight.shape[1])
        ends = [
            linprog(
                sign * direction,
                A_ub=layer.weight[~active] if (~active).any() else None,
                b_ub=-layer.bias[~active] if (~active).any() else None,
                A_eq=layer.weight[active] if active.any() else None,
                b_eq=(y - layer.bias)[active] if active.any() else None,
                bounds=(layer.low, layer.high),
                method="highs",
            ).x
            for sign in (1, -1)
        ]
        if ends[0] is not None and ends[1] is not None:
            pairs.append((ends[0], ends[1]))
    if not pairs:
        raise ValueError("no programme gave an answer; give it an output of this layer")
    return max(pairs, key=lambda two: float(np.linalg.norm(two[0] - two[1])))


def _active(layer: Layer, y: np.ndarray, noise: float = 0.0) -> np.ndarray:
    return y > max(ZERO, noise) if layer.cuts else np.ones(len(y), bool)


def _polished(layer: Layer, on: np.ndarray, gap: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The equations solved to rounding near the programme's answer, which meets them to 1e-7."""
    better = x + np.linalg.lstsq(on, gap - on @ x, rcond=1e-10)[0] if len(on) else x
    return np.clip(better, layer.low, layer.high)

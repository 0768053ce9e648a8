"""Networks whose weights are -1, 0 or 1, trained by coordinate descent (CoNNTrA, 2009.00540).

One weight after another, in random order, takes whichever of the three values has the least loss
over all training images; nothing is differentiated. Inputs are rounded to multiples of 2^-10, so
that sums are exact in float64 and the loss that is kept up to date is the loss itself: it never
rises, by construction and not up to rounding.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

GRID = 1024.0
VALUES = (-1.0, 0.0, 1.0)


def standardised(train: NDArray, other: NDArray) -> tuple[NDArray, NDArray]:
    """Both by mean and deviation of the first, with a constant input, rounded to the grid."""
    centre, spread = train.mean(0), train.std(0) + 1e-9
    both = []
    for x in (train, other):
        scaled = np.clip((x - centre) / spread, -8, 8)
        both.append(np.round(np.c_[scaled, np.ones(len(x))] * GRID) / GRID)
    return both[0], both[1]


def loss(logits: NDArray, labels: NDArray) -> float:
    """Mean cross-entropy of logits (N, K)."""
    top = logits.max(1, keepdims=True)
    sums = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    return float((sums - logits[np.arange(len(labels)), labels]).mean())


@dataclass
class Ternary:
    """`classes` logits of inputs (N, d), through `hidden` rectified units where that is not 0.

    Weights are ternary throughout; the scales, powers of two of the widths, are no parameters.
    """

    inputs: int
    hidden: int
    classes: int
    seed: int = 0
    losses: list[float] = field(default_factory=list)  # after each sweep, the first before any

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)
        widths = [self.inputs, self.hidden, self.classes] if self.hidden else None
        widths = widths or [self.inputs, self.classes]
        self.weights = [
            self.generator.choice(VALUES, (a, b)) if number + 2 < len(widths) else np.zeros((a, b))
            for number, (a, b) in enumerate(pairwise(widths))
        ]

    def _scale(self, number: int) -> float:
        return 2.0 ** -round(np.log2(self.weights[number].shape[0]) / 2)

    def states(self, x: NDArray) -> list[NDArray]:
        """What stands before each layer's gate, the logits last."""
        sums = [x @ self.weights[0] * self._scale(0)]
        if self.hidden:
            sums.append(np.maximum(sums[0], 0) @ self.weights[1] * self._scale(1))
        return sums

    def logits(self, x: NDArray) -> NDArray:
        """(N, K)."""
        return self.states(x)[-1]

    def sweep(self, x: NDArray, labels: NDArray) -> float:
        """Every weight once; returns the loss, which is at most what it was."""
        sums = self.states(x)
        now = loss(sums[-1], labels)
        if not self.losses:
            self.losses.append(now)
        for number in reversed(range(len(self.weights))):
            shape = self.weights[number].shape
            for place in self.generator.permutation(shape[0] * shape[1]):
                now = self._improved(number, divmod(int(place), shape[1]), x, labels, sums, now)
        self.losses.append(now)
        return now

    def _improved(
        self, number: int, at: tuple[int, int], x: NDArray, labels: NDArray, sums: list, now: float
    ) -> float:
        """The best of three values for one weight; `sums` follow."""
        row, column = at
        weights, last = self.weights[number], number == len(self.weights) - 1
        given = x[:, row] if number == 0 else np.maximum(sums[0][:, row], 0)
        best = None
        for value in VALUES:
            if value == weights[row, column]:
                continue
            moved = sums[number][:, column] + given * (value - weights[row, column]) * self._scale(
                number
            )
            logits = sums[-1].copy()
            if last:
                logits[:, column] = moved
            else:
                change = np.maximum(moved, 0) - np.maximum(sums[0][:, column], 0)
                logits += np.outer(change, self.weights[1][column] * self._scale(1))
            then = loss(logits, labels)
            if then < now:
                now, best = then, (value, moved, logits)
        if best is not None:
            weights[row, column] = best[0]
            sums[number][:, column] = best[1]
            sums[-1] = best[2]
        return now

    def fit(self, x: NDArray, labels: NDArray, sweeps: int) -> "Ternary":
        """Sweeps until none helps, at most so many."""
        for _ in range(sweeps):
            before = self.losses[-1] if self.losses else np.inf
            if self.sweep(x, labels) >= before:
                break
        return self


def packed(weights: NDArray) -> bytes:
    """Four weights a byte, two bits each: 00 for 0, 01 for 1, 10 for -1; filled up with zeros."""
    codes = np.array([2, 0, 1], np.uint8)[weights.astype(int).ravel() + 1]
    codes = np.pad(codes, (0, -len(codes) % 4)).reshape(-1, 4)
    return (codes << np.array([0, 2, 4, 6], np.uint8)).sum(1, dtype=np.uint8).tobytes()


def unpacked(data: bytes, shape: tuple[int, ...]) -> NDArray:
    """The weights again."""
    codes = (np.frombuffer(data, np.uint8)[:, None] >> np.array([0, 2, 4, 6])) & 3
    return np.array([0.0, 1.0, -1.0])[codes.ravel()[: int(np.prod(shape))]].reshape(shape)


def rounded(weights: NDArray) -> NDArray:
    """A trained matrix made ternary at once: beyond 0.7 of the mean size (Li et al. 2016)."""
    return np.sign(weights) * (np.abs(weights) > 0.7 * np.abs(weights).mean())

"""A perceptron with its gradient written out, and Adam, in numpy."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Perceptron:
    """tanh between affine maps: (n, widths[0]) -> (n, widths[-1]).

    `weights` is a flat list, matrix and bias of each layer. The last matrix starts at `last` of the
    variance-preserving scale 1 / sqrt(fan in) that the others have.
    """

    def __init__(self, widths: Sequence[int], generator: np.random.Generator, last: float = 1.0):
        self.weights: list[NDArray] = []
        for number, (inner, outer) in enumerate(itertools.pairwise(widths)):
            scale = (last if number == len(widths) - 2 else 1.0) / np.sqrt(inner)
            self.weights += [generator.normal(0, scale, (inner, outer)), np.zeros(outer)]

    def __call__(self, x: NDArray) -> NDArray:
        return self.layers(x)[-1]

    def layers(self, x: NDArray) -> list[NDArray]:
        """The input and what each layer makes of it."""
        found, last = [x], len(self.weights) - 2
        for k in range(0, len(self.weights), 2):
            x = x @ self.weights[k] + self.weights[k + 1]
            found.append(np.tanh(x) if k < last else x)
            x = found[-1]
        return found

    def gradient(self, layers: Sequence[NDArray], slope: NDArray) -> list[NDArray]:
        """Of a loss by each weight, from its gradient by the output; `layers` as found."""
        found: list[NDArray] = []
        for number in range(len(layers) - 2, -1, -1):
            found = [layers[number].T @ slope, slope.sum(0), *found]
            slope = (slope @ self.weights[2 * number].T) * (1 - layers[number] ** 2)
        return found


class Adam:
    """Kingma and Ba 2015, on arrays in place, gradients cut to a length of at most `clip`."""

    def __init__(self, weights: Sequence[NDArray], rate: float, clip: float = 1.0):
        self.weights, self.rate, self.clip, self.steps = list(weights), rate, clip, 0
        self.first = [np.zeros_like(w) for w in weights]
        self.second = [np.zeros_like(w) for w in weights]

    def step(self, slopes: Sequence[NDArray]) -> None:
        self.steps += 1
        length = np.sqrt(sum(float(np.square(slope).sum()) for slope in slopes))
        cut = min(1.0, self.clip / (length + 1e-12))
        fade = self.rate * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for w, m, v, slope in zip(self.weights, self.first, self.second, slopes, strict=True):
            m += 0.1 * (cut * slope - m)
            v += 0.001 * (np.square(cut * slope) - v)
            w -= fade * m / (np.sqrt(v) + 1e-8)

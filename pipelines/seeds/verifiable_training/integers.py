"""A training step in integers, every line of which can be checked without being done again.

Numbers are integers times 2^-R, held in float64, which is exact below 2^53. Matrix products are
checked by Freivalds' test (1977), ReLU and rescaling by their decomposition into bits, as zkReLU
does (Sun et al. 2023, 2307.16273):

    Z = 2^R Z'' - 2^(Q+R-1) S + remainder,   A = (1 - S) Z'',   G_Z = (1 - S) G_A

with sign bits S, Z'' in [0, 2^(Q-1)) and remainders in [0, 2^R). Within those ranges the
decomposition is unique, so that one that fits is the right one. The checker sees every number:
nothing here is zero-knowledge, and nothing is a proof that a third party could carry away.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

R, Q = 12, 20  # bits of a fraction, and of a rescaled number with its sign
EXACT = 2.0**53
Trace = dict[str, NDArray]


def product(a: NDArray, b: NDArray) -> NDArray:
    """The product of integer matrices. Raises OverflowError where float64 might round it."""
    if a.shape[1] * np.abs(a).max(initial=0) * np.abs(b).max(initial=0) >= EXACT:
        raise OverflowError("expected products below 2^53: take fewer bits")
    return a @ b


def freivalds(
    a: NDArray, b: NDArray, c: NDArray, rounds: int, generator: np.random.Generator
) -> bool:
    """Whether `a b = c`, wrongly yes with a probability of at most 2^-rounds.

    Each round multiplies by a random vector of 0 and 1: O(n^2) instead of O(n^3). A right product
    is never refused. Raises OverflowError as `product`.
    """
    r = generator.integers(0, 2, (b.shape[1], rounds)).astype(float)
    return bool((product(a, product(b, r)) == product(c, r)).all())


def decompose(z: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Sign bits, magnitude Z'' and remainder of integers, see above. Raises OverflowError."""
    scaled = np.floor(z / 2.0**R)
    if scaled.min(initial=0) < -(2.0 ** (Q - 1)) or scaled.max(initial=0) >= 2.0 ** (Q - 1):
        raise OverflowError(f"expected numbers of {Q} bits: take a smaller step")
    sign = (scaled < 0).astype(float)
    return sign, scaled + 2.0 ** (Q - 1) * sign, z - 2.0**R * scaled


def decomposed(z: NDArray, sign: NDArray, magnitude: NDArray, remainder: NDArray) -> bool:
    """Whether a decomposition is that of `z`: in range and adding up."""
    bits = np.isin(sign, (0.0, 1.0)).all() and (magnitude == np.floor(magnitude)).all()
    ranges = (magnitude >= 0) & (magnitude < 2.0 ** (Q - 1)) & (remainder >= 0)
    whole = 2.0**R * magnitude - 2.0 ** (Q + R - 1) * sign + remainder
    return bool(bits and ranges.all() and (remainder < 2.0**R).all() and (whole == z).all())


def scaled(sign: NDArray, magnitude: NDArray) -> NDArray:
    """floor(Z / 2^R) from its decomposition."""
    return magnitude - 2.0 ** (Q - 1) * sign


@dataclass
class Network:
    """Two layers, `64 -> hidden -> 10`, trained by squared error with steps of 2^-rate."""

    first: NDArray
    second: NDArray
    rate: int = 8

    @classmethod
    def random(cls, hidden: int, generator: np.random.Generator) -> "Network":
        """Kaiming's start, rounded."""
        shapes = ((64, hidden), (hidden, 10))
        draws = (generator.normal(0, (2 / s[0]) ** 0.5, s) for s in shapes)
        return cls(*(np.round(each * 2.0**R) for each in draws))

    def outputs(self, x: NDArray) -> NDArray:
        """Rescaled outputs (N, 10) of images (N, 64)."""
        return self.step(x, np.zeros((len(x), 10)), move=False)["y"]

    def step(self, x: NDArray, target: NDArray, *, move: bool = True) -> Trace:
        """One step on a batch; the trace of all that was computed."""
        t: Trace = {"x": x, "target": target, "w1": self.first, "w2": self.second}
        t["z1"] = product(x, t["w1"])
        t["s1"], t["m1"], t["r1"] = decompose(t["z1"])
        t["a1"] = (1 - t["s1"]) * t["m1"]
        t["z2"] = product(t["a1"], t["w2"])
        t["s2"], t["m2"], t["r2"] = decompose(t["z2"])
        t["y"] = scaled(t["s2"], t["m2"])
        if not move:
            return t
        t["g2"] = t["y"] - target
        t["gw2"] = product(t["a1"].T, t["g2"])
        t["ga1"] = product(t["g2"], t["w2"].T)
        t["sg"], t["mg"], t["rg"] = decompose(t["ga1"])
        t["gz1"] = (1 - t["s1"]) * scaled(t["sg"], t["mg"])
        t["gw1"] = product(x.T, t["gz1"])
        for k in "12":
            down = 2.0 ** (R + self.rate)
            move_by = np.floor(t[f"gw{k}"] / down)
            t[f"q{k}"] = t[f"gw{k}"] - down * move_by
            t[f"new{k}"] = t[f"w{k}"] - move_by
        self.first, self.second = t["new1"], t["new2"]
        return t


PRODUCTS = {
    "z1": ("x", "w1", False, False),
    "z2": ("a1", "w2", False, False),
    "gw2": ("a1", "g2", True, False),
    "ga1": ("g2", "w2", False, True),
    "gw1": ("x", "gz1", True, False),
}
"""Name of a product: its factors, and which of them are transposed."""


@dataclass
class Checker:
    """Checks traces; `rounds` of Freivalds' test a product."""

    rounds: int
    rate: int = 8
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def failures(self, t: Trace) -> list[str]:
        """The lines of a step that do not hold, by what they compute."""
        down = 2.0 ** (R + self.rate)
        holds = {
            "z1 in bits": decomposed(t["z1"], t["s1"], t["m1"], t["r1"]),
            "a1": _same(t["a1"], (1 - t["s1"]) * t["m1"]),
            "z2 in bits": decomposed(t["z2"], t["s2"], t["m2"], t["r2"]),
            "y": _same(t["y"], scaled(t["s2"], t["m2"])),
            "g2": _same(t["g2"], t["y"] - t["target"]),
            "ga1 in bits": decomposed(t["ga1"], t["sg"], t["mg"], t["rg"]),
            "gz1": _same(t["gz1"], (1 - t["s1"]) * scaled(t["sg"], t["mg"])),
        }
        for k in "12":
            moved = down * (t[f"w{k}"] - t[f"new{k}"]) + t[f"q{k}"]
            inside = ((t[f"q{k}"] >= 0) & (t[f"q{k}"] < down)).all()
            holds[f"new{k}"] = bool(inside and _same(moved, t[f"gw{k}"]))
        for name, (a, b, first, second) in PRODUCTS.items():
            left, right = (t[a].T if first else t[a]), (t[b].T if second else t[b])
            holds[name] = freivalds(left, right, t[name], self.rounds, self.generator)
        return [name for name, holding in holds.items() if not holding]


def _same(a: NDArray, b: NDArray) -> bool:
    return bool((a == b).all())

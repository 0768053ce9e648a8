"""Which ReLUs of a network are never or always on, for every input of a box; proven.

A unit h = relu(w h' + b) is stably inactive where max (w h' + b) <= 0 and stably active where
min (w h' + b) >= 0 over all inputs. Three proofs, cheapest first: interval arithmetic; the linear
relaxation of the mixed-integer programme; and the programme itself (Tjeng, Xiao and Tedrake 2019),
in which a unit before that may be on or off is

    h >= a,  h >= 0,  h <= a - low (1 - z),  h <= high z,  z in {0, 1},

with a its pre-activation and low, high its proven bounds. What a sample shows in both states needs
no programme. A solver keeps its constraints to 1e-7 or so: a proof counts by a margin of 1e-5.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

MARGIN = 1e-5
State = Literal["inactive", "active", "open"]
Proof = Literal["interval", "relaxation", "programme", "sample", "none"]


@dataclass(frozen=True)
class Affine:
    """W x + b."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Of rows (N, inputs): (N, outputs)."""
        return x @ self.weight.T + self.bias


@dataclass(frozen=True)
class Unit:
    """What is known of a ReLU: low <= pre-activation <= high for every input of the box."""

    layer: int
    index: int
    low: float
    high: float
    state: State
    proof: Proof


Network = Sequence[Affine]  # ReLU behind each but the last
Box = tuple[np.ndarray, np.ndarray]


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    """Of rows (N, inputs)."""
    for layer in network[:-1]:
        x = np.maximum(layer(x), 0)
    return network[-1](x)


def units(network: Network, box: Box, sample: np.ndarray, *, seconds: float) -> list[Unit]:
    """Every ReLU with its state; `seconds` is the most that one programme may take."""
    found: list[Unit] = []
    here = sample
    for index, layer in enumerate(network[:-1]):
        before = layer(here)
        known = [
            _unit(network, box, found, (index, j), before[:, j], seconds)
            for j in range(len(layer.bias))
        ]
        found += known
        here = np.maximum(before, 0)
    return found


def interval(layer: Affine, box: Box) -> Box:
    """Bounds of W x + b for x in a box."""
    low, high = box
    up, down = layer.weight.clip(0), layer.weight.clip(None, 0)
    return up @ low + down @ high + layer.bias, up @ high + down @ low + layer.bias


def box_before(network: Network, box: Box, known: Sequence[Unit], layer: int) -> Box:
    """Bounds of what layer `layer` is given, by the units already known of the one before."""
    if layer == 0:
        return box
    before = [unit for unit in known if unit.layer == layer - 1]
    return (
        np.array([max(unit.low, 0) for unit in before]),
        np.array([max(unit.high, 0) for unit in before]),
    )


def _unit(
    network: Network,
    box: Box,
    known: Sequence[Unit],
    place: tuple[int, int],
    seen: np.ndarray,
    seconds: float,
) -> Unit:
    layer, index = place
    one = Affine(network[layer].weight[index : index + 1], network[layer].bias[index : index + 1])
    low, high = (bound.item() for bound in interval(one, box_before(network, box, known, layer)))
    state = _state(low, high, 1e-9)
    if state != "open" or layer == 0:  # of the first layer intervals are the truth
        return Unit(layer, index, low, high, state, "interval")
    below, above = bool((seen < 0).any()), bool((seen > 0).any())
    for whole, proof in ((False, "relaxation"), (True, "programme")):
        programme = _Programme(network, box, known, layer, whole=whole, seconds=seconds)
        # A bound that a sample already refutes is worth the relaxation, which tightens what comes
        # later, but no programme.
        if not (whole and above):
            high = min(high, programme.largest(one))
        if not (whole and below):
            low = max(low, -programme.largest(Affine(-one.weight, -one.bias)))
        state = _state(low, high, MARGIN)
        if state != "open":
            return Unit(layer, index, low, high, state, proof)
        if below and above:
            return Unit(layer, index, low, high, "open", "sample")
    return Unit(layer, index, low, high, "open", "none")


def _state(low: float, high: float, margin: float) -> State:
    if high <= -margin:
        return "inactive"
    return "active" if low >= margin else "open"


class _Programme:
    """The layers before one as constraints over x, the h of each layer, and a z for each open unit.

    Variables: x, then h of layer 0, 1, ..., then z in the order of the open units.
    """

    def __init__(
        self,
        network: Network,
        box: Box,
        known: Sequence[Unit],
        layer: int,
        *,
        whole: bool,
        seconds: float,
    ):
        self.widths = [network[0].weight.shape[1], *(len(a.bias) for a in network[:layer])]
        before = [unit for unit in known if unit.layer < layer]
        openly = [unit for unit in before if unit.state == "open"]
        self.size = sum(self.widths) + len(openly)
        low, high = np.zeros(self.size), np.ones(self.size)
        low[: self.widths[0]], high[: self.widths[0]] = box
        self.rows: list[tuple[np.ndarray, float, float]] = []
        place = {(unit.layer, unit.index): k for k, unit in enumerate(openly)}
        for unit in before:
            at = self._start(unit.layer + 1) + unit.index
            low[at], high[at] = max(unit.low, 0), max(unit.high, 0)
            if unit.state == "inactive":
                low[at] = high[at] = 0
                continue
            affine = network[unit.layer]
            row = np.zeros(self.size)
            row[at] = 1
            start = self._start(unit.layer)
            row[start : start + self.widths[unit.layer]] = -affine.weight[unit.index]
            bias = affine.bias[unit.index]
            if unit.state == "active":
                self.rows.append((row, bias, bias))
                continue
            z = sum(self.widths) + place[unit.layer, unit.index]
            self.rows.append((row, bias, np.inf))
            upper = row.copy()
            upper[z] = -unit.low
            self.rows.append((upper, -np.inf, bias - unit.low))
            upper = np.zeros(self.size)
            upper[at], upper[z] = 1, -unit.high
            self.rows.append((upper, -np.inf, 0.0))
        self.bounds = Bounds(low, high)
        self.integrality = np.zeros(self.size)
        self.integrality[sum(self.widths) :] = int(whole)
        self.layer, self.seconds = layer, seconds

    def _start(self, layer: int) -> int:
        return sum(self.widths[:layer])

    def largest(self, one: Affine) -> float:
        """A proven upper bound of w h + b; infinity where the time was not enough for any."""
        cost = np.zeros(self.size)
        start = self._start(self.layer)
        cost[start : start + self.widths[self.layer]] = -one.weight[0]
        matrix = np.array([row for row, _, _ in self.rows]).reshape(-1, self.size)
        lows, highs = (np.array([row[k] for row in self.rows]) for k in (1, 2))
        constraints = LinearConstraint(matrix, lows, highs) if self.rows else ()
        found = milp(
            cost,
            integrality=self.integrality,
            bounds=self.bounds,
            constraints=constraints,
            options={"time_limit": self.seconds},
        )
        bound = found.mip_dual_bound if self.integrality.any() else found.fun
        return np.inf if bound is None else float(-bound + one.bias[0])

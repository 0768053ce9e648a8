"""A ReLU network made smaller without changing what it computes on a box, and a certificate of it.

Stably inactive units give 0 and are removed. Stably active ones are linear: one whose row depends
linearly on those of the others, w_i = sum_k alpha_k w_k, gives

    h_i = sum_k alpha_k h_k + b_i - sum_k alpha_k b_k,

and is merged into the next layer (Serra, Kumar and Ramalingam 2020).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.linalg import qr

from pipelines.seeds.compression.stability import (
    Affine,
    Box,
    Network,
    Unit,
    box_before,
    interval,
)

DEPENDENT = 1e-9  # relative to the largest pivot


@dataclass(frozen=True)
class Compressed:
    """The smaller network; which units of each hidden layer were removed, and which merged."""

    network: list[Affine]
    removed: tuple[tuple[int, ...], ...]
    merged: tuple[tuple[int, ...], ...]


def compress(network: Network, units: Sequence[Unit]) -> Compressed:
    """By the states of the units, from the first layer to the last."""
    layers = [Affine(layer.weight.copy(), layer.bias.copy()) for layer in network]
    removed, merged = [], []
    for index in range(len(layers) - 1):
        states = [unit.state for unit in units if unit.layer == index]
        here, after = layers[index], layers[index + 1]
        gone = [j for j, state in enumerate(states) if state == "inactive"]
        active = np.array([j for j, state in enumerate(states) if state == "active"], int)
        folded, after = _merged(here, after, active)
        kept = [j for j in range(len(states)) if j not in {*gone, *folded}]
        layers[index] = Affine(here.weight[kept], here.bias[kept])
        layers[index + 1] = Affine(after.weight[:, kept], after.bias)
        removed.append(tuple(gone))
        merged.append(tuple(int(j) for j in folded))
    return Compressed(layers, tuple(removed), tuple(merged))


def _merged(here: Affine, after: Affine, active: np.ndarray) -> tuple[list[int], Affine]:
    """The active units that depend on others of them, and the next layer without them."""
    if len(active) < 2:
        return [], after
    rows = here.weight[active]
    _, r, order = qr(rows.T, mode="economic", pivoting=True)
    pivots = np.abs(np.diag(r))
    rank = int((pivots > DEPENDENT * max(pivots.max(), 1e-300)).sum())
    basis, rest = active[order[:rank]], active[order[rank:]]
    weight, bias = after.weight.copy(), after.bias.copy()
    for j in rest:
        alpha = np.linalg.lstsq(here.weight[basis].T, here.weight[j], rcond=None)[0]
        weight[:, basis] += np.outer(after.weight[:, j], alpha)
        bias += after.weight[:, j] * (here.bias[j] - alpha @ here.bias[basis])
    return [int(j) for j in rest], Affine(weight, bias)


def digest(network: Network) -> str:
    """SHA-256 of all weights."""
    found = hashlib.sha256()
    for layer in network:
        found.update(np.ascontiguousarray(layer.weight, "<f8").tobytes())
        found.update(np.ascontiguousarray(layer.bias, "<f8").tobytes())
    return found.hexdigest()


def certificate(network: Network, box: Box, units: Sequence[Unit], made: Compressed) -> dict:
    """What a reader needs to check the smaller network against the one that it came from."""
    return {
        "schema": "seeds-compression-1",
        "network_sha256": digest(network),
        "compressed_sha256": digest(made.network),
        "low": box[0].tolist(),
        "high": box[1].tolist(),
        "units": [asdict(unit) for unit in units if unit.state != "open"],
        "removed": made.removed,
        "merged": made.merged,
    }


def faults(told: dict, network: Network, made: Network, sample: np.ndarray) -> list[str]:
    """What in a certificate does not hold, in words; empty where nothing was found.

    Hashes, that only units with a proof are removed or merged, that proofs by intervals come out
    again from the bounds before them, and that no row of `sample` (N, inputs) refutes a bound.
    Programmes are not solved again.
    """
    found = []
    for key, given in (("network_sha256", network), ("compressed_sha256", made)):
        if told[key] != digest(given):
            found.append(f"{key} is of other weights")
    if found:
        return found
    known = {(one["layer"], one["index"]): Unit(**one) for one in told["units"]}
    for name, state in (("removed", "inactive"), ("merged", "active")):
        for layer, gone in enumerate(told[name]):
            for j in gone:
                unit = known.get((layer, j))
                if unit is None or unit.state != state:
                    found.append(f"{name} unit {j} of layer {layer} without a proof")
    box = np.array(told["low"]), np.array(told["high"])
    first = interval(network[0], box_before(network, box, (), 0))
    here = sample
    for layer, affine in enumerate(network[:-1]):
        before = affine(here)
        for (at, j), unit in known.items():
            if at != layer:
                continue
            values = before[:, j]
            if values.max() > unit.high + 1e-6 or values.min() < unit.low - 1e-6:
                found.append(f"a sample refutes the bounds of unit {j} of layer {layer}")
            if layer == 0 and not (
                np.isclose(first[0][j], unit.low) and np.isclose(first[1][j], unit.high)
            ):
                found.append(f"intervals give unit {j} of layer {layer} other bounds")
        here = np.maximum(before, 0)
    return found

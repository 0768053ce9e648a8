"""A small ordinary network made smaller without changing what it computes, and a certificate.

    python -m pipelines.seeds.compression.run [--quick]

Networks of digits with and without an l1 penalty on their weights; which of their ReLUs are never
or always on for every image of levels 0..16; the network without them; the largest difference of
logits on 20,000 inputs. Writes pipelines/seeds/compression/certificate.json of the first network
with the penalty, unless quick.
"""

import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from medinv.files import write_whole
from pipelines.record import Table
from pipelines.seeds.compression.compress import Compressed, certificate, compress, faults
from pipelines.seeds.compression.stability import Affine, Box, Unit, outputs, units
from pipelines.seeds.table import System, options, write

WIDTHS, LEARNING, TRAINING = (64, 32, 48, 10), 1000, 1200
PENALTIES, SEEDS, INPUTS, SECONDS = (0.0, 2e-4, 1e-3, 5e-3), 3, 20_000, 2.0
CERTIFICATE = Path(__file__).with_name("certificate.json")
CLAIMED = (
    "Units of a ReLU network that are never or always on over the whole input box are found by "
    "bounds and mixed-integer programmes, and removed or merged without changing the function; l1 "
    "regularisation makes many such (Serra, Kumar and Ramalingam 2020)."
)
BUILT = (
    "Fully connected ReLU networks of digits (64-32-48-10). Interval arithmetic, then the linear "
    "relaxation, then the programme by HiGHS with a time limit; a proof counts by a margin of "
    "1e-5 over the solver's tolerance, and is no exact arithmetic. Removed and merged units stand "
    "in a certificate with the bounds and the hashes of both networks; its checker holds it "
    "against the weights and tries to refute it, and solves no programme again."
)
USEFUL = (
    "nothing yet: shipped models run backwards, so that none of their units may go, and the "
    "programmes are out of reach for an ordinary network of their size. What it shows is how a "
    "claim of equality can be handed over with its proof."
)


@dataclass(frozen=True)
class Found:
    network: list[Affine]
    states: list[Unit]
    made: Compressed
    accuracy: float
    gap: float
    seconds: float


def box() -> Box:
    """All images of levels 0 to 16, divided by 16."""
    return np.zeros(WIDTHS[0]), np.ones(WIDTHS[0])


def trained(penalty: float, seed: int, steps: int) -> tuple[list[Affine], float]:
    """A network, and its accuracy on the digits that it was not trained on."""
    torch.manual_seed(seed)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(images).float() / 16, torch.from_numpy(labels)
    layers = [nn.Linear(m, n) for m, n in itertools.pairwise(WIDTHS)]
    hidden = [part for layer in layers[:-1] for part in (layer, nn.ReLU())]
    model = nn.Sequential(*hidden, layers[-1])
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(TRAINING, (64,))
        size = sum(layer.weight.abs().sum() for layer in layers)
        loss = F.cross_entropy(model(x[rows]), y[rows]) + penalty * size
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    right = (model(x[TRAINING:]).argmax(1) == y[TRAINING:]).double().mean().item()
    return [
        Affine(layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy())
        for layer in layers
    ], right


def inputs(count: int, seed: int) -> np.ndarray:
    """Rows of the box: a third within it, a third at its corners, a third digits with noise."""
    drawn = np.random.default_rng(seed)
    images, _ = load_digits(return_X_y=True)
    third = count // 3
    near = images[drawn.integers(len(images), size=count - 2 * third)] / 16
    near = (near + 0.1 * drawn.standard_normal(near.shape)).clip(0, 1)
    return np.concatenate(
        [drawn.random((third, WIDTHS[0])), drawn.integers(2, size=(third, WIDTHS[0])), near]
    )


def found_of(penalty: float, seed: int, *, quick: bool) -> Found:
    network, accuracy = trained(penalty, seed, 200 if quick else LEARNING)
    began = time.process_time()
    seen = inputs(4000, 1000 + seed)
    states = units(network, box(), seen, seconds=1.0 if quick else SECONDS)
    spent = time.process_time() - began
    made = compress(network, states)
    x = inputs(INPUTS, seed)
    gap = np.abs(outputs(network, x) - outputs(made.network, x)).max()
    told = certificate(network, box(), states, made)
    wrong = faults(told, network, made.network, x)
    if wrong:
        raise ValueError(f"the certificate does not hold: {wrong[0]}")
    if penalty and not seed and not quick:
        write_whole(CERTIFICATE, (json.dumps(told) + "\n").encode())
    return Found(network, states, made, accuracy, float(gap), spent)


def row(penalty: float, some: Sequence[Found]) -> list[str]:
    """Means over seeds, with the range of what is left."""

    def count(state: str, *proofs: str) -> str:
        hits = [sum(u.state == state and u.proof in proofs for u in one.states) for one in some]
        return f"{np.mean(hits):.1f}"

    kept = [sum(len(a.bias) for a in one.made.network[:-1]) for one in some]
    before = sum(WIDTHS[1:-1])
    share = [
        sum(a.weight.size for a in one.made.network) / sum(a.weight.size for a in one.network)
        for one in some
    ]
    solved = ("relaxation", "programme")
    return [
        f"{penalty:g}",
        f"{np.mean([one.accuracy for one in some]):.1%}",
        count("inactive", "interval"),
        count("inactive", *solved),
        count("active", "interval"),
        count("active", *solved),
        count("open", "none"),
        f"{np.mean([sum(map(len, one.made.merged)) for one in some]):.1f}",
        f"{np.mean(kept):.1f} ({min(kept)} to {max(kept)}) of {before}",
        f"{np.mean(share):.0%}",
        f"{max(one.gap for one in some):.0e}",
        f"{np.mean([one.seconds for one in some]):.1f}",
    ]


def main() -> None:
    """The command."""
    quick, began = options(__doc__).parse_args().quick, time.process_time()
    torch.set_num_threads(1)
    seeds, penalties = (1, PENALTIES[1:]) if quick else (SEEDS, PENALTIES)
    rows = []
    for penalty in penalties:
        some = [found_of(penalty, seed, quick=quick) for seed in range(seeds)]
        rows.append(row(penalty, some))
        print(rows[-1], flush=True)
    heads = ("l1", "accuracy", "never on, intervals", "never on, programmes")
    heads += ("always on, intervals", "always on, programmes", "not decided", "merged")
    heads += ("units left", "weights left", f"largest difference, {INPUTS:,} inputs", "s of proofs")
    note = (
        f"Mean of {seeds} seeds, with the range of what is left. Programmes: the linear relaxation "
        "or the mixed-integer programme. Not decided: neither seen in both states by 4,000 inputs "
        "nor proven. Inputs: a third within the box, a third at its corners, a third noisy digits."
    )
    table = Table("Units that are never or always on", heads, rows, note)
    print(table.markdown())
    told = "; ".join(f"l1 {r[0]}: {r[8]} units, {r[9]} of the weights, {r[1]} right" for r in rows)
    solved, merged = (sum(float(r[k]) for r in rows for k in at) for at in ((3, 5), (7,)))
    worst = max(float(r[10]) for r in rows)
    measured = (
        f"Left are, by {told}. The smaller networks differ from the whole ones by at most "
        f"{worst:.0e} on {INPUTS:,} inputs. "
        f"{'Programmes proved' if solved else 'Programmes proved nothing that intervals had not'}"
        f"{f' {solved:.1f} units a seed more than intervals' if solved else ''}, and "
        f"{f'{merged:.1f} units a seed' if merged else 'no unit'} could be merged: what goes is "
        "what the penalty has killed."
    )
    write(
        System(9, "compression", "Exact compression", CLAIMED, measured, str(seeds), USEFUL),
        BUILT,
        [table],
        seconds=time.process_time() - began,
        quick=quick,
    )


if __name__ == "__main__":
    main()

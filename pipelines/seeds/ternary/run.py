"""Ternary weights by coordinate descent, against backpropagation, on three sets.

    python -m pipelines.seeds.ternary.run [--quick]

Iris, digits, and features of phantom-opacity (what its head sees, averaged over places). About two
processor minutes.
"""

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from medinv.data.sets.load import load_images
from medinv.metrics import Estimate
from medinv.models.base import in_batches
from medinv.models.store import load_invertible
from pipelines.record import Table
from pipelines.seeds.intervals import over_seeds, points
from pipelines.seeds.table import System, options, write
from pipelines.seeds.ternary.descent import Ternary, packed, rounded, standardised

HIDDEN, RESTARTS = 16, 2
BUILT = """\
`descent`: one weight after another takes whichever of -1, 0, 1 has the least cross-entropy over
all training images, until a sweep changes nothing or five are done; of two starts the one with
the least training loss. Inputs lie on a grid on which sums are exact, so that the loss never
rises, to the last bit; a constant input stands in for biases, scales are fixed powers of two, so
that every parameter is ternary and four fit in a byte. Held against the same architecture with
real weights (logistic regression; a perceptron by Adam, 150 epochs, which is few for Iris), and
against those weights rounded to three values at once (scale and biases left real), which is what
a null means: where rounding does as well, the descent was not needed. Differences are paired over
splits, with 95 % intervals by Student's t."""


@dataclass(frozen=True)
class Split:
    """Standardised inputs and labels."""

    x: NDArray
    other: NDArray
    y: NDArray
    truth: NDArray


def split(x: NDArray, y: NDArray, seed: int, share: float = 0.7) -> Split:
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = np.split(order, [int(share * len(y))])
    return Split(*standardised(x[train], x[test]), y[train], y[test])


def features(count: int) -> tuple[NDArray, NDArray, str]:
    """Of phantoms that the model was not trained on; and how small its head is."""
    model = load_invertible("phantom-opacity", dtype=torch.float32)
    config = model.card.config.data.model_copy(update={"counts": (8, 8, count)})
    part = load_images(config).test

    def pooled(x: torch.Tensor) -> torch.Tensor:
        return model.features(x)[:, : model.coarse].flatten(2).mean(2)

    head = model.class_weights.numel() / sum(p.numel() for p in model.parameters())
    seen = in_batches(pooled, model, part.images).double().numpy()
    return seen, part.labels, f"{head:.1%}"


def _once(weights: NDArray) -> NDArray:
    """Rounded, with one scale for all that are not 0."""
    ternary = rounded(weights)
    return ternary * np.abs(weights[ternary != 0]).mean()


def right(one: Split, hidden: int, sweeps: int, seed: int) -> dict[str, float]:
    """Test accuracy by way."""
    classes = int(one.y.max()) + 1
    starts = [
        Ternary(one.x.shape[1], hidden, classes, seed=100 * seed + k).fit(one.x, one.y, sweeps)
        for k in range(RESTARTS)
    ]
    best = min(starts, key=lambda each: each.losses[-1])
    if any(np.diff(best.losses) > 0):
        raise RuntimeError("the loss rose")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if hidden:
            real = MLPClassifier((hidden,), max_iter=150, random_state=seed).fit(one.x, one.y)
            first, second = (_once(w) for w in real.coefs_)
            inner, outer = real.intercepts_  # left real
            once = np.maximum(one.other @ first + inner, 0) @ second + outer
            once = once if classes > 2 else np.c_[-once, once]
        else:
            real = LogisticRegression(fit_intercept=False, max_iter=1000).fit(one.x, one.y)
            coefficients = real.coef_ if classes > 2 else np.r_[-real.coef_, real.coef_]
            once = one.other @ rounded(coefficients).T
    return {
        "ternary": float((best.logits(one.other).argmax(1) == one.truth).mean()),
        "real": float((real.predict(one.other) == one.truth).mean()),
        "rounded": float((once.argmax(1) == one.truth).mean()),
        "sweeps": len(best.losses) - 1,
        "zeros": float(np.mean([(w == 0).mean() for w in best.weights])),
        "bytes": sum(len(packed(w)) for w in best.weights),
        "float64": sum(w.nbytes for w in best.weights),
    }


def compared(
    sets: dict[str, tuple[NDArray, NDArray]], seeds: Sequence[int], sweeps: int
) -> tuple[Table, dict[tuple[str, str], Estimate]]:
    rows, differences = [], {}
    for name, (x, y) in sets.items():
        for net, hidden in (("head", 0), (f"{HIDDEN} hidden", HIDDEN)):
            found = [right(split(x, y, seed), hidden, sweeps, seed) for seed in seeds]
            columns = {key: np.array([one[key] for one in found]) for key in found[0]}
            less = [over_seeds(columns["ternary"] - columns[way]) for way in ("real", "rounded")]
            differences[name, net] = less[0]
            rows.append(
                [
                    name,
                    net,
                    *(f"{columns[way].mean():.3f}" for way in ("ternary", "real", "rounded")),
                    *map(points, less),
                    f"{columns['sweeps'].mean():.0f}",
                    f"{columns['zeros'].mean():.0%}",
                    f"{found[0]['bytes']:,} of {found[0]['float64']:,}",
                ]
            )
    columns = (
        "set",
        "network",
        "ternary",
        "real weights",
        "rounded at once",
        "ternary - real, points",
        "ternary - rounded, points",
        "sweeps",
        "zeros",
        "bytes packed, of float64",
    )
    note = f"Test accuracy, means of {len(seeds)} splits."
    return Table("Accuracy", columns, rows, note), differences


def main() -> None:
    quick = options(__doc__, "Iris alone, two splits").parse_args().quick
    torch.set_num_threads(1)
    began = time.process_time()
    sets = {"Iris": load_iris(return_X_y=True)}
    share = "not measured"
    if not quick:
        sets["digits"] = load_digits(return_X_y=True)
        x, y, share = features(600)
        sets["features of phantom-opacity"] = (x, y)
    seeds = range(2 if quick else 5)
    table, differences = compared(sets, seeds, sweeps=5)
    said = "; ".join(f"{name}, {net}: {points(less)}" for (name, net), less in differences.items())
    system = System(
        8,
        "ternary",
        "Ternary training by coordinate descent",
        claimed="CoNNTrA: ternary weights by coordinate descent, a thirty-second of the memory of "
        "float64, errors like those of backpropagation.",
        measured="The loss never rises, and packed weights take 1/32 (up to the last byte). "
        f"Points of accuracy against real weights: {said}.",
        seeds=f"{len(seeds)} splits, {RESTARTS} starts",
        useful=f"nothing here: the head of phantom-opacity holds {share} of its parameters, so "
        "that no export of a ternary head is offered.",
    )
    seconds = time.process_time() - began
    print(write(system, BUILT, [table], seconds=seconds, quick=quick).read_text())


if __name__ == "__main__":
    main()

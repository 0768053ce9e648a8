"""Ordinary networks inverted layer by layer, beside gradient descent and running backwards.

    python -m pipelines.seeds.pursuit.run [--quick]

Part one: random ReLU generators by how much each layer widens, without and with noise, by linear
programmes and by gradient descent. Part two: what a small ordinary classifier of digits gives back
of an image from each of its layers, and its invertible counterpart of the same widths.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from pipelines.record import Table
from pipelines.seeds.pursuit.layers import Layer, backwards, invert, spread
from pipelines.seeds.pursuit.networks import (
    TOP,
    descended,
    digits,
    generator_of,
    invertible_of,
    layers_of,
    outputs,
    twin_of,
)
from pipelines.seeds.table import System, options, write

CODE, WIDENINGS = 10, (1.2, 1.6, 2.0, 2.5, 3.0)
DRAWS, NOISES, STARTS = 8, (1e-3, 1e-2), 2
HIDDEN, LEARNING = (8, 16), 200
CLAIMED = (
    "A ReLU generator whose layers widen enough (by a little over two for Gaussian weights) is "
    "inverted exactly, one layer at a time, by linear programmes, where finding the code is hard "
    "in general and gradient descent may stop elsewhere; with noise the error stays a multiple of "
    "it (Lei, Jalal, Dhillon and Dimakis, NeurIPS 2019)."
)
BUILT = (
    "Each layer's polyhedron by HiGHS, with a test of uniqueness that needs no second answer: the "
    "rank of the equations and of what bounds leave free. Random generators of two layers, and "
    "an ordinary convolutional classifier (`pooled-twin`, trained on 8 x 8 digits) as the matrices "
    "that it is, with what a halving throws away part of the layer behind it."
)
USEFUL = (
    "those who ask whether features of an ordinary network give the image away, or could stand in "
    "for it: its first layer does, to rounding; from the second on other images fit as well, and "
    "what it decides by gives nothing back. That is what running backwards is for."
)


def recovered(x: np.ndarray, truth: np.ndarray) -> float:
    """Relative error."""
    return float(np.linalg.norm(x - truth) / np.linalg.norm(truth))


def trial(layers: Sequence[Layer], seed: int) -> tuple[float, bool, float, list[float]]:
    """Errors of programmes, whether all were unique, of descent, and of programmes with noise."""
    drawn = np.random.default_rng(1000 + seed)
    z = drawn.standard_normal(CODE)
    y = outputs(layers, z)[-1]
    x, unique = backwards(layers, y)
    starts = [drawn.standard_normal(CODE) for _ in range(STARTS)]
    best = min((descended(layers, y, s, steps=300) for s in starts), key=lambda two: two[1])
    noisy = []
    for noise in NOISES:
        size = noise * float(np.abs(y).max())
        e = drawn.uniform(-size, size, len(y))
        found, _ = backwards(layers, (y + e).clip(0), noise=size)
        noisy.append(recovered(found, z) / noise)
    return recovered(x, z), all(unique), recovered(best[0], z), noisy


def generators(draws: int) -> tuple[Table, dict[float, tuple[float, float]], str]:
    rows, told = [], {}
    for widening in WIDENINGS:
        widths = [CODE, round(CODE * widening), round(CODE * widening**2)]
        found = [trial(generator_of(widths, seed), seed) for seed in range(draws)]
        exact = np.array([error < 1e-6 for error, *_ in found])
        unique = np.array([one[1] for one in found])
        descent = np.array([one[2] < 1e-3 for one in found])
        noisy = np.array([one[3] for one in found])
        told[widening] = (exact.mean(), descent.mean())
        rows.append(
            [
                f"{widening:g}",
                " - ".join(map(str, widths)),
                f"{exact.mean():.0%}",
                f"{unique.mean():.0%}",
                f"{(exact == unique).mean():.0%}",
                f"{descent.mean():.0%}",
                *(f"{np.median(noisy[unique, k]):.1f}" if unique.any() else "-" for k in (0, 1)),
            ]
        )
        print(rows[-1], flush=True)
    heads = ("widening", "widths", "exact, programmes", "told unique", "told rightly")
    heads += ("within 1e-3, descent", *(f"error / noise at {n:g}" for n in NOISES))
    note = (
        f"Random weights without biases, {draws} draws each; descent is Adam from {STARTS} starts, "
        "300 steps. Noise: uniform, a share of the largest output; error of the code, relative, in "
        "units of it, median of the draws that are unique without."
    )
    said = ", ".join(f"{r[6]} and {r[7]} at widening {r[0]}" for r in rows if r[6] != "-")
    return Table("Random ReLU generators of two layers", heads, rows, note), told, said


def depth_row(
    name: str, chain: list[tuple[str, Layer]], images: np.ndarray, directions: int
) -> list[str]:
    """What comes back of images from the last layer of a chain."""
    layers = [layer for _, layer in chain]
    errors, descents, unique, apart = [], [], [], []
    for x in images:
        states = outputs(layers, x)
        back, alone = backwards(layers, states[-1])
        errors.append(float(np.sqrt(np.mean((back - x) ** 2))))
        unique.append(all(alone))
        start = np.full_like(x, TOP / 3)
        found, _ = descended(layers, states[-1], start, steps=300)
        descents.append(float(np.sqrt(np.mean((found - x) ** 2))))
        answer = invert(layers[-1], states[-1])
        if not answer.unique:
            before = x if len(states) == 1 else states[-2]
            within = replace(layers[-1], high=float(before.max()))
            one, other = spread(within, states[-1], directions=directions)
            apart.append(recovered(one, other))
    given = layers[-1].weight.shape[1]
    return [
        name,
        str(given),
        str(len(layers[-1].weight)),
        f"{np.mean([(s > 0).sum() for s in (outputs(layers, x)[-1] for x in images)]):.0f}",
        f"{np.mean(unique):.0%}",
        f"{np.median(errors):.1e}",
        f"{np.median(descents):.1e}",
        f"{np.median(apart):.2f}" if apart else "-",
    ]


def twins(images: int, seeds: int, directions: int) -> tuple[Table, Table, str]:
    rows, ours = [], []
    x, _ = digits()
    shown = x[1500 : 1500 + images]
    for seed in range(seeds):
        chain = layers_of(twin_of(HIDDEN, seed, LEARNING))
        flat = shown.flatten(1).numpy()
        for depth in range(1, len(chain) + 1):
            name = f"{chain[depth - 1][0]}, seed {seed}"
            rows.append(depth_row(name, chain[:depth], flat, directions))
            print(rows[-1], flush=True)
        model = invertible_of(HIDDEN, seed, LEARNING)
        with torch.no_grad():
            gap = model.invert(model.features(shown)) - shown
        exact = bool((gap.abs() < 0.5).all())
        ours.append([f"seed {seed}", "100%" if exact else "not all", f"{gap.abs().max():.1e}"])
    heads = ("from", "unknowns of the layer", "values", "above zero", "unique", "error, programmes")
    heads += ("error, descent", "two inputs of the layer apart")
    note = (
        f"{images} test digits, levels 0 to 16; error: root mean square, median. Unique: every "
        "layer down to the image. Two inputs: the distance of two inputs of that layer with the "
        "same output and no value above the true largest, as a share of their length, where it is "
        "not unique."
    )
    first = [row for row in rows if row[0].startswith("block 1,")]
    last = [row for row in rows if row[0].startswith("means")]
    text = (
        f"an ordinary classifier gives an image back from its first layer to {first[0][5]} levels "
        f"(unique for {first[0][4]} of images) and from what it decides by with an error of "
        f"{last[0][5]} of 16 levels (unique for {last[0][4]}); its invertible counterpart gives "
        f"everything back, to {max(float(one[2]) for one in ours):.0e}"
    )
    return (
        Table("What an ordinary classifier gives back", heads, rows, note),
        Table(
            "Its invertible counterpart",
            ("", "images exact", "largest error"),
            ours,
            "Same widths, same training, all features run backwards in float64.",
        ),
        text,
    )


def main() -> None:
    """The command."""
    quick, began = options(__doc__).parse_args().quick, time.process_time()
    torch.set_num_threads(1)
    made, told, said = generators(2 if quick else DRAWS)
    images, seeds, directions = (2, 1, 1) if quick else (4, 3, 2)
    theirs, ours, text = twins(images, seeds, directions)
    for table in (made, theirs, ours):
        print(table.markdown())
    exact = ", ".join(f"{one[0]:.0%} at {w:g}" for w, one in told.items())
    descent = ", ".join(f"{one[1]:.0%}" for one in told.values())
    measured = (
        f"Programmes: exact for {exact} of widening; descent comes near for {descent}. With noise "
        f"of {NOISES[0]:g} and {NOISES[1]:g} the error is as many times the noise: {said}; above "
        f"ten nothing is left of the claim. As for twins, {text}."
    )
    write(
        System(
            7,
            "pursuit",
            "Inversion by layer-wise pursuit",
            CLAIMED,
            measured,
            f"{2 if quick else DRAWS} draws; {seeds} twins",
            USEFUL,
        ),
        BUILT,
        [made, theirs, ours],
        seconds=time.process_time() - began,
        quick=quick,
    )


if __name__ == "__main__":
    main()

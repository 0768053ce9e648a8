"""Stable reconstruction by restarts (FIRENET), and how far 1 % moves what is given back.

    python -m pipelines.seeds.firenet.run [--quick]

Part one: images exactly sparse in Haar wavelets from a quarter of their Fourier coefficients, error
by restart and inner steps, and with noise. Part two: the largest movement of the image that a
change of 1 % can be made to cause, of k-space for the reconstruction of simulated radiographs, of
the features for the inverse of each shipped model, and of the code of an ordinary autoencoder.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

import medinv
from pipelines.record import Table
from pipelines.seeds.firenet.perturb import CHANGE, movements
from pipelines.seeds.firenet.restarts import (
    Problem,
    Schedule,
    reconstruct,
    restarted,
    sampling,
    wavelets,
)
from pipelines.seeds.firenet.robustness import told_by_features
from pipelines.seeds.firenet.subjects import SIDE, autoencoder, blocks, radiographs
from pipelines.seeds.subjects import FRESH, SHIPPED
from pipelines.seeds.table import System, options, write

SHARE, SEEDS, RESTARTS = 0.25, 5, 20
INNER = (5, 10, 20, 40)
NOISES = (1e-4, 1e-3, 1e-2)
FILMS = Schedule(restarts=6, inner=20, noise=CHANGE)  # of radiographs, which are not sparse
FILM_WEIGHT, FILM_SHARE = 0.01, 0.3
Row = tuple[list[str], tuple[float, float]]  # cells, and movements at random and sought, in %
TRAINING, LATENT = 5001, 256
LEARNING, LEARNING_QUICK = (600, 1000), (60, 100)  # films and steps of the autoencoder
CLAIMED = (
    "Restarted primal-dual iterations, unrolled as a network without learned weights, reconstruct "
    "from undersampled noisy data with an error that falls as e^-n in the number n of restarts "
    "and stays proportional to the noise, whatever the noise is (Colbrook, Antun and Hansen, PNAS "
    "2022)."
)
BUILT = (
    "The square-root LASSO in Haar wavelets by averaged Chambolle-Pock steps, restarted with the "
    "step sizes scaled by the distance that is left; no learned weights. Its movement under 1 % "
    "of k-space is sought through all unrolled steps; so is that of our inverses and of an "
    "ordinary autoencoder under 1 % of what they decode. The units differ: k-space is less than "
    "the image, our features are as many numbers or more, and the autoencoder's code is a "
    "sixteenth of them, from which no image comes back exactly."
)
USEFUL = (
    "those who store features in place of images: by how much a small change of them, such as "
    "rounding, moves the image at random and at worst. Nothing else: nobody here reconstructs "
    "from k-space."
)


def problem_of(seed: int, factor: float = 0.25) -> tuple[Problem, Tensor, Tensor]:
    """A sparse image's problem, coefficients and data; lambda is `factor` / sqrt(sparsity)."""
    x = blocks(seed)
    c = wavelets(x)
    sparsity = int((c.abs() > 1e-9).sum())
    problem = Problem(sampling(SIDE, SHARE, seed), factor / sparsity**0.5)
    return problem, c, problem.measure(x)


def errors(seed: int, schedule: Schedule, factor: float = 0.25) -> np.ndarray:
    """|c_n - c| after each restart."""
    problem, c, b = problem_of(seed, factor)
    return np.array(
        [torch.linalg.vector_norm(found - c).item() for found in restarted(problem, b, schedule)]
    )


def by_restart(seeds: int) -> tuple[Table, float]:
    """The table, and the mean slope of log error a restart where inner steps are 10 or more."""
    rows, slopes = [], []
    for name, inner, factor in (
        *((f"{k} inner steps", k, 0.25) for k in INNER),
        ("20 inner steps, lambda four times larger", 20, 1.0),
    ):
        found = np.array([errors(s, Schedule(RESTARTS, inner), factor) for s in range(seeds)])
        falls = np.log(found[:, 14] / found[:, 4]) / 10
        slopes += list(falls) if inner >= 10 and factor < 1 else []
        once = [errors(s, Schedule(1, inner * RESTARTS), factor)[0] for s in range(seeds)]
        told = [f"{np.median(found[:, n - 1]):.1e}" for n in (1, 5, 10, 15, 20)]
        fell = f"{falls.mean():.3f} ({falls.min():.3f} to {falls.max():.3f})"
        rows.append([name, *told, fell, f"{np.median(once):.1e}"])
    columns = ("", *(f"n = {n}" for n in (1, 5, 10, 15, 20)))
    table = Table(
        "Error after n restarts",
        (*columns, "slope of log error, n = 5 to 15", "as many steps, no restart"),
        rows,
        f"Exactly sparse images of unit length, {SHARE:.0%} of the Fourier coefficients, no noise; "
        f"median of {seeds} images and masks, slopes with their range. Claimed: -1 a restart.",
    )
    return table, float(np.mean(slopes))


def by_noise(seeds: int) -> Table:
    """Errors that are left, as multiples of the noise."""
    rows = []
    for noise in NOISES:
        ratios = []
        for seed in range(seeds):
            problem, c, b = problem_of(seed)
            generator = torch.Generator().manual_seed(seed)
            e = torch.randn(b.shape, generator=generator, dtype=b.dtype) * problem.mask
            size = noise * torch.linalg.vector_norm(b)
            data = b + e * size / torch.linalg.vector_norm(e)
            *_, last = restarted(problem, data, Schedule(RESTARTS, 20, noise=noise))
            ratios.append((torch.linalg.vector_norm(last - c) / size).item())
        told = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append([f"{noise:g}", told])
    note = f"Random noise of that length on the data; median of {seeds} and range."
    return Table(
        "Error left, in units of the noise",
        ("noise, share of the data", "error / noise"),
        rows,
        note,
    )


def row(
    name: str,
    what: str,
    given: Sequence[tuple[Tensor, Tensor]],
    function: Callable[[Tensor], Tensor],
    steps: int,
) -> Row:
    """Of images and what they are told by."""
    found = movements(given, function, steps)
    random, sought = 100 * found.random, 100 * found.sought
    cells = [_spread(random), _spread(sought), short(found.levels.max())]
    cells += [f"{np.median(each):.1e}" for each in (found.bearable, found.own)]
    print(name, cells, flush=True)
    return [name, what, str(len(given)), *cells], (
        float(np.median(random)),
        float(np.median(sought)),
    )


def short(value: float) -> str:
    """Two digits behind the point, or a power of ten where that is no longer readable."""
    return f"{value:.2f}" if value < 1000 else f"{value:.0e}"


def _spread(values: np.ndarray) -> str:
    return f"{short(float(np.median(values)))} ({short(min(values))} to {short(max(values))})"


def reconstructions(count: int, steps: int) -> Row:
    films = radiographs(count, FRESH)
    problem = Problem(sampling(SIDE, FILM_SHARE, 0), FILM_WEIGHT)
    given = [(film[0], problem.measure(film[0])) for film in films]
    return row(
        "FIRENET",
        f"k-space, {FILM_SHARE:.0%} sampled",
        given,
        lambda b: reconstruct(problem, b * problem.mask, FILMS),
        steps,
    )


def inverses(name: str, count: int, steps: int) -> Row:
    """Of a shipped model."""
    model = medinv.load(name).requires_grad_(False)
    given = told_by_features(model, count)
    return row(f"inverse of `{name}`", "all features", given, model.invert, steps)


def decoders(count: int, steps: int, *, quick: bool) -> Iterator[Row]:
    """A row a seed of the autoencoder."""
    many, learning = LEARNING_QUICK if quick else LEARNING
    training, films = radiographs(many, TRAINING), radiographs(count, FRESH)
    for seed in range(1 if quick else 3):
        model = autoencoder(training, latent=LATENT, steps=learning, seed=seed)
        given = [(x, model.features(x)) for x in films.split(1)]
        name = f"ordinary decoder, seed {seed}"
        yield row(name, f"code of {LATENT}", given, model.decode, steps)


def by_model(quick: bool) -> tuple[Table, dict[str, tuple[float, float]]]:
    count, steps = (1, 3) if quick else (5, 15)
    rows, numbers = [], {}
    cells, numbers["FIRENET"] = reconstructions(count, steps)
    rows.append(cells)
    for name in SHIPPED[: 1 if quick else None]:
        # The way back through three channels of photographs is the slowest by far.
        some = (2, 8) if name == "cifar10" else (count, steps)
        cells, numbers[name] = inverses(name, *some)
        rows.append(cells)
    for seed, (cells, told) in enumerate(decoders(count, steps, quick=quick)):
        rows.append(cells)
        numbers[f"decoder-{seed}"] = told
    note = (
        "Changes have 1 % of the length of what is changed. The movement of the image is a share "
        "of its length about its mean, in %: median and range over images. Sought: ascent, "
        f"{steps} steps (8 for cifar10), a lower bound; most: as a root mean square. "
        "Random change for half a level: its share of the length at which the image moves by half "
        "a grey level, root mean square, from a change of 1e-11. Own error: what comes back "
        "without any, grey levels. `python -m pipelines.seeds.firenet.robustness` writes a line of "
        "this into a model's card."
    )
    heads = ("", "changed", "images", "random, %", "sought, %", "most, grey levels")
    heads += ("random change for half a level", "own error")
    return Table("How far 1 % moves the image", heads, rows, note), numbers


def main() -> None:
    """The command."""
    quick = options(__doc__).parse_args().quick
    began = time.process_time()
    torch.set_num_threads(1)
    seeds = 2 if quick else SEEDS
    restarts, slope = by_restart(seeds)
    noise = by_noise(seeds)
    moved, numbers = by_model(quick)
    tables = [restarts, noise, moved]
    for table in tables:
        print(table.markdown())
    write(
        System(
            5,
            "firenet",
            "Stable reconstruction",
            CLAIMED,
            measured(slope, numbers),
            f"{seeds}; decoder {1 if quick else 3}",
            USEFUL,
        ),
        BUILT,
        tables,
        seconds=time.process_time() - began,
        quick=quick,
    )


def measured(slope: float, numbers: dict[str, tuple[float, float]]) -> str:
    ours = [numbers[name] for name in SHIPPED if name in numbers]
    theirs = [told for name, told in numbers.items() if name.startswith("decoder")]
    return (
        f"The error falls as exp({slope:.2f} n) from ten inner steps a restart, and not at all "
        "where lambda is too large. 1 % of k-space, sought, moves a radiograph by "
        f"{numbers['FIRENET'][1]:.1f} %, 1 % of an ordinary decoder's code by "
        f"{_between([told[1] for told in theirs])} %, and 1 % of our features by "
        f"{_listed([told[1] for told in ours])} % of the image's length "
        f"({', '.join(name for name in SHIPPED if name in numbers)}; at random "
        f"{_listed([told[0] for told in ours])} %): exact is not stable."
    )


def _between(values: Sequence[float]) -> str:
    low, high = short(min(values)), short(max(values))
    return low if low == high else f"{low} to {high}"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(map(short, values))


if __name__ == "__main__":
    main()

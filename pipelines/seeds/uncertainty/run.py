"""Uncertainty: a Wasserstein GAN against a closed form, and sets of classes that hold the truth.

    python -m pipelines.seeds.uncertainty.run [--quick] [--keep MODEL ...]

--keep writes the thresholds of these models, from their validation images, into their cards (of a
shipped model they are pinned anew), so that `medinv classify --abstain` takes them, and ends: the
one command that new weights need which were published without. Needs MEDINV_DATA for the
radiographs. About ten processor minutes.
"""

import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from medinv.config import PhantomData
from medinv.data.sets.load import load_images
from medinv.models.conformal import ERRORS, fit_conformal
from medinv.models.store import keep_conformal, load, load_invertible
from medinv.training.measure import conformal
from pipelines.record import Table
from pipelines.seeds.table import System, options, write
from pipelines.seeds.uncertainty import coverage as covering
from pipelines.seeds.uncertainty.bar import Bar, gaussian_distance, tip_distance
from pipelines.seeds.uncertainty.gan import learned, summary

MODELS = ("chest-xray", "phantom-opacity")
SHOWN = 0.05
BUILT = """\
(a) A bar under a tip force and two distributed loads, normal and independent: its displacements
at 16 places are normal with a mean and a covariance (of rank 3) that are known exactly. A WGAN
with gradient penalty (two perceptrons of 2 x 64, 5 steps of the critic to one, 2000 samples) is
held against that law, beside the samples it learned from and a normal law fitted to them, which
is what a null means here: a GAN is worth its trouble only where no such law is at hand.

(b) Sets of classes by split conformal prediction, class by class (`medinv.models.conformal`), on
the calibrated probabilities: thresholds from validation images promise that of exchangeable
images of each class at most a share `error` has its class left out. `medinv classify --abstain
ERROR` leaves a study undecided unless its set is the class called alone, so that at most that
share of each class is decided wrongly. `medinv train` keeps the thresholds in the card, with what
they gave on test images; operating point, calibration and labels stay as they were. The promise
is on average over draws of validation images, on single images, and needs exchangeability:
shifted images are not covered, and by how much is measured. Beside it the theorem itself: halves
drawn anew from validation and test images together."""


def bars(seeds: Sequence[int], steps: int) -> tuple[Table, dict[str, list[float]]]:
    """Errors against the closed form, mean and range over seeds."""
    bar = Bar(np.linspace(0, 1, 17)[1:])
    deviations = np.sqrt(np.diag(bar.covariance))
    found: dict[str, list[list[float]]] = {}
    for seed in seeds:
        generator = np.random.default_rng(seed)
        samples = bar.sample(2000, generator)
        mean, spread = summary(samples)
        laws: dict[str, Callable[[], NDArray]] = {
            "WGAN-GP": lambda s=samples, seed=seed: learned(s, steps, seed)(20_000),
            "the 2000 samples": lambda s=samples: s,
            "normal law fitted to them": lambda m=mean, c=spread, g=generator: (
                g.multivariate_normal(m, c, 20_000, method="eigh")
            ),
        }
        for name, law in laws.items():
            drawn = law()
            centre, covariance = summary(drawn)
            tip = tip_distance(drawn[:, -1], bar.mean[-1], deviations[-1]) / deviations[-1]
            errors = [
                np.abs((centre - bar.mean) / deviations).max(),
                np.abs(np.diag(covariance) / deviations**2 - 1).max(),
                tip,
                gaussian_distance(centre, covariance, bar.mean, bar.covariance)
                / np.trace(bar.covariance) ** 0.5,
            ]
            found.setdefault(name, []).append([float(e) for e in errors])
    rows = [
        [name, *(f"{m:.3f} ({a:.3f} to {b:.3f})" for m, a, b in _ranges(np.array(values)))]
        for name, values in found.items()
    ]
    columns = (
        "law",
        "mean, largest error / deviation",
        "variance, largest relative error",
        "Wasserstein-1 of the tip / deviation",
        "Wasserstein-2 of normal laws / spread",
    )
    note = f"Mean and range over {len(seeds)} seeds; {steps} steps of the generator."
    tips = {name: [each[2] for each in values] for name, values in found.items()}
    return Table("A bar under random loads", columns, rows, note), tips


def _ranges(values: NDArray) -> list[tuple[float, float, float]]:
    return [(float(c.mean()), float(c.min()), float(c.max())) for c in values.T]


def sets_of(
    name: str, count: int
) -> tuple[list[list[str]], list[list[str]], list[list[str]], bool]:
    """Rows of one model: on test images, halves drawn anew, shifts; and whether it holds."""
    model = load_invertible(name, dtype=torch.float32)
    config = model.card.config.data
    if isinstance(config, PhantomData):  # a part's bodies do not depend on how many others have
        config = config.model_copy(update={"counts": (8, config.counts[1], count)})
    data = load_images(config)
    validation = covering.said(model, data.validation)
    test_part = covering.some(data.test, count)
    test = covering.said(model, test_part)
    sets = fit_conformal(validation.probabilities, validation.labels)
    plain, kept = [], True
    for error in ERRORS:
        one = covering.coverage(test, sets, error)
        kept &= covering.holds(one, error)
        plain.append(
            [name, f"{error:g}", *_cells(one), "yes" if covering.holds(one, error) else "NO"]
        )
    anew = []
    both = covering.pooled(validation, test)
    for error in ERRORS:
        mean, deviation = covering.redrawn(both, error, draws=200, seed=0)
        anew.append([name, f"{error:g}", f"{1 - error:g}", f"{mean:.4f} ± {1.96 * deviation:.4f}"])
    moved = []
    fewer = covering.some(test_part, 300)
    parts = {what: covering.shifted(fewer, shift) for what, shift in covering.SHIFTS.items()}
    if name == "chest-xray" and (other := covering.adults(model.image_shape[-1], 300)):
        parts["films of adults (NIH)"] = other
    for what, part in parts.items():
        one = covering.said(model, part)
        inside = one[one.inside]
        found = covering.coverage(one, sets, SHOWN)
        cells = [name, what, *_cells(found)]
        within = covering.coverage(inside, sets, SHOWN) if inside.inside.sum() >= 10 else None
        scope = [f"{one.inside.mean():.2f}", str(within.covered) if within else "-"]
        moved.append([*cells, *scope, "yes" if covering.holds(found, SHOWN) else "NO"])
    return plain, anew, moved, kept


def _cells(one: covering.Coverage) -> list[str]:
    return [
        str(each) for each in (one.covered, one.worst, one.undecided, one.wrong, one.wrong_without)
    ]


SHARES = ("covered", "worst class", "undecided", "decided wrongly", "wrong without abstention")


def sets_tables(count: int, models: Sequence[str]) -> tuple[list[Table], dict[str, bool], list]:
    plain, anew, moved, kept = [], [], [], {}
    for name in models:
        one, two, three, kept[name] = sets_of(name, count)
        plain, anew, moved = plain + one, anew + two, moved + three
    by_patient = "95 % intervals by patient."
    return (
        [
            Table(
                "Sets of classes on test images",
                ("model", "error", *SHARES, "holds"),
                plain,
                f"{by_patient} It holds where the interval of the worst class reaches 1 - error.",
            ),
            Table(
                "Halves drawn anew from validation and test images",
                ("model", "error", "promised", "covered, mean of 200 draws"),
                anew,
            ),
            Table(
                f"Shifted images, at an error of {SHOWN:g}",
                (
                    "model",
                    "shift",
                    *SHARES,
                    "in scope",
                    "covered of those in scope",
                    "holds",
                ),
                moved,
                f"{by_patient} Of 300 images, drawn once.",
            ),
        ],
        kept,
        moved,
    )


def keep(names: Sequence[str]) -> None:
    """Thresholds into cards."""
    for name in names:
        model = load(name)
        data = load_images(model.card.config.data)
        found = keep_conformal(name, conformal(model, data.validation, data.test)).conformal
        if found is not None:
            print(name, *(f"{e:g}: {c}" for e, c in zip(found.errors, found.covered, strict=True)))


def main() -> None:
    parser = options(__doc__, "one seed, phantoms alone")
    parser.add_argument("--keep", nargs="*", metavar="MODEL", help="thresholds into these cards")
    arguments = parser.parse_args()
    if arguments.keep:
        keep(arguments.keep)
        return
    quick = arguments.quick
    torch.set_num_threads(1)
    began = time.process_time()
    seeds = range(1) if quick else range(5)
    table, tips = bars(seeds, steps=50 if quick else 1000)
    models = MODELS if os.environ.get("MEDINV_DATA") and not quick else ("phantom-opacity",)
    tables, kept, moved = sets_tables(100 if quick else 1000, models)
    ours, theirs = (float(np.mean(tips[k])) for k in ("WGAN-GP", "normal law fitted to them"))
    failing = [row for row in moved if row[-1] == "NO" and row[0] == models[0]]
    lost = [row[1] for row in failing]
    refused = bool(lost) and all(row[-3] == "0.00" for row in failing)
    told = [text.split(" ")[0] for text in tables[0].rows[0][4:7]]
    held = [name for name, ok in kept.items() if ok]
    system = System(
        11,
        "uncertainty",
        "Uncertainty: a Wasserstein GAN, and sets of classes",
        claimed="A WGAN with gradient penalty learns the law of a bar's displacements; conformal "
        "sets hold the true class as often as promised.",
        measured=f"Bar: Wasserstein-1 of the tip {ours:.3f} deviations, {theirs:.3f} by a fitted "
        "normal law. Sets: at every error no class is covered less than promised, beyond chance, "
        f"on the test images of {' and '.join(held) or 'no model'}"
        + (
            f", but not of {' and '.join(n for n in kept if n not in held)}"
            * (len(held) < len(kept))
        )
        + f"; of {models[0]} it fails under: {', '.join(lost) or 'none of the shifts'}"
        + (", all of which its scope refuses" if refused else "")
        + f". At an error of 0.01 {told[0]} of its films are undecided, {told[1]} decided wrongly, "
        f"against {told[2]} without.",
        seeds=f"{len(seeds)} (bar), 200 draws (sets)",
        useful="`medinv classify --abstain ERROR`: studies left undecided, with a bound that holds "
        "for images like those of the calibration and is measured where they differ.",
    )
    page = write(system, BUILT, [table, *tables], seconds=time.process_time() - began, quick=quick)
    print(page.read_text())


if __name__ == "__main__":
    main()

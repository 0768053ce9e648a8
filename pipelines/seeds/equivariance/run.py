"""Equivariance: what turns, mirrors and shifts do to answers, and a network that turns along.

    python -m pipelines.seeds.equivariance.run [--quick] [--model NAME_OR_FOLDER]

Part one: of shipped models (or `--model` alone: prints, writes no page), how many answers change.
Part two: invertible classifiers of digits that may lie in any position, with convolutions tied over
quarter turns, against free ones with and without turned training images, at the same cost.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

import medinv
from medinv.audit.changes import turned_over
from medinv.audit.equivariance import answers, lying
from medinv.audit.measures import Bench
from medinv.audit.sample import sample_of
from medinv.audit.subject import Subject
from pipelines.record import Table
from pipelines.seeds.equivariance.networks import SCALE, Classifier, Digits, fitted, turns
from pipelines.seeds.subjects import SHIPPED, known_part
from pipelines.seeds.table import System, options, write

COUNTS, STEPS, SEEDS, AUDITED = (100, 1000), 250, 3, 60
WAYS = {
    "free": (False, False),
    "free, turned training images": (False, True),
    "tied over quarter turns (C4)": (True, False),
}
CLAIMED = (
    "A network whose convolutions are tied over a group of turns answers the same for every turned "
    "image, with fewer weights, and learns orientation-free images from fewer examples than "
    "augmentation does (Cohen and Welling 2016)."
)
BUILT = (
    "An invertible trunk that turns with the image from end to end: `C4Squeeze`, which makes the "
    "four pixels of a block a field of directions without adding or losing a value, `C4Conv2d` and "
    "leaky ReLU, under a head that sees means and maxima over places and directions. Its "
    "counterpart has free convolutions of the same widths: as many multiplications, four times the "
    "weights. Both take as many steps. Answers of shipped models under turns and shifts are those "
    "of `medinv.audit.equivariance`, which `medinv audit` has too."
)


def report(name: str, count: int) -> list[list[str]]:
    """Rows of a model: each change, the share with another label, and the share flagged."""
    model = medinv.load(name, dtype=torch.float32).requires_grad_(False)
    part = known_part(model, count)
    sample, subject = sample_of(part, part, None), Subject.of(model)
    bench = Bench(subject, sample, part, None, subject.answers(sample.images), quick=True)
    found = {one.key: one for one in (*answers(bench, turned_over), *answers(bench, lying))}
    told = [one for key, one in found.items() if not key.endswith(".flagged")]
    return [
        [
            model.card.name,
            one.name.partition(":")[0],
            _percent(one.estimate),
            _percent(found[f"{one.key}.flagged"].estimate),
        ]
        for one in told
    ]


def _percent(one: "medinv.metrics.Estimate") -> str:
    return f"{one.value:.1%} ({one.low:.1%} to {one.high:.1%})"


@dataclass(frozen=True)
class Run:
    upright: float
    turned: float
    moved: float  # largest change of a logit by a quarter turn
    error: float  # of test images run backwards, levels
    seconds: float
    weights: int


def run(count: int, way: str, seed: int, steps: int) -> Run:
    turning, augmented = WAYS[way]
    data, began = Digits.drawn(count, seed), time.process_time()
    model = fitted(data, turning=turning, augmented=augmented, steps=steps, seed=seed)
    spent = time.process_time() - began
    right = [(model(x).argmax(1) == data.test_labels).double().mean() for x in turns(data.test)]
    exact = model.double()
    some = data.test[:50].double()
    gap = (exact(some.rot90(1, (-2, -1))) - exact(some)).abs().max().item()
    back = exact.trunk.inverse(exact.trunk(some / SCALE)) * SCALE
    return Run(
        right[0].item(),
        float(np.mean(right)),
        gap,
        (back - some).abs().max().item(),
        spent,
        _weights(model),
    )


def _weights(model: Classifier) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def classifiers(quick: bool) -> Iterator[tuple[int, str, list[Run]]]:
    counts, seeds, steps = ((50,), 1, 40) if quick else (COUNTS, SEEDS, STEPS)
    for count in counts:
        for way in WAYS:
            yield count, way, [run(count, way, seed, steps) for seed in range(seeds)]


def comparison(found: list[tuple[int, str, list[Run]]]) -> Table:
    rows = []
    for count, way, runs in found:
        turned = [one.turned for one in runs]
        rows.append(
            [
                f"{count} images",
                way,
                f"{np.mean([one.upright for one in runs]):.1%}",
                f"{np.mean(turned):.1%} ({min(turned):.1%} to {max(turned):.1%})",
                f"{max(one.moved for one in runs):.0e}",
                f"{max(one.error for one in runs):.0e}",
                str(runs[0].weights),
                f"{np.mean([one.seconds for one in runs]):.1f}",
            ]
        )
    heads = ("training", "convolutions", "upright, right", "any position, right")
    heads += ("a turn moves a logit by", "error of the way back", "weights", "s of training")
    note = (
        f"Digits 0 to 8 of 8 x 8 pixels, {STEPS} steps of 64 images, mean of {SEEDS} seeds with "
        "the range; error in levels of 0 to 16, float64. Any position: the mean over quarter turns."
    )
    return Table("Digits in any position", heads, rows, note)


def main() -> None:
    """The command."""
    parser = options(__doc__)
    parser.add_argument("--model")
    given, began = parser.parse_args(), time.process_time()
    torch.set_num_threads(1)
    names = [given.model] if given.model else SHIPPED[: 1 if given.quick else None]
    rows = [row for name in names for row in report(name, 20 if given.quick else AUDITED)]
    heads = ("model", "images", "another label and no flag", "no label")
    note = f"{AUDITED} test images a model, 95 % intervals by patient."
    changes = Table("Answers that turns, mirrors and shifts change", heads, rows, note)
    print(changes.markdown(), flush=True)
    if given.model:
        return
    found = list(classifiers(given.quick))
    compared = comparison(found)
    print(compared.markdown())
    write(
        System(
            6,
            "equivariance",
            "Equivariance",
            CLAIMED,
            measured(found),
            str(1 if given.quick else SEEDS),
            USEFUL,
        ),
        BUILT,
        [changes, compared],
        seconds=time.process_time() - began,
        quick=given.quick,
    )


USEFUL = (
    "those with images that have no upright position: `medinv audit` tells how many answers turns "
    "change, and `C4Squeeze` with `C4Conv2d` builds a trunk whose answers none changes. No shipped "
    "model is built so: films have an upright position."
)


def measured(found: list[tuple[int, str, list[Run]]]) -> str:
    told = []
    for count, way, runs in found:
        told.append((count, way, 100 * float(np.mean([one.turned for one in runs]))))
    counts = sorted({count for count, *_ in told})
    parts = []
    for count in counts:
        of = {way: value for c, way, value in told if c == count}
        free, augmented, tied = (of[way] for way in WAYS)
        parts.append(
            f"{count} images: {tied:.1f} % tied, {augmented:.1f} % augmented, {free:.1f} % free"
        )
    moved = max(one.moved for _, way, runs in found if way.startswith("tied") for one in runs)
    return (
        f"A quarter turn moves no logit of the tied trunk by more than {moved:.0e}, and it runs "
        f"backwards. Right in any position, {'; '.join(parts)}."
    )


if __name__ == "__main__":
    main()

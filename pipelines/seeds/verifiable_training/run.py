"""Training that can be checked: replayed from its log, and, as a study, in checkable integers.

    python -m pipelines.seeds.verifiable_training.run [--quick]

`medinv train` leaves the log that `medinv verify-run` replays; this measures what tampering it
rejects and what it costs. Beside it a small network is trained in integers whose every line is
checked without doing the step again. About ten processor minutes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits

from medinv.data.sets.load import load_images
from medinv.metrics import proportion
from pipelines.record import Table
from pipelines.seeds.table import System, options, write
from pipelines.seeds.verifiable_training import tampering
from pipelines.seeds.verifiable_training.integers import PRODUCTS, Checker, Network, R, freivalds

BUILT = """\
`medinv train` writes training-log.jsonl beside its checkpoint: entries chained by SHA-256 that
name configuration, data, the order of the images, every loss, hashes of the weights after steps
1, 2, 4, 8, ... of an epoch and of the whole state at its end. `medinv verify-run RUN` recomputes
the order of every epoch, holds data, card and published weights against the log, and does the
first steps of the run, and those after each snapshot (`--snapshots`), again, to the last bit;
`--whole` does all. This is verifiable by replay, never zero-knowledge: whoever verifies needs the
images, and sees all. A step that is not replayed is only hashed: of n parts of which m are
forged, c that are replayed by chance catch one with probability 1 - C(n - m, c) / C(n, c). It
holds on one kind of machine: another may round the last digit otherwise, which is told and not
excused.

Beside it, as a study alone, a network in integers (digits, 64 - 32 - 10, squared error): the five
matrix products of a step by Freivalds' test, ReLU and rescaling by their bits, so that a step is
checked without being done again; every number is seen by the checker, so this is no zero-
knowledge either. zkDL's own claims, not measured here: proofs in less than a second a batch
update of 8 layers with 10 million parameters and batches of 64, on a GPU (2307.16273v2); in its
first version, less than a minute and 20 kB a step for 16 layers with 200 million parameters."""


def rejected(seeds: Sequence[int]) -> tuple[Table, int, int]:
    """A row a tampering; and how many of all were rejected and named rightly."""
    told = [tampering.judged(seed) for seed in seeds]
    rows = [
        [what, f"{sum(each[what][0] for each in told)} of {len(told)}", told[0][what][1]]
        for what in told[0]
    ]
    lies = [ok for each in told for what, (ok, _) in each.items() if what != "none"]
    columns = ("tampering", "judged rightly and named", "words, of the first seed")
    note = "Runs of 18 steps, 8 replayed from the start and 6 from a snapshot; one run a seed."
    return Table("Tampering with a run", columns, rows, note), sum(lies), len(lies)


def costs(names: dict[str, tuple[str, ...]], replayed: int) -> tuple[Table, list[tampering.Cost]]:
    rows, found = [], []
    for name, overrides in names.items():
        config = tampering.config_of(0, *overrides)
        one = tampering.cost(config, load_images(config.data), replayed)
        found.append(one)
        each = (one.replaying / one.replayed) / (one.training / one.steps)
        rows.append(
            [
                name,
                f"{one.parameters:,}",
                str(one.steps),
                f"{one.training / one.steps:.2f}",
                f"{one.logging / one.training:.2%}",
                f"{one.log_bytes / one.steps:.0f}",
                f"{one.snapshot_bytes / 1e6:.1f}",
                f"{each:.2f}",
            ]
        )
    columns = (
        "network",
        "parameters",
        "steps",
        "processor s a step",
        "log's share of the time",
        "bytes of log a step",
        "MB a snapshot",
        "replayed step / step",
    )
    note = (
        "An epoch. The log is written with every training; the last column holds reading and "
        "hashing the data and building the network too."
    )
    return Table("What it costs", columns, rows, note), found


def misses(trials: int) -> Table:
    """How often one wrong entry of a product passes."""
    generator, rows = np.random.default_rng(0), []
    a, b = (generator.integers(-1000, 1000, (16, 16)).astype(float) for _ in range(2))
    wrong = a @ b
    wrong[3, 5] += 1
    for rounds in (1, 2, 4, 8):
        passed = [freivalds(a, b, wrong, rounds, generator) for _ in range(trials)]
        right = all(freivalds(a, b, a @ b, rounds, generator) for _ in range(100))
        rows.append(
            [
                str(rounds),
                f"{2.0**-rounds:.4f}",
                str(proportion(np.array(passed))),
                "all" if right else "NO",
            ]
        )
    columns = ("rounds k", "bound 2^-k", "wrong products that passed", "right products that passed")
    note = f"Of {trials} draws each, by 95 % intervals; one wrong entry reaches the bound."
    return Table("Freivalds' test", columns, rows, note)


def products(sides: Sequence[int], repeats: int = 5) -> Table:
    """Time of 20 rounds against that of the product."""
    generator, rows = np.random.default_rng(0), []
    for side in sides:
        a, b = (generator.integers(-1000, 1000, (side, side)).astype(float) for _ in range(2))
        c = a @ b
        multiply = _median(lambda a=a, b=b: a @ b, repeats)
        check = _median(lambda a=a, b=b, c=c: freivalds(a, b, c, 20, generator), repeats)
        rows.append([str(side), f"{check / multiply:.2f}"])
    note = "Of square matrices, processor time, median; a miss in 20 rounds: 1 in a million."
    return Table("Cost of 20 rounds", ("side", "check / product"), rows, note)


def _median(call, repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return float(np.median(times))


@dataclass(frozen=True)
class Integers:
    """A training in integers: test accuracy, lines that failed, changes that were found."""

    accuracy: float
    steps: int
    failed: int
    found: int
    planted: int
    check: float  # seconds of checking over seconds of training


def integers(seed: int, epochs: int, rounds: int = 20) -> Integers:
    """One training on digits, every step checked; in some a number is changed first."""
    generator = np.random.default_rng(seed)
    images, labels = load_digits(return_X_y=True)
    chosen = generator.permutation(len(labels))
    images, labels = np.floor(images[chosen] / 16 * 2.0**R), labels[chosen]
    targets = np.eye(10)[labels] * 2.0**R
    train, test = np.arange(1297), np.arange(1297, 1797)
    network, checker = Network.random(32, generator), Checker(rounds)
    spent = {"step": 0.0, "check": 0.0}
    failed = found = planted = steps = 0
    for _ in range(epochs):
        for rows in np.array_split(generator.permutation(train), 20):
            began = time.process_time()
            trace = network.step(images[rows], targets[rows])
            spent["step"] += time.process_time() - began
            began = time.process_time()
            failed += len(checker.failures(trace))
            spent["check"] += time.process_time() - began
            steps += 1
            if steps % 10 == 0:
                name = generator.choice(list(trace))
                changed = {**trace, name: trace[name].copy()}
                changed[name][tuple(generator.integers(0, s) for s in changed[name].shape)] += 1
                planted, found = planted + 1, found + bool(checker.failures(changed))
    right = network.outputs(images[test]).argmax(1) == labels[test]
    spent_ratio = spent["check"] / spent["step"]
    return Integers(float(right.mean()), steps, failed, found, planted, spent_ratio)


def trainings(seeds: Sequence[int], epochs: int) -> tuple[Table, list[Integers]]:
    done = [integers(seed, epochs) for seed in seeds]
    rows = [
        [
            str(seed),
            str(one.steps),
            str(one.failed),
            f"{one.found} of {one.planted}",
            f"{one.accuracy:.3f}",
            f"{one.check:.2f}",
        ]
        for seed, one in zip(seeds, done, strict=True)
    ]
    columns = (
        "seed",
        "steps",
        "lines that failed",
        "changed numbers found",
        "test accuracy",
        "check / step",
    )
    note = (
        f"{len(PRODUCTS)} products a step by 20 rounds of Freivalds' test, all else by identities; "
        "in every tenth step one number, anywhere, is raised by one. Times of the processor: "
        "matrices this small are no cheaper to check than to multiply."
    )
    return Table("A training in integers", columns, rows, note), done


def main() -> None:
    quick = options(__doc__, "one seed, tiny networks").parse_args().quick
    began = time.process_time()
    seeds = range(1) if quick else range(5)
    tiny = (*tampering.TINY, "train.epochs=1")
    shipped = ("train.epochs=1", "data.counts=[480,64,64]")
    named = {"tiny": tiny} if quick else {"tiny": tiny, "phantom-opacity": shipped}
    lies, caught, planted = rejected(seeds)
    priced, found = costs(named, replayed=2 if quick else 4)
    ints, done = trainings(seeds, epochs=3 if quick else 15)
    tables = [
        lies,
        priced,
        misses(400 if quick else 10000),
        products((64, 256) if quick else (64, 256, 1024)),
        ints,
    ]
    last = found[-1]
    accuracy = [one.accuracy for one in done]
    system = System(
        10,
        "verifiable_training",
        "Training that can be checked",
        claimed="zkDL: zero-knowledge proofs of training, under a second a batch update of 10 "
        "million parameters on a GPU.",
        measured=f"Replay rejects and names {caught} of {planted} tamperings and accepts every "
        f"honest run; the log takes {last.logging / last.training:.1%} of the time of training. In "
        f"integers {sum(one.found for one in done)} of {sum(one.planted for one in done)} changed "
        f"numbers are found, at a test accuracy of {min(accuracy):.2f} to {max(accuracy):.2f} on "
        "digits. No zero-knowledge.",
        seeds=f"{len(seeds)}",
        useful="`medinv verify-run`: that a model came of the data, seed and steps it names, on "
        "the same kind of machine; the integers have no use here yet.",
    )
    seconds = time.process_time() - began
    page = write(system, BUILT, tables, seconds=seconds, quick=quick)
    print(page.read_text())


if __name__ == "__main__":
    main()

"""The tables and the figure of the natural image study, from its rows alone."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np

from pipelines.record import Table

matplotlib.use("Agg")
from matplotlib import pyplot as plt

COLUMNS = (
    "network",
    "seeds",
    "epochs",
    "accuracy",
    "difference",
    "run back",
    "exact f64 / f32",
    "largest error f64 / f32",
    "condition",
    "back/forth",
    "s",
    "MB",
)
NOTE = (
    "Test accuracy in percent, mean over seeds with the 95 % interval of the images; difference: "
    "invertible less twin, paired by image over the seeds that both have; exact: the least share, "
    "over seeds, of the test images run back; s: of training, beside others on one device."
)
TITLES = {
    "full": "At full width",
    "depth": "By depth: held so as to come back, ordinary twins, and left free",
    "choices": "What each design choice is for",
    "baselines": "Published ordinary networks",
}


def tables(rows: list[dict]) -> list[Table]:
    """A table for each comparison, and the condition numbers layer by layer of the first seed."""
    grouped: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        grouped[row["table"]][row["row"]].append(row)
    made = [
        Table(
            TITLES[name],
            COLUMNS,
            [_line(row, runs, lines) for row, runs in lines.items()],
            NOTE,
        )
        for name, lines in grouped.items()
    ]
    return [*made, _conditions(grouped["depth"])]


def _right(runs: list[dict]) -> np.ndarray:
    """(seeds, images) 1 where the call was right."""
    return np.array([[int(c) for c in run["right"]] for run in runs])


def _line(name: str, runs: list[dict], lines: dict) -> list[str]:
    failed = [run["failed"] for run in runs if "failed" in run]
    runs = [run for run in runs if "failed" not in run]
    if not runs:
        return [name, str(len(failed)), "", f"failed: {failed[0][:60]}", *[""] * (len(COLUMNS) - 4)]
    right = _right(runs)
    half = 1.96 * right.mean(0).std() / right.shape[1] ** 0.5
    cells = [
        name,
        f"{len(runs)}" + (f" ({len(failed)} failed)" if failed else ""),
        ", ".join(sorted({str(run["epochs"]) for run in runs})),
        f"{100 * right.mean():.2f} ± {100 * half:.2f}",
    ]
    cells.append(
        _difference(runs, lines.get(name.split(" ")[0] + " twin", [])) if "inverted" in name else ""
    )
    if "exact" in runs[0]:
        found = [run["exact"] for run in runs]
        least = {bits: min(one[f"share_float{bits}"] for one in found) for bits in (64, 32)}
        worst = {bits: max(one[f"max_abs_error_float{bits}"] for one in found) for bits in (64, 32)}
        cells.append(", ".join(sorted({f"{one['images']:,}" for one in found})))
        cells += [f"{least[64]:.2%} / {least[32]:.1%}", f"{worst[64]:.0e} / {worst[32]:.0e}"]
        cells += [
            f"{max(max(run['conditions']) for run in runs):.3g}",
            f"{np.mean([run['inverse_over_forward'] for run in runs]):.1f}",
        ]
    else:
        cells += [""] * 5
    cells += [
        f"{np.mean([run['seconds'] for run in runs]):.0f}",
        f"{max(run['memory_mb'] for run in runs):.0f}",
    ]
    return cells


def _difference(runs: list[dict], twins: list[dict]) -> str:
    """Mean and 95 % interval of the paired difference, over images,
    of the means over shared seeds.
    """
    by_seed = {run["seed"]: run for run in twins if "failed" not in run}
    pairs = [(run, by_seed[run["seed"]]) for run in runs if run["seed"] in by_seed]
    if not pairs:
        return ""
    gap = (_right([a for a, _ in pairs]) - _right([b for _, b in pairs])).mean(0)
    return f"{100 * gap.mean():+.2f} ± {196 * gap.std() / len(gap) ** 0.5:.2f}"


def _conditions(lines: dict) -> Table:
    found = {name: runs[0]["conditions"] for name, runs in lines.items() if "conditions" in runs[0]}
    rows = [(name, ", ".join(f"{c:.1f}" for c in numbers)) for name, numbers in found.items()]
    return Table("Condition numbers, layer by layer, first seed", ("network", "numbers"), rows)


def figure_of_depth(rows: list[dict], path: Path) -> None:
    """Against depth: wrong calls, the largest error of the way back, and images that came back."""
    groups: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        if row["table"] == "depth" and "right" in row:
            groups[row["row"].partition(" ")[2]].append(row)
    if not groups:
        return
    figure, (wrong, error, share) = plt.subplots(1, 3, figsize=(12, 3.4))
    for name, runs in groups.items():
        wrong.semilogx(*_against(runs, lambda run: 100 - 100 * _right([run]).mean()), label=name)
        if "exact" in runs[0]:
            error.loglog(*_against(runs, lambda run: run["exact"]["max_abs_error_float64"]))
            share.semilogx(*_against(runs, lambda run: 100 * run["exact"]["share_float64"]))
        else:
            for axes in (error, share):
                axes.plot([], [])  # the next colour
    error.axhline(0.5, color="grey", lw=0.8)
    wrong.set(xlabel="3x3 convolutions", ylabel="test images called wrongly, %")
    error.set(xlabel="3x3 convolutions", ylabel="largest error, float64, grey levels")
    share.set(xlabel="3x3 convolutions", ylabel="images back exactly, float64, %", ylim=(-4, 104))
    wrong.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _against(
    runs: list[dict], value: Callable[[dict], float]
) -> tuple[list[int], list[float], str]:
    """Depths, values and the marks of a line."""
    runs = sorted(runs, key=lambda run: int(run["row"].split(" ")[0]))
    return [int(run["row"].split(" ")[0]) for run in runs], [value(run) for run in runs], "o-"

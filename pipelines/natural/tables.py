"""The tables and the figure of pipelines/natural/run.py, from its rows alone."""

from collections import defaultdict
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402


def write_tables(rows: list[dict], out: Path) -> None:
    """`tables.md`, and `depth.png` once a depth has come back."""
    tables = defaultdict(lambda: defaultdict(list))
    for row in rows:
        tables[row["table"]][row["row"]].append(row)
    text = [
        "Test accuracy in percent, mean over seeds with the 95 % interval of the images; difference: invertible less twin, paired by image and seed.",
        "",
    ]
    for table, lines in tables.items():
        text += [
            f"## {table}",
            "",
            "| network | seeds | accuracy | difference | exact f64 / f32 | largest error f64 / f32 | condition | back/forth | s | MB |",
            "|" + "---|" * 10,
        ]
        text += [_line(name, runs, lines) for name, runs in lines.items()] + [""]
    text += _conditions(tables["depth"]) + [
        "",
        *sorted({row["device"] for row in rows}),
        "",
        "Research use, not for diagnosis.",
    ]
    (out / "tables.md").write_text("\n".join(text) + "\n")
    _figure(tables["depth"], out / "depth.png")


def _right(runs: list[dict]) -> np.ndarray:
    """(seeds, images) 1 where the call was right."""
    return np.array([[int(c) for c in run["right"]] for run in runs])


def _line(name: str, runs: list[dict], lines: dict) -> str:
    failed = [run["failed"] for run in runs if "failed" in run]
    runs = [run for run in runs if "failed" not in run]
    if not runs:
        return f"| {name} | {len(failed)} | failed: {failed[0][:60]} | | | | | | | |"
    right = _right(runs)
    half = 1.96 * right.mean(0).std() / right.shape[1] ** 0.5
    cells = [
        name,
        f"{len(runs)}" + (f" ({len(failed)} failed)" if failed else ""),
        f"{100 * right.mean():.2f} ± {100 * half:.2f}",
    ]
    cells.append(
        _difference(runs, lines.get(name.split(" ")[0] + " twin", [])) if "inverted" in name else ""
    )
    if "exact" in runs[0]:
        found = [run["exact"] for run in runs]
        least = {bits: min(one[f"share_float{bits}"] for one in found) for bits in (64, 32)}
        worst = {bits: max(one[f"max_abs_error_float{bits}"] for one in found) for bits in (64, 32)}
        cells += [f"{least[64]:.2%} / {least[32]:.1%}", f"{worst[64]:.0e} / {worst[32]:.0e}"]
        cells += [
            f"{max(max(run['conditions']) for run in runs):.3g}",
            f"{np.mean([run['inverse_over_forward'] for run in runs]):.1f}",
        ]
    else:
        cells += [""] * 4
    cells += [
        f"{np.mean([run['seconds'] for run in runs]):.0f}",
        f"{max(run['memory_mb'] for run in runs):.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _difference(runs: list[dict], twins: list[dict]) -> str:
    """Mean and 95 % interval of the paired difference, over images, of the means over shared seeds."""
    by_seed = {run["seed"]: run for run in twins if "failed" not in run}
    pairs = [(run, by_seed[run["seed"]]) for run in runs if run["seed"] in by_seed]
    if not pairs:
        return ""
    gap = (_right([a for a, _ in pairs]) - _right([b for _, b in pairs])).mean(0)
    return f"{100 * gap.mean():+.2f} ± {196 * gap.std() / len(gap) ** 0.5:.2f}"


def _conditions(lines: dict) -> list[str]:
    found = {name: runs[0]["conditions"] for name, runs in lines.items() if "conditions" in runs[0]}
    return [
        "Condition numbers layer by layer, first seed:",
        "",
        *(f"- {name}: {', '.join(f'{c:.1f}' for c in numbers)}" for name, numbers in found.items()),
    ]


def _figure(lines: dict, path: Path) -> None:
    runs = sorted(
        (run for group in lines.values() for run in group if "exact" in run),
        key=lambda run: run["convolutions"],
    )
    if not runs:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for bits, marker in ((64, "o"), (32, "x")):
        depth = [run["convolutions"] for run in runs]
        left.loglog(
            depth,
            [max(run["exact"][f"max_abs_error_float{bits}"], 1e-16) for run in runs],
            marker,
            label=f"float{bits}",
        )
        right.semilogx(
            depth,
            [100 * run["exact"][f"share_float{bits}"] for run in runs],
            marker,
            label=f"float{bits}",
        )
    left.axhline(0.5, color="grey", lw=0.8)
    left.set(xlabel="inverted 3x3 convolutions", ylabel="largest error, grey levels")
    right.set(xlabel="inverted 3x3 convolutions", ylabel="images back exactly, %")
    left.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)

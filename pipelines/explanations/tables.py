"""The tables of faithfulness.py from its lines: python -m pipelines.explanations.tables runs/faithfulness/measured.jsonl"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from medinv.batch.results import write_atomically
from pipelines.explanations.explainers import FIXED, OURS, SLOW
from pipelines.explanations.measures import interval

BINS = (
    ("invisible", 0.0, 4.0),
    ("faint", 4.0, 8.0),
    ("visible", 8.0, 16.0),
    ("plain", 16.0, 256.0),
)
Rows = list[dict]


def write_tables(log: Path, out: Path) -> str:
    """Markdown of all that stands in `log`, for the weights seen last in each part."""
    parts: dict[str, Rows] = defaultdict(list)
    for one in map(json.loads, log.read_text().splitlines()):
        if parts[one["part"]] and parts[one["part"]][0]["weights"] != one["weights"]:
            parts[one["part"]] = []
        parts[one["part"]].append(one)
    if "wide" in parts:
        parts["wide"] += [one for one in parts.get("lesions", []) if one["method"] not in SLOW]
    text = (
        "\n\n".join(
            table
            for name, make in TABLES.items()
            if name in parts
            for table in make(name, parts[name])
        )
        + "\n"
    )
    write_atomically(out, text.encode())
    return text


def table(title: str, rows: Rows, columns: dict[str, tuple[str, str | None]]) -> str:
    """One line a method: mean [95 % interval]; below, ours less the best other method, paired by image. columns: heading to value and, of a ratio, weight."""
    by_method: dict[str, Rows] = defaultdict(list)
    for row in rows:
        by_method[row["method"]].append(row)
    lines = [
        f"**{title}** (n = {len(by_method[OURS])})",
        "",
        f"| method | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    found = {
        name: {head: of(mine, *keys) for head, keys in columns.items()}
        for name, mine in by_method.items()
    }
    lines += [
        f"| {name} | {' | '.join(cell(*values[head]) for head in columns)} |"
        for name, values in found.items()
    ]
    paired = []
    for head, (key, weight) in columns.items():
        others = {
            name: values[head][0]
            for name, values in found.items()
            if "ours" not in name and name != FIXED and np.isfinite(values[head][0])
        }
        if not others or weight == "low" or key in ("seconds", "residual"):
            paired.append("-")
            continue
        best = max(others, key=others.get)
        mine, theirs = (
            {(one["part"], one["image"], one.get("stage")): one for one in by_method[name]}
            for name in (OURS, best)
        )
        both = sorted(set(mine) & set(theirs), key=str)
        gaps = np.array([mine[one][key] - theirs[one][key] for one in both])
        paired.append(
            f"{cell(*interval(gaps, np.array([mine[one][weight] for one in both]) if weight else None))} {best}"
        )
    return "\n".join([*lines, f"| ours less best other | {' | '.join(paired)} |"])


def of(rows: Rows, key: str, weight: str | None) -> tuple[float, float, float]:
    return interval(
        np.array([row[key] for row in rows], float),
        np.array([row[weight] for row in rows]) if weight and weight != "low" else None,
    )


def cell(value: float, low: float, high: float) -> str:
    if not np.isfinite(value):
        return "-"
    return (
        f"{value:.3f} [{low:.3f}, {high:.3f}]"
        if abs(value) >= 1e-3 or value == 0
        else f"{value:.1e}"
    )


PLACED = {
    "pixel AUROC": ("auroc", None),
    "AUROC against other bodies' places": ("placed", None),
    "pointing game": ("pointing", None),
    "IoU": ("iou", None),
}
CURVES = {"deletion": ("deletion", "whole"), "insertion": ("insertion", "whole")}
CURVES |= {
    "deletion by region": ("deletion_regions", "whole"),
    "insertion by region": ("insertion_regions", "whole"),
}
COSTS = {"residual": ("residual", None), "s an image": ("seconds", None)}


def _lesions(name: str, rows: Rows) -> list[str]:
    right = [row for row in rows if row["called"] and row["contrast"] >= 8]
    tables = [
        table(
            "Planted opacities of 8 grey levels and more, called rightly",
            right,
            PLACED | CURVES | COSTS,
        )
    ]
    for label, low, high in BINS:
        inside = [row for row in rows if low <= row["contrast"] < high]
        called = [row for row in inside if row["called"]]
        if called:
            seen = sum(row["method"] == OURS for row in inside)
            tables.append(
                table(
                    f"{label}, {low:g} to {high:g} grey levels: of {seen} those called",
                    called,
                    PLACED,
                )
            )
        missed = [row for row in inside if not row["called"]]
        if missed:
            tables.append(table(f"{label}, not called", missed, PLACED))
    return tables


def _wide(name: str, rows: Rows) -> list[str]:
    groups = {
        "visible and called": (True, 8, 256),
        "faint and called": (True, 0, 8),
        "visible, not called": (False, 8, 256),
        "faint, not called": (False, 0, 8),
    }
    chosen = {
        words: [row for row in rows if row["called"] == called and low <= row["contrast"] < high]
        for words, (called, low, high) in groups.items()
    }
    return [table(f"All bodies, {words}", mine, PLACED) for words, mine in chosen.items() if mine]


def _repeat(name: str, rows: Rows) -> list[str]:
    title, columns = (
        "rank correlation with the map of the same image",
        {"with noise of 1 grey level": ("noise", None), "moved by 2 pixels": ("moved", None)},
    )
    return [table(f"{name}: {title}", rows, columns)]


def _weights(name: str, rows: Rows) -> list[str]:
    stages = dict.fromkeys(row["stage"] for row in rows)
    sizes = [row | {"likeness": abs(row["likeness"])} for row in rows]
    title = f"{name}: size of the rank correlation when random: "
    return [
        table(
            title + stage,
            [row for row in sizes if row["stage"] == stage],
            {"lower is better": ("likeness", "low")},
        )
        for stage in stages
    ]


def _marker(name: str, rows: Rows) -> list[str]:
    tables = []
    for group in dict.fromkeys(row["group"] for row in rows):
        mine = [row for row in rows if row["group"] == group]
        keys = [key for key in mine[0] if key.startswith(("pointing", "share"))]
        columns = {key.replace("_", " on the "): (key, None) for key in keys}
        chosen = {
            words: [row for row in mine if row["called"] == called]
            for words, called in (("called opacity", True), ("called clear", False))
        }
        tables += [
            table(f"Model that learned a marker, {group}, {words}", some, columns)
            for words, some in chosen.items()
            if some
        ]
    return tables


def _sham(name: str, rows: Rows) -> list[str]:
    return [
        table(
            "Model of permuted labels (must not localise)",
            rows,
            {head: (key, "low") for head, (key, _) in PLACED.items()},
        )
    ]


def _seeds(name: str, rows: Rows) -> list[str]:
    looking = [
        row for row in rows if row["method"] != "random"
    ]  # which is the same for any network
    return [
        table(
            "Two trainings of one recipe: rank correlation of their maps",
            looking,
            {"likeness": ("likeness", None)},
        )
    ]


def _chest(name: str, rows: Rows) -> list[str]:
    return [
        table(
            "Test films with pneumonia, called rightly; empty: the training film called normal that is most like each",
            rows,
            CURVES | COSTS,
        )
    ]


def _claims(name: str, rows: Rows) -> list[str]:
    """How often a place is claimed, and of the claims on images with a mask how many lie on it."""
    lines = [
        "| images | n | a place is claimed | claimed places on the opacity |",
        "|---|---|---|---|",
    ]
    kinds = [(sick, called) for sick in (True, False) for called in (True, False)]
    groups = {kind: [row for row in rows if (row["sick"], row["called"]) == kind] for kind in kinds}
    for (sick, called), mine in groups.items():
        if mine:
            hits = [row["pointing"] for row in mine if row["claimed"] and "pointing" in row]
            words = f"{'with' if sick else 'without'} the finding, {'called' if called else 'not called'}"
            lines.append(
                f"| {words} | {len(mine)} | {cell(*interval(np.array([row['claimed'] for row in mine])))} | {cell(*interval(np.array(hits)))} |"
            )
    return ["\n".join([f"**{name}: what reports claim**", "", *lines])]


def _float64(name: str, rows: Rows) -> list[str]:
    return [
        f"Residual in float64: largest of {len(rows)} images {max(row['residual'] for row in rows):.1e}"
    ]


TABLES = {
    "lesions": _lesions, "wide": _wide, "float64": _float64, "repeat": _repeat, "weights": _weights, "marker": _marker, "seeds": _seeds, "sham": _sham, "chest": _chest, "claims": _claims, "chest claims": _claims,
    "chest repeat": _repeat, "chest weights": _weights,
}  # fmt: skip

if __name__ == "__main__":
    print(write_tables(Path(sys.argv[1]), Path(sys.argv[1]).with_name("faithfulness.md")))

"""The tables of the study of evidence, from its lines.

python -m pipelines.explanations.tables runs/faithfulness/measured.jsonl
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from pipelines.explanations.explainers import FIXED, OURS, SLOW
from pipelines.explanations.measures import interval
from pipelines.record import Table, record

BINS = (
    ("invisible", 0.0, 4.0),
    ("faint", 4.0, 8.0),
    ("visible", 8.0, 16.0),
    ("plain", 16.0, 256.0),
)
Rows = list[dict]


def write_page(log: Path, command: str) -> str:
    """The results page of all that stands in `log`, for the weights seen last in each part."""
    parts: dict[str, Rows] = defaultdict(list)
    for one in map(json.loads, log.read_text().splitlines()):
        if parts[one["part"]] and parts[one["part"]][0]["weights"] != one["weights"]:
            parts[one["part"]] = []
        parts[one["part"]].append(one)
    if "wide" in parts:
        parts["wide"] += [one for one in parts.get("lesions", []) if one["method"] not in SLOW]
    made = [table for name in TABLES if name in parts for table in TABLES[name](name, parts[name])]
    page = record(
        "explanations",
        title="Does the evidence point at what is there?",
        claim="Methods side by side on planted findings of known mask, "
        "and on what an explanation must not do.",
        tables=made,
        made={"command": command},
    )
    return page.read_text()


def table(title: str, rows: Rows, columns: dict[str, tuple[str, str | None]]) -> Table:
    """One line a method: mean [95 % interval]; below, ours less the best other, paired by image.

    columns: heading to value and, of a ratio, weight.
    """
    by_method: dict[str, Rows] = defaultdict(list)
    for row in rows:
        by_method[row["method"]].append(row)
    found = {
        name: {head: of(mine, *keys) for head, keys in columns.items()}
        for name, mine in by_method.items()
    }
    lines = [[name, *(cell(*v[head]) for head in columns)] for name, v in found.items()]
    best = [_lead(head, *keys, found, by_method) for head, keys in columns.items()]
    heading = f"{title} (n = {len(by_method[OURS])})"
    return Table(heading, ("method", *columns), [*lines, ["ours less best other", *best]])


def _lead(head: str, key: str, weight: str | None, found: dict, by_method: dict[str, Rows]) -> str:
    """Ours less the best other method of a column, paired by image, and which method that is."""
    others = {
        name: values[head][0]
        for name, values in found.items()
        if "ours" not in name and name != FIXED and np.isfinite(values[head][0])
    }
    if not others or weight == "low" or key in ("seconds", "residual"):
        return "-"
    best = max(others, key=lambda name: others[name])
    mine, theirs = (
        {(one["part"], one["image"], one.get("stage")): one for one in by_method[name]}
        for name in (OURS, best)
    )
    both = sorted(set(mine) & set(theirs), key=str)
    gaps = np.array([mine[one][key] - theirs[one][key] for one in both])
    weights = np.array([mine[one][weight] for one in both]) if weight else None
    return f"{cell(*interval(gaps, weights))} {best}"


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


def _lesions(name: str, rows: Rows) -> list[Table]:
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


def _wide(name: str, rows: Rows) -> list[Table]:
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


def _repeat(name: str, rows: Rows) -> list[Table]:
    title, columns = (
        "rank correlation with the map of the same image",
        {"with noise of 1 grey level": ("noise", None), "moved by 2 pixels": ("moved", None)},
    )
    return [table(f"{name}: {title}", rows, columns)]


def _weights(name: str, rows: Rows) -> list[Table]:
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


def _marker(name: str, rows: Rows) -> list[Table]:
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


def _sham(name: str, rows: Rows) -> list[Table]:
    return [
        table(
            "Model of permuted labels (must not localise)",
            rows,
            {head: (key, "low") for head, (key, _) in PLACED.items()},
        )
    ]


def _seeds(name: str, rows: Rows) -> list[Table]:
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


def _chest(name: str, rows: Rows) -> list[Table]:
    return [
        table(
            "Test films with pneumonia, called rightly; "
            "empty: the training film called normal that is most like each",
            rows,
            CURVES | COSTS,
        )
    ]


def _claims(name: str, rows: Rows) -> list[Table]:
    """How often a place is claimed, and of the claims on images with a mask how many lie on it."""
    lines = []
    for sick, called in ((True, True), (True, False), (False, True), (False, False)):
        mine = [row for row in rows if (row["sick"], row["called"]) == (sick, called)]
        if mine:
            hits = [row["pointing"] for row in mine if row["claimed"] and "pointing" in row]
            answer = "called" if called else "not called"
            words = f"{'with' if sick else 'without'} the finding, {answer}"
            claimed = cell(*interval(np.array([row["claimed"] for row in mine])))
            lines.append([words, str(len(mine)), claimed, cell(*interval(np.array(hits)))])
    columns = ("images", "n", "a place is claimed", "claimed places on the opacity")
    return [Table(f"{name}: what reports claim", columns, lines)]


def _float64(name: str, rows: Rows) -> list[Table]:
    worst = f"{max(row['residual'] for row in rows):.1e}"
    return [Table("Residual in float64", ("images", "largest"), [[str(len(rows)), worst]])]


TABLES = {
    "lesions": _lesions,
    "wide": _wide,
    "float64": _float64,
    "repeat": _repeat,
    "weights": _weights,
    "marker": _marker,
    "seeds": _seeds,
    "sham": _sham,
    "chest": _chest,
    "claims": _claims,
    "chest claims": _claims,
    "chest repeat": _repeat,
    "chest weights": _weights,
}

if __name__ == "__main__":
    print(write_page(Path(sys.argv[1]), "python -m pipelines.explanations.run"))

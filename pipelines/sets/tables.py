"""What the commands of a set left behind, as figures and as rows of a page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.record import Table
from pipelines.sets.commands import Said
from pipelines.sets.own import Own

FIVE = ("prepare", "init", "train", "audit", "evaluate")
CLAIM = """\
Can somebody with images and a list of labels get a model with its card by five commands and no
Python, and what does running backwards cost in AUC? Each set was given to `medinv prepare`, `init`,
`train`, `audit` and `evaluate` as the last table has it; the twin is the ordinary network of the
same widths, trained by `medinv train --twin` for as many epochs. Many of these sets are small and
their budgets are too: the figures compare two networks, they are not the best of either."""
NOTE = (
    "95 % intervals from resamples of whole patients; the difference is paired, model less twin. "
    "Minutes of one processor core: of the five commands, and of the twin's training. Exact: share "
    "of test images that come back from their features, each value rounded, of the last column's "
    "many; at 16 bits to one of 65,536 levels."
)


def figures(own: Own, folder: Path, said: Mapping[str, Said]) -> dict[str, Any]:
    """Numbers by key: counts of the set, minutes, metrics of both networks, exactness."""
    told: dict[str, Any] = {
        "says": own.says,
        "minutes": _minutes(said, FIVE),
        "twin_minutes": _minutes(said, ("twin",)),
        "lines": sum(step in said for step in FIVE),
        "commands": [each["typed"] for each in said.values()],
        "failed": {
            step: each["out"].strip().splitlines()[-1]
            for step, each in said.items()
            if each["code"] > (step == "prepare")  # which tells of broken files by 1
        },
    }
    info = _read(folder / own.name / "dataset.json")
    if info:
        told |= {
            "images": sum(sum(part.values()) for part in info["counts"].values()),
            "classes": len(info["classes"]),
            "size": " x ".join(map(str, info["size"])),
            "channels": info["channels"],
            "bits": info["bits"],
        }
    card = _read(folder / "model" / "card.json")
    if card:
        told |= {
            "kind": card["config"]["model"]["kind"],
            "epochs": card["config"]["train"]["epochs"],
            "exact": card["exactness"],
        }
    twin = _read(folder / "twin" / "card.json")
    told["twin"] = {name: twin["metrics"][name] for name in ("auc", "accuracy")} if twin else {}
    found = _read(folder / "found.json")
    whole = found["groups"][0] if found else {"metrics": {}, "difference": {}}
    told["model"] = {name: one for name, one in whole["metrics"].items() if name in told["twin"]}
    told["difference"] = {name: whole["difference"].get(name) for name in told["model"]}
    told["groups"] = [group for group in found["groups"][1:] if group["metrics"]] if found else []
    audit = _read(folder / "audit" / "audit.json")
    told["verdict"] = audit["verdict"]["sentence"] if audit else ""
    told["cautions"] = audit["verdict"]["cautions"] if audit else []
    told["columns"] = {
        each["key"].removeprefix("column."): each["estimate"]
        for each in (audit["figures"] if audit else [])
        if each["key"].startswith("column.")
    }
    return told


def _minutes(said: Mapping[str, Said], steps: tuple[str, ...]) -> float:
    return round(sum(said[step]["seconds"] for step in steps if step in said) / 60, 1)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}


def tables(found: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """The page's tables, of all sets that were tried."""
    columns = (
        "set",
        "what",
        "images",
        "classes",
        "size",
        "model",
        "epochs",
        "lines typed",
        "minutes",
        "AUC",
        "twin, AUC",
        "difference",
        "accuracy",
        "twin, accuracy",
        "exact, float64 / float32",
        "images inverted",
    )
    rows = [_row(name, one) for name, one in found.items() if "exact" in one]
    return [
        Table("From files to a model", columns, rows, NOTE),
        Table(
            "What the audits say",
            ("set", "verdict", "cautions", "AUC of the label, told by a column alone"),
            [_audited(n, one) for n, one in found.items() if one["verdict"] or one["failed"]],
            "By `medinv audit --quick`, on test images.",
        ),
        Table(
            "Subgroups",
            ("set", "group", "images", "AUC", "less the twin's"),
            [_group(name, group) for name, one in found.items() for group in one["groups"]],
            "Test images; groups without images of every class are left out.",
        ),
        Table(
            "What was typed",
            ("set", "commands"),
            [[n, "<br>".join(f"`{c}`" for c in one["commands"])] for n, one in found.items()],
            "DATA/ is the folder that MEDINV_DATA names.",
        ),
    ]


def _row(name: str, one: Mapping[str, Any]) -> list[str]:
    exact, size = one["exact"], one["size"]
    size += f" x {one['channels']}" if one["channels"] > 1 else ""
    size += f", {one['bits']} bits" if one["bits"] > 8 else ""
    return [
        name,
        one["says"],
        f"{one['images']:,}",
        str(one["classes"]),
        size,
        "density" if one["kind"] == "invertible" else one["kind"],
        str(one["epochs"]),
        str(one["lines"]),
        f"{one['minutes']:.1f} + {one['twin_minutes']:.1f}",
        _said(one["model"], "auc"),
        _said(one["twin"], "auc"),
        _said(one["difference"], "auc", "+"),
        _said(one["model"], "accuracy"),
        _said(one["twin"], "accuracy"),
        f"{exact['share_float64']:.2%} / {exact['share_float32']:.2%}",
        str(exact["images"]),
    ]


def _said(metrics: Mapping[str, Any], name: str, sign: str = "") -> str:
    one = metrics.get(name)
    if not one:
        return "-"
    return f"{one['value']:{sign}.3f} ({one['low']:{sign}.3f} to {one['high']:{sign}.3f})"


def _audited(name: str, one: Mapping[str, Any]) -> list[str]:
    columns = (f"{column} {_said(one['columns'], column)}" for column in one["columns"])
    verdict = one["verdict"] or one["failed"].get("audit", "-")
    return [name, verdict, " ".join(one["cautions"]), "<br>".join(columns) or "-"]


def _group(name: str, group: Mapping[str, Any]) -> list[str]:
    return [
        name,
        f"{group['column']} {group['value']}".strip(),
        str(group["images"]),
        _said(group["metrics"], "auc"),
        _said(group["difference"], "auc", "+"),
    ]

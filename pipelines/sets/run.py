"""Sets of others, from files to a model with its card by the public commands alone.

    MEDINV_DATA=... python -m pipelines.sets.run [--only NAME ...] [--quick] [--out runs/sets]

Of each set: `medinv prepare`, `init`, `train`, `audit` and `evaluate` are run as a user types them,
without Python, and beside them the ordinary twin is trained at the same number of epochs. What a
set gave is kept in --out as it ends, and a run that was cut off goes on after the last command.
`--quick`: few images, one epoch, and no results page. About 45 processor minutes in all.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from medinv.files import write_whole
from pipelines.record import record
from pipelines.sets.commands import Said, run
from pipelines.sets.own import OWN, Own
from pipelines.sets.tables import CLAIM, figures, tables

# What the commands behind them need.
GIVES = {"prepare": "{}/dataset.json", "init": "own.yaml", "train": "model/card.json"}


def typed(own: Own, *, quick: bool) -> dict[str, str]:
    """The commands by step, in order; `twin` and those of `then` are beside the five."""
    epochs = 1 if quick else own.epochs
    budget = "" if epochs is None else f" --set train.epochs={epochs}"
    by = f" --by {own.by}" if own.by else ""
    return {
        "prepare": f"prepare {own.prepare} --out {own.name}",
        "init": f"init {own.name} --out own.yaml",
        "train": f"train own.yaml --out model{budget}",
        "twin": f"train own.yaml --out twin{budget} --twin",
        "audit": "audit model --quick --out audit",
        "evaluate": f"evaluate -m model --data {own.name} --against twin --json found.json{by}",
        **{f"then {number}": words for number, words in enumerate(own.then, 1)},
    }


def tried(own: Own, out: Path, *, quick: bool) -> dict[str, Said]:
    """Every command of a set, those that were run before not again."""
    folder = out / own.name
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "commands.json"
    done: dict[str, Said] = json.loads(kept.read_text()) if kept.is_file() else {}
    if not done:
        own.lay_out(folder, quick)
    for step, words in typed(own, quick=quick).items():
        if step in done and done[step]["code"] != 130:
            continue
        print(f"{own.name}: medinv {words}", flush=True)
        before = done[step]["seconds"] if step in done and done[step]["code"] == 130 else 0.0
        done[step] = said = run(words, folder)
        said["seconds"] += before  # it goes on from where it was interrupted
        write_whole(kept, json.dumps(done, indent=1).encode())
        print(said["out"], flush=True)
        if said["code"] == 130:
            raise KeyboardInterrupt
        if step in GIVES and not (folder / GIVES[step].format(own.name)).exists():
            break
    return done


def flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested figures by names such as `ct.model.auc`; an estimate is a leaf."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and "value" not in value:
            yield from flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def unfinished(found: Mapping[str, Mapping[str, Any]]) -> str:
    """A sentence on the sets that gave no model yet; empty without."""
    missing = [own.name for own in OWN if "exact" not in found.get(own.name, {})]
    return f" Not finished yet, so that nothing is said of them: {', '.join(missing)}." * bool(
        missing
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [own.name for own in OWN]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--quick", action="store_true", help="to try it; writes no results page")
    parser.add_argument("--out", type=Path, default=Path("runs/sets"))
    given = parser.parse_args()
    for name in given.only:
        tried(OWN[names.index(name)], given.out.resolve(), quick=given.quick)
    found: dict[str, dict[str, Any]] = {}
    for own in OWN:
        if (kept := given.out / own.name / "commands.json").is_file():
            found[own.name] = figures(own, given.out / own.name, json.loads(kept.read_text()))
    made = tables(found)
    for table in made:
        print(table.markdown())
    if not given.quick:
        numbers = dict(flat(found))
        seconds = sum(one["minutes"] for one in found.values()) * 60
        record(
            "sets",
            title="Sets of others, by the public commands",
            claim=CLAIM + unfinished(found),
            tables=made,
            made={
                "command": "python -m pipelines.sets.run",
                "processor seconds": round(seconds),
                "threads": 1,
            },
            numbers=numbers,
        )


if __name__ == "__main__":
    main()

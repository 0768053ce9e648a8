"""The systems that medinv's ideas come from, each a study of its own: their pages, and one table.

    python -m pipelines.seeds.table

A system's run.py ends with `write`, which writes pipelines/results/seeds-NAME.md and .json and then
README.md beside this file: a row a system, read from the JSON files alone, so that nothing is
written twice. The command makes the table anew.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medinv.files import write_whole
from pipelines.record import RESULTS, ROOT, Table, record

PAGE = Path(__file__).with_name("README.md")
HEAD = """\
# Where medinv's ideas come from

Systems that others described, built anew at a size that a processor can carry, and measured. Each
is a folder here with `run.py` (`python -m pipelines.seeds.NAME.run`, `--quick` in two minutes or
less, which leaves the pages alone) and a page in pipelines/results. This table is written by
`python -m pipelines.seeds.table` from what those runs recorded. Research use, not for diagnosis.
"""
COLUMNS = ("", "system", "claimed", "measured", "seeds", "minutes", "useful for")


@dataclass(frozen=True)
class System:
    """A system's row. `name` is its folder; `useful` says for whom and what, or "nothing: why"."""

    number: int
    name: str
    title: str
    claimed: str
    measured: str
    seeds: str
    useful: str


def options(said: str | None, quick: str = "") -> argparse.ArgumentParser:
    """The parser of a system's command, which says what its module says; `quick`: what that does
    less of.
    """
    parser = argparse.ArgumentParser(
        description=said, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def write(
    system: System,
    built: str,
    tables: Sequence[Table],
    *,
    seconds: float,
    numbers: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> Path:
    """Write a system's page and, unless `quick`, the table of all; returns the page.

    built: what was built and how it was measured, what a null result means. seconds: of the
    processor. A quick run's page goes to runs/seeds, so that it stands in for no full one.
    """
    folder = ROOT / "runs" / "seeds" if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    claim = (
        f"**Claimed.** {system.claimed}\n\n**Built.** {built}\n\n**Measured.** {system.measured}"
        f"\n\n**Useful for.** {system.useful}"
    )
    minutes = f"{seconds / 60:.1f}"
    page = record(
        f"seeds-{system.name}",
        title=f"{system.number}. {system.title}",
        claim=claim,
        tables=tables,
        numbers=numbers,
        made={
            "command": f"python -m pipelines.seeds.{system.name}.run" + " --quick" * quick,
            "seeds": system.seeds,
            "processor minutes": minutes,
        },
        folder=folder,
        facts={"system": {**asdict(system), "minutes": minutes}},
    )
    if not quick:
        write_whole(PAGE, table().encode())
    return page


def table() -> str:
    """The page of all systems that were run, by their number."""
    found = [json.loads(path.read_text())["system"] for path in RESULTS.glob("seeds-*.json")]
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    for one in sorted(found, key=lambda one: one["number"]):
        linked = f"[{one['title']}](../results/seeds-{one['name']}.md)"
        keys = ("claimed", "measured", "seeds", "minutes", "useful")
        lines.append([str(one["number"]), linked, *(one[key] for key in keys)])
    return HEAD + "\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    write_whole(PAGE, table().encode())

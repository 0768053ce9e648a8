"""What a study found, on a page for people and in a file for the tests that compare what is
quoted elsewhere with it.

`record` writes pipelines/results/STUDY.md and STUDY.json. A number in the README stands between
`<!--q STUDY KEY FORMAT-->` and `<!--/q-->`; `python -m pipelines.record` fills them in from the
JSON files, `--check` fails where one has drifted (a test does that).
"""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medinv.files import write_whole

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "pipelines" / "results"
EARLIER = "<!-- earlier -->"
"""What stands below this line of a page was printed by the scripts before they wrote their pages
themselves, and is kept.
"""
_QUOTE = re.compile(r"<!--q (\S+) (\S+) (\S+)-->(.*?)<!--/q-->")


@dataclass(frozen=True)
class Table:
    """Rows under a heading of a results page; `note` says what the reader must know to read it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    note: str = ""

    @property
    def cells(self) -> dict[str, str]:
        """Every cell by title, row (with its second cell where the first does not
        tell rows apart) and column.
        """
        first = [row[0] for row in self.rows]
        names = [
            n if first.count(n) == 1 else f"{n}, {r[1]}"
            for n, r in zip(first, self.rows, strict=True)
        ]
        return {
            f"{self.title}|{name}|{column}": cell
            for name, row in zip(names, self.rows, strict=True)
            for column, cell in zip(self.columns[1:], row[1:], strict=True)
        }

    def markdown(self) -> str:
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        body = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
        return f"## {self.title}\n\n" + (f"{self.note}\n\n" if self.note else "") + body + "\n"


def record(
    study: str,
    *,
    title: str,
    claim: str,
    tables: Sequence[Table],
    made: Mapping[str, Any],
    numbers: Mapping[str, Any] | None = None,
    folder: Path = RESULTS,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write a study's page and numbers; returns the page.

    claim: what was asked and what came out, in a few sentences. numbers: by key, a number, a text,
    or a value with its interval as a mapping of `value`, `low`, `high` and `n`; without them every
    cell of the tables. made: command, seeds, seconds and whatever else says how the numbers came to
    be; the commit and the date are added.
    """
    how_made = {**made, "commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    how = "; ".join(f"{key} {value}" for key, value in how_made.items())
    page = folder / f"{study}.md"
    kept = page.read_text().partition(EARLIER)[2] if page.is_file() else ""
    text = f"# {title}\n\n{claim}\n\n*{how}. Research use, not for diagnosis.*\n\n"
    text += "\n".join(table.markdown() for table in tables)
    write_whole(page, (text + (f"\n{EARLIER}{kept}" if kept else "")).encode())
    told = {key: cell for table in tables for key, cell in table.cells.items()}
    tree = {"study": study, **(facts or {}), "made": how_made, "numbers": dict(numbers or told)}
    write_whole(page.with_suffix(".json"), (json.dumps(tree, indent=1) + "\n").encode())
    return page


def commit() -> str:
    """That of the working tree, short; "unknown" without one."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    asked = subprocess.run(git, cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() or "unknown"


def said(study: str, key: str, form: str) -> str:
    """A recorded number as text: by a format such as `.3f` or `.1%`,
    and `|interval` behind it for its bounds too.

    Raises KeyError for a number that no study recorded.
    """
    value = json.loads((RESULTS / f"{study}.json").read_text())["numbers"][key]
    plain, _, interval = form.partition("|")
    if not isinstance(value, Mapping):
        return _formatted(value, plain)
    text = _formatted(value["value"], plain)
    bounds = f" ({_formatted(value['low'], plain)} to {_formatted(value['high'], plain)})"
    return text + (bounds if interval else "")


def _formatted(value: Any, form: str) -> str:
    return format(value, form).replace("%", " %") if form != "s" else str(value)


def filled(text: str) -> str:
    """A text with every quoted number as it was last recorded."""
    return _QUOTE.sub(
        lambda q: f"<!--q {q[1]} {q[2]} {q[3]}-->{said(q[1], q[2], q[3])}<!--/q-->", text
    )


def unquoted_numbers(text: str) -> list[str]:
    """Measured numbers (with a decimal point or a percent sign)
    that stand outside of quotes, code and versions.
    """
    text = _QUOTE.sub("", text)
    text = re.sub(
        r"```.*?```|`[^`]*`|\([^)]*\)\[|\]\([^)]*\)|(Python|or) 3\.\d+|Apache-2\.0",
        "",
        text,
        flags=re.S,
    )
    return re.findall(r"\d+\.\d+|\d+ ?%", text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    now = filled(readme.read_text())
    if "--check" in sys.argv and now != readme.read_text():
        sys.exit(
            "README.md quotes other numbers than pipelines/results: python -m pipelines.record"
        )
    write_whole(readme, now.encode())

"""Rows of a long measurement, kept as each ends."""

import json
from collections.abc import Callable
from pathlib import Path


class Kept:
    """Rows by name, a line each of a file; one cut off by a crash is measured again."""

    def __init__(self, path: Path, *, anew: bool = False):
        self.path, self.rows = path, dict[str, list[str]]()
        if anew:
            path.unlink(missing_ok=True)
        for line in path.read_text().splitlines() if path.is_file() else ():
            try:
                name, row = json.loads(line)
            except ValueError:
                continue
            self.rows[name] = row

    def row(self, name: str, measure: Callable[[], list[str]]) -> list[str]:
        """The row kept under a name, or measured and kept now."""
        if name not in self.rows:
            self.rows[name] = measure()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps([name, self.rows[name]]) + "\n")
            print(" | ".join(self.rows[name]), flush=True)
        return self.rows[name]

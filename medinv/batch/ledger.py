"""The ledger of a run: one SQLite file that holds every finished row.

Nothing done is ever lost, done again or listed twice. A row is known by its study and model, and is
valid for one `key`: the hash of the study's files, the model's card and the options, and behind a
`+` what was written beside the row. A row with more beside it than is asked for stands. Each `put`
is one transaction; a process killed at any moment leaves the transactions before it.

One process of one machine has a ledger at a time, and keeps its index in its own memory (locking
mode EXCLUSIVE): nothing is shared through the file system but the file.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from medinv.analysis.result import StudyResult
from medinv.errors import ConfigError, OutputError

FILE = "ledger.sqlite"
_TABLE = """CREATE TABLE IF NOT EXISTS results (
    study TEXT, model TEXT, key TEXT NOT NULL, study_index INTEGER NOT NULL,
    model_index INTEGER NOT NULL, failed INTEGER NOT NULL, row TEXT NOT NULL,
    PRIMARY KEY (study, model)) WITHOUT ROWID"""


def key_of(digest: str, beside: Iterable[str]) -> str:
    """The key of a row with such files beside it."""
    return f"{digest}+{','.join(sorted(beside))}"


def beside(key: str) -> frozenset[str]:
    """What a key says was written beside the row."""
    return frozenset(filter(None, key.partition("+")[2].split(",")))


def begun_with(folder: Path) -> frozenset[str]:
    """What was written beside the rows of a folder's ledger; empty where there is none to read."""
    if not (folder / FILE).is_file():
        return frozenset()
    try:
        with closing(sqlite3.connect(folder / FILE, timeout=1)) as database:
            rows = database.execute("SELECT DISTINCT key FROM results").fetchall()
    except sqlite3.Error:  # who opens it to write says what is wrong
        return frozenset()
    return frozenset[str]().union(*(beside(key) for (key,) in rows))


def remove_ledger(folder: Path) -> None:
    """Forget all rows. Raises OSError."""
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (folder / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Slot:
    """Where a row belongs."""

    study: str  # pseudonym
    model: str  # name
    key: str
    study_index: int  # among those of the index
    model_index: int  # among those asked for


class Ledger:
    """Open for one run at a time.

    Raises ConfigError if another run has it, OutputError if it cannot be written.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        with self._errors():
            self._database = sqlite3.connect(folder / FILE, timeout=1, isolation_level=None)
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute(_TABLE)
            self._database.execute("COMMIT")

    def keep(self, slots: Sequence[Slot], *, failed: bool) -> set[Slot]:
        """Drop every row that fits none of `slots`, and without `failed` those that failed.

        Returns the slots that have their row. Raises ConfigError, and drops nothing, where rows
        stand of studies or models that are not among `slots`.
        """
        with self._errors(), self._transaction():
            known = {
                (study, model): (key, bad)
                for study, model, key, bad in self._database.execute(
                    "SELECT study, model, key, failed FROM results"
                )
            }
            others = known.keys() - {(slot.study, slot.model) for slot in slots}
            if others:
                raise ConfigError(
                    f"{len(others)} results here are of studies or models that this run was not "
                    "asked for: pass the same inputs and models, or name another folder, or pass "
                    "--overwrite to replace all",
                    path=self._folder,
                )
            kept = {
                slot
                for slot in slots
                if (row := known.get((slot.study, slot.model)))
                and _fits(row[0], slot.key)
                and (failed or not row[1])
            }
            stale = known.keys() - {(slot.study, slot.model) for slot in kept}
            self._database.executemany("DELETE FROM results WHERE study = ? AND model = ?", stale)
            self._database.executemany(
                "UPDATE results SET study_index = ?, model_index = ? WHERE study = ? AND model = ?",
                [(slot.study_index, slot.model_index, slot.study, slot.model) for slot in kept],
            )
        return kept

    def put(self, results: Sequence[tuple[Slot, StudyResult]]) -> None:
        """Keep rows; they outlive the process when this returns."""
        values = [
            (
                slot.study,
                slot.model,
                slot.key,
                slot.study_index,
                slot.model_index,
                bool(result.status == "failed" or result.broken),
                json.dumps(result.row(), allow_nan=False),
            )
            for slot, result in results
        ]
        with self._errors(), self._transaction():
            self._database.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )

    def results(self) -> Iterator[tuple[int, StudyResult]]:
        """Index of its study, and result, of every row, by study, then model.

        The order does not depend on what was done when.
        """
        order = "study_index, model_index, study, model"
        with self._errors():
            for study_index, text in self._database.execute(
                f"SELECT study_index, row FROM results ORDER BY {order}"
            ):
                yield study_index, StudyResult.model_validate_json(text)

    def close(self) -> None:
        """Let another run have it."""
        with self._errors():
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise ConfigError(
                    "another run is writing here: wait for it or name another folder",
                    path=self._folder,
                ) from error
            raise OutputError(
                f"the ledger cannot be written ({error}); what is done is kept: make room, then "
                "run again with --resume",
                path=self._folder,
            ) from error
        except sqlite3.DatabaseError as error:
            raise OutputError(
                f"{FILE} is no ledger or damaged ({error}): pass --overwrite to begin again",
                path=self._folder,
            ) from error


def _fits(key: str, asked: str) -> bool:
    return key.partition("+")[0] == asked.partition("+")[0] and beside(key) >= beside(asked)

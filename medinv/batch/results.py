"""The folder of a run: its ledger, the tables made of it, and what an earlier run left there."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, overload

from medinv.analysis.result import StudyResult
from medinv.batch.ledger import FILE, Ledger, remove_ledger
from medinv.batch.lock import locked
from medinv.batch.tables import TABLES, Add
from medinv.errors import ConfigError, OutputError
from medinv.files import write_whole

IndexedResults = Iterable[tuple[int, StudyResult]]  # each with the index of its study
Record = Callable[[IndexedResults], dict[str, Any]]
LINES, RECORD = "results.jsonl", "run.json"
PAGES = (
    "index.html",
    "reports/*/*/report.html",
    "reports/*/*/report.pdf",
    "reports/*/*/report.json",
)
OBJECTS = "reports/*/*/*.dcm"


class Results(Sequence[StudyResult]):
    """The results of a folder, read anew each time, so that a long run does not fill the memory."""

    def __init__(self, folder: Path):
        self._path = folder / LINES

    def __len__(self) -> int:
        return sum(1 for _ in self._lines())

    def __iter__(self) -> Iterator[StudyResult]:
        return map(StudyResult.model_validate_json, self._lines())

    @overload
    def __getitem__(self, index: int) -> StudyResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[StudyResult]: ...
    def __getitem__(self, index: int | slice) -> StudyResult | list[StudyResult]:
        return list(self)[index]

    def _lines(self) -> Iterator[str]:
        with self._path.open(encoding="utf-8") as lines:
            yield from lines


def check_free(folder: Path, *, overwrite: bool = False, resume: bool = False) -> None:
    """Raise ConfigError where results stand that nobody said should be continued or replaced."""
    stands = any((folder / name).exists() for name in (LINES, FILE))
    if stands and not overwrite and not resume:
        raise ConfigError(
            "results stand here already: name another folder, or pass --resume to continue or "
            "--overwrite to replace",
            path=folder,
        )


@contextmanager
def opened(folder: Path, *, overwrite: bool = False, resume: bool = False) -> Iterator[Ledger]:
    """The ledger of the folder, which is this run's alone until the block ends.

    `overwrite`, without `resume`, first removes what an earlier run wrote here, and at the end
    those of its DICOM results that this run did not write again: until then they are what the new
    ones supersede. Raises ConfigError while another run works here and where results stand that
    nobody said should be continued or replaced, OutputError where nothing can be written.
    """
    anew = overwrite and not resume
    with locked(folder):
        check_free(folder, overwrite=overwrite, resume=resume)
        if anew:
            with _writing(folder):
                remove_ledger(folder)
                _remove(folder, (LINES, "results.csv", "results.parquet", RECORD, *PAGES), set())
        with closing(Ledger(folder)) as ledger:
            yield ledger
            if anew:
                named = {folder / name for _, one in ledger.results() for name in one.dicom}
                with _writing(folder):
                    _remove(folder, (OBJECTS,), named)


def write_tables(folder: Path, results: IndexedResults, record: Record) -> dict[str, Any]:
    """Write the results as tables, each whole or not at all, and, last, run.json.

    `record` makes run.json of the results as they pass. Raises OutputError.
    """
    try:
        with ExitStack() as stack:
            tables = [stack.enter_context(table(folder)) for table in TABLES]
            run = record(_passing(results, tables))
    except OutputError as error:
        message = f"the results {error.message}; what is done is kept: --resume does the rest"
        raise OutputError(message, path=error.path) from error
    write_whole(folder / RECORD, json.dumps(run, indent=1).encode())
    return run


def _passing(results: IndexedResults, tables: Sequence[Add]) -> Iterator[tuple[int, StudyResult]]:
    for study_index, result in results:
        for add in tables:
            add(result)
        yield study_index, result


def _remove(folder: Path, patterns: Sequence[str], kept: set[Path]) -> None:
    """Delete files by pattern, and the folders under reports that this leaves empty."""
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if path in kept or not path.is_file():
            continue
        path.unlink()
        for parent in path.parents:
            if parent == folder or any(parent.iterdir()):
                break
            parent.rmdir()


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot write here: {error.strerror}; choose a folder you may write to", path=folder
        ) from error

"""The ledger of a run: one file of lines that holds every finished row.

Nothing done is ever lost, done again or listed twice. A row is known by its study and model, and is
valid for one `key`: the hash of the study's files, the model's card and the options, and behind a
`+` what was written beside the row. A row with more beside it than is asked for stands.

Each `put` appends whole lines, of which the last of a study and model counts; a line that a kill
cut is dropped when the file is opened next. It asks nothing of a file system but that one process
of one machine may append to a file, which `lock.locked` sees to: a shard's ledger may lie on a
folder that machines share, where a database would need locks and memory in common.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from medinv.analysis.result import StudyResult
from medinv.errors import ConfigError, OutputError
from medinv.files import whole

FILE = "ledger.jsonl"
_FIRST = b'"medinv ledger 1"\n'
_BETWEEN = b"\t"  # a slot and its row: in JSON it is written otherwise


def key_of(digest: str, beside: Iterable[str]) -> str:
    """The key of a row with such files beside it."""
    return f"{digest}+{','.join(sorted(beside))}"


def beside(key: str) -> frozenset[str]:
    """What a key says was written beside the row."""
    return frozenset(filter(None, key.partition("+")[2].split(",")))


def begun_with(folder: Path) -> frozenset[str]:
    """What was written beside the rows of a folder's ledger; empty where there is none to read."""
    try:
        with (folder / FILE).open("rb") as stream:
            return frozenset[str]().union(*(beside(one.key) for one, *_ in _lines(stream, folder)))
    except (OSError, OutputError):  # who opens it to write says what is wrong
        return frozenset()


def remove_ledger(folder: Path) -> None:
    """Forget all rows. Raises OSError."""
    (folder / FILE).unlink(missing_ok=True)


@dataclass(frozen=True)
class Slot:
    """Where a row belongs."""

    study: str  # pseudonym
    model: str  # name
    key: str
    study_index: int  # among those of the index
    model_index: int  # among those asked for

    @property
    def row(self) -> tuple[str, str]:
        """What a row is known by."""
        return self.study, self.model


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row lies in the file, and in the order of rows."""

    study_index: int
    model_index: int
    offset: int


class Ledger:
    """Open for the one run that holds the lock of its folder.

    Raises OutputError if it cannot be written.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._known: dict[tuple[str, str], tuple[Slot, bool]] = {}  # until `keep`; True: failed
        self._places: dict[tuple[str, str], _Place] = {}
        with self._errors():
            self._stream = (folder / FILE).open("a+b", buffering=0)
            self._end = self._read()
            self._stream.truncate(self._end)  # what a kill has cut
            if not self._end:
                self._append(_FIRST)

    def keep(self, slots: Sequence[Slot], *, failed: bool) -> set[Slot]:
        """Drop every row that fits none of `slots`, and without `failed` those that failed.

        Returns the slots that have their row. Raises ConfigError, and drops nothing, where rows
        stand of studies or models that are not among `slots`.
        """
        others = self._known.keys() - {slot.row for slot in slots}
        if others:
            raise ConfigError(
                f"{len(others)} results here are of studies or models that this run was not "
                "asked for: pass the same inputs and models, or name another folder, or pass "
                "--overwrite to replace all",
                path=self._folder,
            )
        kept = {slot for slot in slots if self._stands(slot, failed=failed)}
        if self._known:
            self._rewrite([slot for slot in slots if slot in kept])
        self._known = {}
        return kept

    def put(self, results: Sequence[tuple[Slot, StudyResult]]) -> None:
        """Keep rows; they outlive the process when this returns."""
        lines = [
            _line(slot, _failed(result), json.dumps(result.row(), allow_nan=False).encode())
            for slot, result in results
        ]
        with self._errors():
            offset = self._end
            self._append(b"".join(lines))
        for (slot, _), line in zip(results, lines, strict=True):
            self._places[slot.row] = _Place(slot.study_index, slot.model_index, offset)
            offset += len(line)

    def results(self) -> Iterator[tuple[int, StudyResult]]:
        """Index of its study, and result, of every row, by study, then model.

        The order does not depend on what was done when.
        """
        ordered = sorted(
            self._places.items(),
            key=lambda item: (item[1].study_index, item[1].model_index, item[0]),
        )
        with self._errors(), (self._folder / FILE).open("rb") as stream:
            for _, place in ordered:
                yield place.study_index, StudyResult.model_validate_json(_row(stream, place))

    def close(self) -> None:
        """Let another run have it. Raises OutputError."""
        with self._errors():
            self._stream.close()

    def _read(self) -> int:
        """Take in what stands; the bytes of whole lines."""
        whole_lines = 0
        with (self._folder / FILE).open("rb") as stream:
            for slot, failed, offset, end in _lines(stream, self._folder):
                self._known[slot.row] = slot, failed
                self._places[slot.row] = _Place(slot.study_index, slot.model_index, offset)
                whole_lines = end
        return whole_lines

    def _stands(self, slot: Slot, *, failed: bool) -> bool:
        known, bad = self._known.get(slot.row, (None, False))
        return known is not None and _fits(known.key, slot.key) and (failed or not bad)

    def _rewrite(self, slots: Sequence[Slot]) -> None:
        """The rows of these slots under their numbers of today, and nothing else."""
        places: dict[tuple[str, str], _Place] = {}
        with self._errors(), whole(self._folder / FILE) as stream:
            end = stream.write(_FIRST)
            with (self._folder / FILE).open("rb") as old:
                for slot in slots:
                    known, bad = self._known[slot.row]
                    places[slot.row] = _Place(slot.study_index, slot.model_index, end)
                    said = Slot(*known.row, known.key, slot.study_index, slot.model_index)
                    end += stream.write(_line(said, bad, _row(old, self._places[slot.row])))
        with self._errors():
            self._stream.close()
            self._stream, self._places, self._end = (
                (self._folder / FILE).open("a+b", buffering=0),
                places,
                end,
            )

    def _append(self, lines: bytes) -> None:
        """All of it or nothing. Raises OSError."""
        try:
            left = memoryview(lines)
            while left:
                left = left[self._stream.write(left) :]
        except OSError:
            self._stream.truncate(self._end)
            raise
        self._end += len(lines)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"the ledger cannot be written ({error.strerror}); what is done is kept: make "
                "room, then run again with --resume",
                path=self._folder,
            ) from error


def _line(slot: Slot, failed: bool, row: bytes) -> bytes:
    return json.dumps([*asdict(slot).values(), failed]).encode() + _BETWEEN + row + b"\n"


def _lines(stream: IO[bytes], folder: Path) -> Iterator[tuple[Slot, bool, int, int]]:
    """Slots, whether they failed, and where their lines begin and end; a cut one ends it.

    Raises OutputError where the file is no ledger, or another line than the last is damaged.
    """
    first = stream.readline(len(_FIRST))
    if not _FIRST.startswith(first):
        raise _damaged(folder)
    if first != _FIRST:  # begun by a process that was killed at once
        return
    end = len(_FIRST)
    for line in stream:
        try:
            *named, failed = json.loads(line.partition(_BETWEEN)[0])
            whole_line = line.endswith(b"}\n")
            slot = Slot(*named)
        except (ValueError, TypeError):
            whole_line = False
        if not whole_line:
            if next(stream, None) is not None:
                raise _damaged(folder)
            return
        begin, end = end, end + len(line)
        yield slot, failed, begin, end


def _damaged(folder: Path) -> OutputError:
    return OutputError(
        f"{FILE} is no ledger or damaged: pass --overwrite to begin again", path=folder
    )


def _row(stream: IO[bytes], place: _Place) -> bytes:
    stream.seek(place.offset)
    return stream.readline().rstrip(b"\n").partition(_BETWEEN)[2]


def _failed(result: StudyResult) -> bool:
    return bool(result.status == "failed" or result.broken)


def _fits(key: str, asked: str) -> bool:
    return key.partition("+")[0] == asked.partition("+")[0] and beside(key) >= beside(asked)

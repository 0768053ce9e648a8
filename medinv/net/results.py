"""Which files a folder gives to send: of a results folder those that its results.jsonl names."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from medinv.batch.ledger import FILE as LEDGER
from medinv.errors import ConfigError, DataError, MissingDataError

RESULTS = "results.jsonl"


def dicom_files(inputs: Sequence[Path]) -> list[Path]:
    """The DICOM files among files and folders, in order and each once.

    Of a results folder of `medinv classify`, or a folder within one, only what its results.jsonl
    names: an earlier run may have left others. Raises MissingDataError where there is none or a
    named one is missing, ConfigError for the folder of a run that is not finished, and DataError
    for a results.jsonl that cannot be read.
    """
    paths = [path for given in inputs for path in _given(given)]
    if not paths:
        raise MissingDataError(
            "expected DICOM files to send; there are none (medinv classify --dicom makes them)",
            path=inputs[0] if inputs else None,
        )
    return list(dict.fromkeys(paths))


def results_named(folder: Path) -> list[Path]:
    """The DICOM results that the results.jsonl of a folder names, in its order.

    Raises MissingDataError where one is not there, DataError where results.jsonl cannot be read
    or names what lies elsewhere.
    """
    try:
        with (folder / RESULTS).open(encoding="utf-8") as lines:
            named = [Path(name) for line in lines for name in json.loads(line).get("dicom", ())]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"expected the results of medinv classify ({type(error).__name__}); classify again",
            path=folder / RESULTS,
        ) from error
    for name in named:
        if name.is_absolute() or ".." in name.parts:
            raise DataError("expected names within the folder", path=folder / RESULTS)
        if not (folder / name).is_file():
            raise MissingDataError("results.jsonl names this file; classify again", path=name)
    return [folder / name for name in named]


def _given(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield from [path] if _is_dicom(path) else []
        return
    above = next((one for one in path.absolute().parents if _has_results(one)), None)
    if above is None:
        yield from _within(path)
        return
    for named in results_named(above):
        if named.is_relative_to(path.absolute()):
            yield path / named.relative_to(path.absolute())


def _within(folder: Path) -> Iterator[Path]:
    if _has_results(folder):
        yield from results_named(folder)
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _within(path)
        elif path.is_file() and _is_dicom(path):
            yield path


def _has_results(folder: Path) -> bool:
    if (folder / RESULTS).is_file():
        return True
    if (folder / LEDGER).is_file():
        raise ConfigError(
            "the run in this folder is not finished; wait, or go on with classify --resume",
            path=folder,
        )
    return False


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"

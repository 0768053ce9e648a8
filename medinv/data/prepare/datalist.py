"""A MONAI datalist.json: training, validation and test images with their labels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medinv.data.prepare.labels import LabelTable, Row, part_of, table_of
from medinv.errors import DataError

_PATH, _SPLIT, _LABEL = "image", "split", "label"


def read_datalist(path: Path, label: str | None = None) -> LabelTable:
    """Its entries as a list of labels by path, relative to the file.

    Numbers become names where the datalist says so (`labels`). Raises DataError for another JSON,
    and for labels that are files: those are of segmentation.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        message = f"expected a MONAI datalist in JSON ({type(error).__name__})"
        raise DataError(message, path=path) from error
    parts = {key: part_of(key) for key in tree} if isinstance(tree, dict) else {}
    listed = {key: part for key, part in parts.items() if part and isinstance(tree[key], list)}
    if not listed:
        raise DataError(
            "expected a MONAI datalist: lists named training, validation and test", path=path
        )
    names = tree.get("labels") if isinstance(tree.get("labels"), dict) else {}
    rows = [
        Row(0, _cells(entry, part, names, label or _LABEL, path))
        for key, part in listed.items()
        for entry in tree[key]
    ]
    rows = [Row(number, row.cells) for number, row in enumerate(rows, 1)]
    columns = list(dict.fromkeys(name for row in rows for name in row.cells))
    if len(set(listed.values())) < 2:  # one list alone is no split
        columns.remove(_SPLIT)
    return table_of(rows, columns, path, label)


def files_of(table: LabelTable) -> list[Path]:
    """The files that a datalist names, those that are not there included, each once."""
    return list(dict.fromkeys(table.folder / row.cells[_PATH] for row in table.rows))


def _cells(
    entry: Any, part: str, names: Mapping[str, Any], label: str, path: Path
) -> dict[str, str]:
    if isinstance(entry, str):
        entry = {_PATH: entry}
    image = entry.get(_PATH) if isinstance(entry, dict) else None
    image = image[0] if isinstance(image, list) and len(image) == 1 else image
    if not isinstance(image, str):
        raise DataError(
            f"expected entries with `image` (one path) and `label` in {part}; got {entry!r:.80}",
            path=path,
        )
    given = entry.get(label, "")
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, str | int | float):
        raise DataError(f"expected one label an image; got {given!r:.80}", path=path)
    text = str(int(given)) if isinstance(given, float) and given == int(given) else str(given)
    if text.endswith((".nii.gz", ".nii", ".png", ".dcm")):
        raise DataError(
            f"label {text!r} is a file: a datalist of segmentation; expected names or numbers of "
            "classes",
            path=path,
        )
    others = {
        name: str(value)
        for name, value in entry.items()
        if name not in (_PATH, label) and isinstance(value, str | int | float)
    }
    return {_PATH: image, label: str(names.get(text, text)), _SPLIT: part, **others}

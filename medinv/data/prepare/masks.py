"""Masks or boxes beside images: where the finding is that the label names.

A mask is a picture of the name of its image, alone or with the name of a structure behind it
(`7.png`, `7_mask.png`, `7_consolidation.png`), in a folder; whatever is not 0 belongs to it. It
lies as the pixels of a DICOM file are stored, or as a picture is looked at. Boxes are rows of a CSV
in pixels of the image. All masks and boxes of an image are united.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medinv.data.frame import InputSpec
from medinv.data.prepare.items import Found
from medinv.data.prepare.labelled import Item
from medinv.data.prepare.labels import lines_of
from medinv.data.prepare.read import Taken
from medinv.data.resize import resize
from medinv.errors import ConfigError

_ENDINGS = (".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".jpg", ".jpeg")
_PLAIN = ("mask", "seg", "segmentation", "label")  # words that name no structure
_SHAPES = (("left", "top", "width", "height"), ("x", "y", "width", "height"), ("x", "y", "w", "h"))
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
_ALIKE = 0.02  # of the ratio of the sides: a mask may have been made of a smaller copy
_STEM = "file name without its ending"
_ODD = "masks that cannot be read, or have another shape than their image, left out"

Box = tuple[float, float, float, float]  # left, top, width, height, pixels


@dataclass(frozen=True)
class MaskSource:
    """A folder of masks, or a CSV of boxes; `structures` are those that count, none named: all."""

    place: Path
    structures: tuple[str, ...] = ()


@dataclass
class Masks:
    """Of every item, (N, 1, H, W) uint8, 255 in the finding; and what is to be said of them."""

    images: np.ndarray
    findings: list[str] = field(default_factory=list)


def take_masks(
    source: MaskSource, items: Sequence[Item], taken: Taken, spec: InputSpec, scratch: Path
) -> Masks:
    """Masks of all items, 0 where an image has none. Raises ConfigError where none fits any."""
    path, shape = scratch / "masks.npy", (len(items), 1, *spec.size)
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    found = _Boxes(source.place) if source.place.is_file() else _Files(source)
    own = Counter(name for item in items for name in set(item.image.names.get(_STEM, ())))
    counts: Counter[str] = Counter()
    for number, item in enumerate(items):
        if number in taken.refused:
            continue
        whole, odd = found.mask(item.image, own)
        counts[_ODD] += odd
        if whole is None:
            counts["images without a mask"] += 1
            continue
        counts["with"] += 1
        if item.image.instances[0].format == "dicom":
            whole = taken.turns[number].apply(whole)
        images[number] = _reduced(whole, spec.size)
    if not counts.pop("with", 0):
        raise ConfigError(_why_none(source, counts[_ODD]), path=source.place)
    return Masks(images, [f"{text}: {count}" for text, count in sorted(counts.items()) if count])


def _why_none(source: MaskSource, odd: int) -> str:
    if odd:
        return (
            f"masks are named as images are, but not one of {odd} is a picture of its image's "
            "shape: expected the same ratio of the sides"
        )
    if source.structures:
        words = ", ".join(source.structures)
        return f"no mask of {words} is named as an image is (7_{source.structures[0]}.png of 7.dcm)"
    return (
        "no mask is named as an image is (7.png or 7_mask.png of 7.dcm; or rows of a CSV with "
        "path, left, top, width, height)"
    )


def _reduced(mask: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Where it covers half of a pixel, or where it touches one if it covers half of none."""
    share = resize(np.ascontiguousarray(mask).astype(np.uint8) * 255, size)
    chosen = share >= 128
    return np.where(chosen if chosen.any() else share > 0, np.uint8(255), np.uint8(0))


class _Files:
    """Masks by the name of their image."""

    def __init__(self, source: MaskSource):
        if not source.place.is_dir():
            raise ConfigError("no such folder of masks, and no CSV of boxes", path=source.place)
        self._wanted = {_plain(word) for word in source.structures}
        self._paths: dict[str, list[tuple[str, Path]]] = defaultdict(list)
        files = sorted(path for path in source.place.rglob("*") if path.is_file())
        for path in files:
            if path.suffix.lower() in _ENDINGS:
                for stem, structure in _readings(path.stem):
                    self._paths[stem].append((structure, path))

    def mask(self, image: Found, own: Counter[str]) -> tuple[np.ndarray | None, int]:
        """The union of its masks, as large as the image; and how many had another shape."""
        first, whole, odd = image.instances[0], None, 0
        names = [name for name in image.names.get(_STEM, ()) if own[name] == 1]
        for name in dict.fromkeys([*names, first.sop_uid]):
            for structure, path in self._paths.get(name, ()):
                if self._wanted and structure not in self._wanted:
                    continue
                # `a_b` is a mask of `a` only where it is none of an image that is called so
                if structure and own[path.stem] and path.stem != name:
                    continue
                mask = _read(path)
                if mask is None or not _alike(mask.shape, (first.rows, first.columns)):
                    odd += 1
                elif whole is None or mask.shape == whole.shape:
                    whole = mask if whole is None else whole | mask
                else:
                    odd += 1
        return whole, odd


def _readings(stem: str) -> list[tuple[str, str]]:
    """Every image that a mask may be of, with the structure that it would then name."""
    cuts = [k for k, letter in enumerate(stem) if letter in "_-" and k]
    return [(stem, ""), *((stem[:k], _plain(stem[k + 1 :])) for k in cuts)]


def _plain(word: str) -> str:
    plain = word.casefold().replace("-", "_")
    return "" if plain in _PLAIN else plain


def _read(path: Path) -> np.ndarray | None:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            values = np.asarray(picture if picture.mode != "P" else picture.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    opaque = values[..., :3].any(-1) if values.ndim == 3 else values > 0
    return np.asarray(opaque, bool)


def _alike(one: tuple[int, ...], other: tuple[int, int]) -> bool:
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < _ALIKE


class _Boxes:
    """Boxes by the path or file name of their image."""

    def __init__(self, path: Path):
        names, rows = lines_of(path)
        by_name = {name.casefold(): name for name in names}
        kinds = [kind for kind in (*_SHAPES, *_CORNERS) if all(word in by_name for word in kind)]
        keys = [by_name[word] for word in ("path", "file", "image", "file_name") if word in by_name]
        if not kinds or not keys:
            raise ConfigError(
                "expected a CSV of boxes with the columns path, left, top, width, height",
                path=path,
            )
        self._boxes: dict[str, list[Box]] = defaultdict(list)
        for row in rows:
            try:
                box = [float(row.cells[by_name[word]]) for word in kinds[0]]
            except ValueError as error:
                raise ConfigError(
                    f"row {row.number}: expected four numbers for a box", path=path
                ) from error
            if kinds[0] in _CORNERS:
                box[2:] = box[2] - box[0], box[3] - box[1]
            name = row.cells[keys[0]].replace("\\", "/").removeprefix("./")
            self._boxes[name].append((box[0], box[1], box[2], box[3]))

    def mask(self, image: Found, own: Counter[str]) -> tuple[np.ndarray | None, int]:
        """As `_Files.mask`."""
        names = [*image.names.get("path", ())]
        if any(own[name] == 1 for name in image.names.get(_STEM, ())):
            names += [*image.names.get("file name", ()), *image.names.get(_STEM, ())]
        boxes = [box for name in dict.fromkeys(names) for box in self._boxes.get(name, ())]
        if not boxes:
            return None, 0
        first = image.instances[0]
        whole = np.zeros((first.rows, first.columns), bool)
        for left, top, width, height in boxes:
            rows = slice(max(0, round(top)), max(0, round(top + height)))
            whole[rows, max(0, round(left)) : max(0, round(left + width))] = True
        return whole, 0

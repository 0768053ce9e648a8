"""Files damaged at random, the same for the same seed, and the count of what becomes of them.

Made of the small files that pydicom ships, each under UIDs of its own. A copy is damaged in one to
three ways: cut off, bits flipped, lengths and sizes replaced, pieces left out, doubled or zeroed.
"""

import io
import random
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydicom

LARGEST = 40_000  # bytes of a file to be damaged
STUDY, SERIES, IMAGE = (f"1.2.826.0.1.3680043.10.{kind}.9999999" for kind in (1, 2, 3))
_PIXEL_DATA = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")  # little endian, big endian
Part = Literal["any", "header", "codestream"]


@dataclass
class Counts:
    """What became of so many tries."""

    tried: int = 0
    refused: int = 0
    read: int = 0
    lost: int = 0
    doubled: int = 0


def seeds() -> list[bytes]:
    """The small files that pydicom ships, in a study of their own where that can be written."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    return [
        _placed(path.read_bytes())
        for path in sorted(folder.rglob("*.dcm"))
        if path.stat().st_size <= LARGEST
    ]


def _placed(data: bytes) -> bytes:
    try:
        with warnings.catch_warnings(action="ignore"):
            dataset, stream = pydicom.dcmread(io.BytesIO(data), force=True), io.BytesIO()
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = STUDY, SERIES
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = IMAGE
            dataset.save_as(stream)
        return stream.getvalue()
    except Exception:  # damaged already: taken as it is
        return data


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 8, 64))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def flip_header(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 16))):
        data[chance.randrange(min(len(data), 2000))] ^= 1 << chance.randrange(8)


def wrong_length(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at : at + 4] = chance.choice(
        (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", chance.randbytes(4))
    )


def wrong_size(data: bytearray, chance: random.Random) -> None:
    """Rows, columns, bits, samples or frames."""
    tag = chance.choice(
        (
            b"\x28\0\x10\0",
            b"\x28\0\x11\0",
            b"\x28\0\0\1",
            b"\x28\0\1\1",
            b"\x28\0\2\1",
            b"\x28\0\2\0",
            b"\x28\0\x08\0",
        )
    )
    at = data.find(tag)
    if at >= 0:
        data[at + 8 : at + 10] = chance.choice(
            (b"\xff\xff", b"\0\0", b"\1\0", b"\x40\x9c", chance.randbytes(2))
        )


def leave_out(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    del data[at : at + chance.choice((1, 2, 7, 100, 1000))]


def double(data: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(data))
    data[at:at] = data[at : at + chance.choice((1, 8, 500))]


def zero(data: bytearray, chance: random.Random) -> None:
    at, length = chance.randrange(len(data)), chance.choice((4, 64, 2000))
    data[at : at + length] = bytes(len(data[at : at + length]))


DAMAGE: tuple[Callable[[bytearray, random.Random], None], ...] = (
    cut,
    flip,
    flip_header,
    wrong_length,
    wrong_size,
    leave_out,
    double,
    zero,
)


def damaged(files: int, seed: int, part: Part = "any") -> Iterator[bytes]:
    """Damaged copies, each in a study of its own unless its UIDs were hit.

    part: where it is damaged: before the Pixel Data, or within compressed ones
    """
    chance = random.Random(seed)
    whole = [data for data in seeds() if part != "codestream" or _compressed(data)]
    for number in range(files):
        data = chance.choice(whole).replace(b".9999999", b".%07d" % number)
        first, last = _span(data, part)
        hit = bytearray(data[first:last])
        for damage in chance.sample(DAMAGE, chance.randint(1, 3)):
            if hit:
                damage(hit, chance)
        yield data[:first] + bytes(hit) + data[last:]


def _compressed(data: bytes) -> bool:
    """Whether its Pixel Data are encapsulated: of undefined length, with a table of offsets."""
    at = _span(data, "codestream")[0]
    return data[at - 4 : at] == b"\xff" * 4 and data[at : at + 4] == b"\xfe\xff\0\xe0"


def _span(data: bytes, part: Part) -> tuple[int, int]:
    """First byte of the part, and the first behind it; all of a file without Pixel Data."""
    at = max(data.rfind(tag) for tag in _PIXEL_DATA)
    if part == "any" or at < 0:
        return 0, len(data)
    return (0, at) if part == "header" else (at + 12, len(data))

"""Area averages without torch or MONAI, for the processes that read files."""

import numpy as np

from medinv.errors import ShapeError

_FEW = 16  # rows of a window that are added one by one
_EVERY_OTHER, _BYTE = np.uint64(0x00FF00FF00FF00FF), np.uint64(8)


def resize(image: np.ndarray, size: int | tuple[int, ...]) -> np.ndarray:
    """Grey levels (H, W) or colours (H, W, 3), of 8 or 16 bits, to (1, h, w) or (3, h, w) of the
    same type; a `size` that is one number is that of a square.

    Output row i averages input rows floor(i H / h) to ceil((i + 1) H / h), columns alike. Sums of
    integers are exact, their quotients are rounded to float32 and then half to even: of grey levels
    of 8 bits these are the values of `transforms.network_intake`, in a fraction of its time.
    Raises ShapeError for another shape or type.

    >>> resize(np.array([[0, 0, 10, 20], [0, 2, 30, 40]], np.uint8), (1, 2))
    array([[[ 0, 25]]], dtype=uint8)
    """
    sides = (size, size) if isinstance(size, int) else size
    images = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not images or image.dtype not in (np.uint8, np.uint16) or 0 in image.shape:
        raise ShapeError(
            "expected grey levels (H, W) or colours (H, W, 3) of 8 or 16 bits, got "
            f"{image.dtype} {image.shape}"
        )
    if len(sides) != 2 or min(sides) < 1:
        raise ShapeError(f"expected the height and the width of an image, got {sides}")
    planes = [image] if image.ndim == 2 else [image[..., k] for k in range(3)]
    return np.stack([_averages(plane, *sides) for plane in planes])


def resize_volume(levels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Grey levels (D, H, W) uint8 to (1, d, h, w) uint8, by the averages of `resize` along each
    axis.

    Raises ShapeError for another shape or type.
    """
    if levels.ndim != 3 or levels.dtype != np.uint8 or 0 in levels.shape:
        raise ShapeError(
            f"expected grey levels (D, H, W) of 8 bits, got {levels.dtype} {levels.shape}"
        )
    if len(size) != 3 or min(size) < 1:
        raise ShapeError(f"expected slices, rows and columns of a volume, got {size}")
    sums, counts = levels, np.ones((1, 1, 1))
    for axis, (extent, side) in enumerate(zip(levels.shape, size, strict=True)):
        low, high = _bounds(extent, side)
        front = np.moveaxis(sums, axis, 0)
        flat = _window_sums(np.ascontiguousarray(front).reshape(extent, -1), low, high, np.uint64)
        sums = np.moveaxis(flat.reshape(side, *front.shape[1:]), 0, axis)
        counts = counts * (high - low).reshape([-1 if k == axis else 1 for k in range(3)])
    return np.rint((sums / counts).astype(np.float32)).astype(np.uint8)[None]


def _averages(image: np.ndarray, height: int, width: int) -> np.ndarray:
    rows, columns = _bounds(image.shape[0], height), _bounds(image.shape[1], width)
    counts = np.outer(rows[1] - rows[0], columns[1] - columns[0])
    longest = (rows[1] - rows[0]).max()
    if (
        image.dtype == np.uint8
        and longest <= 8
        and image.shape[1] % 8 == image.shape[1] % (2 * width) == 0
    ):
        beside = _window_sums(_pairs(image), *rows, np.uint16)
        sums = _beside(beside, beside.shape[1] // width)
    else:
        # narrow sums take a third of the time
        narrow = np.uint16 if longest < 256 else np.uint32
        first, second = (narrow, np.uint32) if image.dtype == np.uint8 else (np.uint64, np.uint64)
        sums = _window_sums(_window_sums(image, *rows, first).T, *columns, second).T
    return np.rint((sums / counts).astype(np.float32)).astype(image.dtype)


def _pairs(image: np.ndarray) -> np.ndarray:
    """Sums of two neighbours in a row, (H, W) uint8 to (H, W / 2) uint16; W a multiple of 8.

    Four sums are made by one addition of 64 bits, as none runs over into the next.
    """
    eight = np.ascontiguousarray(image).view(np.uint64)
    first = eight & _EVERY_OTHER
    first += (eight >> _BYTE) & _EVERY_OTHER
    return first.view(np.uint16)


def _beside(sums: np.ndarray, count: int) -> np.ndarray:
    """Sums (h, w) uint32 of every `count` neighbours in a row of (h, w count)."""
    total = sums[:, ::count].astype(np.uint32)
    for k in range(1, count):
        total += sums[:, k::count]
    return total


def _bounds(extent: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    steps = np.arange(size)
    return steps * extent // size, -(-(steps + 1) * extent // size)


def _window_sums(
    image: np.ndarray, low: np.ndarray, high: np.ndarray, kind: type[np.unsignedinteger]
) -> np.ndarray:
    """Sums over rows low..high of each window, exact up to 2^24 pixels of 8 bits a window (all
    axes), and in 64 bits up to 2^48 of 16."""
    longest = int((high - low).max())
    if longest * len(low) == len(image):  # windows that do not share rows
        rows = image.reshape(len(low), longest, -1)
        if longest > _FEW:
            return np.add.reduce(rows, axis=1, dtype=kind)
        sums = rows[:, 0].astype(kind)
        for k in range(1, longest):  # of few rows a tenth of the time where they lie apart
            sums += rows[:, k]
        return sums
    return np.stack(
        [np.add.reduce(image[a:b], axis=0, dtype=kind) for a, b in zip(low, high, strict=True)]
    )

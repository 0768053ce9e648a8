"""From stored integers to what they mean and how they are shown, by tables."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

_BLOCK, _ARROW_BLOCK, _LARGE = 1 << 15, 1 << 17, 1 << 18  # pixels


@dataclass(frozen=True)
class Levels:
    """What stored integers mean and how they are shown, as tables: an image has far fewer values
    than pixels."""

    values: np.ndarray  # (n,) stored integers, ascending, among them all that occur
    modality: np.ndarray  # (n,) float64
    display: np.ndarray  # (n,) uint8

    def modality_of(self, stored: np.ndarray) -> np.ndarray:
        """float64 in the modality's units, of stored integers that occur in `values`."""
        if stored.dtype.itemsize > 2:
            return np.take(self.modality, np.searchsorted(self.values, stored))
        return _through(self._whole(self.modality), stored)

    def display_of(self, stored: np.ndarray) -> np.ndarray:
        """uint8 0..255, of stored integers that occur in `values`."""
        if stored.dtype.itemsize > 2:
            return np.take(self.display, np.searchsorted(self.values, stored))
        return _through(self._whole_display, stored)

    @cached_property
    def _whole_display(self) -> np.ndarray:
        return self._whole(self.display)

    def _whole(self, table: np.ndarray) -> np.ndarray:
        """By the bits of a value, so that nothing is subtracted."""
        size = self.values.dtype.itemsize
        whole = np.zeros(1 << 8 * size, table.dtype)
        whole[self.values.view(f"u{size}")] = table
        return whole


def _through(whole: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """By blocks, within the cache. numpy widens its indices to 64 bits, Arrow takes them as they
    are, in a third of the time; it is worth its import for what is large.
    """
    index, out = stored.view(f"u{stored.dtype.itemsize}"), np.empty(stored.shape, whole.dtype)
    large = stored.size >= _LARGE
    look_up = _arrow(whole) if large else partial(np.take, whole, mode="clip")
    rows = max(1, (_ARROW_BLOCK if large else _BLOCK) // stored.shape[1])
    for start in range(0, len(stored), rows):
        out[start : start + rows] = look_up(index[start : start + rows])
    return out


def _arrow(whole: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    import pyarrow

    table = pyarrow.array(whole)

    def look_up(index: np.ndarray) -> np.ndarray:
        words = pyarrow.DictionaryArray.from_arrays(index.ravel(), table, safe=False)
        return words.dictionary_decode().to_numpy().reshape(index.shape)

    return look_up

"""Colour to grey and to red, green and blue: one conversion for all, by the luma that DICOM's
YBR_FULL calls Y (ITU-R BT.601; PS3.3 C.7.6.3.1.2).

    Y = 0.299 R + 0.587 G + 0.114 B, computed in integers and rounded half up

YBR_FULL and YBR_FULL_422 hold it as their first sample; YBR_PARTIAL holds it squeezed into
16..235; palette colours are looked up first.
"""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

POLICY = "luma 0.299 R + 0.587 G + 0.114 B"


def luma(rgb: np.ndarray) -> np.ndarray:
    """Colours (..., 3), unsigned, to their luma (...), of the same type."""
    wide: np.dtype = np.dtype(np.uint32 if rgb.dtype.itemsize < 4 else np.uint64)
    red, green, blue = (rgb[..., k].astype(wide) for k in range(3))
    return ((299 * red + 587 * green + 114 * blue + 500) // 1000).astype(rgb.dtype)


def grey_of(stored: np.ndarray, photometric: str) -> np.ndarray:
    """Luma (rows, columns) of decoded colours (rows, columns, 3).

    Raises ValueError for a photometric interpretation that is none of these.
    """
    if photometric == "RGB":
        return luma(stored)
    if photometric in ("YBR_FULL", "YBR_FULL_422"):
        return stored[..., 0]
    if photometric.startswith("YBR_PARTIAL"):
        top = (1 << 8 * stored.dtype.itemsize) - 1
        foot, span = 16 * (top + 1) // 256, 219 * (top + 1) // 256
        return np.clip(
            np.rint((stored[..., 0].astype(np.float64) - foot) * (top / span)), 0, top
        ).astype(stored.dtype)
    raise ValueError(f"no grey conversion for {photometric}")


def rgb_of(stored: np.ndarray, photometric: str, bits: int) -> np.ndarray:
    """Red, green and blue (rows, columns, 3) uint8 of decoded colours of so many bits.

    Raises ValueError for a photometric interpretation that is none of these.
    """
    top = (1 << bits) - 1
    if photometric == "RGB":
        if stored.dtype == np.uint8 and bits == 8:
            return stored
        return np.clip(np.rint(stored * np.float32(255 / top)), 0, 255).astype(np.uint8)
    partial = photometric.startswith("YBR_PARTIAL")
    if not partial and photometric not in ("YBR_FULL", "YBR_FULL_422"):
        raise ValueError(f"no colours for {photometric}")
    foot, steps, swing = (16, 219, 224) if partial else (0, 255, 255)  # of 8 bits
    scaled = stored.astype(np.float32) * np.float32(256 / (top + 1))
    y = (scaled[..., 0] - foot) * (255 / steps)
    blue, red = ((scaled[..., k] - 128) * (255 / swing) for k in (1, 2))
    green = y - 0.344136 * blue - 0.714136 * red
    rgb = np.stack([y + 1.402 * red, green, y + 1.772 * blue], axis=-1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def palette_colours(values: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, int]:
    """Palette entries (n, 3) by stored value, and their bits.

    Raises whatever pydicom meets in a damaged palette.
    """
    colours = apply_color_lut(values.reshape(1, -1), dataset)[0]
    return colours[..., :3], 8 * colours.dtype.itemsize

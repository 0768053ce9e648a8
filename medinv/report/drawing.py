"""How arrays become pictures: grey levels, signed maps, scales, as PNG."""

import base64
import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

LONGEST = 1024  # px, of the native image as drawn
NATIVE_BYTES = 720_000  # PNG bytes of the native image; larger ones are drawn smaller, not blurrier
ENLARGE = 6  # nearest-neighbour enlargement of network pixels, so that no viewer smooths them

Palette = tuple[tuple[int, int, int], tuple[int, int, int]]
EVIDENCE: Palette = ((37, 116, 232), (240, 120, 10))  # blue below zero, orange above
CHANGE: Palette = ((158, 57, 190), (24, 150, 74))  # purple below zero, green above


@dataclass(frozen=True)
class Picture:
    """A PNG with the size at which it is drawn (px)."""

    png: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """As data URI, so that a page fetches nothing."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def pixels(self) -> Image.Image:
        """Decoded again, for what is drawn with it."""
        return Image.open(io.BytesIO(self.png))


@dataclass(frozen=True)
class SignedPicture:
    """A signed map with the value of full colour and the number of pixels beyond it."""

    picture: Picture
    scale: float
    clipped: int


@dataclass(frozen=True)
class ScaleBar:
    """A length that is drawn beside an image."""

    length_mm: float
    length_px: float


def native(display: np.ndarray, aspect: float, longest: int = LONGEST) -> Picture:
    """(H, W) or (H, W, 3) uint8 with pixels `aspect` times as high as wide, as square pixels.

    It is never enlarged, and has at most `longest` px and NATIVE_BYTES.
    """
    height, width = display.shape[0] * aspect, float(display.shape[1])
    ratio = min(1.0, 1.0 / aspect, longest / max(height, width))
    stored = Image.fromarray(display)
    while True:
        size = max(round(width * ratio), 1), max(round(height * ratio), 1)
        data = png(stored if stored.size == size else stored.resize(size, Image.Resampling.LANCZOS))
        if len(data) <= NATIVE_BYTES or max(size) <= 256:
            return Picture(data, *size)
        ratio *= 0.85


def grey(image: np.ndarray) -> Picture:
    """(h, w) grey levels or (h, w, 3) colours, as network pixels: enlarged without smoothing,
    clipped to 0..255."""
    return enlarged(Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)))


def signed(values: np.ndarray, palette: Palette, share: float = 0.99) -> SignedPicture:
    """(h, w) signed map; full colour is the `share` quantile of the sizes.

    One pixel then does not hide the rest. Of colours (h, w, 3) the mean over the three is drawn.
    """
    values = values if values.ndim == 2 else values.mean(-1)
    sizes = np.abs(values)
    scale = float(np.quantile(sizes, share)) or float(sizes.max())
    return SignedPicture(
        enlarged(Image.fromarray(diverging(values, scale, palette))),
        scale,
        int((sizes > scale).sum()),
    )


def diverging(values: np.ndarray, scale: float, palette: Palette) -> np.ndarray:
    """(h, w) to (h, w, 4) uint8: hue of the sign, alpha 255 |v| / scale, at most 255.

    All is transparent when scale is 0.
    """
    values = np.asarray(values, dtype=float)
    below, above = (np.array(colour, dtype=np.uint8) for colour in palette)
    share = np.abs(values) / scale if scale > 0 else np.zeros_like(values)
    alpha = np.rint(255 * np.minimum(share, 1.0)).astype(np.uint8)
    return np.concatenate(
        [np.where(values[..., None] < 0, below, above), alpha[..., None]], axis=-1
    )


@cache
def colour_bar(palette: Palette) -> Picture:
    """From minus full colour to plus full colour, made by the very function that draws the maps."""
    image = Image.fromarray(
        diverging(np.linspace(-1.0, 1.0, 255)[None].repeat(8, axis=0), 1.0, palette)
    )
    return Picture(png(image), 255, 8)


def scale_bar(
    picture: Picture, columns: int, spacing: tuple[float, float] | None
) -> ScaleBar | None:
    """The longest of 1, 2, 5, 10 ... 100 mm that takes at most a third of the drawn width.

    None without spacing (mm between rows, between columns).
    """
    if spacing is None or not spacing[1] > 0:
        return None
    width_mm = columns * spacing[1]
    fitting = [length for length in (1, 2, 5, 10, 20, 50, 100) if length <= width_mm / 3]
    return ScaleBar(float(fitting[-1]), fitting[-1] * picture.width / width_mm) if fitting else None


def enlarged(image: Image.Image) -> Picture:
    """ENLARGE times as wide and as high, without smoothing."""
    size = image.width * ENLARGE, image.height * ENLARGE
    return Picture(png(image.resize(size, Image.Resampling.NEAREST)), *size)


def png(image: Image.Image) -> bytes:
    """The file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()

"""Pictures of the report as PNGs, made from the content alone.

Signed maps are drawn one way everywhere: hue says the sign, opacity the size, zero is transparent, and full colour is the same size on both sides.
"""

import base64
import io
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from medinv.explanation.evidence import regional
from medinv.explanation.result import Counterfactual, Evidence, LocalEvidence
from medinv.report.content import Balance, ImageContent, balance

LONGEST = 1024  # px, of the native image as drawn
NATIVE_BYTES = 720_000  # PNG bytes of the native image; larger ones are drawn smaller, not blurrier
REGION = 8  # network pixels a side of the regions over which the evidence is summed
ENLARGE = 6  # nearest-neighbour enlargement of network pixels, so that no viewer smooths them
EVIDENCE = ((37, 116, 232), (240, 120, 10))  # blue below zero, orange above
CHANGE = ((158, 57, 190), (24, 150, 74))  # purple below zero, green above

Block = Literal["place", "region", "pixel"]  # what one value of an evidence map is of
Palette = tuple[tuple[int, int, int], tuple[int, int, int]]


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


@dataclass(frozen=True)
class SignedPicture:
    """A signed map with the value of full colour and the number of pixels beyond it."""

    picture: Picture
    scale: float
    clipped: int


@dataclass(frozen=True)
class ScaleBar:
    length_mm: float
    length_px: float


@dataclass(frozen=True)
class EvidenceMap:
    """Contributions to the log-odds, each a block of `size` x `size` network pixels, with their sums: all of them and the bias are the logit."""

    block: Block
    size: int
    drawn: SignedPicture
    balance: Balance
    bias: float
    logit: float
    residual: float


@dataclass(frozen=True)
class Explained:
    """The pictures of an explanation, at network resolution."""

    local: EvidenceMap | None  # None where the model keeps nothing of what is usual
    pixels: EvidenceMap
    regions: (
        EvidenceMap | None
    )  # None where the input does not divide into regions, and where there is a local map
    frames: tuple[Picture, ...]  # from the input to the counterfactual
    difference: SignedPicture
    decoded: Picture
    error: SignedPicture
    stages: tuple[Picture, ...]  # decoded from each stage of the trace alone; empty without one

    @property
    def shown(self) -> EvidenceMap:
        """The map that goes over the image; the pixels' goes with the proof."""
        return self.local or self.regions or self.pixels


@dataclass(frozen=True)
class Panel:
    """The pictures of one image."""

    image: ImageContent
    native: Picture
    bar: ScaleBar | None
    input: Picture
    explained: Explained | None


def native(display: np.ndarray, aspect: float, longest: int = LONGEST) -> Picture:
    """(H, W) uint8 with pixels `aspect` times as high as wide, drawn with square pixels: never enlarged, at most `longest` px and NATIVE_BYTES."""
    height, width = display.shape[0] * aspect, float(display.shape[1])
    ratio = min(1.0, 1.0 / aspect, longest / max(height, width))
    stored = Image.fromarray(display)
    while True:
        size = max(round(width * ratio), 1), max(round(height * ratio), 1)
        data = _png(
            stored if stored.size == size else stored.resize(size, Image.Resampling.LANCZOS)
        )
        if len(data) <= NATIVE_BYTES or max(size) <= 256:
            return Picture(data, *size)
        ratio *= 0.85


def grey(image: np.ndarray) -> Picture:
    """(h, w) grey levels as network pixels, enlarged without smoothing; values outside 0..255 are clipped."""
    return _enlarged(Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)))


def signed(values: np.ndarray, palette: Palette, share: float = 0.99) -> SignedPicture:
    """(h, w) signed map; full colour is the `share` quantile of the sizes, so that one pixel does not hide the rest."""
    sizes = np.abs(values)
    scale = float(np.quantile(sizes, share)) or float(sizes.max())
    return SignedPicture(
        _enlarged(Image.fromarray(diverging(values, scale, palette))),
        scale,
        int((sizes > scale).sum()),
    )


def diverging(values: np.ndarray, scale: float, palette: Palette) -> np.ndarray:
    """(h, w) to (h, w, 4) uint8: hue of the sign, alpha 255 |v| / scale, at most 255; all transparent when scale is 0."""
    values = np.asarray(values, dtype=float)
    below, above = (np.array(colour, dtype=np.uint8) for colour in palette)
    share = np.abs(values) / scale if scale > 0 else np.zeros_like(values)
    alpha = np.rint(255 * np.minimum(share, 1.0)).astype(np.uint8)
    return np.concatenate(
        [np.where(values[..., None] < 0, below, above), alpha[..., None]], axis=-1
    )


def colour_bar(palette: Palette) -> Picture:
    """From minus full colour to plus full colour, made by the very function that draws the maps."""
    image = Image.fromarray(
        diverging(np.linspace(-1.0, 1.0, 255)[None].repeat(8, axis=0), 1.0, palette)
    )
    return Picture(_png(image), 255, 8)


def scale_bar(
    picture: Picture, columns: int, spacing: tuple[float, float] | None
) -> ScaleBar | None:
    """The longest of 1, 2, 5, 10 ... 100 mm that takes at most a third of the drawn width; None without spacing."""
    if spacing is None or not spacing[1] > 0:
        return None
    width_mm = columns * spacing[1]
    fitting = [length for length in (1, 2, 5, 10, 20, 50, 100) if length <= width_mm / 3]
    return ScaleBar(float(fitting[-1]), fitting[-1] * picture.width / width_mm) if fitting else None


def evidence_map(evidence: Evidence, size: int) -> EvidenceMap:
    """The evidence summed over blocks of `size` x `size` pixels. Full colour is the largest region; of pixels, one may hide the rest."""
    values, block = regional(evidence.contributions, size), "pixel" if size == 1 else "region"
    drawn = signed(values, EVIDENCE, share=0.99 if size == 1 else 1.0)
    return EvidenceMap(
        block, size, drawn, balance(values), evidence.bias, evidence.logit, evidence.residual
    )


def local_map(local: LocalEvidence, positive: bool) -> EvidenceMap:
    """Local evidence pixel by pixel; the place named is the one that speaks most for the class called, which is the one that was checked.

    Full colour is the largest: what was spread over a place has no single pixel that hides the rest.
    """
    values, drawn = local.locations, signed(local.locations, EVIDENCE, share=1.0)
    for_called = balance(values.clip(0) if positive else values.clip(None, 0))
    sums = replace(balance(values), largest=for_called.largest, place=for_called.place)
    return EvidenceMap(
        "place", local.grain, drawn, sums, local.constant, local.logit, local.residual
    )


def panel(image: ImageContent) -> Panel:
    """All pictures of one image; raises ValueError when the content holds no arrays for it."""
    arrays = image.arrays
    if arrays is None:
        raise ValueError(
            f"image {image.number}: expected arrays to draw, got none; pass its ImageArrays to study_content"
        )
    drawn = native(arrays.display, arrays.aspect)
    bar = scale_bar(drawn, arrays.display.shape[1], arrays.spacing)
    given, explanation = arrays.network_input, arrays.explanation
    if explanation is None:
        return Panel(image, drawn, bar, grey(given), None)
    decoded, counterfactual = explanation.reconstruction.image, explanation.counterfactual
    local = explanation.local_evidence
    explained = Explained(
        local=local_map(local, image.label == image.probabilities[1][0]) if local else None,
        pixels=evidence_map(explanation.evidence, 1),
        regions=None
        if local or any(side % REGION for side in given.shape)
        else evidence_map(explanation.evidence, REGION),
        frames=tuple(grey(frame) for frame in _frames(given, counterfactual)),
        difference=signed(counterfactual.difference, CHANGE),
        decoded=grey(decoded),
        error=signed(decoded - given.astype(float), CHANGE, share=1.0),
        stages=tuple(grey(stage.image) for stage in arrays.background.trace.stages)
        if arrays.background.trace
        else (),
    )
    return Panel(image, drawn, bar, grey(given), explained)


def _frames(given: np.ndarray, counterfactual: Counterfactual) -> list[np.ndarray]:
    """The strip with the input before it and the counterfactual after it, unless it holds them already."""
    frames = list(counterfactual.strip)
    if not frames or not np.array_equal(np.rint(frames[0]), given):
        frames.insert(0, given)
    if len(frames) == 1 or not np.array_equal(np.rint(frames[-1]), counterfactual.image):
        frames.append(counterfactual.image)
    return frames


def _enlarged(image: Image.Image) -> Picture:
    size = image.width * ENLARGE, image.height * ENLARGE
    return Picture(_png(image.resize(size, Image.Resampling.NEAREST)), *size)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()

"""Pictures of the report as PNGs, each made once and shared by every renderer.

Signed maps are drawn one way everywhere: hue says the sign, opacity the size, zero is transparent,
and full colour is the same size on both sides.
"""

import base64
import io
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image

from medinv.analysis.result import ImageResult, StudyResult
from medinv.data.frame import Frame, looked_at
from medinv.errors import ShapeError
from medinv.explanation.evidence import regional
from medinv.explanation.result import Counterfactual, Evidence, LocalEvidence
from medinv.report.derived import (
    Balance,
    balance,
    edge_letters,
    explained,
    presented,
    ranked,
)

SHOWN_IN_FULL = 6  # images; a study of many slices stays a page that opens
THUMBNAILS = 48
THUMBNAIL = 128  # px
LONGEST = 1024  # px, of the native image as drawn
NATIVE_BYTES = 720_000  # PNG bytes of the native image; larger ones are drawn smaller, not blurrier
REGION = 8  # network pixels a side of the regions over which the evidence is summed
ENLARGE = 6  # nearest-neighbour enlargement of network pixels, so that no viewer smooths them

Block = Literal["place", "region", "pixel"]  # what one value of an evidence map is of
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


@dataclass(frozen=True)
class EvidenceMap:
    """Contributions to the log-odds, each a block of `size` x `size` network pixels.

    Their sums stand beside them: all of them and the bias are the logit.
    """

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

    local: EvidenceMap | None  # None where the model has no reference
    pixels: EvidenceMap
    regions: EvidenceMap | None  # None where the input has none, and where there is a local map
    frames: tuple[Picture, ...]  # from the input to the counterfactual
    difference: SignedPicture
    decoded: Picture
    error: SignedPicture
    stages: tuple[Picture, ...]  # decoded from each stage of the trace alone; empty without one
    part: Picture | None  # the smallest part that changes the answer, to lie over the input
    without_part: Picture | None  # the input with that part changed

    @property
    def evidence(self) -> EvidenceMap:
        """The map that goes over the image; the pixels' goes with the proof."""
        return self.local or self.regions or self.pixels


@dataclass(frozen=True)
class Panel:
    """The pictures of one image."""

    number: int
    image: ImageResult
    frame: Frame
    given: tuple[int, int]  # (rows, columns) of the network's input
    full_size: tuple[int, int]  # (rows, columns) of the image as it is shown
    native: Picture  # the image, or where that is withheld the network's input in its shape
    burned_in: bool | None  # by the header the pixels name the patient; None where it is silent
    withheld: bool  # and they are therefore not drawn
    bar: ScaleBar | None
    letters: tuple[str, str] | None  # at the left and the right edge
    input: Picture
    explained: Explained | None


@dataclass(frozen=True)
class Pictures:
    """All pictures of one report."""

    panels: tuple[Panel, ...]  # of the images drawn in full
    thumbnails: dict[int, Picture]  # by the image's number; none of an image alone


def pictures(result: StudyResult, *, phi: bool = False) -> Pictures:
    """Draw a result, in scope first and by falling probability.

    phi: images are drawn even where their header says that the pixels name the patient.
    Raises ShapeError when the arrays of an image are not what a report can draw.
    """
    visible = presented(result)
    drawn = [item for item in ranked(visible) if _drawable(item[1])]
    in_full = drawn[: SHOWN_IN_FULL if visible.in_scope else 1]
    small = drawn[:THUMBNAILS] if len(visible.instances) > 1 else []
    return Pictures(
        tuple(panel(number, image, phi=phi) for number, image in in_full),
        {number: _native(image, THUMBNAIL, phi=phi) for number, image in small},
    )


def panel(number: int, image: ImageResult, *, phi: bool = False) -> Panel:
    """All pictures of one image. Raises ShapeError."""
    frame, display = _frame(image), _display(image)
    given, drawn = network_input(image), _native(image, LONGEST, phi=phi)
    return Panel(
        number=number,
        image=image,
        frame=frame,
        given=(given.shape[0], given.shape[1]),
        full_size=(display.shape[0], display.shape[1]),
        native=drawn,
        burned_in=burned_in(image),
        withheld=_withheld(image, phi=phi),
        bar=scale_bar(drawn, display.shape[1], frame.spacing),
        letters=edge_letters(frame.orientation),
        input=grey(given),
        explained=_explained(image, given) if image.explanation else None,
    )


def _explained(image: ImageResult, given: np.ndarray) -> Explained:
    explanation, told = explained(image), image.answer
    counterfactual, local = explanation.counterfactual, explanation.local_evidence
    decoded, trace = explanation.reconstruction.image, explanation.trace
    smallest = explanation.smallest_part
    divides = not any(side % REGION for side in given.shape)
    return Explained(
        local=local_map(local, told is None or image.label == told.name) if local else None,
        pixels=evidence_map(explanation.evidence, 1),
        regions=evidence_map(explanation.evidence, REGION) if divides and not local else None,
        frames=tuple(grey(frame) for frame in _frames(given, counterfactual)),
        difference=signed(counterfactual.difference, CHANGE),
        decoded=grey(decoded),
        error=signed(decoded - given.astype(float), CHANGE, share=1.0),
        stages=tuple(grey(stage.image) for stage in trace.stages) if trace else (),
        part=_over(smallest.mask) if smallest and smallest.edit else None,
        without_part=grey(smallest.edit.image) if smallest and smallest.edit else None,
    )


def _over(mask: np.ndarray) -> Picture:
    """A mask (h, w) bool in the colour of a change, half transparent."""
    colour = np.array([*CHANGE[1], 140], np.uint8)
    return _enlarged(Image.fromarray(mask[..., None] * colour))


def _drawable(image: ImageResult) -> bool:
    return image.pixels is not None and image.pixels.display is not None


def _frame(image: ImageResult) -> Frame:
    if image.pixels is None:
        raise ShapeError(f"image {image.name}: expected pixels to draw, got none; read it again")
    return image.pixels


def _display(image: ImageResult) -> np.ndarray:
    """(rows, columns) grey levels, or (rows, columns, 3) colours, at full size."""
    frame, display = _frame(image), _frame(image).display
    if display is None:
        raise ShapeError(f"image {image.name}: expected a display image, got none; read it again")
    if not frame.aspect > 0:
        raise ShapeError(
            f"aspect: expected pixel height over width above 0, got {frame.aspect}; "
            "use 1.0 where the header says nothing"
        )
    return _levels("display", display)


def network_input(image: ImageResult) -> np.ndarray:
    """What the explained network was given; without one, the smallest input.

    (h, w) grey levels, or (h, w, 3) colours. Raises ShapeError.
    """
    inputs = {
        looked_at(given).shape: looked_at(given)
        for _, given in sorted(_frame(image).inputs.items())
    }
    shape = explained(image).reconstruction.image.shape if image.explanation else min(inputs)
    if shape not in inputs:
        raise ShapeError(
            f"explanation: expected pictures of the network input's shape, one of "
            f"{sorted(inputs)}, got {shape}; explain this very input"
        )
    return _levels("network input", inputs[shape])


def _levels(name: str, array: np.ndarray) -> np.ndarray:
    image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)
    if not image or array.dtype != np.uint8 or array.size == 0:
        raise ShapeError(
            f"{name}: expected a (H, W) or (H, W, 3) uint8 image, got {array.dtype} {array.shape}; "
            "convert it to grey levels or colours 0..255 first"
        )
    return array


def burned_in(image: ImageResult) -> bool | None:
    """Whether the header says that the pixels name the patient; None where it is silent."""
    said = _frame(image).instance.burned_in_annotation
    return None if said is None else said == "YES"


def _withheld(image: ImageResult, *, phi: bool) -> bool:
    return bool(burned_in(image)) and not phi


def _native(image: ImageResult, longest: int, *, phi: bool) -> Picture:
    display, aspect = _display(image), _frame(image).aspect
    if not _withheld(image, phi=phi):
        return native(display, aspect, longest)
    shape = native(np.zeros_like(display), aspect, longest)
    given = Image.fromarray(network_input(image))
    drawn = given.resize((shape.width, shape.height), Image.Resampling.NEAREST)
    return Picture(_png(drawn), shape.width, shape.height)


def native(display: np.ndarray, aspect: float, longest: int = LONGEST) -> Picture:
    """(H, W) or (H, W, 3) uint8 with pixels `aspect` times as high as wide, as square pixels.

    It is never enlarged, and has at most `longest` px and NATIVE_BYTES.
    """
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
    """(h, w) grey levels or (h, w, 3) colours, as network pixels: enlarged without smoothing,
    clipped to 0..255."""
    return _enlarged(Image.fromarray(np.clip(np.rint(image), 0, 255).astype(np.uint8)))


def signed(values: np.ndarray, palette: Palette, share: float = 0.99) -> SignedPicture:
    """(h, w) signed map; full colour is the `share` quantile of the sizes.

    One pixel then does not hide the rest. Of colours (h, w, 3) the mean over the three is drawn.
    """
    values = values if values.ndim == 2 else values.mean(-1)
    sizes = np.abs(values)
    scale = float(np.quantile(sizes, share)) or float(sizes.max())
    return SignedPicture(
        _enlarged(Image.fromarray(diverging(values, scale, palette))),
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
    return Picture(_png(image), 255, 8)


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


def evidence_map(evidence: Evidence, size: int) -> EvidenceMap:
    """The evidence summed over blocks of `size` x `size` pixels.

    Full colour is the largest region; of pixels, one may hide the rest.
    """
    values = regional(evidence.contributions, size)
    block: Block = "pixel" if size == 1 else "region"
    drawn = signed(values, EVIDENCE, share=0.99 if size == 1 else 1.0)
    return EvidenceMap(
        block, size, drawn, balance(values), evidence.bias, evidence.logit, evidence.residual
    )


def local_map(local: LocalEvidence, positive: bool) -> EvidenceMap:
    """Local evidence pixel by pixel.

    The place named is the one that speaks most for the class called, which is the one that was
    checked. positive: contributions above zero speak for that class. Full colour is the largest:
    what was spread over a place has no single pixel that hides the rest.
    """
    values, drawn = local.locations, signed(local.locations, EVIDENCE, share=1.0)
    for_called = balance(values.clip(0) if positive else values.clip(None, 0))
    sums = balance(values)._replace(largest=for_called.largest, ninth=for_called.ninth)
    return EvidenceMap(
        "place", local.grain, drawn, sums, local.constant, local.logit, local.residual
    )


def _frames(given: np.ndarray, counterfactual: Counterfactual) -> list[np.ndarray]:
    """The strip with the input before it and the counterfactual after it, unless they are in it."""
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

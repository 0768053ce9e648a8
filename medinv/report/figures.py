"""Pictures of the report as PNGs, each made once and shared by every renderer.

Signed maps are drawn one way everywhere: hue says the sign, opacity the size, zero is transparent,
and full colour is the same size on both sides.
"""

from dataclasses import dataclass
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
from medinv.report.drawing import (
    CHANGE,
    EVIDENCE,
    LONGEST,
    Picture,
    ScaleBar,
    SignedPicture,
    diverging,
    enlarged,
    grey,
    native,
    png,
    scale_bar,
    signed,
)
from medinv.report.slices import Level, across, level_of, plane, sheet, shown

SHOWN_IN_FULL = 6  # images; a study of many slices stays a page that opens
THUMBNAILS = 48
THUMBNAIL = 128  # px
REGION = 8  # network pixels a side of the regions over which the evidence is summed
Block = Literal["place", "region", "pixel"]  # what one value of an evidence map is of


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
class Sheet:
    """All slices of a volume as the network was given them, and the evidence in them.

    In rows of `across`, the feet first; full colour is that of the slice drawn in full.
    """

    across: int
    input: Picture
    evidence: Picture


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
    sheet: Sheet | None = None  # of a volume

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
    slice: Level | None = None  # of a volume, the one that is drawn


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
        explained=_explained(image, given, drawn) if image.explanation else None,
        slice=level_of(image, len(whole_input(image))),
    )


def _explained(image: ImageResult, given: np.ndarray, native: Picture) -> Explained:
    explanation, told, number = explained(image), image.answer, shown(image)
    counterfactual, local = explanation.counterfactual, explanation.local_evidence
    decoded, trace = plane(explanation.reconstruction.image, number), explanation.trace
    smallest = explanation.smallest_part
    divides = number is None and not any(side % REGION for side in given.shape)
    positive = told is None or image.label == told.name
    placed = local_map(local, positive, number) if local else None
    pixels = evidence_map(explanation.evidence, 1, number)
    return Explained(
        local=placed,
        pixels=pixels,
        regions=evidence_map(explanation.evidence, REGION) if divides and not local else None,
        frames=tuple(grey(frame) for frame in _frames(given, counterfactual, number)),
        difference=signed(plane(counterfactual.difference, number), CHANGE),
        decoded=grey(decoded),
        error=signed(decoded - given.astype(float), CHANGE, share=1.0),
        stages=tuple(grey(plane(stage.image, number)) for stage in trace.stages) if trace else (),
        part=_over(plane(smallest.mask, number)) if smallest and smallest.edit else None,
        without_part=grey(plane(smallest.edit.image, number))
        if smallest and smallest.edit
        else None,
        sheet=None if number is None else _sheet(image, (placed or pixels).drawn.scale, native),
    )


def _sheet(image: ImageResult, scale: float, native: Picture) -> Sheet:
    """All slices and their evidence, each in the shape of the slice that is drawn in full."""
    given, local = whole_input(image), explained(image).local_evidence
    values = _both(local) if local else explained(image).evidence.contributions
    drawn = (
        png(Image.fromarray(sheet(part))) for part in (given, diverging(values, scale, EVIDENCE))
    )
    wide = across(len(given))
    size = wide * native.width, -(-len(given) // wide) * native.height
    under, over = (Picture(png, *size) for png in drawn)
    return Sheet(wide, under, over)


def _over(mask: np.ndarray) -> Picture:
    """A mask (h, w) bool in the colour of a change, half transparent."""
    colour = np.array([*CHANGE[1], 140], np.uint8)
    return enlarged(Image.fromarray(mask[..., None] * colour))


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
    return _levels("display", plane(display, shown(image)))


def network_input(image: ImageResult) -> np.ndarray:
    """What the explained network was given; without one, the smallest input.

    (h, w) grey levels, or (h, w, 3) colours; of a volume the slice that is drawn. Raises
    ShapeError.
    """
    return _levels("network input", plane(whole_input(image), shown(image)))


def whole_input(image: ImageResult) -> np.ndarray:
    """The same of a volume as a whole, (d, h, w). Raises ShapeError."""
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
    return inputs[shape]


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
    frame = _frame(image)
    said = {part.burned_in_annotation for part in (frame.instance, *frame.parts)}
    return True if "YES" in said else None if None in said else False


def _withheld(image: ImageResult, *, phi: bool) -> bool:
    return bool(burned_in(image)) and not phi


def _native(image: ImageResult, longest: int, *, phi: bool) -> Picture:
    display, aspect = _display(image), _frame(image).aspect
    if not _withheld(image, phi=phi):
        return native(display, aspect, longest)
    shape = native(np.zeros_like(display), aspect, longest)
    given = Image.fromarray(network_input(image))
    drawn = given.resize((shape.width, shape.height), Image.Resampling.NEAREST)
    return Picture(png(drawn), shape.width, shape.height)


def evidence_map(evidence: Evidence, size: int, number: int | None = None) -> EvidenceMap:
    """The evidence summed over blocks of `size` x `size` pixels; of a volume slice `number` drawn.

    Full colour is the largest region; of pixels, one may hide the rest.
    """
    values = evidence.contributions if size == 1 else regional(evidence.contributions, size)
    block: Block = "pixel" if size == 1 else "region"
    drawn = signed(plane(values, number), EVIDENCE, share=0.99 if size == 1 else 1.0)
    return EvidenceMap(
        block, size, drawn, balance(values), evidence.bias, evidence.logit, evidence.residual
    )


def local_map(local: LocalEvidence, positive: bool, number: int | None = None) -> EvidenceMap:
    """Local evidence pixel by pixel; of a volume slice `number` is drawn.

    Drawn is what speaks for either class where it is placed, and named the place where most speaks
    for the class called, which is the one that was checked. positive: contributions above zero
    speak for that class. Full colour is the largest: no single pixel hides the rest.
    """
    values = local.locations
    drawn = signed(plane(_both(local), number), EVIDENCE, share=1.0)
    sign = 1.0 if positive else -1.0
    most = balance(sign * local.placed(sign), local.region)
    sums = balance(values)._replace(largest=most.largest, ninth=most.ninth)
    return EvidenceMap(
        "place", local.grain, drawn, sums, local.constant, local.logit, local.residual
    )


def _both(local: LocalEvidence) -> np.ndarray:
    """What speaks for the positive class where it is placed, less what speaks against it."""
    return local.placed(1.0) - local.placed(-1.0)


def _frames(
    given: np.ndarray, counterfactual: Counterfactual, number: int | None
) -> list[np.ndarray]:
    """The strip with the input before it and the counterfactual after it, unless they are in it."""
    frames = [plane(one, number) for one in counterfactual.strip]
    edited = plane(counterfactual.image, number)
    if not frames or not np.array_equal(np.rint(frames[0]), given):
        frames.insert(0, given)
    if len(frames) == 1 or not np.array_equal(np.rint(frames[-1]), edited):
        frames.append(edited)
    return frames

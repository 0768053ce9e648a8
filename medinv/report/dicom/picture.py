"""Page one as a picture, for viewers that know nothing else.

It is a colour Secondary Capture with the disclaimer burned in. It names no patient.
"""

from functools import cache
from pathlib import Path

import numpy as np
from highdicom.sc import SCImage
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from medinv.report import derived, strings
from medinv.report.derived import contrast, explained
from medinv.report.dicom.common import Analysis, reference
from medinv.report.drawing import EVIDENCE, colour_bar
from medinv.report.figures import EvidenceMap, Panel

PANEL, GAP, HEAD, FOOT = 560, 28, 150, 190  # px
_INK, _QUIET, _PAPER = (240, 240, 240), (170, 176, 186), (16, 18, 22)
_WARNING, _BAR_GREY = (255, 196, 60), (90, 90, 90)
_OVERLAY = 0.55  # opacity of full colour
Colour = tuple[int, int, int]


def secondary_capture(analysis: Analysis) -> Dataset:
    """The picture of the image that decides, in the analysed study."""
    panel = analysis.deciding
    dataset = SCImage.from_ref_dataset(
        ref_dataset=analysis.headers[panel.image.sop_uid],
        pixel_array=np.asarray(picture(analysis, panel)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **analysis.making("picture"),
    )
    dataset.copy_patient_and_study_information(analysis.first)
    for keyword in ("PatientOrientation", "Laterality"):  # of several pictures none is the sheet's
        setattr(dataset, keyword, None)
    dataset.ConversionType = "WSD"
    dataset.BurnedInAnnotation = "YES" if analysis.burned_in else "NO"
    dataset.DerivationDescription = f"Summary of a model's result. {strings.RESEARCH_USE}"
    sources = analysis.sources(analysis.inside)
    dataset.SourceImageSequence = [reference(header) for header in sources]
    return dataset


def picture(analysis: Analysis, panel: Panel) -> Image.Image:
    """RGB: the image, the evidence over it, and the counterfactual where it may be shown."""
    drawn = panel.explained
    if drawn is None:
        raise ValueError(f"image {panel.number}: expected an explained image to draw")
    edit, two = explained(panel.image).counterfactual, contrast(panel.image, analysis.card)
    native = _native(panel)
    panels = [
        (native, _native_caption(panel)),
        (
            _overlaid(native, drawn.evidence),
            f"Evidence for (orange) and against (blue) {two.towards}",
        ),
    ]
    if edit.valid:
        decoded = drawn.frames[-1].pixels.convert("RGB")
        counterfactual = decoded.resize(native.size, Image.Resampling.NEAREST)
        panels.append((counterfactual, f"An image for which the model answers {edit.target}"))
    width = GAP + len(panels) * (PANEL + GAP)
    sheet = Image.new("RGB", (width, HEAD + PANEL + FOOT), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _headline(draw, analysis, panel, width)
    for k, (image, caption) in enumerate(panels):
        left = GAP + k * (PANEL + GAP)
        sheet.paste(image, (left + (PANEL - image.width) // 2, _top(image)))
        _fitted(draw, (left, HEAD + PANEL + 8), caption, 17, PANEL, _INK)
    _letters(draw, panel, native, len(panels))
    _footing(draw, sheet, analysis, panel)
    return sheet


def _native_caption(panel: Panel) -> str:
    if panel.withheld:
        return "What the network was given"
    if panel.slice:
        return strings.slice_of(panel.slice)
    turn = panel.frame.turn
    return f"The image, {turn} as its header says" if turn else "The image as stored"


def _headline(draw: ImageDraw.ImageDraw, analysis: Analysis, panel: Panel, width: int) -> None:
    draw.rectangle((0, 0, width, 40), fill=_WARNING)
    draw.text((GAP, 7), strings.RESEARCH_USE.upper(), (0, 0, 0), _font(22, bold=True))
    card, point, told = analysis.card, analysis.card.operating_point, panel.image.answer
    limit = (
        f", called {told.name} from {strings.percent(point.threshold)} on" if point and told else ""
    )
    share = f": {strings.percent(told.probability)} probability of {told.name}" if told else ""
    answer = f"{panel.image.label}{share}{limit}"
    _fitted(draw, (GAP, 52), answer, 30, width - 2 * GAP, _INK, bold=True)
    count = len(analysis.result.instances)
    which = f"image {panel.number} of {count}, which decides; " if count > 1 else ""
    where = f"{which}study {analysis.result.study_uid}"
    said = f"{card.title} ({card.name} {card.version}); {where}"
    _fitted(draw, (GAP, 98), said, 18, width - 2 * GAP, _QUIET)


def _footing(
    draw: ImageDraw.ImageDraw, sheet: Image.Image, analysis: Analysis, panel: Panel
) -> None:
    left, top = 2 * GAP + PANEL, HEAD + PANEL + 42
    _scale(draw, sheet, panel, (left, top))
    trip, (rows, columns) = explained(panel.image).reconstruction, panel.given
    exact = "decode back to every pixel" if trip.exact else "DO NOT decode back to every pixel"
    lines = (
        f"The features {exact} of the network's input ({trip.bits} bits).",
        f"Input {rows} x {columns} pixels, to which the image was resized.",
        f"Weights {analysis.sha256[:16]}, medinv {derived.MEDINV}.",
    )
    for k, line in enumerate(lines):
        _fitted(draw, (GAP, top + 24 * k), line, 16, PANEL, _QUIET)
    caveat = _caveat(analysis, panel)
    _fitted(draw, (GAP, top + 96), caveat, 16, sheet.width - 2 * GAP, _WARNING)


def _scale(
    draw: ImageDraw.ImageDraw, sheet: Image.Image, panel: Panel, place: tuple[int, int]
) -> None:
    """The colour bar with its ends, and the sum."""
    if panel.explained is None:
        return
    (left, top), evidence = place, panel.explained.evidence
    under = Image.new("RGB", (PANEL, 14), _BAR_GREY)
    sheet.paste(_laid_over(under, colour_bar(EVIDENCE).pixels), (left, top))
    scale = evidence.drawn.scale
    ends = ((0, "la", f"{-scale:+.2g}"), (0.5, "ma", "0"), (1, "ra", f"{scale:+.2g}"))
    for share, anchor, text in ends:
        at = (left + share * PANEL, top + 20)
        draw.text(at, text, _INK, _font(16), anchor=anchor)
    sums = evidence.balance
    said = (
        f"{strings.evidence_unit(evidence.block)}; {sums.towards:+.1f} {sums.against:+.1f} "
        f"and constant {evidence.bias:+.1f} make {evidence.logit:+.2f}"
    )
    _fitted(draw, (left, top + 42), said, 16, PANEL, _QUIET)


def _caveat(analysis: Analysis, panel: Panel) -> str:
    local = explained(panel.image).local_evidence
    ground = strings.ground_of(local, contrast(panel.image, analysis.card))
    words = f"Local evidence, against what is expected of {ground},"
    unclaimed = (
        f"; {strings.no_place(local)}, so that no place can be named"
        if local and not local.valid
        else ""
    )
    return (
        f"{words if local else 'The evidence'} is an exact sum{unclaimed}. It is not shown to be "
        "where a disease lies, and the label is no finding of a radiologist."
    )


def _native(panel: Panel) -> Image.Image:
    """The image as the report draws it, as large as a panel allows."""
    native = panel.native
    ratio = PANEL / max(native.height, native.width)
    size = max(round(native.width * ratio), 1), max(round(native.height * ratio), 1)
    return native.pixels.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _overlaid(native: Image.Image, evidence: EvidenceMap) -> Image.Image:
    return _laid_over(native, evidence.drawn.picture.pixels)


def _laid_over(under: Image.Image, colour: Image.Image) -> Image.Image:
    """A signed map over grey levels, its full colour at the sheet's opacity."""
    values = np.asarray(colour.resize(under.size, Image.Resampling.NEAREST), dtype=float)
    alpha = _OVERLAY * values[..., 3:] / 255
    blended = (1 - alpha) * np.asarray(under, dtype=float) + alpha * values[..., :3]
    return Image.fromarray(np.rint(blended).astype(np.uint8))


def _top(image: Image.Image) -> int:
    return HEAD + (PANEL - image.height) // 2


def _letters(draw: ImageDraw.ImageDraw, panel: Panel, image: Image.Image, panels: int) -> None:
    if panel.letters is None:
        return
    for k in range(panels):
        left = GAP + k * (PANEL + GAP) + (PANEL - image.width) // 2
        sides = ((left + 8, "la"), (left + image.width - 8, "ra"))
        for (x, anchor), letter in zip(sides, panel.letters, strict=True):
            draw.text(
                (x, _top(image) + 6),
                letter,
                _INK,
                _font(24, bold=True),
                anchor=anchor,
                stroke_width=2,
                stroke_fill=(0, 0, 0),
            )


def _fitted(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    room: int,
    ink: Colour,
    *,
    bold: bool = False,
) -> None:
    """One line, smaller where it would leave its room, cut where it would be too small to read."""
    while size > 12 and draw.textlength(text, _font(size, bold=bold)) > room:
        size -= 1
    while draw.textlength(text, _font(size, bold=bold)) > room:
        text = text[:-2] + "\u2026"
    draw.text(place, text, ink, _font(size, bold=bold))


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    name = f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)

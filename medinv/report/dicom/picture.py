"""Page one as a picture, for viewers that know nothing else: colour Secondary Capture with the disclaimer burned in. It names no patient."""

from functools import cache
from pathlib import Path

import numpy as np
from highdicom.sc import SCImage
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from medinv.report import strings
from medinv.report.content import ImageArrays, ImageContent, balance
from medinv.report.dicom.common import Analysis, drawn_map, reference
from medinv.report.figures import EVIDENCE, diverging

PANEL, GAP, HEAD, FOOT = 560, 28, 150, 190  # px
_INK, _QUIET, _PAPER, _WARNING = (240, 240, 240), (170, 176, 186), (16, 18, 22), (255, 196, 60)
_OVERLAY = 0.55  # opacity of full colour


def secondary_capture(analysis: Analysis) -> Dataset:
    """The picture of the image that decides, in the analysed study."""
    image = analysis.explained[0]
    dataset = SCImage.from_ref_dataset(
        ref_dataset=analysis.headers[image.sop_uid],
        pixel_array=np.asarray(picture(analysis, image)),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **analysis.making("picture"),
    )
    dataset.copy_patient_and_study_information(analysis.first)
    dataset.PatientOrientation, dataset.Laterality = (
        None,
        None,
    )  # several pictures on a sheet have none of their own
    dataset.ConversionType, dataset.BurnedInAnnotation = (
        "WSD",
        "YES" if analysis.names_study else "NO",
    )
    dataset.DerivationDescription = f"Summary of a model's result. {strings.RESEARCH_USE}"
    dataset.SourceImageSequence = [
        reference(analysis.headers[each.sop_uid]) for each in analysis.inside
    ]
    return dataset


def picture(analysis: Analysis, image: ImageContent) -> Image.Image:
    """RGB: what was shown to the network, the evidence over it, and the counterfactual where it passed its re-checks."""
    arrays = image.arrays
    shown = _native(arrays)
    panels = [
        (shown, "The image as stored"),
        (_overlaid(arrays, shown), f"Evidence for (orange) and against (blue) {analysis.positive}"),
    ]
    counterfactual = arrays.explanation.counterfactual
    if counterfactual.valid:
        decoded = (
            Image.fromarray(counterfactual.image)
            .convert("RGB")
            .resize(shown.size, Image.Resampling.NEAREST)
        )
        panels.append((decoded, f"An image for which the model answers {counterfactual.target}"))
    width = GAP + len(panels) * (PANEL + GAP)
    sheet = Image.new("RGB", (width, HEAD + PANEL + FOOT), _PAPER)
    draw = ImageDraw.Draw(sheet)
    _headline(draw, analysis, image, width)
    for k, (panel, caption) in enumerate(panels):
        left = GAP + k * (PANEL + GAP)
        sheet.paste(panel, (left + (PANEL - panel.width) // 2, HEAD + (PANEL - panel.height) // 2))
        _fitted(draw, (left, HEAD + PANEL + 8), caption, 17, PANEL, _INK)
    _letters(draw, arrays, shown, len(panels))
    _footing(draw, sheet, analysis, arrays)
    return sheet


def _headline(
    draw: ImageDraw.ImageDraw, analysis: Analysis, image: ImageContent, width: int
) -> None:
    draw.rectangle((0, 0, width, 40), fill=_WARNING)
    draw.text((GAP, 7), strings.RESEARCH_USE.upper(), (0, 0, 0), _font(22, bold=True))
    content = analysis.content
    point = content.model.operating_point
    limit = (
        f", called {analysis.positive} from {strings.percent(point.threshold)} on" if point else ""
    )
    answer = f"{image.label}: {strings.percent(image.positive)} probability of {analysis.positive}{limit}"
    _fitted(draw, (GAP, 52), answer, 30, width - 2 * GAP, _INK, bold=True)
    images = (
        f"image {image.number} of {len(content.images)}, which decides; "
        if len(content.images) > 1
        else ""
    )
    _fitted(
        draw,
        (GAP, 98),
        f"{content.model.title} ({content.model.name} {content.model.version}); {images}study {content.study_uid}",
        18,
        width - 2 * GAP,
        _QUIET,
    )


def _footing(
    draw: ImageDraw.ImageDraw, sheet: Image.Image, analysis: Analysis, arrays: ImageArrays
) -> None:
    values, scale = _values(arrays)
    left, top = 2 * GAP + PANEL, HEAD + PANEL + 42
    bar = Image.fromarray(
        _blend(np.full((14, PANEL), 90, np.uint8), np.tile(np.linspace(-1, 1, PANEL), (14, 1)), 1.0)
    )
    sheet.paste(bar, (left, top))
    for share, anchor, text in (
        (0, "la", f"{-scale:+.2g}"),
        (0.5, "ma", "0"),
        (1, "ra", f"{scale:+.2g}"),
    ):
        draw.text((left + share * PANEL, top + 20), text, _INK, _font(16), anchor=anchor)
    local = arrays.explanation.local_evidence
    found, evidence = balance(values), local or arrays.explanation.evidence
    constant = local.constant if local else evidence.bias
    sums = f"log-odds a {'pixel' if local else 'region'}; {found.towards:+.1f} {found.against:+.1f} and constant {constant:+.1f} make {evidence.logit:+.2f}"
    _fitted(draw, (left, top + 42), sums, 16, PANEL, _QUIET)
    certificate = arrays.explanation.reconstruction
    exact = (
        "decode back to every pixel" if certificate.exact else "DO NOT decode back to every pixel"
    )
    lines = (
        f"The features {exact} of the network's input ({certificate.bits} bits).",
        f"Input {arrays.network_input.shape[0]} x {arrays.network_input.shape[1]} pixels, the image squashed.",
        f"Weights {analysis.sha256[:16]}, medinv {analysis.content.medinv_version}.",
    )
    for k, line in enumerate(lines):
        _fitted(draw, (GAP, top + 24 * k), line, 16, PANEL, _QUIET)
    words = (
        f"Local evidence, against what is usual in images labelled {analysis.content.model.classes[0]},"
        if local
        else "The evidence"
    )
    unclaimed = (
        "; the same shape elsewhere moves the answer as much, so that no place is claimed"
        if local and not local.valid
        else ""
    )
    caveat = f"{words} is an exact sum{unclaimed}. It is not shown to be where a disease lies, and the label is no finding of a radiologist."
    _fitted(draw, (GAP, top + 96), caveat, 16, sheet.width - 2 * GAP, _WARNING)


def _values(arrays: ImageArrays) -> tuple[np.ndarray, float]:
    """Evidence as it is drawn, and the value of full colour."""
    values = drawn_map(arrays)
    return values, float(np.abs(values).max()) or 1.0


def _native(arrays: ImageArrays) -> Image.Image:
    """The stored image with square pixels, as large as a panel allows."""
    height, width = arrays.display.shape[0] * arrays.aspect, arrays.display.shape[1]
    ratio = PANEL / max(height, width)
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    return Image.fromarray(arrays.display).resize(size, Image.Resampling.LANCZOS).convert("RGB")


def _overlaid(arrays: ImageArrays, shown: Image.Image) -> Image.Image:
    values, scale = _values(arrays)
    rows, columns = (
        np.arange(n) * side // n
        for n, side in zip((shown.height, shown.width), values.shape, strict=True)
    )
    return Image.fromarray(
        _blend(np.asarray(shown.convert("L")), values[np.ix_(rows, columns)], scale)
    )


def _blend(grey: np.ndarray, values: np.ndarray, scale: float) -> np.ndarray:
    """(h, w) grey levels under a signed map, (h, w, 3)."""
    colour = diverging(values, scale, EVIDENCE)
    alpha = _OVERLAY * colour[..., 3:] / 255
    return np.rint((1 - alpha) * grey[..., None] + alpha * colour[..., :3]).astype(np.uint8)


def _letters(
    draw: ImageDraw.ImageDraw, arrays: ImageArrays, shown: Image.Image, panels: int
) -> None:
    if arrays.laterality is None:
        return
    for k in range(panels):
        left = GAP + k * (PANEL + GAP) + (PANEL - shown.width) // 2
        for x, anchor, letter in (
            (left + 8, "la", arrays.laterality[0]),
            (left + shown.width - 8, "ra", arrays.laterality[1]),
        ):
            draw.text(
                (x, HEAD + (PANEL - shown.height) // 2 + 6),
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
    ink: tuple[int, int, int],
    *,
    bold: bool = False,
) -> None:
    """One line, smaller where it would leave its room, and cut where it would become too small to read."""
    while size > 12 and draw.textlength(text, _font(size, bold=bold)) > room:
        size -= 1
    while draw.textlength(text, _font(size, bold=bold)) > room:
        text = text[:-2] + "\u2026"
    draw.text(place, text, ink, _font(size, bold=bold))


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(
        Path(get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size
    )

"""Sentences about one image: as stored, its evidence, its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medinv.explanation.place import AROUND, BLUR, SHARE
from medinv.explanation.result import LocalEvidence
from medinv.report.strings.labels import BANDS, COLUMNS
from medinv.report.strings.numbers import counted, fixed, number, percent, signed

if TYPE_CHECKING:
    from medinv.models.card import OperatingPoint
    from medinv.report.derived import Balance, Contrast
    from medinv.report.drawing import SignedPicture
    from medinv.report.figures import Panel
    from medinv.report.slices import Level

PLACE = "place"  # what one value of a local map is of
WITHHELD = "The image as stored is not drawn: its header says that its pixels name the patient."
MAY_NAME = "The header does not say whether the pixels name the patient: they may."
MAP_COLOURS = "Orange speaks for {}, blue for {}."
EVIDENCE_CAVEAT = "The map explains one decision of one model; it does not outline disease."


def odds_of(two: Contrast) -> str:
    """What log-odds are of."""
    return two.towards if two.only else f"{two.towards} against {two.against}"


def _one(block: str) -> str:
    """What one value of a map is called: a place's are told pixel by pixel."""
    return "pixel" if block == PLACE else block


def evidence_check(residual: float) -> str:
    """That the sum is one."""
    return f"Evidence and constant sum to the model's logit to within {number(residual, 2)}."


def evidence_unit(block: str) -> str:
    """The unit of a map."""
    return f"log-odds per {_one(block)}"


def evidence_reading(block: str, two: Contrast, local: LocalEvidence | None) -> str:
    """What the colours say."""
    reference = f", each against what is expected there of {ground_of(local, two)}"
    return (
        f"Orange {block}s push the answer towards {two.towards}, "
        f"blue {block}s towards {two.against}{reference if block == PLACE else ''}; "
        "no colour is no contribution."
    )


def ground_of(local: LocalEvidence | None, two: Contrast) -> str:
    """The class of what evidence is told against."""
    return local.ground if local and local.ground else two.against


def ninth(sums: Balance) -> str:
    """The part of the image or region, as displayed, in which the largest contribution lies."""
    return f"{BANDS[sums.ninth[0]]} {COLUMNS[sums.ninth[1]]}"


def evidence_place(
    block: str, sums: Balance, two: Contrast, local: LocalEvidence | None = None
) -> str:
    """Where the largest contribution lies, and for what it speaks; local: of a map of places."""
    of = "image" if local is None or local.region is None else local.region_name
    side = two.towards if sums.largest > 0 else two.against
    size = "" if block == PLACE else f": {signed(sums.largest)}"
    return (
        f"The {block} that weighs most lies in the {ninth(sums)} of the {of} as displayed{size}, "
        f"towards {side}."
    )


MEAN, EXPECTED, ALIKE = (
    "the mean training image labelled {}",
    "what would be expected there, given all the rest of the image",
    "what the most similar kept training image labelled {} shows there",
)


def local_check(local: LocalEvidence, label: str, negative: str) -> str:
    """What replacing the strongest part of the map did, and whether a place may be named."""
    check = local.check
    if check is None:
        return "That the answer comes from this place was not checked, and is not claimed."
    most = max(0.0, *check.elsewhere)
    ground = (MEAN, EXPECTED, ALIKE)[min(local.grounds, 2)].format(local.ground or negative)
    what = (
        f"The {percent(check.share)} of the image that speaks most for {label}, "
        f"replaced by {ground}"
    )
    effect = (
        f"takes {number(check.fall)} log-odds from"
        if check.fall >= 0
        else f"adds {number(-check.fall)} log-odds to"
    )
    measurement = (
        f"{what}, {effect} that answer; the same shape at {len(check.elsewhere)} other places "
        f"takes at most {number(most)}."
    )
    if local.strays:
        return (
            f"No place can be named: what speaks most for {label} lies outside the "
            f"{local.region_name}. {measurement}"
        )
    return measurement if check.valid else f"No place can be named. {measurement}"


def no_place(local: LocalEvidence) -> str:
    """Why no place can be named."""
    if local.strays:
        return f"what speaks most lies outside the {local.region_name}"
    return "a change elsewhere moves the answer as much"


def outside_region(local: LocalEvidence | None) -> str:
    """What of the answer comes from where the map shows nothing; empty where it shows all."""
    if local is None or local.region is None:
        return ""
    return (
        f"Drawn is what lies in the {local.region_name}, as they are estimated in this image: by "
        "that the model was trained to decide. What lies outside carries "
        f"{signed(local.outside)} log-odds."
    )


def decision_steps(
    panel: Panel, two: Contrast, point: OperatingPoint | None
) -> tuple[tuple[str, str], ...]:
    """Values with what they are, in the order in which one follows from the other."""
    drawn, image = panel.explained, panel.image
    if drawn is None:
        return ()
    evidence, sums = drawn.evidence, drawn.evidence.balance
    terms = (evidence.bias, sums.towards, sums.against, evidence.logit)
    constant, towards, against, logit = (fixed(term) for term in terms)
    block, local = evidence.block, image.explanation.local_evidence if image.explanation else None
    share, what = _probability(image.probabilities, two)
    return (
        (constant, _NO_PLACE.format(ground_of(local, two)) if block == PLACE else _NO_PIXEL),
        (towards, f"{block}s that speak for {two.towards} (orange)"),
        (against, f"{block}s that speak for {two.against} (blue)"),
        (logit, f"their sum: the log-odds of {odds_of(two)}"),
        (percent(share), what),
        (image.label, f"the label{_side(image.probabilities, two, point)}"),
    )


_NO_PIXEL = "the constant, which no pixel carries"
_NO_PLACE = (
    "the answer to what is expected of {} images, and what a move of the image by a pixel or two "
    "does: no place carries it"
)


def _probability(named: dict[str, float], two: Contrast) -> tuple[float, str]:
    if two.only:
        return named[two.towards], "the same as a calibrated probability (sigmoid)"
    share = named[two.towards] / (named[two.towards] + named[two.against])
    return share, f"the share of {two.towards} in the probability of both (sigmoid)"


def _side(named: dict[str, float], two: Contrast, point: OperatingPoint | None) -> str:
    if not two.only:
        return f", the most probable of {len(named)} classes: {percent(named[two.towards])}"
    if point is None:
        return ""
    side = "at or above" if named[two.towards] >= point.threshold else "below"
    return f", since {side} the operating point of {percent(point.threshold)}"


def evidence_scale(block: str, drawn: SignedPicture) -> str:
    """The value of full colour, and what lies beyond it."""
    beyond = counted(drawn.clipped, ("pixel lies", "pixels lie"))
    said = f" {beyond} beyond it, drawn in full colour." if beyond else ""
    return (
        f"Full colour is \u00b1{number(drawn.scale)} {evidence_unit(block)}, "
        f"the same on both sides of zero.{said}"
    )


def evidence_resolution(block: str, size: int, given: tuple[int, int]) -> str:
    """How fine a map is. given: rows and columns of the network's input."""
    pixels = f"{given[0]} \u00d7 {given[1]} pixels that the network was given"
    if block == PLACE:
        return (
            f"The sum is taken inside the network, where a place is {size} \u00d7 {size} of the "
            f"{pixels} or more: the map is no finer. It is the mean over copies of the image moved "
            "by up to two pixels, in noise where the network was trained in it, and is drawn "
            f"averaged over {percent(BLUR)} of a side, {percent(SHARE)} of it over "
            f"{percent(AROUND)}, which keeps its sums. "
            f"{EVIDENCE_CAVEAT}"
        )
    what = f"sums {size} \u00d7 {size} of the {pixels}" if size > 1 else f"is one of the {pixels}"
    return f"Each block {what}, stretched to the image's shape, not smoothed. {EVIDENCE_CAVEAT}"


def evidence_alt(block: str, size: int, given: tuple[int, int], sums: Balance) -> str:
    """The map for those who do not see it."""
    blocks = f"{given[0] // size} by {given[1] // size}"
    what = (
        f"Local evidence map, no finer than {size} by {size} pixels,"
        if block == PLACE
        else f"Evidence map of {blocks} {block}s"
    )
    return (
        f"{what} over the image. Contributions above zero sum to {fixed(sums.towards)} log-odds, "
        f"those below to {fixed(sums.against)}; "
        f"the largest is {signed(sums.largest)} in one {_one(block)}."
    )


def native_alt(panel: Panel) -> str:
    """The image for those who do not see it."""
    (rows, columns), letters, label = panel.full_size, panel.letters, panel.image.called
    sides = f", {letters[0]} at the left edge and {letters[1]} at the right edge" if letters else ""
    told = f"the model calls it {label}" if label else "no label given"
    lies = f", {panel.frame.turn} by its header" if panel.frame.turn else " as stored"
    if panel.slice:
        return f"{slice_of(panel.slice)}, {rows} rows by {columns} columns{sides}; {told}."
    return f"Image {panel.number}{lies}, {rows} rows by {columns} columns{sides}; {told}."


def native_note(panel: Panel, intake: str) -> str:
    """The image's size, how it is drawn, and what was done to it on the way to the network."""
    rows, columns = panel.full_size
    drawn = (panel.native.height, panel.native.width)
    size = f"{rows} \u00d7 {columns} pixels (height \u00d7 width)"
    if panel.withheld:
        return f"{size}. {WITHHELD} Shown is what the network was given. {intake}."
    how = "in full" if drawn == panel.full_size else f"at {drawn[0]} \u00d7 {drawn[1]}"
    silent = f" {MAY_NAME}" if panel.burned_in is None else ""
    return f"{size}, drawn {how}. {intake}.{silent}"


def slice_of(level: Level) -> str:
    """Which slices of the series this is, as a viewer of the series counts them."""
    between = "and" if level.last == level.first + 1 else "to"
    which = f"Slice {level.first}"
    if level.last > level.first:
        which = f"Slices {level.first} {between} {level.last}"
    return f"{which} of {level.stored} from the feet"


def sheet_alt(slices: int, sums: Balance) -> str:
    """All slices for those who do not see them."""
    return (
        f"All {slices} slices of the network's input with their evidence. Contributions above zero "
        f"sum to {fixed(sums.towards)} log-odds, those below to {fixed(sums.against)}."
    )


def sheet_note(level: Level) -> str:
    """How the slices lie, and which one is drawn in full."""
    slices, drawn = level.count, slice_of(level)
    return (
        f"From the feet (top left) to the head (bottom right), as the network was given them; the "
        f"patient's right is at the left. The sums are of all {slices} slices; slice "
        f"{level.number} is the one drawn in full: it holds what speaks most for the class called. "
        f"It covers {drawn[0].lower()}{drawn[1:]} of the series as stored; their mean is drawn."
    )


def scale_note(spacing: tuple[float, float] | None, length: float | None) -> str:
    """What the scale bar rests on (mm)."""
    if spacing is None or length is None:
        return "No scale: the header gives no pixel spacing."
    stated = f"{number(spacing[0])} \u00d7 {number(spacing[1])} mm"
    return (
        f"Scale bar {number(length, 2)} mm by the header's spacing ({stated}); "
        "not corrected for magnification."
    )


def letters_note(letters: tuple[str, str] | None) -> str:
    """What the side letters rest on."""
    return (
        "Letters from the header's patient orientation."
        if letters
        else "No L/R letters: the header gives no patient orientation."
    )


def input_alt(given: tuple[int, int]) -> str:
    """The network's input for those who do not see it."""
    return f"What the network was given: {given[0]} by {given[1]} grey levels."

"""Which images of a study a model is shown, by the rules of its card: every group judged, every
image left out with its reason."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from medinv.config import Rules, Selection
from medinv.data.dicom import left_out
from medinv.data.dicom.codes import quoted
from medinv.data.dicom.grouping import Group, group
from medinv.data.dicom.orientation import hanging, is_projection, plane
from medinv.data.dicom.records import Instance, Skipped, Study
from medinv.data.picture import MODALITY

_RESULT = "made from images, not an image of a patient"
_RAW = (
    "an image for processing, as the detector gave it; its twin for presentation is the one to read"
)
_FRONTAL = frozenset({"AP", "PA"})
# Objects with pixels that no model reads, by SOP class.
_OBJECTS = {
    "1.2.840.10008.5.1.4.1.1.66.4": ("segmentation", _RESULT),
    "1.2.840.10008.5.1.4.1.1.66.7": ("segmentation", _RESULT),
    "1.2.840.10008.5.1.4.1.1.66.8": ("segmentation", _RESULT),
    "1.2.840.10008.5.1.4.1.1.30": ("parametric-map", _RESULT),
    "1.2.840.10008.5.1.4.1.1.481.2": ("dose", _RESULT),
    "1.2.840.10008.5.1.4.1.1.1.1.1": ("for-processing", _RAW),
    "1.2.840.10008.5.1.4.1.1.1.2.1": ("for-processing", _RAW),
    "1.2.840.10008.5.1.4.1.1.1.3.1": ("for-processing", _RAW),
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """One rule on one group."""

    rule: str  # also the code of what it leaves out
    passed: bool
    says: str
    stated: bool = True  # False: the header says nothing on it
    text: str | None = field(
        default=None, repr=False
    )  # the description that was searched: may identify the patient


@dataclass(frozen=True)
class Judged:
    """A group and what every rule says of it."""

    group: Group
    verdicts: tuple[Verdict, ...]

    @property
    def objections(self) -> tuple[Verdict, ...]:
        """The rules that the group fails."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


@dataclass(frozen=True)
class Choice:
    """What of a study a model is shown.

    `study` holds it: its instances are the chosen ones, all others stand in its `skipped`.
    """

    study: Study
    judged: tuple[Judged, ...]
    # what was not stated, is ambiguous or left out; identifies nobody
    warnings: tuple[str, ...]


def choose(study: Study, rules: Rules) -> Choice:
    """Apply a card's rules.

    Every file of the study is in the result once; nothing is chosen where a rule of one volume
    fits several.
    """
    judged = tuple(Judged(one, _verdicts(one, rules)) for one in group(study.instances))
    eligible = [one for one in judged if not one.objections]
    if rules.selection.takes == "volume" and len(eligible) > 1:
        ambiguous = _ambiguous(eligible)
        judged = tuple(
            one if one.objections else Judged(one.group, (*one.verdicts, ambiguous))
            for one in judged
        )
        eligible = []
    chosen = tuple(instance for one in eligible for instance in one.group.instances)
    aside = [
        _left_out(instance, one.objections)
        for one in judged
        if one.objections
        for instance in one.group.instances
    ]
    skipped = tuple(sorted((*study.skipped, *aside), key=lambda record: record.source))
    told = _told(judged, study.skipped, rules)
    warnings = (*study.warnings, *_warnings(eligible), *told)
    shown = Study(study.uid, chosen, skipped, study.broken, study.warnings)
    return Choice(shown, judged, tuple(dict.fromkeys(warnings)))


def _told(judged: Sequence[Judged], skipped: Sequence[Skipped], rules: Rules) -> list[str]:
    """What is not shown of a study that is, or how the volumes of one lie that is not."""
    if not all(one.objections for one in judged):
        whys = [(one.group, one.objections[0].says if one.objections else "") for one in judged]
        return left_out.of_groups(whys) + left_out.of_files(skipped)
    volume = rules.selection.takes == "volume"
    return left_out.of_pieces([one.group for one in judged]) if volume else []


def _left_out(instance: Instance, objections: tuple[Verdict, ...]) -> Skipped:
    says = "; ".join(verdict.says for verdict in objections)
    return Skipped(instance.source, instance.study_uid, instance.sop_uid, objections[0].rule, says)


def _ambiguous(eligible: list[Judged]) -> Verdict:
    labels = ", ".join(one.group.label for one in eligible)
    return Verdict(
        "ambiguous",
        False,
        f"{len(eligible)} volumes of the study fit the rules ({labels}) and the model takes one: "
        "hand in one of them",
    )


def _warnings(eligible: list[Judged]) -> tuple[str, ...]:
    warnings = [
        f"{verdict.says}: taken as eligible"
        for one in eligible
        for verdict in one.verdicts
        if not verdict.stated
    ]
    views = sorted({one.group.first.view for one in eligible if one.group.first.view})
    if len(views) > 1:
        names = ", ".join(map(quoted, views))
        warnings.append(f"images of {len(views)} views ({names}) are classified each by itself")
    return tuple(dict.fromkeys(warnings))


def _verdicts(group: Group, rules: Rules) -> tuple[Verdict, ...]:
    first, chosen = group.first, rules.selection
    thinnest, thickest = group.thickness or (None, None)
    verdicts = (
        _object(group),
        _modality(first, rules.modalities),
        _listed(
            "body-part",
            first.body_part,
            rules.body_parts,
            lambda have, want: any(word in have.upper() for word in want),
        ),
        _extent(group, chosen),
        _colour(group.first, rules),
        _listed("view", first.view, chosen.views, lambda have, want: have.upper() in want),
        _orientation(group, chosen),
        _image_type(group, chosen),
        _listed("plane", group.plane, chosen.planes, lambda have, want: have in want, strict=True),
        _within("slices", float(group.slices), float(group.slices), chosen.slices, "images"),
        _within("thickness", thinnest, thickest, chosen.thickness, "mm"),
        _age(group, chosen),
        _described(
            "series-description",
            first.series_description,
            chosen.series_description,
            chosen.not_series_description,
        ),
        _described(
            "study-description",
            first.study_description,
            chosen.study_description,
            chosen.not_study_description,
        ),
    )
    return tuple(verdict for verdict in verdicts if verdict is not None)


def _object(group: Group) -> Verdict | None:
    listed = _OBJECTS.get(group.first.sop_class or "")
    if listed is None:
        return None
    kind, says = listed
    return Verdict(kind, False, f"{kind.replace('-', ' ')}: {says}")


def _extent(group: Group, chosen: Selection) -> Verdict | None:
    """A model of single images reads no volumes; one of volumes needs slices that have a place."""
    first = group.first
    if group.missing_parts:
        return Verdict("concatenation", False, group.missing_parts)
    if chosen.takes == "images":
        if first.format == "nifti":
            return Verdict("nifti", False, "a NIfTI volume (this model reads single DICOM images)")
        return (
            Verdict(
                "multi-frame",
                False,
                f"{first.frames} frames in one file (this model reads single images)",
            )
            if first.frames > 1
            else None
        )
    if group.stacks > 1:
        return Verdict(
            "several-stacks",
            False,
            f"{group.stacks} stacks of slices in one object (this model reads one volume): "
            "export them one by one",
        )
    if group.plane is None:
        return Verdict(
            "no-geometry",
            False,
            "the header does not place every image in the body (this model reads volumes)",
        )
    repeated = group.repeated
    return (
        Verdict(
            "same-place",
            False,
            f"{repeated} images lie where another lies, and no header value tells them apart",
        )
        if repeated
        else None
    )


def _modality(first: Instance, modalities: tuple[str, ...]) -> Verdict | None:
    if first.format == "picture" and modalities and MODALITY not in modalities:
        says = f"a picture without a DICOM header (this model reads {', '.join(modalities)})"
        return Verdict("picture", False, says)
    return _listed("modality", first.modality, modalities, lambda have, want: have in want)


def _colour(first: Instance, rules: Rules) -> Verdict | None:
    """What a model of one channel does with colours, one of three with grey levels."""
    chosen, grey = rules.selection, first.samples == 1 and first.photometric != "PALETTE COLOR"
    if grey == (rules.channels == 1):
        return None
    if grey:
        says = "grey levels (this model reads colours)"
        return None if chosen.grey == "repeat" else Verdict("grey", False, says)
    says = "an image in colour (this model reads grey levels)"
    return None if chosen.colour == "luminance" else Verdict("colour", False, says)


def _listed(
    rule: str,
    have: str | None,
    want: tuple[str, ...],
    fits: Callable[[str, tuple[str, ...]], bool],
    strict: bool = False,
) -> Verdict | None:
    if not want:
        return None
    name = rule.replace("-", " ")
    if have is None:
        return Verdict(rule, not strict, f"{name} not stated", stated=False)
    return Verdict(
        rule, fits(have, want), f"{name} {quoted(have, *want)} (this model reads {', '.join(want)})"
    )


def _orientation(group: Group, chosen: Selection) -> Verdict | None:
    """A model of frontal films reads none that its header calls lateral, whatever its view says."""
    first = group.first
    if not chosen.views or not set(chosen.views) <= _FRONTAL or not is_projection(first):
        return None
    hung = [hanging(instance) for instance in group.instances]
    others = {plane(one.stored) for one in hung if one.stored} - {"frontal"}
    if others:
        which = " and ".join(sorted(map(str, others)))
        says = f"{which} by its PatientOrientation (this model reads {', '.join(chosen.views)})"
        return Verdict("view", False, says)
    return Verdict("orientation", True, "orientation not stated", all(one.stored for one in hung))


def _image_type(group: Group, chosen: Selection) -> Verdict | None:
    """Values are compared with every value of ImageType, in whatever place it stands."""
    have = {value.upper() for image in group.instances for value in image.image_type if value}
    everywhere = set.intersection(
        *({value.upper() for value in image.image_type} for image in group.instances)
    )
    missing = [value for value in chosen.image_type if value not in everywhere]
    unwanted = [value for value in chosen.not_image_type if value in have]
    if unwanted:
        return Verdict(
            "image-type",
            False,
            f"image type {' and '.join(unwanted)}, which this model does not read",
        )
    if missing:
        return Verdict(
            "image-type", False, f"image type without {' and '.join(missing)}", stated=bool(have)
        )
    pictures = all(image.format == "picture" for image in group.instances)  # they have no header
    if not chosen.image_type and (pictures or not chosen.not_image_type):
        return None
    names = ", ".join(dict.fromkeys(map(quoted, sorted(have)))) or "not stated"
    return Verdict("image-type", True, f"image type {names}", stated=bool(have))


def _within(
    rule: str, low: float | None, high: float | None, bounds: tuple[float, float] | None, unit: str
) -> Verdict | None:
    if bounds is None:
        return None
    if low is None or high is None:
        return Verdict(rule, True, f"{rule} not stated", stated=False)
    have = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return Verdict(
        rule,
        bounds[0] <= low and high <= bounds[1],
        f"{rule} {have} {unit} (this model reads {bounds[0]:g} to {bounds[1]:g})",
    )


def _age(group: Group, chosen: Selection) -> Verdict | None:
    """In completed years, as people are; the age itself is kept out of what is said."""
    if chosen.age is None:
        return None
    low, high = chosen.age
    ages = {math.floor(image.age) for image in group.instances if image.age is not None}
    if not ages:
        return Verdict("age", True, "age not stated", stated=False)
    reads = f"this model reads ages of {low:g} to {high:g} years"
    if max(ages) > high:
        return Verdict("age", False, f"the patient is older ({reads})")
    if min(ages) < low:
        return Verdict("age", False, f"the patient is younger ({reads})")
    return Verdict("age", True, f"age as required ({reads})")


def _described(
    rule: str, text: str | None, wanted: str | None, unwanted: str | None
) -> Verdict | None:
    """The description itself is kept out of what is said: it may name the patient."""
    if wanted is None and unwanted is None:
        return None
    name, text = rule.replace("-", " "), text or ""
    if wanted is not None and not re.search(wanted, text, re.IGNORECASE):
        return Verdict(rule, False, f"{name} does not match {wanted!r}", bool(text), text)
    if unwanted is not None and re.search(unwanted, text, re.IGNORECASE):
        return Verdict(
            rule,
            False,
            f"{name} matches {unwanted!r}, which this model does not read",
            bool(text),
            text,
        )
    return Verdict(rule, True, f"{name} as required", bool(text) or wanted is None, text)

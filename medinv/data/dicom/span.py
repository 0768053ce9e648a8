"""What an image is shown by whose header states no window: one decision for a series of slices.

Viewers differ: dcmtk shows all that the bits can hold, which leaves an MR of 16 bits black; most
others show each image by its own smallest and largest value, so that the brightness of a tissue
changes from slice to slice. Here a CT is shown by Hounsfield units, which mean the same in every
image. Other slices, and frames of one image, are shown by the range of a few of their series
together. A radiograph, an exposure of its own, is shown by its own range, as viewers do.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.records import Instance

_QUARTERS = (1, 2, 3)  # of a series, where its frames are looked at: its ends are often empty


@dataclass(frozen=True)
class Span:
    """The modality values that are shown black and white, and why these."""

    low: float
    high: float
    policy: str


_HOUNSFIELD = Span(-1024, 3071, "no window: CT shown from -1024 to 3071 HU")  # what 12 bits hold


def hounsfield_span(fields: Fields, instance: Instance) -> Span | None:
    """Of a CT in Hounsfield units; None of anything else."""
    rescale = fields.numbers("RescaleSlope", 1), fields.numbers("RescaleIntercept", 1)
    if instance.modality != "CT" or None in rescale or fields.has("ModalityLUTSequence"):
        return None
    return _HOUNSFIELD if (fields.text("RescaleType") or "HU") == "HU" else None


def shown_by_series(instances: Sequence[Instance]) -> list[Instance]:
    """Images of a study, in order; those without a window know which frames of their series
    decide, the same whichever of them is read."""
    series: dict[str | None, list[Instance]] = defaultdict(list)
    for one in instances:
        if _is_sliced(one):
            series[one.series_uid].append(one)
    deciding = {uid: _chosen(images) for uid, images in series.items()}
    return [
        replace(one, shown_by=deciding[one.series_uid])
        if _is_sliced(one) and deciding[one.series_uid]
        else one
        for one in instances
    ]


def _is_sliced(instance: Instance) -> bool:
    """Grey, without a window, and a slice or one of several frames."""
    grey = instance.photometric in ("MONOCHROME1", "MONOCHROME2")
    sliced = instance.frames > 1 or instance.geometry.depth is not None
    return instance.format == "dicom" and grey and sliced and not instance.windowed


def _chosen(images: Sequence[Instance]) -> tuple[tuple[Instance, int], ...]:
    """Empty for a single frame."""
    total = sum(one.frames for one in images)
    places = {total * quarter // (len(_QUARTERS) + 1) for quarter in _QUARTERS}
    chosen, before = [], 0
    for one in images:
        chosen += [
            (one, at - before) for at in sorted(places) if before <= at < before + one.frames
        ]
        before += one.frames
    return tuple(chosen) if total > 1 else ()

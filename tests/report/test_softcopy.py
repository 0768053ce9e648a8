"""Presentation states show an image as it was read, in a grey scale that a validator accepts."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_headers import header
from pydicom import Dataset

from medinv.data.dicom.fields import Fields
from medinv.data.dicom.grey import lowest_value, modality_values, voi_levels
from medinv.report.dicom.header import quoted
from medinv.report.dicom.trial import _annotation

NO_WINDOW = {"WindowCenter": None, "WindowWidth": None}
HOUNSFIELD = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def table(entries: object, first: int, bits: int, **elements: str) -> list[Dataset]:
    """A LUT sequence of one item, as headers hold it."""
    item, words = Dataset(), np.asarray(entries, "<u2")
    item.add_new("LUTDescriptor", "US", [len(words) & 0xFFFF, first, bits])
    item.add_new("LUTData", "OW", words.tobytes())
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return [item]


RAMP, LOG = np.arange(4096), np.rint(4095 * np.log1p(np.arange(4096)) / np.log(4096))
KINDS = {
    "window": {},
    "two windows": {"WindowCenter": [1000, 2000], "WindowWidth": [500, 4000]},
    "sigmoid": {"VOILUTFunction": "SIGMOID"},
    "table that begins below zero": {"VOILUTSequence": table(RAMP, 64512, 12), **HOUNSFIELD},
    "table and window": {"VOILUTSequence": table(LOG, 0, 12)},
    "table that says more bits than it fills": {"VOILUTSequence": table(LOG, 0, 16), **NO_WINDOW},
    "table of bytes": {"VOILUTSequence": table(RAMP // 16, 0, 8), **NO_WINDOW},
    "dark table": {"VOILUTSequence": table(np.arange(1 << 16), 0, 16), **NO_WINDOW},
    "signed": {
        "VOILUTSequence": table(RAMP, 64512, 12), "PixelRepresentation": 1, "BitsStored": 16,
        "HighBit": 15,
    },
    "modality table": {"ModalityLUTSequence": table(LOG, 0, 16, ModalityLUTType="US")},
    "modality table alone": {
        "ModalityLUTSequence": table(LOG, 0, 16, ModalityLUTType="US"), **NO_WINDOW,
    },
    "table that contradicts itself": {"VOILUTSequence": table([], 0, 12)},
    "window without a width": {"WindowWidth": None},
    "window of width 0": {"WindowWidth": 0},
    "slope alone": {"RescaleSlope": 2},
    "nothing": NO_WINDOW,
}  # fmt: skip
TABLED = [kind for kind, elements in KINDS.items() if "table" in kind or kind == "signed"]


def state(kind: str) -> Dataset:
    """Of a header, written and read back."""
    made = _annotation(quoted(header(Laterality="", **KINDS[kind])).elements)
    made.Laterality = None
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return pydicom.dcmread(stream)


@pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_validator_finds_no_error_in_any_grey_scale(kind: str, tmp_path: Path) -> None:
    state(kind).save_as(tmp_path / "state.dcm")
    said = subprocess.run(
        ["dciodvfy", tmp_path / "state.dcm"], capture_output=True, text=True, check=False
    )
    assert "Error" not in said.stderr + said.stdout, said.stderr


def shown(ds: Dataset, bits: int, signed: bool) -> np.ndarray:
    """Grey levels of all stored values, by a header of an image."""
    first = -(1 << bits - 1) if signed else 0
    stored = np.arange(first, first + (1 << bits), dtype="i4")
    fields = Fields(ds)
    values, _ = modality_values(stored.astype("i4" if signed else "u4"), fields)
    lowest = lowest_value(fields, bits, signed=signed)
    levels, _ = voi_levels(values, fields, np.ones(values.shape, bool), lowest)
    return levels * 255


@pytest.mark.parametrize("kind", TABLED)
def test_the_state_shows_what_the_report_shows(kind: str) -> None:
    image, made = header(**KINDS[kind]), state(kind)
    bits, signed = image.BitsStored, image.PixelRepresentation == 1
    grey_scale = Dataset()
    for source in (*made.get("SoftcopyVOILUTSequence", ()), made):
        grey_scale.update({one.tag: one for one in source if one.tag.group == 0x28})
    assert "ModalityLUTSequence" not in made
    # the state's own table settles its sign: it maps stored values
    assert np.abs(shown(image, bits, signed) - shown(grey_scale, bits, signed)).max() < 0.01


def test_what_was_not_used_is_not_copied() -> None:
    assert "SoftcopyVOILUTSequence" not in state("window of width 0")
    assert "RescaleSlope" not in state("slope alone")
    (window,) = state("table that contradicts itself").SoftcopyVOILUTSequence
    assert window.WindowWidth == 4096 and "VOILUTSequence" not in window

"""The table that a series shares shows every image as its own table would."""

import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import write

from medinv.data.dicom import pixels
from medinv.data.dicom.index import index
from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest, read_frames
from medinv.data.resize import resize

REAL = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 40, "WindowWidth": 400},
        {"PixelPaddingValue": 0, "WindowCenter": 40, "WindowWidth": 400},
        {
            "WindowCenter": 40,
            "WindowWidth": 400,
            "VOILUTFunction": "SIGMOID",
            "PhotometricInterpretation": "MONOCHROME1",
        },
        {"WindowCenter": 600, "WindowWidth": 1200, "BitsStored": 12, "HighBit": 11},
        {"WindowCenter": 40, "WindowWidth": 400, "RescaleSlope": 0},
        {},
    ],
)
def test_shared_tables_show_what_own_tables_show(tmp_path, monkeypatch, elements) -> None:
    dataset = pydicom.dcmread(REAL / "CT_small.dcm")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(tmp_path / "x.dcm")
    (instance,) = index([tmp_path / "x.dcm"]).instances
    shared = pixels.read_pixels(instance)
    monkeypatch.setattr(pixels, "windowed_levels", lambda *_: None)
    own = pixels.read_pixels(instance)
    assert (
        shared.policy == own.policy
        and shared.warnings == own.warnings
        and shared.scale == own.scale
    )
    assert np.array_equal(shared.display, own.display) and np.array_equal(
        shared.modality, own.modality
    )


@pytest.mark.parametrize("signed", [False, True])
def test_a_large_image_is_shown_and_hashed_as_its_values_say(tmp_path, signed: bool) -> None:
    rng = np.random.default_rng(0)
    stored = rng.integers(-900 if signed else 0, 3000, (1031, 517)).astype(
        "<i2" if signed else "<u2"
    )
    shown = {"WindowCenter": 700, "WindowWidth": 900, "PixelRepresentation": int(signed)}
    (instance,) = index([write(tmp_path / "x.dcm", stored, **shown)]).instances
    request = ReadRequest((instance,), (InputSpec(1, (11, 47)),), display=True)
    (frame,) = read_frames(instance, request)
    levels = np.clip((stored - 699.5) / 899 + 0.5, 0, 1)
    assert np.array_equal(frame.display, np.rint(levels * 255)) and frame.display.flags.writeable
    assert frame.sha256 == hashlib.sha256(stored.tobytes()).hexdigest()
    assert np.array_equal(frame.input, resize(frame.display, (11, 47)))
    modality = pixels.read_pixels(instance).modality
    assert modality.dtype == np.float64 and np.array_equal(modality, stored)

"""The table that a series shares shows every image as its own table would."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from medinv.data.dicom import pixels
from medinv.data.dicom.index import index

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

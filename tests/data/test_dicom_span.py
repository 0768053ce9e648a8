"""Images without a window: slices of a series are shown by one decision, films each by its own."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_samples import dataset, write

from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import Pixels, read_frames, read_pixels

AXIAL = [1, 0, 0, 0, 1, 0]
BITS = {"BitsStored": 12, "HighBit": 11}
HOUNSFIELD = {"RescaleSlope": 1, "RescaleIntercept": -1024}


def slices(folder: Path, modality: str, values: list[int], **elements: object) -> list[Path]:
    """Slices of a ramp from 0 to each of the values."""
    return [
        write(
            folder / f"{number}.dcm",
            np.linspace(0, value, 64 * 48).astype(np.uint16).reshape(64, 48),
            number,
            Modality=modality,
            ImagePositionPatient=[0, 0, number],
            ImageOrientationPatient=AXIAL,
            **(BITS | elements),
        )
        for number, value in enumerate(values, start=1)
    ]


def shown(paths: list[Path]) -> list[Pixels]:
    return [read_pixels(instance) for instance in index(paths).instances]


def test_a_value_has_one_grey_level_in_all_slices_of_a_series(tmp_path: Path) -> None:
    paths = slices(tmp_path, "MR", [100, 1000, 2000, 1500, 900, 300, 50])
    found = shown(paths)
    # those at a quarter, the middle and three quarters: to 1000, 1500 and 300
    assert {pixels.policy.split("; ")[2] for pixels in found} == {
        "no window: shown from 0 to 1500, the range of 3 of its series"
    }
    for pixels in found:
        expected = np.rint(np.clip(pixels.stored / 1500, 0, 1) * 255)
        assert np.array_equal(pixels.display, expected)
    assert np.array_equal(found[0].display, shown(paths[::-1])[0].display)
    scale = found[0].scale
    assert scale.offset == 0 and scale.factor == pytest.approx(255 / 1500)


def test_every_study_decides_for_itself(tmp_path: Path) -> None:
    """Whether it is alone or among others."""
    one = slices(tmp_path / "a", "MR", [1000, 2000])
    alone = [pixels.display for pixels in shown(one)]
    other = slices(tmp_path / "b", "MR", [4000, 3000])
    for path in other:
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.2", "1.2.2.1"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.2.1.{ds.InstanceNumber}"
        ds.save_as(path)
    together = [pixels.display for pixels in shown([tmp_path])]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=False))


def test_padding_and_broken_slices_decide_nothing(tmp_path: Path) -> None:
    paths = slices(tmp_path, "MR", [1000, 1000, 1000], PixelPaddingValue=0)
    ds = pydicom.dcmread(paths[2])
    ds.PixelData = ds.PixelData[:100]
    ds.save_as(paths[2])
    first = read_pixels(next(index(paths).instances))
    low = first.stored[first.stored > 0].min()
    assert f"shown from {low} to 1000" in first.policy


def test_a_ct_is_shown_by_hounsfield_units(tmp_path: Path) -> None:
    values = [100, 4095]
    for pixels in shown(slices(tmp_path / "a", "CT", values, **HOUNSFIELD)):
        assert "CT shown from -1024 to 3071 HU" in pixels.policy
        assert np.array_equal(pixels.display, np.rint(pixels.stored * (255 / 4095)))
        assert pixels.scale.factor == pytest.approx(255 / 4095)
        assert pixels.scale.offset == pytest.approx(0)
    odd = slices(tmp_path / "b", "CT", values, RescaleType="US", **HOUNSFIELD)
    assert all("range of 2 of its series" in pixels.policy for pixels in shown(odd))


def test_films_are_shown_each_by_its_own_range_and_a_window_is_obeyed(tmp_path: Path) -> None:
    films = [
        write(tmp_path / f"{top}.dcm", np.array([[0, top]], np.uint16), number, **BITS)
        for number, top in enumerate((100, 4000), start=1)
    ]
    assert [pixels.display.max() for pixels in shown(films)] == [255, 255]
    windowed = slices(tmp_path / "c", "MR", [1000, 2000], WindowCenter=500, WindowWidth=1000)
    assert all("window 500/1000" in pixels.policy for pixels in shown(windowed))
    alone = shown(slices(tmp_path / "d", "MR", [1000]))
    assert "full range 0..1000" in alone[0].policy


def test_frames_of_one_image_are_shown_by_one_range(tmp_path: Path) -> None:
    frames = np.concatenate([np.full((4, 5), value, np.uint16) for value in (10, 20, 30, 40)])
    ds = dataset(frames, Modality="XA", NumberOfFrames=4, Rows=4, Columns=5, **BITS)
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    (instance,) = index([tmp_path]).instances
    levels = [int(pixels.display[0, 0]) for pixels in read_frames(instance)]
    assert levels == [0, 0, 128, 255]  # frames 2, 3 and 4 decide
    assert read_pixels(instance, 2).display[0, 0] == 128


def test_what_a_shutter_hides_does_not_count(tmp_path: Path) -> None:
    film = np.full((6, 5), 4095, np.uint16)
    film[2:4] = [1000, 1200, 1400, 1600, 1800]
    shutter = {
        "ShutterShape": "RECTANGULAR", "ShutterLeftVerticalEdge": 1, "ShutterRightVerticalEdge": 5,
        "ShutterUpperHorizontalEdge": 3, "ShutterLowerHorizontalEdge": 4,
    }  # fmt: skip
    (pixels,) = shown([write(tmp_path / "a.dcm", film, **BITS, **shutter)])
    assert "full range 1000..1800 within the shutter" in pixels.policy
    assert pixels.display[2].tolist() == [0, 64, 128, 191, 255] and not pixels.display[0].any()
    assert (pixels.modality[0] == 4095).all()

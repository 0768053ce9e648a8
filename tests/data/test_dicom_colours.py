"""Colour DICOM as colours: pydicom's conversion of its own files, shutters, and networks."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array
from pydicom.pixels.processing import apply_color_lut

from medinv.data.dicom.colour import rgb_of
from medinv.data.dicom.index import index
from medinv.data.dicom.pixels import read_pixels
from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest, read_frames

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
NAMES = (
    "SC_rgb_rle.dcm",
    "SC_rgb_rle_16bit.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "examples_palette.dcm",
)


def by_pydicom(path: Path) -> np.ndarray:
    """The first frame in red, green and blue of 8 bits."""
    dataset = pydicom.dcmread(path)
    pixels = pixel_array(path, index=0) if "NumberOfFrames" in dataset else pixel_array(path)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    top = 255 if pixels.dtype == np.uint8 else 65535
    return np.rint(pixels * (255 / top)).astype(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_colours_are_those_of_pydicom(name: str) -> None:
    (instance,) = index([FILES / name]).instances
    pixels = read_pixels(instance)
    assert pixels.colours.dtype == np.uint8 and pixels.colours.flags.c_contiguous
    difference = np.abs(pixels.colours.astype(int) - by_pydicom(FILES / name))
    assert difference.max() <= 1, name
    spec, grey = InputSpec(3, (20, 32)), InputSpec(1, (20, 32))
    request = ReadRequest((instance,), (spec, grey), display=True)
    frame = next(iter(read_frames(instance, request)))
    assert np.array_equal(frame.display, pixels.colours)
    assert frame.inputs[spec].shape == (3, 20, 32) and frame.inputs[grey].shape == (1, 20, 32)
    coloured = np.ptp(frame.inputs[spec].astype(int), axis=0).max() > 8
    assert coloured == (np.ptp(by_pydicom(FILES / name).astype(int), axis=2).max() > 8)


def test_a_grey_image_has_no_colours_and_is_repeated_for_a_network_of_three_channels() -> None:
    (instance,) = index([FILES / "CT_small.dcm"]).instances
    assert read_pixels(instance).colours is None
    spec = InputSpec(3, (16, 16))
    (frame,) = read_frames(instance, ReadRequest((instance,), (spec,), display=True))
    assert frame.display.shape == (128, 128) and "repeated" in frame.policy
    assert (frame.input == frame.input[:1]).all()


def test_partial_range_and_twelve_bits_are_stretched() -> None:
    white, black = np.array([[[235, 128, 128]], [[16, 128, 128]]], np.uint8)
    assert rgb_of(white[None], "YBR_PARTIAL_422", 8).tolist() == [[[255, 255, 255]]]
    assert rgb_of(black[None], "YBR_PARTIAL_422", 8).max() == 0
    assert rgb_of(np.full((1, 1, 3), 4095, np.uint16), "RGB", 12).min() == 255
    with pytest.raises(ValueError, match="HSV"):
        rgb_of(white[None], "HSV", 8)


def test_what_a_shutter_covers_is_black_in_colour_too(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(FILES / "SC_rgb_rle.dcm")
    dataset.ShutterShape = "RECTANGULAR"
    dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge = 0, dataset.Columns + 1
    dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge = 11, dataset.Rows + 1
    dataset.save_as(tmp_path / "x.dcm")
    (instance,) = index([tmp_path / "x.dcm"]).instances
    (whole,) = index([FILES / "SC_rgb_rle.dcm"]).instances
    covered, shown = read_pixels(instance).colours, read_pixels(whole).colours
    assert covered[:10].max() == 0 and shown[:10].max() > 0
    assert np.array_equal(covered[12:], shown[12:])

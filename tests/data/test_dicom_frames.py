"""Multi-frame, Enhanced and colour images: each frame by its own header, each colour by one
conversion."""

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_samples import PYDICOM_FILES, dataset, write
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medinv.data.dicom.index import Instance, index
from medinv.data.dicom.pixels import Pixels, read_frames, read_pixels
from medinv.errors import HeaderError, PixelDataError

RAMP = np.arange(3 * 16 * 20, dtype=np.uint16).reshape(3, 16, 20) * 4


def one(path: Path) -> Instance:
    return next(index([path]).instances)


def item(**elements: object) -> Dataset:
    out = Dataset()
    for keyword, value in elements.items():
        setattr(out, keyword, value)
    return out


def group(**macros: Dataset) -> Dataset:
    """A functional group of one-item sequences."""
    return item(**{keyword: Sequence([macro]) for keyword, macro in macros.items()})


def multi_frame(path: Path, pixels: np.ndarray = RAMP, **elements: object) -> Path:
    return write(
        path,
        pixels[0],
        **({"NumberOfFrames": len(pixels), "PixelData": pixels.tobytes()} | elements),
    )


def enhanced(path: Path, **elements: object) -> Path:
    """Three slices 2.5 mm apart: shared rescale, spacing and orientation; window, position and
    the last rescale frame by frame."""
    shared = group(
        PixelMeasuresSequence=item(PixelSpacing=[0.5, 0.25], SliceThickness=2.5),
        PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelValueTransformationSequence=item(
            RescaleIntercept=-1000, RescaleSlope=1, RescaleType="HU"
        ),
    )
    each = [
        group(
            PlanePositionSequence=item(ImagePositionPatient=[0, 0, 2.5 * k]),
            FrameVOILUTSequence=item(WindowCenter=100 * k, WindowWidth=400),
        )
        for k in range(3)
    ]
    each[2].PixelValueTransformationSequence = Sequence(
        [item(RescaleIntercept=0, RescaleSlope=2, RescaleType="HU")]
    )
    groups = {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "PerFrameFunctionalGroupsSequence": Sequence(each),
    }
    return multi_frame(path, SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1", **(groups | elements))


def test_each_frame_of_an_enhanced_image_has_its_own_rescale_and_window(tmp_path: Path) -> None:
    # a single-frame rescale in the same header must not win
    frames = list(
        read_frames(one(enhanced(tmp_path / "x.dcm", RescaleIntercept=7, RescaleSlope=7)))
    )
    assert [p.frame for p in frames] == [0, 1, 2]
    for k, pixels in enumerate(frames):
        expected = RAMP[k] * 2.0 if k == 2 else RAMP[k] - 1000.0
        assert np.array_equal(pixels.stored, RAMP[k]) and np.array_equal(pixels.modality, expected)
        levels = np.clip((expected - (100 * k - 0.5)) / 399 + 0.5, 0, 1)
        assert (
            np.array_equal(pixels.display, np.rint(levels * 255))
            and f"window {100 * k}/400" in pixels.policy
        )
        assert pixels.aspect == 2.0 and pixels.spacing == (0.5, 0.25)


def test_each_frame_of_an_enhanced_image_has_its_place(tmp_path: Path) -> None:
    instance = one(enhanced(tmp_path / "x.dcm"))
    assert [g.position for g in instance.frame_geometry] == [(0, 0, 0), (0, 0, 2.5), (0, 0, 5)]
    assert all(
        g.thickness == 2.5 and g.orientation == (1, 0, 0, 0, 1, 0) for g in instance.frame_geometry
    )
    assert instance.geometry == instance.frame_geometry[0] and instance.frames == 3


def test_a_header_that_describes_another_number_of_frames_is_broken(tmp_path: Path) -> None:
    (broken,) = index([enhanced(tmp_path / "x.dcm", NumberOfFrames=2)]).broken
    assert (
        isinstance(broken.error, HeaderError)
        and "2 frames are announced, 3 are described" in broken.error.message
    )


def test_a_dose_grid_is_placed_by_its_offsets() -> None:
    instance = one(PYDICOM_FILES / "rtdose.dcm")
    header = pydicom.dcmread(PYDICOM_FILES / "rtdose.dcm")
    assert [g.position[2] for g in instance.frame_geometry] == [
        header.ImagePositionPatient[2] + z for z in header.GridFrameOffsetVector
    ]
    frames = list(read_frames(instance))
    assert len(frames) == 15 and np.array_equal(
        np.stack([p.stored for p in frames]), header.pixel_array
    )


def test_one_frame_is_what_it_is_among_all(tmp_path: Path) -> None:
    for path in (
        multi_frame(tmp_path / "x.dcm"),
        PYDICOM_FILES / "rtdose_rle.dcm",
        PYDICOM_FILES / "examples_ybr_color.dcm",
    ):
        instance = one(path)
        for k, pixels in enumerate(read_frames(instance)):
            if k in (0, instance.frames - 1):
                assert read_pixels(instance, k).sha256 == pixels.sha256
    with pytest.raises(PixelDataError, match="frame 30 was asked for, the image has 30"):
        read_pixels(instance, 30)


def test_frames_of_single_bits_need_not_start_at_a_byte(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    content = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    path = write(
        tmp_path / "x.dcm",
        bits[0],
        NumberOfFrames=3,
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelData=content + b"\0" * (len(content) % 2),
    )
    assert np.array_equal(np.stack([p.stored for p in read_frames(one(path))]), bits)


def test_too_few_frames_are_truncation(tmp_path: Path) -> None:
    with pytest.raises(PixelDataError, match=r"4 frames of 16 x 20 pixels.*truncated"):
        next(read_frames(one(multi_frame(tmp_path / "x.dcm", NumberOfFrames=4))))


def multi(path: Path, rgb: np.ndarray, **elements: object) -> Pixels:
    """A colour image (rows, columns, 3) written and read."""
    ds = dataset(rgb[..., 0], SamplesPerPixel=3, PlanarConfiguration=0, PixelData=rgb.tobytes())
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.save_as(path, enforce_file_format=True)
    return read_pixels(one(path))


COLOURS = np.random.default_rng(1).integers(0, 256, (32, 24, 3), dtype=np.uint8)
LUMA = np.floor(COLOURS @ np.array([299, 587, 114]) / 1000 + 0.5)


def test_rgb_becomes_luma_whatever_its_order(tmp_path: Path) -> None:
    by_pixel = multi(tmp_path / "a.dcm", COLOURS, PhotometricInterpretation="RGB")
    planes = np.ascontiguousarray(COLOURS.transpose(2, 0, 1)).tobytes()
    by_plane = multi(
        tmp_path / "b.dcm",
        COLOURS,
        PhotometricInterpretation="RGB",
        PlanarConfiguration=1,
        PixelData=planes,
    )
    for pixels in (by_pixel, by_plane):
        assert (
            np.array_equal(pixels.stored, COLOURS)
            and np.array_equal(pixels.display, LUMA)
            and np.array_equal(pixels.modality, LUMA)
        )
        assert "RGB to grey: luma 0.299 R + 0.587 G + 0.114 B" in pixels.policy
    assert by_pixel.sha256 == by_plane.sha256


def test_ybr_full_is_shown_by_its_y_and_partial_is_stretched(tmp_path: Path) -> None:
    full = multi(tmp_path / "a.dcm", COLOURS, PhotometricInterpretation="YBR_FULL")
    assert np.array_equal(full.display, COLOURS[..., 0])
    luminance = np.linspace(16, 235, 32 * 24).astype(np.uint8).reshape(32, 12, 2)
    chroma = np.full((32, 12, 2), 128, np.uint8)
    content = np.concatenate([luminance, chroma], 2).tobytes()  # Y Y Cb Cr
    partial = multi(
        tmp_path / "b.dcm", COLOURS, PhotometricInterpretation="YBR_PARTIAL_422", PixelData=content
    )
    assert (
        partial.display.min() == 0
        and partial.display.max() == 255
        and "YBR_PARTIAL_422" in partial.policy
    )
    assert np.array_equal(
        multi(
            tmp_path / "c.dcm", COLOURS, PhotometricInterpretation="YBR_FULL_422", PixelData=content
        ).display,
        luminance.reshape(32, 24),
    )


def test_sixteen_bit_colours_keep_their_range(tmp_path: Path) -> None:
    wide = np.full((8, 8, 3), 65535, np.uint16)
    wide[0] = 0
    pixels = multi(tmp_path / "x.dcm", wide, PhotometricInterpretation="RGB")
    assert (
        pixels.display[0].max() == 0
        and pixels.display[1:].min() == 255
        and pixels.modality.max() == 65535
    )


def test_a_palette_is_looked_up_before_its_luma_is_taken(tmp_path: Path) -> None:
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]], np.uint8)
    ds = dataset(np.array([[0, 1], [2, 3]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    for k, name in enumerate(("Red", "Green", "Blue")):
        ds.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [4, 0, 8])
        ds.add_new(f"{name}PaletteColorLookupTableData", "OW", table[:, k].tobytes())
    ds.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    assert read_pixels(one(tmp_path / "x.dcm")).display.tolist() == [[0, 76], [150, 255]]
    del ds.RedPaletteColorLookupTableData
    ds.save_as(tmp_path / "x.dcm", enforce_file_format=True)
    with pytest.raises(PixelDataError, match="grey"):
        read_pixels(one(tmp_path / "x.dcm"))


def test_what_has_no_grey_conversion_is_left_out_by_name(tmp_path: Path) -> None:
    for photometric in ("CMYK", "HSV"):
        (skipped,) = index(
            [write(tmp_path / "x.dcm", PhotometricInterpretation=photometric)]
        ).skipped
        assert skipped.code == "colour" and photometric in skipped.message
    (skipped,) = index(
        [write(tmp_path / "x.dcm", PhotometricInterpretation="MONOCHROME2", SamplesPerPixel=3)]
    ).skipped
    assert "3 samples" in skipped.message


def test_a_nifti_volume_is_not_taken_for_frames(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "x.nii")
    with pytest.raises(PixelDataError, match="NIfTI"):
        read_pixels(one(tmp_path / "x.nii"))

"""Pictures: found by what they hold, decoded as Pillow and people see them, refused by name."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from medinv.cli.inputs import network_inputs, stored_pixels
from medinv.config import Rules, Selection
from medinv.data.decoded import decoded_frames
from medinv.data.dicom.index import index
from medinv.data.dicom.records import Broken, Instance, Skipped
from medinv.data.dicom.rules import choose
from medinv.data.frame import Frame, InputSpec
from medinv.data.intake import ReadRequest, read_frames
from medinv.errors import DataError, PixelDataError

RAMP = np.arange(48 * 40, dtype=np.uint16).reshape(48, 40)
GREY = (RAMP % 251).astype(np.uint8)
COLOURS = np.random.default_rng(3).integers(0, 256, (48, 40, 3), dtype=np.uint8)


def record(path: Path) -> Instance | Skipped | Broken:
    """What one file became."""
    (study,) = index([path]).studies
    (one,) = (*study.instances, *study.skipped, *study.broken)
    return one


def frame(path: Path, *specs: InputSpec) -> Frame:
    found = record(path)
    assert isinstance(found, Instance), found
    (one,) = read_frames(found, ReadRequest((found,), specs, display=True))
    return one


def saved(path: Path, image: np.ndarray | Image.Image, **options) -> Path:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
@pytest.mark.parametrize("image", [GREY, COLOURS], ids=["grey", "colours"])
def test_what_is_lossless_is_read_as_it_was_written(tmp_path, kind, options, image) -> None:
    one = frame(saved(tmp_path / "whatever.dat", image, format=kind, **options))
    if kind == "WEBP" and image.ndim == 2:
        image = np.stack([image] * 3, 2)  # this format knows colours alone
    assert np.array_equal(one.display, image) and not one.lossy and not one.warnings
    assert one.instance.modality == "picture" and kind in one.policy
    assert one.number is None and not one.instance.patient.stated


@pytest.mark.parametrize("options", [{"format": "JPEG"}, {"format": "WEBP", "quality": 60}])
def test_what_is_lossy_says_so(tmp_path, options) -> None:
    smooth = np.add.outer(np.arange(48), np.arange(40)).astype(np.uint8)
    colours = np.stack([smooth, smooth[::-1], 255 - smooth], 2)
    one = frame(saved(tmp_path / "x.bin", colours, **options))
    assert one.lossy and "lossy" in one.policy
    assert np.abs(one.display.astype(int) - colours).mean() < 12


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_kept_and_shown_over_the_range_of_the_picture(tmp_path, kind) -> None:
    wide = (RAMP * 20 + 700).astype(np.uint16)
    path = saved(tmp_path / "x", wide, format=kind)
    (pixels,) = decoded_frames(record(path))
    assert pixels.stored.dtype == np.uint16 and np.array_equal(pixels.stored, wide)
    expected = np.rint((wide - 700.0) * 255 / (wide.max() - 700))
    assert np.array_equal(pixels.display, expected) and "700 to" in pixels.policy
    assert np.array_equal(pixels.modality, wide)


def test_white_is_zero_in_some_tiff_files(tmp_path) -> None:
    path = saved(tmp_path / "x.tif", RAMP * 30, format="TIFF", tiffinfo={262: 0})
    (pixels,) = decoded_frames(record(path))
    assert np.array_equal(pixels.stored, 65535 - RAMP * 30)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photograph_is_shown_as_it_was_held(tmp_path, number, kind) -> None:
    exif = Image.Exif()
    exif[0x0112] = number
    options = {"lossless": True} if kind == "WEBP" else {}
    path = saved(tmp_path / "x", COLOURS, format=kind, exif=exif, **options)
    with Image.open(path) as image:
        expected = np.array(ImageOps.exif_transpose(image))
    one = frame(path, InputSpec(3, (24, 20)))
    assert np.array_equal(one.display, expected)
    turned = expected.shape[:2] == (40, 48)
    assert turned == (number > 4) and one.input.shape == (3, 24, 20)
    assert kind == "TIFF" or ("EXIF" in one.policy) == (number > 1)


def test_a_palette_of_greys_is_grey_and_one_of_colours_is_in_colour(tmp_path) -> None:
    picture = Image.fromarray(GREY).convert("P", palette=Image.Palette.ADAPTIVE)
    grey = frame(saved(tmp_path / "grey", picture, format="PNG"))
    assert grey.instance.samples == 1 and np.array_equal(grey.display, picture.convert("L"))
    picture = Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    colours = frame(saved(tmp_path / "colours", picture, format="PNG"))
    assert colours.instance.samples == 3 and np.array_equal(colours.display, picture.convert("RGB"))


def test_what_is_transparent_is_black_and_said(tmp_path) -> None:
    alpha = np.full((48, 40, 1), 255, np.uint8)
    opaque = frame(saved(tmp_path / "a", np.concatenate([COLOURS, alpha], 2), format="PNG"))
    assert np.array_equal(opaque.display, COLOURS) and not opaque.warnings
    alpha[:10] = 0
    through = frame(saved(tmp_path / "b", np.concatenate([COLOURS, alpha], 2), format="PNG"))
    assert through.display[:10].max() == 0 and np.array_equal(through.display[10:], COLOURS[10:])
    assert "transparent" in through.warnings[0]


@pytest.mark.parametrize(
    ("image", "options", "code", "words"),
    [
        (Image.new("CMYK", (8, 8)), {"format": "JPEG"}, "picture-kind", "CMYK"),
        (Image.new("F", (8, 8)), {"format": "TIFF"}, "picture-kind", "TIFF"),
        (Image.new("I", (8, 8)), {"format": "TIFF"}, "picture-kind", "TIFF"),
        (
            Image.new("L", (8, 8)),
            {"format": "TIFF", "save_all": True, "append_images": [Image.new("L", (8, 8), 9)]},
            "picture-pages",
            "several",
        ),
        (
            Image.new("RGB", (8, 8)),
            {"format": "PNG", "save_all": True, "append_images": [Image.new("RGB", (8, 8), 9)]},
            "picture-pages",
            "several",
        ),
    ],
)
def test_kinds_that_are_not_read_are_skipped_by_name(tmp_path, image, options, code, words) -> None:
    found = record(saved(tmp_path / "x.png", image, **options))
    assert isinstance(found, Skipped) and found.code == code and words in found.message


def png_header(columns: int, rows: int) -> bytes:
    """A PNG that announces so many pixels and holds none."""
    start = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", start), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("sides", [(12_000, 12_000), (60_000, 60_000)])
def test_a_pixel_bomb_is_refused_from_its_header(tmp_path, sides) -> None:
    (tmp_path / "x.png").write_bytes(png_header(*sides))
    found = record(tmp_path / "x.png")
    assert isinstance(found, Broken) and isinstance(found.error, PixelDataError)
    assert "at most" in found.error.message


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_broken_picture_is_a_typed_error_that_names_file_and_stage(tmp_path, kind) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    whole = saved(tmp_path / "whole", noise, format=kind).read_bytes()
    stages = set()
    for length in (20, len(whole) // 2):
        path = tmp_path / f"cut-{length}"
        path.write_bytes(whole[:length])
        found = record(path)
        if isinstance(found, Broken):
            error = found.error
        else:
            with pytest.raises(PixelDataError) as raised:
                frame(path)
            error = raised.value
        assert error.path == str(path) and str(path) in str(error)
        stages.add(error.stage)
    assert stages <= {"header", "decode"} and stages


def test_a_picture_in_a_zip_and_one_under_a_dicom_name(tmp_path) -> None:
    data = io.BytesIO()
    Image.fromarray(GREY).save(data, "PNG")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/b", data.getvalue())
    one = frame(tmp_path / "x.zip")
    assert np.array_equal(one.display, GREY) and one.instance.source.endswith("x.zip!a/b")
    (tmp_path / "x.dcm").write_bytes(data.getvalue())
    assert np.array_equal(frame(tmp_path / "x.dcm").display, GREY)


def test_every_picture_is_a_study_of_its_own_and_a_copy_is_named(tmp_path) -> None:
    for name in ("b.png", "a.png"):
        saved(tmp_path / name, GREY)
    saved(tmp_path / "c.png", GREY.T)
    (tmp_path / "notes.txt").write_text("no picture")
    found = index([tmp_path])
    assert [len(study.instances) for study in found.studies].count(1) == 2
    assert all(study.uid is None for study in found.studies)
    assert sorted(one.code for one in found.skipped) == ["duplicate", "not-dicom"]
    names = {one.sop_uid for one in found.instances}
    assert len(names) == 2 and not any("png" in name for name in names)


def test_a_list_that_joins_pictures_says_that_nothing_shows_their_patient(tmp_path) -> None:
    saved(tmp_path / "a.png", GREY)
    saved(tmp_path / "b.png", GREY.T)
    (tmp_path / "list.csv").write_text("path,study\na.png,one\nb.png,one\n")
    (study,) = index([tmp_path / "list.csv"]).studies
    assert len(study.instances) == 2 and "joins 2 studies" in study.warnings[0]


def test_only_a_model_whose_rules_name_pictures_is_shown_them(tmp_path) -> None:
    (study,) = index([saved(tmp_path / "x.png", GREY)]).studies
    (left_out,) = choose(study, Rules(modalities=("CR", "DX"))).study.skipped
    assert left_out.code == "picture" and "CR, DX" in left_out.message
    choice = choose(study, Rules(modalities=("DX", "picture"), body_parts=("CHEST",)))
    assert len(choice.study.instances) == 1
    assert choice.warnings == ("body part not stated: taken as eligible",)


def test_colours_and_grey_levels_go_where_the_rules_let_them(tmp_path) -> None:
    grey, colours = (
        index([saved(tmp_path / name, image)]).studies[0]
        for name, image in (("g.png", GREY), ("c.png", COLOURS))
    )

    def said(study, channels, **selection):
        choice = choose(study, Rules(selection=Selection(**selection), channels=channels))
        return [one.code for one in choice.study.skipped]

    assert said(grey, 1) == [] and said(colours, 3) == []
    assert said(colours, 1) == ["colour"] and said(colours, 1, colour="luminance") == []
    assert said(grey, 3) == ["grey"] and said(grey, 3, grey="repeat") == []


def test_inputs_have_the_channels_of_the_network(tmp_path) -> None:
    three, one = InputSpec(3, (12, 10)), InputSpec(1, (24, 20))
    read = frame(saved(tmp_path / "c.png", COLOURS), three, one)
    means = COLOURS.reshape(12, 4, 10, 4, 3).mean((1, 3)).transpose(2, 0, 1)
    assert np.abs(read.inputs[three] - means).max() <= 0.5
    luma = np.floor(COLOURS @ np.array([299, 587, 114]) / 1000 + 0.5)
    means = luma.reshape(24, 2, 20, 2).mean((1, 3))
    assert np.abs(read.inputs[one][0] - means).max() <= 0.5
    assert read.display.shape == COLOURS.shape and "luma" in read.policy
    repeated = frame(saved(tmp_path / "g.png", GREY), three)
    assert (repeated.input == repeated.input[:1]).all() and "repeated" in repeated.policy


def test_a_file_that_changed_since_it_was_indexed_is_not_read(tmp_path) -> None:
    found = record(saved(tmp_path / "x.png", GREY))
    saved(tmp_path / "x.png", COLOURS)
    with pytest.raises(DataError, match="index it again"):
        list(decoded_frames(found))


def test_the_commands_that_work_on_single_images_read_pictures_too(tmp_path, capsys) -> None:
    saved(tmp_path / "a.png", GREY)
    saved(tmp_path / "b.jpg", Image.new("CMYK", (9, 9)), format="JPEG")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:-40])
    spec = InputSpec(1, (12, 10))
    ((read, given),) = network_inputs([tmp_path], spec)
    assert given.shape == (1, 12, 10) and read.instance.source.endswith("a.png")
    said = capsys.readouterr().err
    assert "c.png" in said and "CMYK" in said
    ((instance, pixels),) = stored_pixels([tmp_path])
    assert np.array_equal(pixels.stored, GREY) and instance is not None

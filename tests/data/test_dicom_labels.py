"""Header values that are found in a second place, and headers of any length."""

from pathlib import Path

import numpy as np
import pytest
from dicom_samples import dataset, write
from pydicom.dataset import Dataset

from medinv.data.dicom import header
from medinv.data.dicom.index import Instance, index


def one(path: Path) -> Instance:
    (instance,) = index([path]).instances
    return instance


@pytest.mark.parametrize(
    ("creator", "group", "element", "vr", "value", "b_value"),
    [
        ("SIEMENS MR HEADER", 0x0019, 0x0C, "IS", "800", 800),
        ("Philips Imaging DD 001", 0x2001, 0x03, "FL", 1000.0, 1000),
        ("GEMS_PARM_01", 0x0043, 0x39, "IS", ["1000000600", "8", "0", "0"], 600),
        ("SOMEBODY ELSE", 0x0019, 0x0C, "IS", "800", None),
        ("SIEMENS MR HEADER", 0x0019, 0x0C, "LO", "none", None),
    ],
)
@pytest.mark.parametrize("implicit", [False, True])
def test_the_b_value_of_each_manufacturer(
    tmp_path: Path,
    implicit: bool,
    creator: str,
    group: int,
    element: int,
    vr: str,
    value: object,
    b_value: float | None,
) -> None:
    ds = dataset(np.zeros((4, 4), np.uint8))
    ds.private_block(group, creator, create=True).add_new(element, vr, value)
    if implicit:
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        ds["PixelData"].VR = "OW"
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert one(tmp_path / "a.dcm").b_value == b_value


def test_the_standard_b_value_comes_first(tmp_path: Path) -> None:
    ds = dataset(np.zeros((4, 4), np.uint8), DiffusionBValue=50.0)
    ds.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "800")
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert one(tmp_path / "a.dcm").b_value == 50


@pytest.mark.parametrize(
    ("code", "view"), [("399348003", "AP"), ("R-10214", "PA"), ("399173006", "LL"), ("0", None)]
)
def test_the_view_may_be_a_code(tmp_path: Path, code: str, view: str | None) -> None:
    item = Dataset()
    item.CodeValue = code
    assert one(write(tmp_path / "a.dcm", ViewCodeSequence=[item])).view == view
    assert one(write(tmp_path / "a.dcm", ViewCodeSequence=[item], ViewPosition="RLO")).view == "RLO"


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("ISO_IR 192", "Schädel 肺"),
        ("ISO_IR 100", "Schädel"),
        ("ISO_IR 144", "Грудь"),
        (["", "ISO 2022 IR 87"], "胸部"),
        ("GB18030", "胸部"),
    ],
)
def test_descriptions_in_their_own_alphabet(tmp_path: Path, charset: object, text: str) -> None:
    assert (
        one(
            write(tmp_path / "a.dcm", SpecificCharacterSet=charset, SeriesDescription=text)
        ).series_description
        == text
    )


@pytest.mark.parametrize("content", [b"line\nbreak", b"x" * 90])
def test_a_description_that_is_damage_is_none(tmp_path: Path, content: bytes) -> None:
    path = write(
        tmp_path / "a.dcm", SpecificCharacterSet="ISO_IR 192", SeriesDescription="x" * len(content)
    )
    path.write_bytes(path.read_bytes().replace(b"x" * len(content), content))
    assert one(path).series_description is None


@pytest.mark.parametrize("name", ["explicit", "implicit"])
def test_a_header_reads_alike_however_much_of_it_is_read_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    item = Dataset()
    item.CodeValue = "399348003"
    path = write(
        tmp_path / "a.dcm",
        ViewCodeSequence=[item],
        ImageComments="c" * 900,
        PixelSpacing=[0.5, 0.5],
    )
    if name == "implicit":
        ds = dataset(np.zeros((64, 48), np.uint16), ViewCodeSequence=[item])
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
        ds.save_as(path, enforce_file_format=True)
    whole = one(path)
    for first in range(140, 2500, 31):
        monkeypatch.setattr(header, "_FIRST", first)
        assert one(path) == whole

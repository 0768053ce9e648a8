"""The quick way through plain files gives what pydicom gives, element by element and pixel by pixel; what is not plain it leaves alone."""

import io
import random
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_partial
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medinv.data.dicom import header, pixels
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.index import index
from medinv.data.dicom.native import image_elements
from medinv.data.dicom.scan import Scan, scan

REAL = Path(pydicom.__file__).parent / "data" / "test_files"
WANTED = header._WANTED


def _by_pydicom(data: bytes) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_partial(io.BytesIO(data), stop_when=lambda tag, vr, length: int(tag) >= 0x7FE00008, force=True, specific_tags=list(WANTED.values()))


def _values(elements: dict, dataset: pydicom.FileDataset) -> list[dict]:
    """Elements by the quick way and by pydicom's; of those that pydicom has turned into values already, the values."""
    ours = Fields(elements)
    turned = [tag for tag in elements if not isinstance(dataset.get_item(tag, keep_deferred=True), RawDataElement)]
    ways = [{tag: e for tag, e in source.items() if tag in elements and tag not in turned} for source in (elements, dataset)]
    texts = [{tag: fields.texts(keyword_for_tag(tag)) for tag in turned} for fields in (ours, Fields(dataset))]
    return [way | text for way, text in zip(ways, texts, strict=True)]


def _check(found: Scan, dataset: pydicom.FileDataset) -> None:
    quick, whole = _values(found.elements, dataset)
    assert quick == whole and found.elements.keys() == dataset.keys()
    quick, whole = _values(found.meta, dataset.file_meta)
    assert quick == whole


def test_elements_of_real_files_are_those_of_pydicom() -> None:
    plain = 0
    for data in (path.read_bytes() for path in sorted(REAL.rglob("*.dcm"))):
        if (found := scan(data, WANTED)) is not None:
            _check(found, _by_pydicom(data))
            plain += 1
    assert plain > 40


def test_damaged_files_are_read_alike_or_not_at_all() -> None:
    chance, sources = random.Random(0), [path.read_bytes() for path in sorted(REAL.glob("*.dcm")) if path.stat().st_size < 50_000]
    plain = 0
    for _ in range(1500):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(132, min(len(data), 3000))
            if chance.random() < 0.7:
                data[place] ^= 1 << chance.randrange(8)
            else:
                data[place:place] = bytes(chance.randrange(256) for _ in range(2))
        try:
            dataset = _by_pydicom(bytes(data))
        except Exception:  # noqa: BLE001 - pydicom raises whatever it meets
            continue
        found = scan(bytes(data), WANTED)
        if found is not None:
            _check(found, dataset)
            plain += 1
    assert plain > 100


def _write(path: Path, syntax: str, **elements: object) -> Path:
    dataset = pydicom.dcmread(REAL / "CT_small.dcm")
    dataset.file_meta.TransferSyntaxUID = syntax
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("elements", [{}, {"PixelPaddingValue": 0, "WindowCenter": 40, "WindowWidth": 400}, {"RescaleSlope": 0}, {"BitsStored": 12, "HighBit": 11}])
def test_pixels_of_a_plain_file_are_those_of_the_whole_data_set(tmp_path, monkeypatch, syntax, elements) -> None:
    path = _write(tmp_path / "x.dcm", syntax, **elements)
    (instance,) = index([path]).instances
    content = path.read_bytes()
    assert image_elements(content, instance) is not None  # though it ends with padding
    for other in (content[:-1], content + b"\0", content.replace(instance.sop_uid.encode(), instance.sop_uid.encode()[:-1] + b"\0")):
        assert image_elements(other, instance) is None
    quick = pixels.read_pixels(instance)
    monkeypatch.setattr(pixels, "image_elements", lambda *_: None)
    monkeypatch.setattr(pixels, "windowed_levels", lambda *_: None)
    whole = pixels.read_pixels(instance)
    assert quick.sha256 == whole.sha256 and quick.policy == whole.policy and quick.warnings == whole.warnings and quick.scale == whole.scale
    assert np.array_equal(quick.display, whole.display) and np.array_equal(quick.modality, whole.modality)

"""The quick reader gives what pydicom gives, or nothing."""

import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement

from medinv.data.dicom.header import _NUMBERS
from medinv.data.dicom.plain import PIXELS, plain_file, read_plain

REAL = [
    path
    for path in sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*"))
    if path.is_file()
]
CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
ASKED = (
    "preamble",
    "filename",
    "timestamp",
    "original_encoding",
    "original_character_set",
    "is_implicit_VR",
    "is_little_endian",
)


def _theirs(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data), force=True)


def _check_same(ours: pydicom.Dataset, theirs: pydicom.Dataset) -> None:
    assert list(ours._dict) == list(theirs._dict)
    for tag, element in ours._dict.items():
        other = theirs._dict[tag]
        if isinstance(element, RawDataElement) and isinstance(other, RawDataElement):
            assert tuple(element) == tuple(other)
        else:
            assert ours[tag] == theirs[tag]


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def test_real_files_come_out_element_by_element_as_pydicom_reads_them():
    plain = 0
    for path in REAL:
        data = path.read_bytes()
        ours = plain_file(data)
        if ours is not None:
            theirs = _theirs(data)
            _check_same(ours, theirs)
            _check_same(ours.file_meta, theirs.file_meta)
            assert [getattr(ours, name) for name in ASKED] == [
                getattr(theirs, name) for name in ASKED
            ]
            plain += 1
    assert plain > 40


def test_a_header_alone_has_the_elements_asked_for_and_says_where_it_ended():
    data = CT.read_bytes()
    start = data[: data.index(b"\xe0\x7f\x10\x00OW") + 12]
    read, theirs = read_plain(start, _NUMBERS, stop=PIXELS), _theirs(data)
    assert read is not None and read.stopped == 0x7FE00010
    assert set(read.elements) == {tag for tag in theirs._dict if tag in _NUMBERS and tag < PIXELS}
    assert read.dataset().PatientID == theirs.PatientID


def test_sequences_without_a_length_are_the_same_when_they_are_looked_at():
    met = 0
    for path in REAL:
        read = read_plain(path.read_bytes())
        if read is None or read.implicit:
            continue
        ours, theirs = read.dataset(), _theirs(path.read_bytes())
        for element in theirs:
            if element.VR == "SQ" and element.is_undefined_length:
                assert ours[element.tag].value == element.value
                met += 1
    assert met


def test_damaged_files_come_out_as_pydicom_reads_them_or_not_at_all():
    rng, kept = np.random.default_rng(0), 0
    data = CT.read_bytes()
    for _ in range(400):
        harmed = bytearray(data)
        for place in rng.integers(0, 3000, rng.integers(1, 4)):
            harmed[place] = rng.integers(256)
        harmed = harmed[: rng.integers(100, len(harmed) + 1)] if rng.random() < 0.5 else harmed
        ours = plain_file(bytes(harmed))
        if ours is not None:
            _check_same(ours, _theirs(bytes(harmed)))
            kept += 1
    assert kept > 40


def test_what_is_cut_within_an_element_is_left_to_pydicom():
    data, whole = CT.read_bytes(), []
    for end in range(400):
        ours = plain_file(data[:end])
        if ours is not None:
            whole.append(end)
            _check_same(ours, _theirs(data[:end]))
    assert whole == [354, 384]  # ends of elements

"""What is parsed without pydicom is what pydicom's parser gives, and what is odd is left to it."""

import io
import random
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.filereader import read_partial

from medinv.data.dicom import plain
from medinv.data.dicom.header import _TAGS, _WANTED

SAMPLES = Path(__file__).parents[2] / "sample_data" / "studies"


def _pydicom_header(content: bytes):
    stopped = []

    def at_pixels(tag, vr, length):
        if int(tag) >= plain.PIXELS:
            stopped.append(int(tag))
        return bool(stopped)

    with disable_value_validation():
        dataset = read_partial(
            io.BytesIO(content), stop_when=at_pixels, force=True, specific_tags=_TAGS
        )
    return dataset, stopped


def _elements(dataset) -> list[tuple]:
    """Without places in the file, which elements behind the pixels do not state."""
    dataset.get("SpecificCharacterSet")  # which pydicom has converted
    return [
        (int(tag), element.VR, repr(element.value), getattr(element, "length", None))
        if isinstance(element, DataElement)
        else (int(tag), element.VR, element.value, element.length, element.is_implicit_VR)
        for tag, element in dataset.items()
    ]


def _meta(dataset) -> list[tuple]:
    return [(int(e.tag), e.VR, e.value) for e in dataset.file_meta]


def _agrees(content: bytes) -> bool:
    """Whether it was parsed without pydicom; then it has to be the same."""
    header, whole = plain.parsed(content[: plain.FIRST], _WANTED), plain.whole(io.BytesIO(content))
    if header is not None:
        dataset, stopped = _pydicom_header(content)
        assert _elements(header.dataset()) == _elements(dataset)
        assert [header.pixels] == stopped
        assert header.syntax == (dataset.file_meta.TransferSyntaxUID)
        assert header.dataset().original_encoding == dataset.original_encoding
        assert header.dataset().original_character_set == dataset.original_character_set
    if whole is not None:
        with disable_value_validation():
            dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        made = whole.file()
        assert _elements(made) == _elements(dataset) and _meta(made) == _meta(dataset)
        assert made.original_character_set == dataset.original_character_set
    some = plain.whole(io.BytesIO(content), plain.not_private)
    if whole is not None and some is not None:
        kept = {tag: whole.elements[tag] for tag in some.elements}
        assert _elements(some.dataset()) == _elements(pydicom.Dataset(kept))
        assert all(tag in some.elements for tag in whole.elements if plain.not_private(tag))
    return header is not None and whole is not None and some is not None


def _files() -> list[Path]:
    ours = sorted(SAMPLES.rglob("*.dcm"))
    theirs = sorted((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*"))
    return [*ours, *(path for path in theirs if path.is_file() and path.stat().st_size < 1 << 21)]


def test_files_are_parsed_as_pydicom_parses_them() -> None:
    quick = [_agrees(path.read_bytes()) for path in _files()]
    assert sum(quick) > 100 and all(quick[: len(list(SAMPLES.rglob("*.dcm")))])


@pytest.mark.filterwarnings("ignore")
def test_damaged_files_are_parsed_as_pydicom_parses_them_or_left_to_it() -> None:
    drawn, left = random.Random(0), 0
    for path in _files()[::6]:
        content = path.read_bytes()[: 1 << 17]
        for _ in range(20):
            damaged = bytearray(content)
            for _ in range(drawn.randint(1, 4)):
                damaged[drawn.randrange(min(len(damaged), 4000))] = drawn.randrange(256)
            left += not _agrees(
                bytes(damaged[: drawn.choice([len(damaged), drawn.randrange(9999)])])
            )
    assert left > 100

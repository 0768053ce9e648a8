"""A header's texts in DICOM results: every character set, and what no object can quote."""

import io

import pydicom
import pytest
from dicom_headers import SECRETS, header, slices
from dicom_made import made
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import PersonName

from medinv.errors import HeaderError
from medinv.report.dicom import evidence
from medinv.report.dicom.header import quoted
from medinv.report.dicom.results import dicom_results
from medinv.report.dicom.trial import try_headers


@pytest.mark.parametrize(
    ("terms", "stored", "name"),
    [
        ("ISO_IR 100", "Äneas^Rüdiger".encode("latin-1"), "Äneas^Rüdiger"),
        ("ISO_IR 144", "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
        ("GB18030", "王^小东".encode("gb18030"), "王^小东"),
        (
            ["", "ISO 2022 IR 87"],
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
            "Yamada^Tarou=山田^太郎",
        ),
        (
            ["", "ISO 2022 IR 149"],
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
            "Hong^Gildong=洪^吉洞",
        ),
        (
            ["", "ISO 2022 IR 58"],
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
            "Zhang^XiaoDong=张^小东",
        ),
    ],
    ids=["latin", "cyrillic", "chinese", "japanese", "korean", "chinese with escapes"],
)
def test_names_are_written_in_every_character_set(analyse, clear, terms, stored, name) -> None:
    head = header(SpecificCharacterSet=terms)
    head.PatientName = PersonName(stored, ["ascii"])
    for dataset in made(analyse(clear, head)).values():
        assert str(dataset.PatientName) == name
    assert not quoted(head).warnings


def test_undeclared_utf_8_is_read_and_said() -> None:
    head = header()
    head.PatientName = PersonName("Äneas^Rüdiger".encode(), ["ascii"])
    found = quoted(head)
    assert str(found.elements.PatientName) == "Äneas^Rüdiger"
    assert found.warnings == (
        "DICOM results: PatientName: a text is in UTF-8 though the header declares another "
        "character set",
    )


@pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "StudyDescription"])
def test_bytes_that_cannot_be_read_are_written_as_they_were_and_said(
    analyse, clear, keyword
) -> None:
    stored, tag = b"Kim^\xff\xfe(A)", tag_for_keyword(keyword)
    head = header(SpecificCharacterSet="ISO 2022 IR 149")
    raw = RawDataElement(tag, dictionary_VR(tag), len(stored), stored, 0, False, True)
    head[tag] = raw  # as it comes from a file
    (warning,) = quoted(head).warnings
    assert warning.startswith(f"DICOM results: {keyword}: ") and "kept as they are" in warning
    head[tag] = raw
    for dataset in dicom_results(analyse(clear, head), b"%PDF"):
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        assert pydicom.dcmread(stream).get_item(tag).value.rstrip() == stored


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("uid", ["1.2.840.99999.FILM-A", "1.2.03.4", "1.2." + "3" * 61])
def test_an_image_of_no_valid_uid_gets_no_object(keyword, uid) -> None:
    """One that names it is not valid, one that names it otherwise refers to nothing."""
    head = header()
    setattr(head, keyword, uid)
    with pytest.raises(HeaderError, match=f"the header's {keyword} is none") as caught:
        quoted(head)
    assert uid not in str(caught.value)


def test_a_frame_of_reference_of_no_valid_uid_is_left_out_and_said() -> None:
    """A film needs none; slices do."""
    made = quoted(header(FrameOfReferenceUID="1.2.03.4"))
    assert "FrameOfReferenceUID" not in made.elements
    (warning,) = made.warnings
    assert "FrameOfReferenceUID" in warning and "1.2.03.4" not in warning
    try_headers([made.elements])
    (odd,) = slices(1)
    odd.FrameOfReferenceUID = "1.2.03.4"
    with pytest.raises(HeaderError):
        try_headers([quoted(odd).elements])


def test_a_header_without_a_series_is_refused_in_words_that_quote_no_value() -> None:
    broken = header()
    del broken.SeriesInstanceUID
    with pytest.raises(HeaderError, match="lacks SeriesInstanceUID") as caught:
        quoted(broken)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


@pytest.mark.parametrize(
    "elements",
    [
        {"StudyDate": "Doe was here"},
        {"ImagePositionPatient": [1, 2]},
        {"ImageOrientationPatient": [1, 0, 0]},
    ],
    ids=lambda elements: next(iter(elements)),
)
def test_a_header_that_no_object_can_quote_is_a_typed_error(analyse, opacity, elements) -> None:
    (slice_,) = slices(1)
    bad = header(**elements)
    if "StudyDate" not in elements:
        for element in bad:
            if element.keyword in elements:
                slice_[element.tag] = element
        bad = slice_
    with pytest.raises(HeaderError, match="no DICOM results can be made of this header") as caught:
        made(analyse(opacity, bad))
    assert not [secret for secret in SECRETS if secret in str(caught.value)]


def test_objects_of_fixed_contents_can_be_made_of_sound_headers() -> None:
    try_headers([quoted(head).elements for head in (header(), *slices())])


@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError, KeyError, IndexError])
@pytest.mark.parametrize("where", ["_words", "_outline", "regions"])
def test_an_error_of_our_own_is_not_called_the_headers(
    analyse, opacity, monkeypatch, error, where
) -> None:
    def broken(*_: object) -> None:
        raise error("planted")

    monkeypatch.setattr(evidence, where, broken)
    with pytest.raises(error, match="planted"):
        made(analyse(opacity))

"""Names in every character set of PS3.5, and what cannot be read is kept as it is."""

from pathlib import Path

import pytest
from dicom_samples import write
from pydicom.charset import python_encoding
from pydicom.valuerep import PersonName

from medinv.data.dicom.charset import Text, decode, decoded
from medinv.data.dicom.fields import Fields
from medinv.data.dicom.index import index, open_dataset

# From PS3.5 H to K, PS3.2 and the case of a name that leaves Korean at a delimiter without an
# escape.
EXAMPLES = [
    (b"\xe7^\x1b$)C\xa4\xba^\xe7", ("ISO 2022 IR 100", "ISO 2022 IR 149"), "ç^ㅊ^ç"),
    (
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        ("", "ISO 2022 IR 149"),
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        ("", "ISO 2022 IR 87"),
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    (
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    (b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", ("GB18030",), "Wang^XiaoDong=王^小东="),
    (
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        ("ISO_IR 192",),
        "Wang^XiaoDong=王^小東=",
    ),
    (
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        ("", "ISO 2022 IR 58"),
        "Zhang^XiaoDong=张^小东=",
    ),
    (
        b"Dionysios is \x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2",
        ("ISO 2022 IR 100", "ISO 2022 IR 126"),
        "Dionysios is Διονυσιος",
    ),
    (b"\x1b$(D\x30\x21\x1b(B^x", ("", "ISO 2022 IR 159"), "丂^x"),
]
SINGLE = {
    "ISO_IR 100": "Jérôme",
    "ISO_IR 101": "Wałęsa",
    "ISO_IR 109": "ĝi",
    "ISO_IR 110": "āēģ",
    "ISO_IR 144": "Люкceмбypг",
    "ISO_IR 127": "قباني",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 138": "שרון",
    "ISO_IR 148": "Çavuşoğlu",
    "ISO_IR 166": "นามสกุล",
    "ISO_IR 203": "Œuvre",
    "ISO_IR 13": "ﾔﾏﾀﾞ",
    "GBK": "王",
    "GB18030": "王",
    "ISO_IR 192": "Ωπ王",
}


@pytest.mark.parametrize(("content", "terms", "text"), EXAMPLES)
def test_code_extensions(content: bytes, terms: tuple[str, ...], text: str) -> None:
    assert decode(content, terms) == Text(text)


@pytest.mark.parametrize("term", SINGLE)
def test_every_declared_set(term: str) -> None:
    codecs = {"GBK": "gbk", "ISO_IR 203": "iso8859-15"}
    content = SINGLE[term].encode(codecs.get(term) or python_encoding[term])
    assert decode(content, (term,)) == Text(SINGLE[term])
    assert decode(b"plain ", (term,)) == Text("plain")


@pytest.mark.parametrize("name", ["山田^太郎", "洪^吉洞", "Gößner^Käthe"])
def test_what_pydicom_encodes_is_decoded(name: str) -> None:
    terms = ("ISO 2022 IR 100", "ISO 2022 IR 87", "ISO 2022 IR 149")
    encodings = [python_encoding[term] for term in terms]
    content = PersonName(name).encode(encodings)
    assert decode(content, terms) == Text(name)


@pytest.mark.parametrize("terms", [(), ("ISO_IR 100",), ("ISO 2022 IR 100",)])
def test_undeclared_utf8_is_read_and_said(terms: tuple[str, ...]) -> None:
    found = decode("Müller^Ä".encode(), terms)
    assert found.text == "Müller^Ä" and "UTF-8" in found.warning


@pytest.mark.parametrize(
    ("content", "terms"),
    [
        (b"M\xfcller", ()),
        (b"\xff\xfe^abc", ("ISO_IR 192",)),
        (b"Ab\xa1", ("ISO 2022 IR 6", "ISO 2022 IR 166")),
        (b"\x1b$(D\x2f\x2b\x1b(B", ("", "ISO 2022 IR 159")),
        (b"a\xc4", ("UNHEARD OF",)),
        (b"\x1b%/1\xc4", ("",)),
    ],
)
def test_bytes_that_cannot_be_read_are_kept_and_said(
    content: bytes, terms: tuple[str, ...]
) -> None:
    found = decode(content, terms)
    assert found.warning and "kept" in found.warning
    kept = found.utf8
    assert all(part in kept for part in content.replace(b"\x1b(B", b"").split(b"^"))
    assert found.readable.encode("utf-8")
    assert not any(part.decode("latin-1") in found.warning for part in content.split(b"^"))


def test_an_element_of_a_data_set_is_decoded(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm",
        PatientName="X" * 9,
        SpecificCharacterSet=["ISO 2022 IR 100", "ISO 2022 IR 149"],
    )
    path.write_bytes(path.read_bytes().replace(b"X" * 9 + b" ", b"\xe7^\x1b$)C\xa4\xba^\xe7"))
    for touched in (False, True):
        ds = open_dataset(next(index([path]).instances))
        if touched:
            _ = ds.PatientName
        fields = Fields(ds)
        found = decoded(fields.raw("PatientName"), fields.texts("SpecificCharacterSet"))
        assert found == Text("ç^ㅊ^ç")

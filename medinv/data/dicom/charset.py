"""Texts in the character sets of DICOM (PS3.5 6.1, PS3.3 C.12.1.1.2), ISO 2022 with its escapes
included.

pydicom decodes by escape sequences alone; the standard also returns to the first character set at
every line end and delimiter, and without that a name such as `ç^<Korean>^ç` is garbled.
"""

import re
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue

# Python codec of a defined term without code extensions (the same term with "ISO 2022" before it
# names G0 and G1).
_WHOLE = {
    "": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 101": "iso8859-2",
    "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4", "ISO_IR 144": "iso8859-5", "ISO_IR 127": "iso8859-6",
    "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8", "ISO_IR 148": "iso8859-9", "ISO_IR 203": "iso8859-15",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 166": "iso8859-11", "ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk",
    "ISO_IR 149": "euc_kr", "ISO_IR 58": "gb2312", "ISO_IR 87": "ascii", "ISO_IR 159": "ascii",
}  # fmt: skip
_NEVER_EXTENDED = ("utf-8", "gb18030", "gbk")
# Sets in which what is valid UTF-8 reads as a row of accents and signs that no text has.
_WESTERN = ("latin-1", "iso8859-9")
# By escape sequence: the half of the code table that it fills (G0 or G1), the codec, and bytes a
# character.
_ESCAPES = {
    b"\x1b(B": (0, "ascii", 1), b"\x1b(J": (0, "shift_jis", 1), b"\x1b)I": (1, "shift_jis", 1),
    b"\x1b$B": (0, "iso2022_jp", 2), b"\x1b$@": (0, "iso2022_jp", 2),
    b"\x1b$(D": (0, "iso2022_jp_1", 2),
    b"\x1b$)C": (1, "euc_kr", 2), b"\x1b$)A": (1, "gb2312", 2),
    b"\x1b-A": (1, "latin-1", 1), b"\x1b-B": (1, "iso8859-2", 1), b"\x1b-C": (1, "iso8859-3", 1),
    b"\x1b-D": (1, "iso8859-4", 1), b"\x1b-L": (1, "iso8859-5", 1), b"\x1b-G": (1, "iso8859-6", 1),
    b"\x1b-F": (1, "iso8859-7", 1), b"\x1b-H": (1, "iso8859-8", 1), b"\x1b-M": (1, "iso8859-9", 1),
    b"\x1b-T": (1, "iso8859-11", 1), b"\x1b-b": (1, "iso8859-15", 1),
}  # fmt: skip
_PREFIX = {
    "iso2022_jp": b"\x1b$B",
    "iso2022_jp_1": b"\x1b$(D",
}  # of the codecs that need their escape
_PARTS = re.compile(rb"(\x1b[$]?[()-]?[@-~])|([\r\n\f\t\\^=])")


@dataclass(frozen=True)
class Text:
    """A decoded value.

    Where `warning` says that bytes could not be read, each such byte b stands as U+DC00 + b (PEP
    383), so that `text.encode(codec, "surrogateescape")` gives the bytes that were there.
    """

    text: str
    warning: str | None = None

    @property
    def readable(self) -> str:
        """With what cannot be read as U+FFFD."""
        return re.sub("[\udc80-\udcff]+", "\ufffd", self.text)

    @property
    def utf8(self) -> bytes:
        """For a data set of ISO_IR 192: what cannot be read stays the bytes that it was."""
        return self.text.encode("utf-8", "surrogateescape")


def decoded(element: RawDataElement | DataElement, terms: tuple[str, ...]) -> Text:
    """The text of an element, its values joined by backslashes as in the file.

    `terms`: SpecificCharacterSet.
    """
    value = element.value
    if isinstance(value, (bytes, bytearray)):
        return decode(bytes(value), terms)
    original = getattr(value, "original_string", None)
    if isinstance(original, (bytes, bytearray)):
        return decode(bytes(original), terms)
    if isinstance(value, (list, tuple, MultiValue)):
        return Text("\\".join(map(str, value)))
    return Text("" if value is None else str(value))


def decode(value: bytes, terms: tuple[str, ...] = ()) -> Text:
    """Bytes of a text in the given character sets.

    Text without a declared set that is valid UTF-8 is read as that, with a warning; bytes that no
    declared set holds are kept, with a warning.
    """
    value = value.rstrip(b"\0 ")
    if value.isascii() and b"\x1b" not in value:
        return Text(value.decode("ascii"))
    names = [re.sub(r"^ISO[ _]2022[ _]IR[ _]", "ISO_IR ", term.strip().upper()) for term in terms]
    codec, unknown = _WHOLE.get(names[0] if names else ""), [n for n in names if n not in _WHOLE]
    if codec in _NEVER_EXTENDED and b"\x1b" not in value:
        text = value.decode(codec, "surrogateescape")
    else:
        text = _extended(value, codec or "ascii")
    undeclared = None if b"\x1b" in value else _as_utf8(value)
    if not _lost(text) and (undeclared is None or codec not in _WESTERN):
        return Text(text)
    if undeclared is not None:
        return Text(
            undeclared, "a text is in UTF-8 though the header declares another character set"
        )
    if unknown:
        return Text(text, "a text is in a character set that is not known: its bytes are kept")
    return Text(
        text, "a text holds bytes that its character set does not: they are kept as they are"
    )


def _extended(value: bytes, first: str) -> str:
    """Code extension: G0 and G1 by escape sequences, back to the first set at every delimiter."""
    initial = [("ascii", 1), (first, 2 if first in ("euc_kr", "gb2312") else 1)]
    if first == "shift_jis":
        initial[0] = ("shift_jis", 1)
    halves, parts, position = list(initial), [], 0
    for match in _PARTS.finditer(value):
        escape, delimiter = match.groups()
        if delimiter and halves[0][1] == 2 and not _ends_pairs(value, position, match.end()):
            continue  # half of a 2-byte character, which looks like any ASCII letter
        parts.append(_run(value[position : match.start()], halves))
        position = match.end()
        if delimiter:
            parts.append(delimiter.decode("ascii"))
            halves = list(initial)
        elif escape in _ESCAPES:
            half, codec, width = _ESCAPES[escape]
            halves[half] = (codec, width)
        else:
            parts.append(escape.decode("ascii", "surrogateescape"))
    parts.append(_run(value[position:], halves))
    return "".join(parts)


def _ends_pairs(value: bytes, start: int, end: int) -> bool:
    """Whether the byte before `end` stands between 2-byte characters that began at `start`: some
    writers leave the set by the next escape only."""
    return (end - start) % 2 == 1 and value[end : end + 1] in (b"", b"\x1b")


def _run(piece: bytes, halves: list[tuple[str, int]]) -> str:
    """Bytes between two escapes: those below 0x80 by G0, those above by G1."""
    texts = []
    for match in re.finditer(rb"[\x00-\x7f]+|[\x80-\xff]+", piece):
        chunk = match.group()
        codec, width = halves[chunk[0] >> 7]
        texts.append(_chunk(chunk, codec, width))
    return "".join(texts)


def _chunk(chunk: bytes, codec: str, width: int) -> str:
    spaces = chunk.lstrip(b" ") if width == 2 and chunk[0] < 0x80 else chunk
    try:
        return " " * (len(chunk) - len(spaces)) + (_PREFIX.get(codec, b"") + spaces).decode(codec)
    except UnicodeDecodeError:
        return (_PREFIX.get(codec, b"") + chunk).decode("ascii", "surrogateescape")


def _as_utf8(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _lost(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" or letter == "\x1b" for letter in text)

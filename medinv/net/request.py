"""An association request (A-ASSOCIATE-RQ, PS3.8 9.3.2) as bytes, judged before pynetdicom has it.

Whoever connects may send anything, so this reads no more than LARGEST_REQUEST, until a deadline,
and nothing that it was not told the length of.
"""

import socket
import struct
import time
from dataclasses import dataclass

from pynetdicom.pdu import A_ASSOCIATE_RQ

LARGEST_REQUEST = (
    1 << 20
)  # bytes; 128 presentation contexts with 50 transfer syntaxes each take 200,000
_MOST_ITEMS = 256  # 128 presentation contexts, and one or two of each other kind
_MOST_SYNTAXES = 16_384  # of all presentation contexts
_CONTEXT, _APPLICATION, _USER, _SYNTAXES = 0x20, 0x10, 0x50, (0x30, 0x40)
_FIXED = 74  # bytes before the variable items
_PDU_REQUEST = 0x01
UNRECOGNISED, UNEXPECTED, INVALID_VALUE = 1, 2, 6  # reasons of an abort (PS3.8 9.3.8)


class BrokenRequestError(Exception):
    """No association request. `reason` is that of the A-ABORT which answers it.

    The message quotes nothing of the bytes.
    """

    def __init__(self, what: str, reason: int = INVALID_VALUE):
        super().__init__(what)
        self.reason = reason


@dataclass(frozen=True)
class Titles:
    """Who calls whom, without the padding."""

    calling: str
    called: str


def read_request(connection: socket.socket, seconds: float) -> bytes:
    """The first PDU of a connection, whole.

    Raises BrokenRequestError when it is no request or too long, TimeoutError when it is not there
    in time, and ConnectionError when the connection ends before.
    """
    end = time.monotonic() + seconds
    head = receive(connection, 6, end)
    kind, _, length = struct.unpack(">BBL", head)
    if kind != _PDU_REQUEST:
        raise BrokenRequestError(
            "it begins with something that is no association request",
            UNEXPECTED if 1 < kind < 8 else UNRECOGNISED,
        )
    if length > LARGEST_REQUEST:
        raise BrokenRequestError("it announces an association request over 1 MB")
    return bytes(head + receive(connection, length, end))


def receive(connection: socket.socket, count: int, end: float) -> bytearray:
    """`count` bytes until the time `end` (monotonic). Raises TimeoutError and ConnectionError."""
    data = bytearray()
    while len(data) < count:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        more = connection.recv(min(count - len(data), 1 << 16))
        if not more:
            raise ConnectionError
        data += more
    return data


def titles_of(request: bytes) -> Titles:
    """Who says to call whom, the cheapest question to ask. Raises BrokenRequestError."""
    if len(request) < _FIXED:
        raise BrokenRequestError("it ends within its titles")
    try:
        called, calling = (request[at : at + 16].decode("ascii").strip() for at in (10, 26))
    except UnicodeDecodeError as error:
        raise BrokenRequestError("its titles are not ASCII") from error
    return Titles(calling, called)


def check_structure(request: bytes) -> None:
    """Whether its items are those of a request. Raises BrokenRequestError."""
    items = _items(request[_FIXED:], _MOST_ITEMS)
    kinds = [kind for kind, _ in items]
    if kinds.count(_APPLICATION) != 1 or kinds.count(_USER) != 1:
        raise BrokenRequestError("it does not have one application context and one user item")
    contexts = [value for kind, value in items if kind == _CONTEXT]
    numbers = [value[0] for value in contexts if len(value) > 4]
    if not contexts or len(set(numbers)) != len(contexts) or not all(n % 2 for n in numbers):
        raise BrokenRequestError(
            "its presentation contexts are not each of an odd number of their own"
        )
    left = _MOST_SYNTAXES
    for value in contexts:
        syntaxes = _items(value[4:], left)
        if not {kind for kind, _ in syntaxes} <= set(_SYNTAXES):
            raise BrokenRequestError("its presentation contexts name something that is no syntax")
        left -= len(syntaxes)


def check_decodes(request: bytes) -> None:
    """Try here what pynetdicom does in its own threads. Raises BrokenRequestError."""
    try:
        pdu = A_ASSOCIATE_RQ()
        pdu.decode(request)
        pdu.to_primitive()
    except Exception as error:  # pynetdicom raises what the bytes happen to lead to
        raise BrokenRequestError("it cannot be decoded") from error


def _items(data: bytes, most: int) -> list[tuple[int, bytes]]:
    """Kind and value of items, not more than so many, that fill the data exactly."""
    items: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        kind, length = data[at], int.from_bytes(data[at + 2 : at + 4])
        end = at + 4 + length
        if end > len(data):
            raise BrokenRequestError("it ends within an item")
        if len(items) == most:
            raise BrokenRequestError("it has too many items")
        items.append((kind, data[at + 4 : end]))
        at = end
    return items

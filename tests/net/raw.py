"""Association requests as bytes, right and wrong, for peers that do not keep to the rules."""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

VERIFICATION, IMPLICIT = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2"


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def context(number: int, syntax: bytes = VERIFICATION) -> bytes:
    return item(0x20, bytes((number, 0, 0, 0)) + item(0x30, syntax) + item(0x40, IMPLICIT))


def user_information() -> bytes:
    return item(0x50, item(0x51, struct.pack(">I", 16382)) + item(0x52, b"1.2.3.4"))


def request(
    contexts: Iterable[bytes] = (context(1),),
    calling: bytes = b"SCANNER",
    called: bytes = b"MEDINV",
) -> bytes:
    """An A-ASSOCIATE-RQ."""
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16), calling.ljust(16))
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + user_information()
    return struct.pack(">BBI", 1, 0, len(body)) + body


@contextmanager
def connected(port: int, count: int = 1) -> Iterator[list[socket.socket]]:
    """So many connections to this machine's port."""
    made = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def answer(connection: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    read = b""
    while True:
        try:
            more = connection.recv(1 << 16)
        except ConnectionError:
            return read
        if not more:
            return read
        read += more

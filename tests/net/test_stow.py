"""STOW-RS: stored is what the server says is stored, by name; every other answer is a refusal."""

from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from servers import JSON, Web, referenced, sequences, web

from medinv.errors import MedinvError, NotDicomError, RefusedError, UnreachableError
from medinv.net.settings import Network
from medinv.net.stow import store

REASON = "00081197"


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as made:
        yield made


@pytest.fixture
def image(samples: Path) -> Path:
    return next((samples / "studies" / "study-08").glob("*.dcm"))


@pytest.fixture
def uid(image: Path) -> str:
    return pydicom.dcmread(image, stop_before_pixels=True).SOPInstanceUID


def reason(code: int) -> dict:
    return {REASON: {"vr": "US", "Value": [code]}}


@pytest.mark.parametrize("kind", [JSON, f"{JSON}; charset=utf-8", "application/json"])
def test_a_file_that_is_named_is_stored_and_travels_byte_for_byte(
    server: Web, image: Path, uid: str, kind: str
) -> None:
    server.answers(200, kind, sequences([referenced("1.2.3"), referenced(uid)]))
    store(server.peer, image, Network())
    (body,) = server.bodies
    assert image.read_bytes() in body


def test_a_warning_is_stored_all_the_same(server: Web, image: Path, uid: str) -> None:
    warning = {"00081196": {"vr": "US", "Value": [0xB000]}}
    server.answers(202, JSON, sequences([referenced(uid, **warning)]))
    store(server.peer, image, Network())


def test_an_answer_in_a_list_is_read_too(server: Web, image: Path, uid: str) -> None:
    server.answers(200, JSON, b"[" + sequences([referenced(uid)]) + b"]")
    store(server.peer, image, Network())


REFUSALS = {
    "nothing": (200, JSON, b""),
    "no content": (204, "", b""),
    "an empty object": (200, JSON, b"{}"),
    "an empty list": (200, JSON, b"[]"),
    "a page": (200, "text/html", b"<html>Please log in</html>"),
    "a page that says it is JSON": (200, JSON, b"<html>Please log in</html>"),
    "no type": (200, "", sequences([referenced("UID")])),
    "another file": (200, JSON, sequences([referenced("1.2.3")])),
    "the file and a failure": (
        202,
        JSON,
        sequences([referenced("UID")], [referenced("UID", **reason(0xC000))]),
    ),
    "the file, failed": (200, JSON, sequences([referenced("UID", **reason(0x0110))])),
    "failed": (409, JSON, sequences([], [referenced("UID", **reason(0x0122))])),
    "failed, without a reason": (409, JSON, sequences([], [referenced("UID")])),
    "stored, of a refused request": (400, JSON, sequences([referenced("UID")])),
    "JSON of another kind": (200, JSON, b'{"stored": ["UID"]}'),
    "a wrong sequence": (200, JSON, b'{"00081199": {"vr": "SQ", "Value": [7]}}'),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_every_other_answer_is_a_refusal(server: Web, image: Path, uid: str, name: str) -> None:
    status, kind, body = REFUSALS[name]
    server.answers(status, kind, body.replace(b"UID", uid.encode()))
    with pytest.raises(RefusedError, match="STOW-RS"):
        store(server.peer, image, Network())
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_refusal_and_not_followed(
    server: Web, image: Path, uid: str, status: int
) -> None:
    there = f"{server.peer.url}/studies"
    server.answers(status, JSON, sequences([referenced(uid)]), Location=there)
    with pytest.raises(RefusedError, match=f"redirects .*{status}"):
        store(server.peer, image, Network())
    assert len(server.bodies) == 1


@pytest.mark.parametrize("answer", [(503, "", b""), (409, JSON, None)])
def test_a_busy_server_is_to_be_tried_again(
    server: Web, image: Path, uid: str, answer: tuple
) -> None:
    status, kind, body = answer
    full = sequences([], [referenced(uid, **reason(0xA700))])
    server.answers(status, kind, full if body is None else body)
    with pytest.raises(UnreachableError):
        store(server.peer, image, Network())


def test_a_file_without_uid_is_not_sent(server: Web, tmp_path: Path) -> None:
    (tmp_path / "cut.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "text.dcm").write_bytes(b"text")
    for name in ("cut.dcm", "text.dcm", "absent.dcm"):
        with pytest.raises(NotDicomError):
            store(server.peer, tmp_path / name, Network())
    assert not server.bodies


def test_no_refusal_quotes_the_answer(server: Web, image: Path) -> None:
    server.answers(500, "text/html", b"Doe^Jane", Location="http://Doe^Jane")
    with pytest.raises(MedinvError) as caught:
        store(server.peer, image, Network())
    assert "Doe" not in str(caught.value)

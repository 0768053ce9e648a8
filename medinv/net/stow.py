"""STOW-RS (PS3.18 10.5): a file is stored when the server's answer names its SOP Instance UID."""

import json
import secrets
from pathlib import Path

import pydicom
import requests
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from medinv.errors import NotDicomError, PeerError, RefusedError, UnreachableError
from medinv.net.settings import Network, WebPeer
from medinv.net.web import TIMEOUT, answered, session_of

_JSON = ("application/dicom+json", "application/json")
_LARGEST_ANSWER = 1 << 24  # bytes
_SAYS_WHICH = (200, 202, 409)  # all stored, some stored, none stored (PS3.18 10.5.3)
_FAILURES = ("FailedSOPSequence", "OtherFailuresSequence")


def store(peer: WebPeer, path: Path, network: Network) -> None:
    """Store one file; returns when the server says that it has it.

    Raises NotDicomError for a file without SOP Instance UID, UnreachableError when nobody answers
    or the server is busy, and RefusedError for every other answer: a redirect, something that is
    no STOW-RS answer, a failure, or an answer that does not name the file.
    """
    try:
        uid = str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        data = path.read_bytes()
    except (InvalidDicomError, AttributeError, OSError, ValueError) as error:
        raise NotDicomError(
            f"expected a DICOM file with a SOP Instance UID ({type(error).__name__})", path=path
        ) from error
    boundary = secrets.token_hex(16)
    body = b"".join(
        (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            data,
            f"\r\n--{boundary}--\r\n".encode(),
        )
    )
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    with (
        answered(peer, "STOW-RS"),
        session_of(network) as session,
        session.post(
            f"{peer.url.rstrip('/')}/studies",
            data=body,
            headers={"Content-Type": kind, "Accept": _JSON[0]},
            timeout=TIMEOUT,
            allow_redirects=False,  # another place may take it for a page to be shown
            stream=True,
        ) as response,
    ):
        _check(_said(response), uid)


def _said(response: requests.Response) -> Dataset:
    """The answer, where it is one."""
    if response.is_redirect or 300 <= response.status_code < 400:
        raise RefusedError(
            f"STOW-RS: the server redirects (status {response.status_code}); name the address where"
            " it stores"
        )
    if response.status_code not in _SAYS_WHICH:
        response.raise_for_status()
        raise RefusedError(f"STOW-RS: expected 200, 202 or 409; got {response.status_code}")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _JSON:
        raise RefusedError(
            f"STOW-RS: expected an answer in {_JSON[0]} that names what is stored; got"
            f" {'another type' if kind else 'none'}"
        )
    text = response.raw.read(_LARGEST_ANSWER, decode_content=True)
    try:
        tree = json.loads(text)
        return Dataset.from_json(tree[0] if isinstance(tree, list) else tree)
    except Exception as error:  # pydicom raises what foreign JSON happens to lead to
        raise RefusedError("STOW-RS: the answer cannot be read") from error


def _check(said: Dataset, uid: str) -> None:
    """Raises PeerError unless the file stands among those stored, and nothing failed."""
    for keyword in _FAILURES:
        for item in said.get(keyword, ()):
            raise _failure(item)
    for item in said.get("ReferencedSOPSequence", ()):
        if item.get("ReferencedSOPInstanceUID") == uid:
            if "FailureReason" in item:
                raise _failure(item)
            return
    raise RefusedError("STOW-RS: the server's answer does not name the file as stored")


def _failure(item: Dataset) -> PeerError:
    reason = item.get("FailureReason")
    code = f"{reason:04X}H" if isinstance(reason, int) else "not given"
    if isinstance(reason, int) and 0xA700 <= reason <= 0xA7FF:
        return UnreachableError(f"STOW-RS: the server is out of resources (reason {code})")
    return RefusedError(f"STOW-RS: the server did not store it (reason {code})")

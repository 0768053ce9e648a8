"""DICOMweb: QIDO-RS to find studies, WADO-RS to fetch them, STOW-RS to store."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from medinv.errors import RefusedError, UnreachableError
from medinv.net.association import TIMEOUT
from medinv.net.settings import Network, WebPeer

T = TypeVar("T")
_PAGE = 500  # studies asked for at a time
_BUSY = (408, 425, 429, 500, 502, 503, 504)


def find_studies(peer: WebPeer, keys: Mapping[str, str], network: Network) -> list[str]:
    """Study Instance UIDs that match the keys, such as StudyDate=20260101-20260131. Raises UnreachableError or RefusedError."""
    client, found = _client(peer, network), {}
    while True:  # pages; a server that knows no offset sends its first page again and again
        page = _asked(
            peer,
            "QIDO-RS",
            lambda: client.search_for_studies(
                search_filters=dict(keys), limit=_PAGE, offset=len(found)
            ),
        )
        new = {
            uid: None
            for uid in (Dataset.from_json(study).get("StudyInstanceUID") for study in page)
            if uid and uid not in found
        }
        if not new:
            return list(found)
        found |= new


def fetch_study(peer: WebPeer, study_uid: str, network: Network) -> Iterator[Dataset]:
    """The study's instances as stored, one by one. Raises UnreachableError or RefusedError."""
    instances = _asked(
        peer,
        "WADO-RS",
        lambda: _client(peer, network).iter_study(
            study_uid, media_types=(("application/dicom", "*"),)
        ),
    )
    while (dataset := _asked(peer, "WADO-RS", lambda: next(instances, None))) is not None:
        yield dataset


def store(peer: WebPeer, path: Path, network: Network) -> None:
    """Store one file. Raises UnreachableError or RefusedError."""
    dataset = pydicom.dcmread(path)
    answer = _asked(peer, "STOW-RS", lambda: _client(peer, network).store_instances([dataset]))
    if failed := (answer.get("FailedSOPSequence") if answer is not None else None):
        raise RefusedError(
            f"STOW-RS: the server did not store it (reason {failed[0].get('FailureReason', 0):04X}H)",
            path=path,
        )


def _client(peer: WebPeer, network: Network) -> DICOMwebClient:
    session = requests.Session()
    if network.tls:
        session.verify, session.cert = (
            str(network.tls.authority),
            (str(network.tls.certificate), str(network.tls.key)),
        )
    client = DICOMwebClient(peer.url.rstrip("/"), session=session, timeout=TIMEOUT)
    client.set_http_retry_params(retry=False)
    return client


def _asked(peer: WebPeer, what: str, action: Callable[[], T]) -> T:
    try:
        with (
            warnings.catch_warnings()
        ):  # the client warns of partial answers, which are looked at here
            warnings.simplefilter("ignore")
            return action()
    except requests.HTTPError as error:
        code = error.response.status_code
        said = f"{what}: {peer.url} answered {code} {error.response.reason}"
        raise (
            UnreachableError(said)
            if code in _BUSY
            else RefusedError(said + ("; credentials belong in ~/.netrc" if code == 401 else ""))
        ) from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise UnreachableError(
            f"{what}: expected {peer.url} to answer; no connection came about ({type(error).__name__})"
        ) from error
    except (requests.RequestException, ValueError) as error:
        raise RefusedError(
            f"{what}: {peer.url} answered with something that is no DICOMweb ({type(error).__name__})"
        ) from error

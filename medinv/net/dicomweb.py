"""DICOMweb: QIDO-RS to find studies, WADO-RS to fetch them. `stow.py` stores."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeVar

from dicomweb_client import DICOMwebClient
from pydicom import Dataset

from medinv.net.settings import Network, WebPeer
from medinv.net.web import TIMEOUT, answered, session_of

T = TypeVar("T")
_PAGE = 500  # studies asked for at a time


def find_studies(peer: WebPeer, keys: Mapping[str, str], network: Network) -> list[str]:
    """Study Instance UIDs that match the keys, such as StudyDate=20260101-20260131.

    Raises UnreachableError or RefusedError.
    """
    client = _client(peer, network)
    studies: dict[str, None] = {}

    def page_from(offset: int) -> list[dict]:
        return client.search_for_studies(search_filters=dict(keys), limit=_PAGE, offset=offset)

    while True:  # pages; a server that knows no offset sends its first page again and again
        page = _asked(peer, "QIDO-RS", partial(page_from, len(studies)))
        uids = (Dataset.from_json(study).get("StudyInstanceUID") for study in page)
        new = {uid: None for uid in uids if uid and uid not in studies}
        if not new:
            return list(studies)
        studies |= new


def fetch_study(peer: WebPeer, study_uid: str, network: Network) -> Iterator[Dataset]:
    """The study's instances as stored, one by one. Raises UnreachableError or RefusedError."""
    client = _client(peer, network)
    types = (("application/dicom", "*"),)
    instances = _asked(peer, "WADO-RS", lambda: client.iter_study(study_uid, media_types=types))
    while (dataset := _asked(peer, "WADO-RS", lambda: next(instances, None))) is not None:
        yield dataset


def _client(peer: WebPeer, network: Network) -> DICOMwebClient:
    client = DICOMwebClient(peer.url.rstrip("/"), session=session_of(network), timeout=TIMEOUT)
    client.set_http_retry_params(retry=False)
    return client


def _asked(peer: WebPeer, what: str, action: Callable[[], T]) -> T:
    with answered(peer, what), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the client warns of partial answers, looked at here
        return action()

"""Studies from an archive into a folder, by whichever of the two ways the peer speaks."""

import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pydicom import Dataset

from medinv.errors import HeaderError
from medinv.net import dicomweb, query
from medinv.net.images import Images
from medinv.net.retry import patiently
from medinv.net.settings import DicomPeer, Network, Peer


def studies_matching(peer: Peer, keys: Mapping[str, str], network: Network) -> list[str]:
    """Study Instance UIDs that match. Raises UnreachableError, RefusedError or ConfigError."""

    def find() -> list[str]:
        if isinstance(peer, DicomPeer):
            return query.find_studies(peer, keys, network)
        return dicomweb.find_studies(peer, keys, network)

    return patiently(find, network.tries)


def retrieve_studies(peer: Peer, uids: Sequence[str], folder: Path, network: Network) -> list[int]:
    """Fetch the studies into folders named by hashes; returns the number of files of each.

    What is there stays. Raises UnreachableError, RefusedError, OutputError, and for an image that
    is of another study or another patient than those it came with HeaderError, TwoPatientsError
    or RepeatedUidError.
    """
    return [patiently(partial(_one, peer, uid, folder, network), network.tries) for uid in uids]


def _one(peer: Peer, uid: str, folder: Path, network: Network) -> int:
    images, written = Images(folder), set[Path]()

    def keep(header: Dataset, data: bytes) -> None:
        if header.get("StudyInstanceUID") != uid:
            raise HeaderError("expected an image of the study that was asked for")
        written.add(images.keep(header, data))

    if isinstance(peer, DicomPeer):
        query.move_study(peer, uid, network, keep)
    else:
        for dataset in dicomweb.fetch_study(peer, uid, network):
            stream = io.BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            keep(dataset, stream.getvalue())
    return len(written)

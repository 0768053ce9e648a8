"""Studies from an archive into a folder, by whichever of the two ways the peer speaks."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom import Dataset

from medinv.net import dicomweb, query
from medinv.net.inbox import write_image
from medinv.net.retry import patiently
from medinv.net.settings import DicomPeer, Network, Peer


def studies_matching(peer: Peer, keys: Mapping[str, str], network: Network) -> list[str]:
    """Study Instance UIDs that match. Raises UnreachableError, RefusedError or ConfigError."""
    find = query.find_studies if isinstance(peer, DicomPeer) else dicomweb.find_studies
    return patiently(lambda: find(peer, keys, network), network.tries)


def retrieve_studies(peer: Peer, uids: Sequence[str], folder: Path, network: Network) -> list[int]:
    """Fetch the studies into folders named by hashes; returns the number of files of each. Raises UnreachableError, RefusedError or OutputError."""
    return [
        patiently(lambda uid=uid: _one(peer, uid, folder, network), network.tries) for uid in uids
    ]


def _one(peer: Peer, uid: str, folder: Path, network: Network) -> int:
    written: set[Path] = set()

    def keep(header: Dataset, data: bytes) -> None:
        written.add(write_image(folder, header, data))

    if isinstance(peer, DicomPeer):
        query.move_study(peer, uid, network, keep)
    else:
        for dataset in dicomweb.fetch_study(peer, uid, network):
            stream = io.BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            keep(dataset, stream.getvalue())
    return len(written)

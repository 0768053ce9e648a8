"""Sending DICOM files: C-STORE to an archive, STOW-RS to a web server."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.presentation import build_context

from medinv.errors import (
    MedinvError,
    MissingDataError,
    NotDicomError,
    RefusedError,
    UnreachableError,
)
from medinv.net.association import associated, check
from medinv.net.dicomweb import store
from medinv.net.retry import patiently
from medinv.net.settings import DicomPeer, Network, Peer

_CONTEXTS = 128  # of one association (PS3.8 9.3.2.2)


@dataclass(frozen=True)
class Sent:
    """What became of a file: `error` is None when the peer has it."""

    path: Path
    error: MedinvError | None


def dicom_files(inputs: Sequence[Path]) -> list[Path]:
    """The DICOM files among files and folders (recursively), in order. Raises MissingDataError where there is none."""
    found = [
        path
        for given in inputs
        for path in (sorted(given.rglob("*")) if given.is_dir() else [given])
        if path.is_file() and _is_dicom(path)
    ]
    if not found:
        raise MissingDataError(
            "expected DICOM files to send; there are none (medinv classify --dicom makes them)",
            path=inputs[0] if inputs else None,
        )
    return list(dict.fromkeys(found))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def send(files: Sequence[Path], peer: Peer, network: Network) -> list[Sent]:
    """Send all files; what fails is said of each and stops no other. A peer that does not answer is tried again, for what it does not have yet."""
    done: dict[Path, Sent] = {}

    def rest() -> None:
        for sent in _attempt([path for path in files if path not in done], peer, network):
            if isinstance(sent.error, UnreachableError):
                raise sent.error
            done[sent.path] = sent

    try:
        patiently(rest, network.tries)
    except MedinvError as error:
        done |= {path: Sent(path, error) for path in files if path not in done}
    return [done[path] for path in files]


def _attempt(files: Sequence[Path], peer: Peer, network: Network) -> Iterator[Sent]:
    if isinstance(peer, DicomPeer):
        yield from _by_store(files, peer, network)
        return
    for path in files:
        yield _tried(path, lambda path=path: store(peer, path, network))


def _by_store(files: Sequence[Path], peer: DicomPeer, network: Network) -> Iterator[Sent]:
    kinds: dict[Path, tuple[UID, UID]] = {}
    for path in files:
        try:
            meta = pydicom.filereader.read_file_meta_info(path)
            kinds[path] = meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID
        except (InvalidDicomError, AttributeError, OSError, ValueError) as error:
            yield Sent(
                path,
                NotDicomError(
                    f"expected a DICOM file with its meta information ({type(error).__name__})",
                    path=path,
                ),
            )
    wanted = list(dict.fromkeys(kinds.values()))
    for start in range(0, len(wanted), _CONTEXTS):
        some = wanted[start : start + _CONTEXTS]
        with associated(network, peer, [build_context(*kind) for kind in some]) as association:
            for path in (path for path, kind in kinds.items() if kind in some):
                yield _tried(path, lambda path=path: _store(association, path, kinds[path][0]))


def _store(association: object, path: Path, sop_class: UID) -> None:
    try:
        status = association.send_c_store(path)
    except ValueError as error:  # no presentation context was accepted for it
        raise RefusedError(
            f"the peer does not take {sop_class.name} in this transfer syntax", path=path
        ) from error
    except RuntimeError as error:  # the association is gone
        raise UnreachableError("the peer closed the association", path=path) from error
    check(status, "C-STORE")


def _tried(path: Path, action: object) -> Sent:
    try:
        action()
        return Sent(path, None)
    except MedinvError as error:
        return Sent(path, error)

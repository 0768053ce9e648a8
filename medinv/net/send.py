"""Sending DICOM files: C-STORE to an archive, STOW-RS to a web server."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from medinv.errors import (
    MedinvError,
    NotDicomError,
    RefusedError,
    UnreachableError,
)
from medinv.net.association import associated, check
from medinv.net.retry import patiently
from medinv.net.settings import DicomPeer, Network, Peer
from medinv.net.stow import store

_CONTEXTS = 128  # of one association (PS3.8 9.3.2.2)


@dataclass(frozen=True)
class Sent:
    """What became of a file: `error` is None when the peer has it."""

    path: Path
    error: MedinvError | None


def send(files: Sequence[Path], peer: Peer, network: Network) -> list[Sent]:
    """Send all files; what fails is said of each and stops no other.

    A peer that does not answer is tried again, for what it does not have yet.
    """
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
        yield from _by_c_store(files, peer, network)
        return
    for path in files:
        yield _tried(path, partial(store, peer, path, network))


def _by_c_store(files: Sequence[Path], peer: DicomPeer, network: Network) -> Iterator[Sent]:
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
                yield _tried(path, partial(_store, association, path, kinds[path][0]))


def _store(association: Association, path: Path, sop_class: UID) -> None:
    try:
        status = association.send_c_store(path)
    except RuntimeError as error:  # the association is gone
        raise UnreachableError("the peer closed the association", path=path) from error
    except ValueError as error:  # no presentation context was accepted for it
        raise RefusedError(
            f"the peer does not take {sop_class.name} in this transfer syntax", path=path
        ) from error
    except (AttributeError, OSError, EOFError, KeyError, TypeError, struct.error) as error:
        raise NotDicomError(
            f"expected a DICOM file that can be read whole ({type(error).__name__})", path=path
        ) from error
    check(status, "C-STORE")


def _tried(path: Path, action: Callable[[], None]) -> Sent:
    try:
        action()
        return Sent(path, None)
    except MedinvError as error:
        return Sent(path, error)

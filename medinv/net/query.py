"""Asking an archive: C-FIND for studies, C-MOVE to have one sent here."""

import socket
from collections.abc import Callable, Iterator, Mapping

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from medinv.errors import ConfigError, RefusedError, UnreachableError
from medinv.net.association import associated, check
from medinv.net.listener import Keep, listening
from medinv.net.settings import Caller, DicomPeer, Network

_PENDING = (0xFF00, 0xFF01)


def find_studies(peer: DicomPeer, keys: Mapping[str, str], network: Network) -> list[str]:
    """Study Instance UIDs that match the keys, such as StudyDate=20260101-20260131.

    Raises UnreachableError, RefusedError or ConfigError.
    """
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", ""
    for keyword, value in keys.items():
        if tag_for_keyword(keyword) is None:
            raise ConfigError(
                f"expected a DICOM keyword such as StudyDate or ModalitiesInStudy; got {keyword!r}"
            )
        setattr(query, keyword, value)
    model, studies = StudyRootQueryRetrieveInformationModelFind, list[str]()
    with associated(network, peer, [build_context(model)]) as association:
        for status, answer in _responses(association.send_c_find, query, model, "C-FIND"):
            if status.get("Status") not in _PENDING:
                check(status, "C-FIND")
            elif answer is not None and answer.get("StudyInstanceUID"):
                studies.append(answer.StudyInstanceUID)
    return studies


def move_study(peer: DicomPeer, study_uid: str, network: Network, keep: Keep) -> None:
    """Have the archive send a study to this program.

    It listens meanwhile at the network file's title, address and port, for this archive alone.
    Raises UnreachableError, RefusedError (also when some images did not come) or ConfigError when
    the port cannot be had.
    """
    query = Dataset()
    query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study_uid
    model = StudyRootQueryRetrieveInformationModelMove
    with (
        listening(network, _callers(peer), keep),
        associated(network, peer, [build_context(model)]) as association,
    ):
        for status, _ in _responses(
            association.send_c_move, query, model, "C-MOVE", network.ae_title
        ):
            if status.get("Status") not in _PENDING:
                check(
                    status,
                    f"C-MOVE to {network.ae_title} (the archive must know its address and port)",
                )
                if failed := status.get("NumberOfFailedSuboperations"):
                    raise RefusedError(
                        f"C-MOVE: {failed} images did not come; the archive's log says why"
                    )


def _callers(peer: DicomPeer) -> tuple[Caller, ...]:
    """The peer as it may call us: its address may be a name, of several addresses."""
    try:
        places = socket.getaddrinfo(peer.address, peer.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UnreachableError(f"expected {peer.address} to be known by name or number") from error
    return tuple(
        Caller(ae_title=peer.ae_title, address=address)
        for address in dict.fromkeys(str(place[4][0]) for place in places)
    )


def _responses(
    send: Callable[..., Iterator[tuple[Dataset, Dataset | None]]],
    query: Dataset,
    model: str,
    what: str,
    *destination: str,
) -> Iterator[tuple[Dataset, Dataset | None]]:
    try:
        yield from send(query, *destination, query_model=model)
    except ValueError as error:  # no presentation context was accepted
        raise RefusedError(f"{what}: the peer does not offer it for studies") from error

"""An association with a peer, and what its statuses mean."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from medinv.errors import ConfigError, RefusedError, UnreachableError
from medinv.net.settings import DicomPeer, Network
from medinv.net.tls import client_context

TIMEOUT = 30.0  # s for an answer
_TEMPORARY = 2  # result of a transient rejection


@contextmanager
def associated(
    network: Network, peer: DicomPeer, contexts: Sequence[PresentationContext]
) -> Iterator[Association]:
    """An open association, released at the end; aborted at once on Ctrl-C.

    Raises UnreachableError if nobody answers or the peer is busy, RefusedError if it says no,
    ConfigError if it asks for TLS and we have none.
    """
    if peer.tls and network.tls is None:
        raise ConfigError(
            "the peer asks for tls: the network file must name certificate, key and authority"
        )
    tls = (client_context(network.tls), peer.address) if peer.tls and network.tls else None
    ae = AE(ae_title=network.ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT
    ae.requested_contexts = list(contexts)
    begun: list[Association] = []  # known before it is answered
    handlers: list[Any] = [(evt.EVT_ACSE_SENT, lambda event: begun.append(event.assoc))]
    try:
        association = ae.associate(
            peer.address, peer.port, ae_title=peer.ae_title, tls_args=tls, evt_handlers=handlers
        )
        _check_established(association, network, peer)
        try:
            yield association
        except Exception:
            _release(association)
            raise
        _release(association)
    except (KeyboardInterrupt, GeneratorExit):
        for one in begun:  # its thread would keep the program until the peer answers
            _end(one)
        raise


def _end(association: Association) -> None:
    if association.is_established:
        association.abort()
    association.dul.kill_dul()
    if association.dul.socket is not None:
        association.dul.socket._shutdown_socket()


def _release(association: Association) -> None:
    if association.is_established:
        association.release()


def _check_established(association: Association, network: Network, peer: DicomPeer) -> None:
    where = f"{peer.ae_title} at {peer.address}:{peer.port}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        why = answer.reason_str if answer else "no reason given"
        said = f"{where} rejects {network.ae_title}: {why}"
        if answer and answer.result == _TEMPORARY:
            raise UnreachableError(said)
        raise RefusedError(f"{said}; name each other in both nodes' configuration")
    if not association.is_established:
        raise UnreachableError(
            f"expected {where} to answer{' with TLS' if peer.tls else ''};"
            " no association came about"
        )


def check(status: Dataset, what: str) -> None:
    """Pass a success or warning.

    Raises UnreachableError for no answer or a want of resources, RefusedError for any other
    failure.
    """
    if "Status" not in status:
        raise UnreachableError(
            f"{what}: the peer gave no answer in {TIMEOUT:.0f} s or closed the association"
        )
    code = status.Status
    if code == 0x0000 or 0xB000 <= code <= 0xBFFF:
        return
    if 0xA700 <= code <= 0xA7FF:
        raise UnreachableError(f"{what}: the peer is out of resources (status {code:04X}H)")
    raise RefusedError(f"{what}: the peer answered with status {code:04X}H")

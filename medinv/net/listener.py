"""The C-STORE listener: takes images from the nodes that the network file names, and says yes only when an image is on the disk."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from medinv.errors import ConfigError, MedinvError
from medinv.net.settings import Caller, Network
from medinv.net.tls import server_context

LOG = logging.getLogger("medinv.net")
_REJECTED, _BY_USER, _CALLING, _CALLED = 0x01, 0x01, 0x03, 0x07  # PS3.8 9.3.4
_SUCCESS, _OUT_OF_RESOURCES, _CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
_ASSOCIATIONS = 8
Keep = Callable[[Dataset, bytes], None]  # a header without pixels, and the whole file


@contextmanager
def listening(network: Network, callers: tuple[Caller, ...], keep: Keep) -> Iterator[None]:
    """Listen until the block ends. `keep` returns when the file is safe, else raises, and the sender is told so.

    Raises ConfigError when the port cannot be had.
    """
    ae = AE(ae_title=network.ae_title)
    ae.maximum_associations = _ASSOCIATIONS
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(context.abstract_syntax, AllTransferSyntaxes)
    ae.add_supported_context(Verification)
    handlers = [
        (evt.EVT_REQUESTED, lambda event: _admit(event, network, callers)),
        (evt.EVT_C_STORE, lambda event: _stored(event, keep)),
    ]
    try:
        server = ae.start_server(
            (network.address, network.port),
            block=False,
            evt_handlers=handlers,
            ssl_context=server_context(network.tls) if network.tls else None,
        )
    except OSError as error:
        message = f"cannot listen at {network.address}:{network.port}: {error.strerror}; choose another port or end the program that holds it"
        raise ConfigError(message) from error
    try:
        yield
    finally:
        server.shutdown()


def _admit(event: evt.Event, network: Network, callers: tuple[Caller, ...]) -> None:
    """Reject an association of anybody who is not named with title and address, or who calls somebody else."""
    asked, address = event.assoc.requestor.primitive, event.assoc.requestor.address
    known = any(
        caller.ae_title == asked.calling_ae_title.strip() and caller.address == address
        for caller in callers
    )
    if known and asked.called_ae_title.strip() == network.ae_title:
        return
    LOG.warning(
        "rejected an association from %s: %s",
        address,
        "it calls another title" if known else "title and address are not among the callers",
    )
    event.assoc.acse.send_reject(_REJECTED, _BY_USER, _CALLED if known else _CALLING)
    evt.trigger(event.assoc, evt.EVT_REJECTED, {})
    event.assoc.kill()


def _stored(event: evt.Event, keep: Keep) -> int:
    try:
        header = event.dataset
        keep(header, event.encoded_dataset())
        return _SUCCESS
    except MedinvError as error:
        LOG.error("an image was not taken: %s: %s", error.code, error.message)
        return _OUT_OF_RESOURCES if error.code == "output" else _CANNOT_UNDERSTAND
    except Exception as error:  # whatever a foreign data set made pydicom raise: the sender keeps it, and the listener goes on
        LOG.error("an image was not taken: %s", type(error).__name__)
        return _CANNOT_UNDERSTAND

"""The C-STORE listener: takes images from named nodes, and says yes when one is on the disk."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydicom import Dataset
from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made on import

from medinv.errors import (
    ConfigError,
    HeaderError,
    MedinvError,
    OutputError,
    RepeatedUidError,
    TwoPatientsError,
)
from medinv.net.server import PDU, Server
from medinv.net.settings import Caller, Network
from medinv.net.tls import server_context

LOG = logging.getLogger("medinv.net")
Keep = Callable[[Dataset, bytes], None]  # a header without pixels, and the whole file
_SUCCESS, _CANNOT_UNDERSTAND = 0x0000, 0xC000
_STATUSES: dict[type[MedinvError], tuple[int, str]] = {  # PS3.4 B.2.3; the comment has 64 letters
    OutputError: (0xA700, "cannot be written now"),
    TwoPatientsError: (0xC010, "this study holds images of another patient"),
    RepeatedUidError: (0xC011, "another image stands under this SOP Instance UID"),
}
# Deflated data sets could grow to any size in the memory; who has one must offer another encoding.
_SYNTAXES = [one for one in AllTransferSyntaxes if one != DeflatedExplicitVRLittleEndian]


@contextmanager
def listening(network: Network, callers: tuple[Caller, ...], keep: Keep) -> Iterator[None]:
    """Listen until the block ends, and take nothing after.

    `keep` returns when the file is safe, else raises, and the sender is told so: A700H when it
    cannot be written, C010H for a second patient in the study, C011H for a second image of one
    UID, C000H for anything else. Raises ConfigError when the port cannot be had.
    """
    ae = AE(ae_title=network.ae_title)
    ae.network_timeout = PDU
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), _SYNTAXES)
    ae.add_supported_context(Verification)
    try:
        server = Server(
            ae,
            (network.address, network.port),
            callers,
            [(evt.EVT_C_STORE, lambda event: _stored(event, keep))],
            server_context(network.tls) if network.tls else None,
        )
    except OSError as error:
        raise ConfigError(
            f"cannot listen at {network.address}:{network.port}: {error.strerror}; choose another"
            " port or end the program that holds it"
        ) from error
    threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
    try:
        yield
    finally:
        server.close()


def _stored(event: evt.Event, keep: Keep) -> Dataset:
    try:
        header = event.dataset
        if header.get("SOPInstanceUID") != getattr(event.request, "AffectedSOPInstanceUID", None):
            raise HeaderError("expected the SOP Instance UID that the C-STORE request names")
        keep(header, event.encoded_dataset())
        return _answer(_SUCCESS, "")
    except MedinvError as error:
        LOG.error("an image was not taken: %s: %s", error.code, error.message)
        return _answer(*_STATUSES.get(type(error), (_CANNOT_UNDERSTAND, error.code)))
    except (
        Exception
    ) as error:  # whatever a foreign data set made pydicom raise: the sender keeps it
        LOG.error("an image was not taken: %s", type(error).__name__)
        return _answer(_CANNOT_UNDERSTAND, "the data set cannot be read")


def _answer(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    if comment:
        answer.ErrorComment = comment
    return answer

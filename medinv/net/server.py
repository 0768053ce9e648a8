"""The front of the listener: pynetdicom sees no connection before its caller is known.

A connection is taken only from the address of a caller. Its TLS handshake and its association
request then have a thread of their own and a deadline each; the request is bounded and checked as
bytes (`request.py`). Only what is admitted takes a slot and becomes a pynetdicom association,
with its two threads that look at their socket every millisecond.
"""

import contextlib
import itertools
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from socketserver import BaseServer
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from medinv.net.request import (
    BrokenRequestError,
    check_decodes,
    check_structure,
    read_request,
    receive,
    titles_of,
)
from medinv.net.settings import Caller, plain_address

LOG = logging.getLogger("medinv.net")
HANDSHAKE = REQUEST = 10.0  # s for TLS, then for the association request
PDU = 60.0  # s for a PDU that has begun, and for one of ours to be taken
LARGEST_PDU = 1 << 20  # bytes; we ask for 16,382, and some send a little more
WAITING = 64  # connections whose caller is not known yet; one more ends the oldest
SLOTS = 8  # associations at a time
_LINGER = 2.0  # s in which the peer may read why it was refused
_UNKNOWN_CALLER, _NOT_OUR_TITLE, _NO_SLOT = (1, 1, 3), (1, 1, 7), (2, 3, 2)  # PS3.8 9.3.4


class _Refusal(Exception):
    """An association that is rejected: result, source and diagnostic of the A-ASSOCIATE-RJ."""

    def __init__(self, what: str, answer: tuple[int, int, int]):
        super().__init__(what)
        self.answer = answer


class _AdmittedSocket(AssociationSocket):
    """A connection whose first PDU was read before; later ones are bounded in size and time."""

    def __init__(self, association: Association, connection: socket.socket, first: bytes):
        super().__init__(association, client_socket=connection)
        self._connection, self._first = connection, bytearray(first)
        connection.settimeout(PDU)

    @property
    def ready(self) -> bool:
        """Whether bytes wait to be read."""
        return bool(self._first) or super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, fewer where the connection ends. Raises OSError for too many, too late."""
        if nr_bytes > LARGEST_PDU:
            raise OSError("the peer announces a PDU over 1 MB")
        read, self._first = self._first[:nr_bytes], self._first[nr_bytes:]
        try:
            read += receive(self._connection, nr_bytes - len(read), time.monotonic() + PDU)
            self._connection.settimeout(PDU)
        except ConnectionError:
            pass  # fewer bytes than were asked for say that it ended
        return read


class _Handler(RequestHandler):
    """Makes an admitted connection an association that takes nobody with it when it fails.

    first: the request, which was read from the connection
    """

    def __init__(self, first: bytes, *connection_address_server: Any):
        self._first = first
        super().__init__(*connection_address_server)

    def handle(self) -> None:
        """Start the association."""
        association = self._create_association()
        association.dul.event_queue.get_nowait()  # of the socket that is exchanged for ours
        association.dul.socket = _AdmittedSocket(association, self.request, self._first)
        for thread in (association, association.dul):
            # the one place where a thread of pynetdicom can be guarded is its own `run`
            thread.run = partial(_guarded, thread.run, self.request)  # type: ignore[method-assign]
        association.start()


class Server(ThreadedAssociationServer):
    """Listens for named callers. Raises OSError when the port cannot be had."""

    request_queue_size = 128

    def __init__(
        self,
        ae: AE,
        address: tuple[str, int],
        callers: Iterable[Caller],
        handlers: list[Any],
        tls: ssl.SSLContext | None = None,
    ):
        self._callers = {(caller.ae_title, caller.address) for caller in callers}
        self._tls = tls
        self._numbers = itertools.count()
        self._waiting: dict[int, socket.socket] = {}  # by number, the oldest first
        self._lock, self._handing_over = threading.Lock(), threading.Lock()
        self._closed = False
        super().__init__(
            ae,
            address,
            ae.ae_title,
            ae.supported_contexts,
            evt_handlers=handlers,
        )

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether the connection is from the address of a caller."""
        known = plain_address(client_address[0]) in {address for _, address in self._callers}
        if not known:
            LOG.warning("closed a connection from %s: not a caller's address", client_address[0])
        return known

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread; where too many wait, end the oldest."""
        number = next(self._numbers)
        with self._lock:
            if len(self._waiting) >= WAITING:
                oldest = next(iter(self._waiting))
                _shut(self._waiting.pop(oldest))
                LOG.warning("ended the oldest of %d connections without a request", WAITING)
            self._waiting[number] = request
        threading.Thread(
            target=self._attend, args=(number, request, client_address), daemon=True
        ).start()

    def _attend(self, number: int, connection: socket.socket, address: tuple) -> None:
        why, answer, level = "", b"", logging.WARNING
        try:
            connection = self._secured(number, connection)
            request = read_request(connection, REQUEST)
            self._admit(request, plain_address(address[0]))
            self._hand_over(number, connection, address, request)
            return
        except _Refusal as refusal:
            why, answer = str(refusal), struct.pack(">BBIBBBB", 3, 0, 4, 0, *refusal.answer)
        except BrokenRequestError as error:
            why, answer = str(error), struct.pack(">BBIBBBB", 7, 0, 4, 0, 0, 2, error.reason)
        except TimeoutError:
            why = "it gave no association request in time"
        except ssl.SSLError:
            why = "no TLS connection came about"
        except OSError:
            level = logging.INFO  # it broke off, as one does that only looks whether we are there
            why = "it broke off"
        except Exception as error:  # whatever it was, it ends this connection alone
            why = f"unexpected {type(error).__name__}"
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        LOG.log(level, "refused a connection from %s: %s", address[0], why)
        _farewell(connection, answer)
        self.shutdown_request(connection)

    def _secured(self, number: int, connection: socket.socket) -> socket.socket:
        """With the TLS handshake done, where we have TLS."""
        connection.settimeout(HANDSHAKE)  # of the handshake as a whole
        if self._tls is None:
            return connection
        secured = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            with self._lock:
                if number not in self._waiting:
                    raise ConnectionError
                self._waiting[number] = secured
            secured.do_handshake()
        except OSError:
            secured.close()
            raise
        return secured

    def _admit(self, request: bytes, address: str) -> None:
        """Raises _Refusal for whoever is not named or calls somebody else, BrokenRequestError."""
        titles = titles_of(request)
        if (titles.calling, address) not in self._callers:
            raise _Refusal("title and address are not among the callers", _UNKNOWN_CALLER)
        if titles.called != self.ae_title.strip():
            raise _Refusal("it calls another title", _NOT_OUR_TITLE)
        check_structure(request)
        check_decodes(request)

    def _hand_over(
        self, number: int, connection: socket.socket, address: tuple, request: bytes
    ) -> None:
        with self._handing_over:  # so that two do not take the last slot
            if len(self.active_associations) >= SLOTS:
                raise _Refusal(f"{SLOTS} associations are open", _NO_SLOT)
            with self._lock:  # from here on it is not among those that may be ended for another
                if self._waiting.pop(number, None) is None or self._closed:
                    raise ConnectionError
            _Handler(request, connection, address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection could not be taken, without a traceback."""
        LOG.error("could not take a connection from %s", client_address[0])

    def close(self) -> None:
        """Stop listening and end what is open: no image is taken after this returns."""
        BaseServer.shutdown(self)
        self.server_close()
        with self._handing_over, self._lock:
            self._closed = True
            open_ones: list[socket.socket | None] = list(self._waiting.values())
        associations = self.active_associations
        open_ones += [one.dul.socket.socket for one in associations if one.dul.socket]
        for connection in open_ones:
            _shut(connection)
        for association in associations:
            association.join(PDU)


def _guarded(run: Callable[[], None], connection: socket.socket) -> None:
    try:
        run()
    except Exception as error:  # what a peer's bytes made pynetdicom raise ends its association
        LOG.error("an association ended: unexpected %s", type(error).__name__)
        _shut(connection)


def _shut(connection: socket.socket | None) -> None:
    """Wake whoever reads from it; the reader closes it."""
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _farewell(connection: socket.socket, answer: bytes) -> None:
    """Send the answer and let the peer read it: a connection closed on unread bytes loses it."""
    if not answer:
        return
    with contextlib.suppress(OSError):
        connection.settimeout(_LINGER)
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        end, read = time.monotonic() + _LINGER, 0
        while time.monotonic() < end and read < 1 << 20:
            connection.settimeout(_LINGER)
            more = connection.recv(1 << 16)
            if not more:
                return
            read += len(more)

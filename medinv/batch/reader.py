"""The process that reads files, which `medinv.batch.child` starts: its crash ends no batch.

It is sent a ReadRequest and the seconds after which a file that hangs ends the process even if
nobody is left to end it. It answers with a Frame each and a Done a file (which brings the last
frame, as messages cost more than frames), and ends when the other end of its socket closes.
"""

import signal
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

from medinv.data.dicom.records import Instance
from medinv.data.frame import Frame
from medinv.data.intake import ReadRequest, read_frames, read_whole
from medinv.errors import MedinvError, PixelDataError

READY = "ready"


@dataclass(frozen=True)
class Done:
    """A file has been read, or why not."""

    last: Frame | None  # of its frames
    error: MedinvError | None
    decoder_warnings: int


def serve(connection: Connection) -> None:
    """Say that all is loaded, then answer requests until the other end closes."""
    connection.send(READY)
    while True:
        try:
            request, alarm = connection.recv()
        except EOFError:
            return
        signal.alarm(alarm)
        for done in _answers(request, connection):
            connection.send(done)
            signal.alarm(alarm)
        signal.alarm(0)


def _answers(request: ReadRequest, connection: Connection) -> Iterator[Done]:
    """One a file. A volume comes with its first; where it cannot be read, every file says why."""
    if request.whole is None:
        for instance in request.instances:
            yield _read(instance, request, connection)
        return
    done = _attempt(request.instances[0].source, lambda: read_whole(request))
    yield done
    for _ in request.instances[1:]:
        yield Done(None, done.error, 0)


def _read(instance: Instance, request: ReadRequest, connection: Connection) -> Done:
    def send_all_but_the_last() -> Frame | None:
        last: Frame | None = None
        for frame in read_frames(instance, request):
            if last is not None:
                connection.send(last)
            last = frame
        return last

    return _attempt(instance.source, send_all_but_the_last)


def _attempt(source: str, read: Callable[[], Frame | None]) -> Done:
    """What reading came to, whatever was raised."""
    error: MedinvError | None = None
    last: Frame | None = None
    # decoders quote header values in their warnings: only how many there were is kept
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            last = read()
        except MedinvError as raised:
            error = raised
        except MemoryError:
            message = "the memory does not suffice for the image"
            error = PixelDataError(message, path=source)
        except ConnectionError:
            raise
        except Exception as raised:  # an error of ours that no study should pay for
            message = f"the image cannot be read ({type(raised).__name__})"
            error = PixelDataError(message, path=source)
    return Done(last, error, len(caught))

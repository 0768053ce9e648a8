"""The process that reads files, `python -m medinv.batch.reader FD`: its crash ends no batch.

It is sent a ReadRequest and the seconds after which a file that hangs ends the process even if
nobody is left to end it. It answers with a Frame each and a Done a file (which brings the last
frame, as messages cost more than frames), and ends when the other end of its socket closes.
"""

import signal
import sys
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection

from medinv.data.dicom.records import Instance
from medinv.data.frame import Frame
from medinv.data.intake import ReadRequest, read_frames
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
        for instance in request.instances:
            signal.alarm(alarm)
            connection.send(_read(instance, request, connection))
        signal.alarm(0)


def _read(instance: Instance, request: ReadRequest, connection: Connection) -> Done:
    error: MedinvError | None = None
    last: Frame | None = None
    # decoders quote header values in their warnings: only how many there were is kept
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for frame in read_frames(instance, request):
                if last is not None:
                    connection.send(last)
                last = frame
        except MedinvError as raised:
            error = raised
        except MemoryError:
            message = "the memory does not suffice for the image"
            error = PixelDataError(message, path=instance.source)
        except ConnectionError:
            raise
        except Exception as raised:  # an error of ours that no study should pay for
            message = f"the image cannot be read ({type(raised).__name__})"
            error = PixelDataError(message, path=instance.source)
    return Done(last, error, len(caught))


if __name__ == "__main__":
    # the module under its own name, so that both ends unpickle the same classes
    from medinv.batch import reader

    # Ctrl-C is for the parent, which ends this process when it is done with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader.serve(Connection(int(sys.argv[1])))

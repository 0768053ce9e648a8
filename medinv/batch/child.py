"""Starts the process that reads files: `python -m medinv.batch.child FD`."""

import os
import signal
import sys
from importlib import import_module
from multiprocessing.connection import Connection

_LATER = ("requests", "gdcm")


def import_pydicom() -> None:
    """Import pydicom in a process of a run, which decodes by `medinv.data.dicom` alone.

    Left out is what it seldom needs, a third of its import: requests, to fetch files for tests, and
    GDCM, which is imported when a file wants it.
    """
    absent = [name for name in _LATER if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # as if not installed
    import_module("pydicom.pixels")
    for name in absent:
        del sys.modules[name]


def main(descriptor: int) -> None:
    """Answer requests on a socket until its other end closes."""
    # Arrow's own pool and malloc each give back to the system what the next image wants again, and
    # each page of it costs a fault: one allocator keeps it
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Ctrl-C is for the parent, which ends this process when it is done with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_pydicom()
    # the module under its own name, so that both ends unpickle the same classes
    import_module("medinv.batch.reader").serve(Connection(descriptor))


if __name__ == "__main__":
    main(int(sys.argv[1]))

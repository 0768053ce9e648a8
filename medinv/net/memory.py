"""Memory that a service gives back between studies."""

import ctypes
import sys
from functools import cache


@cache
def _trim() -> "ctypes._NamedFuncPointer | None":
    """glibc's malloc_trim; None where there is none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def give_back() -> None:
    """Give the system what was freed.

    glibc keeps it, in holes between what stays: a study takes some hundred megabytes for its DICOM
    results and frees all, and a service would slowly grow by the holes that the next does not fit.
    """
    if trim := _trim():
        trim(0)

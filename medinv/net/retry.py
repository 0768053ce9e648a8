"""Trying again, later and later."""

import time
from collections.abc import Callable
from typing import TypeVar

from medinv.errors import UnreachableError

FIRST, LONGEST = 0.5, 60.0  # s between tries
T = TypeVar("T")


def patiently(
    action: Callable[[], T], tries: int, wait: Callable[[float], object] = time.sleep
) -> T:
    """The action's result.

    An UnreachableError is tried again up to `tries` times, waiting 0.5, 1, 2, ... 60 s; the last
    one is raised.
    """
    for number in range(1, tries):
        try:
            return action()
        except UnreachableError:
            wait(min(FIRST * 2 ** (number - 1), LONGEST))
    return action()

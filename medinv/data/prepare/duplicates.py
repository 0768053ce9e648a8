"""The same image twice: what a split by patient cannot see."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from medinv.data.sets.info import PARTS


def alike(digests: Sequence[str]) -> list[list[int]]:
    """Numbers of images that have equal network inputs, of each such group."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, digest in enumerate(digests):
        groups[digest].append(number)
    return [numbers for numbers in groups.values() if len(numbers) > 1]


def contradicting(
    groups: Sequence[Sequence[int]], labels: Sequence[str], given: Sequence[str | None] = ()
) -> set[int]:
    """Images that look alike and have several labels: one of them is wrong, and none says which.

    Of parts that were given the test part stays as it was given, or nothing measured on it could be
    held against what others measured: where its own labels agree, the images of other parts go.
    """
    clashing = set()
    for numbers in groups:
        if len({labels[n] for n in numbers}) > 1:
            tested = [n for n in numbers if given and given[n] == PARTS[-1]]
            settled = len({labels[n] for n in tested}) == 1
            clashing |= set(numbers) - (set(tested) if settled else set())
    return clashing


@dataclass(frozen=True)
class Across:
    """What was found across parts of a split."""

    dropped: frozenset[int]  # images that a part further back has too
    groups: int


def across_parts(groups: Sequence[Sequence[int]], parts: Sequence[str]) -> Across:
    """Images that stand in several parts are left out of all but the last of these.

    The test part is thereby what it was given as; training never saw what it is tested on.
    """
    dropped, met = set(), 0
    for numbers in groups:
        places = {PARTS.index(parts[n]) for n in numbers}
        if len(places) > 1:
            met += 1
            dropped |= {n for n in numbers if PARTS.index(parts[n]) < max(places)}
    return Across(frozenset(dropped), met)

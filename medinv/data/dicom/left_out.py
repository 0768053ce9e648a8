"""What of a study a model is not shown, in words: how many images and files, and why."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from medinv.data.dicom.grouping import Group, differences
from medinv.data.dicom.records import Skipped
from medinv.data.dicom.repeats import DUPLICATE

_SAME = "the same content as another file"  # of copies; their own message names that file


def of_groups(judged: Sequence[tuple[Group, str]]) -> list[str]:
    """Sentences on the groups of a study that are left out, each given with the rule that it fails
    (empty: it is read).

    A part of a series of which other images are read says what tells the two apart; all that fails
    the same rule in other series is counted together.
    """
    said: list[str] = []
    elsewhere: dict[str, list[Group]] = defaultdict(list)
    for group, why in judged:
        series = [(one, out) for one, out in judged if one.series == group.series]
        read = [one for one, out in series if not out]
        if why and read:
            said.append(_beside(group, read, _total([one for one, _ in series]), why))
        elif why:
            elsewhere[why].append(group)
    for why, others in elsewhere.items():
        several = len({one.series for one in others})
        where = f"{several} other series" if several > 1 else "another series"
        said.append(f"{_images(_total(others))} of {where} left out: {why}")
    return said


def of_pieces(groups: Sequence[Group]) -> list[str]:
    """Sentences on series that stand in several parts, none of which is read."""
    said = []
    for series in dict.fromkeys(one.series for one in groups):
        first, *others = [one for one in groups if one.series == series]
        if others:
            apart = tuple(dict.fromkeys(name for one in others for name in differences(first, one)))
            counts = ", ".join(str(one.slices) for one in (first, *others))
            said.append(
                f"series {series} stands in {len(others) + 1} parts ({counts} images) that differ "
                f"in {_listed(apart)}: each is judged as a series of its own"
            )
    return said


def of_files(skipped: Sequence[Skipped]) -> list[str]:
    """Sentences on the files that are no image for any model."""
    reasons = Counter(_SAME if one.code == DUPLICATE else one.message for one in skipped)
    return [
        f"{count} file{'s' * (count > 1)} left out: {message}"
        for message, count in sorted(reasons.items())
    ]


def _beside(group: Group, read: Sequence[Group], total: int, why: str) -> str:
    nearest = min((differences(one, group) for one in read), key=len)
    return (
        f"{group.slices} of the {_images(total)} of series {group.series} left out, which differ "
        f"from those that are read in {_listed(nearest)}: {why}"
    )


def _total(groups: Sequence[Group]) -> int:
    return sum(one.slices for one in groups)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:]))) or "no stated value"

"""Parts of disjoint patients, with every class in each as near to its share as patients allow."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import groupby

from medinv.data.sets.info import PARTS
from medinv.errors import ConfigError, DataError

Shares = tuple[float, float, float]
SHARES: Shares = (0.7, 0.1, 0.2)


class Groups:
    """Images that belong together: whoever shares an owner, directly or through others."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def join(self, owners: Iterable[Hashable]) -> None:
        """These are one."""
        first, *rest = map(self.root, owners)
        for other in rest:
            self._parents[self.root(other)] = self.root(first)

    def root(self, owner: Hashable) -> Hashable:
        """What stands for all that are one with an owner."""
        parent = self._parents.setdefault(owner, owner)
        while parent != owner:
            self._parents[owner] = self._parents[parent]
            owner, parent = parent, self._parents[parent]
        return owner


def make_split(
    patients: Sequence[str], labels: Sequence[str], shares: Shares = SHARES, seed: int = 0
) -> list[str]:
    """The part of each image.

    First every part is given a patient of every class, the rarest class first, then each patient
    goes where its classes are missed most (Sechidis et al. 2011, by patient instead of by image).
    Patients come in an order that the seed and their names decide.
    """
    bags: dict[str, Counter[str]] = defaultdict(Counter)
    for patient, label in zip(patients, labels, strict=True):
        bags[patient][label] += 1
    totals = Counter(labels)
    deal = _Deal(totals, dict(zip(PARTS, shares, strict=True)))
    order = sorted(bags, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    rarest = sorted(totals, key=lambda label: (totals[label], label))
    for label in rarest:
        for part in deal.open_parts:
            mine = [name for name in order if label in bags[name] and name not in deal.given]
            if mine and not deal.have[part][label]:
                # few images, so that a small part is not filled by one patient
                deal.give(part, min(mine, key=lambda name: bags[name].total()), bags)
    rank = {label: number for number, label in enumerate(rarest)}
    order.sort(key=lambda name: min(rank[label] for label in bags[name]))
    for name in order:
        if name not in deal.given:
            deal.give(deal.neediest(bags[name]), name, bags)
    return [deal.given[patient] for patient in patients]


class _Deal:
    """Who was given to which part so far."""

    def __init__(self, totals: Mapping[str, int], shares: Mapping[str, float]):
        self.totals, self.shares = totals, shares
        self.given: dict[str, str] = {}
        self.have: dict[str, Counter[str]] = {part: Counter() for part in shares}
        self.open_parts = [part for part, share in shares.items() if share > 0]

    def give(self, part: str, patient: str, bags: Mapping[str, Counter[str]]) -> None:
        self.given[patient] = part
        self.have[part].update(bags[patient])

    def neediest(self, bag: Counter[str]) -> str:
        def need(part: str) -> tuple[float, float]:
            lacks = (
                count * (self.shares[part] - self.have[part][label] / self.totals[label])
                for label, count in bag.items()
            )
            return sum(lacks), self.shares[part]

        return max(self.open_parts, key=need)


def complete(
    patients: Sequence[str], labels: Sequence[str], given: Sequence[str], shares: Shares, seed: int
) -> tuple[list[str], str | None]:
    """A split that was given, and what was done to it.

    Where it names training and test alone, patients of training are drawn for validation, as many
    as their share of the two is. Raises DataError where a patient stands in two parts.
    """
    check_disjoint(patients, given)
    parts = list(given)
    if "validation" in parts or "training" not in parts or not shares[1]:
        return parts, None
    rows = [number for number, part in enumerate(parts) if part == "training"]
    share = shares[1] / (shares[0] + shares[1])
    drawn = make_split(
        [patients[n] for n in rows], [labels[n] for n in rows], (1 - share, share, 0.0), seed
    )
    for number, part in zip(rows, drawn, strict=True):
        parts[number] = part
    return parts, f"no validation part was given: {share:.3g} of training was drawn by patient"


def check_disjoint(patients: Sequence[str], parts: Sequence[str]) -> None:
    """Raise DataError where a patient stands in two parts: by pseudonym, with counts."""
    pairs = Counter(zip(patients, parts, strict=True))
    shared = []
    for patient, mine in groupby(sorted(pairs), key=lambda pair: pair[0]):
        counts = [f"{pairs[patient, part]} {part}" for _, part in mine]
        if len(counts) > 1:
            shared.append(f"{patient} ({', '.join(counts)})")
    if shared:
        more = f" and {len(shared) - 5} more" if len(shared) > 5 else ""
        raise DataError(
            f"{len(shared)} patients stand in two parts of the split that was given: "
            f"{'; '.join(shared[:5])}{more}; correct it, or leave its column out to have one made",
            stage="split",
        )


def check_present(
    labels: Sequence[str], parts: Sequence[str], wanted: Iterable[str], classes: Sequence[str]
) -> None:
    """Raise DataError for a class that a wanted part has no image of."""
    have = set(zip(parts, labels, strict=True))
    absent = [
        f"{name!r} in {part}" for part in wanted for name in classes if (part, name) not in have
    ]
    if absent:
        raise DataError(
            f"a class has no image in a part: {', '.join(absent)}; label more patients of it, "
            "change --split, or pass --allow-absent",
            stage="split",
        )


def parse_shares(text: str) -> Shares:
    """Three shares of one in all, such as 0.7,0.1,0.2. Raises ConfigError."""
    try:
        first, second, third = (float(word) for word in text.split(","))
    except ValueError:
        first = second = third = -1.0
    if min(first, second, third) < 0 or abs(first + second + third - 1) > 1e-6:
        raise ConfigError(
            "expected --split as shares of training, validation and test that add up to 1, such as "
            f"0.7,0.1,0.2; got {text!r}"
        )
    return first, second, third

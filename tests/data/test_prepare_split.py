"""Parts are of disjoint patients, hold every class, and change little with the data."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinv.data.prepare.split import (
    check_disjoint,
    check_present,
    complete,
    make_split,
    parse_shares,
)
from medinv.errors import ConfigError, DataError

SHARES = (0.7, 0.1, 0.2)


def cohort(patients: int, seed: int = 0, rare: float = 0.1) -> tuple[list[str], list[str]]:
    """Patients with 1 to 5 images, some of both classes."""
    rng = np.random.default_rng(seed)
    names, labels = [], []
    for number in range(patients):
        ill = rng.random() < rare
        for _ in range(rng.integers(1, 6)):
            names.append(f"p{number}")
            labels.append("ill" if ill and rng.random() < 0.9 else "well")
    return names, labels


def test_shares_are_met_for_each_class() -> None:
    names, labels = cohort(600)
    parts = make_split(names, labels, SHARES)
    check_disjoint(names, parts)
    have, total = Counter(zip(parts, labels, strict=True)), Counter(labels)
    for part, share in zip(("training", "validation", "test"), SHARES, strict=True):
        for label in total:
            assert abs(have[part, label] / total[label] - share) < 0.03, (part, label)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(8, 40))
def test_a_class_of_three_patients_is_in_every_part(seed: int, count: int) -> None:
    names, labels = cohort(count, seed, rare=0.0)
    rare = [f"r{n}" for n in range(3)]
    names, labels = [*names, *rare], [*labels, *["ill"] * 3]
    parts = make_split(names, labels, SHARES, seed)
    check_disjoint(names, parts)
    check_present(labels, parts, ("training", "validation", "test"), ("well", "ill"))


def test_the_seed_decides_and_the_order_of_files_does_not() -> None:
    names, labels = cohort(200)
    first = make_split(names, labels, SHARES, 0)
    assert first == make_split(names, labels, SHARES, 0)
    assert first != make_split(names, labels, SHARES, 1)
    back = make_split(names[::-1], labels[::-1], SHARES, 0)[::-1]
    assert first == back


def test_a_patient_in_two_given_parts_is_named_with_counts() -> None:
    with pytest.raises(DataError, match=r"p1 \(1 test, 2 training\)"):
        complete(
            ["p1", "p1", "p1", "p2"],
            ["a", "b", "a", "b"],
            ["training", "training", "test", "test"],
            SHARES,
            0,
        )


def test_validation_is_drawn_from_training_where_none_is_given() -> None:
    names, labels = cohort(300)
    given_parts = ["test" if int(name[1:]) % 4 == 0 else "training" for name in names]
    parts, says = complete(names, labels, given_parts, SHARES, 0)
    check_disjoint(names, parts)
    assert says and "0.125" in says
    changed = {(a, b) for a, b in zip(given_parts, parts, strict=True) if a != b}
    assert changed == {("training", "validation")}
    share = parts.count("validation") / given_parts.count("training")
    assert abs(share - 0.125) < 0.03


def test_a_class_that_is_absent_from_a_part_is_named() -> None:
    with pytest.raises(DataError, match=r"'ill' in test.*--allow-absent"):
        check_present(["ill", "well"], ["training", "test"], ["test"], ("well", "ill"))


@pytest.mark.parametrize("text", ["0.7,0.2", "0.5,0.5,0.5", "a,b,c", "1.2,-0.1,-0.1", ""])
def test_shares_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"0\.7,0\.1,0\.2"):
        parse_shares(text)

"""What may be claimed follows from the figures as it is said."""

from dataclasses import replace

import numpy as np
import pytest

from medinv.explanation.result import (
    Counterfactual,
    Depth,
    LocalCheck,
    LocalEvidence,
    Neighbours,
    Trace,
)
from medinv.explanation.written import scalars

IMAGE = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("fall", "elsewhere", "valid"),
    [
        (2.0, (1.0, -1.0), True),
        (2.0, (3.0, -1.0), False),  # another place matters more
        (-0.5, (-1.0, -2.0), False),  # nowhere does the class called lose
        (0.0, (-1.0,), False),
        (0.1, (), True),
    ],
)
def test_a_place_is_claimed_where_it_matters_more_than_any_other(fall, elsewhere, valid) -> None:
    check = LocalCheck(0.05, fall, elsewhere)
    local = LocalEvidence(IMAGE, ("layer 1",), 2, 0.25, 0.5, 1.0, 0.0, check)
    assert check.valid == local.valid == valid
    assert not replace(local, check=None).valid, "what was not checked is not claimed"
    assert local.constant == 0.75


@pytest.mark.parametrize(("flipped", "in_scope"), [(a, b) for a in (0, 1) for b in (0, 1)])
def test_a_counterfactual_is_shown_where_both_re_checks_hold(flipped, in_scope) -> None:
    edit = Counterfactual(
        IMAGE, IMAGE, "no", -2.0, -1.5, bool(flipped), bool(in_scope), 0.0, 0.0, 0.0, (IMAGE,)
    )
    assert edit.valid == bool(flipped and in_scope) and edit.residual == 0.5


def test_a_trace_is_as_exact_as_its_worst_depth() -> None:
    good = Depth("a", (1, 2, 2), IMAGE, 1e-12, True, 1.0, 1.0)
    bad = replace(good, max_abs_error=0.7, exact=False)
    assert Trace((good, good), ()).exact and not Trace((good, bad), ()).exact
    assert Trace((good, bad, good), ()).max_abs_error == 0.7


def test_a_case_is_similar_up_to_the_95th_percentile() -> None:
    near = Neighbours((0,), ("no",), (1.5,), (1.0, 2.0), 0.5, 1.0, 0.1)
    assert near.valid and not replace(near, distances=(2.1,)).valid


def test_figures_keep_what_is_none_and_leave_arrays_out() -> None:
    local = LocalEvidence(IMAGE, ("a", "b"), 2, 0.25, 0.5, 1.0, 0.0)
    assert scalars(local) == {
        "depths": ["a", "b"],
        "grain": 2,
        "bias": 0.25,
        "jitter": 0.5,
        "logit": 1.0,
        "residual": 0.0,
        "check": None,
        "outside": 0.0,
        "region": None,
        "region_name": "",
        "grounds": 0,
        "ground": "",
        "strays": False,
        "sensitivity": None,
        "valid": False,
    }

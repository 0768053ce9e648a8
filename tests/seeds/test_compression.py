"""What is proven of units holds, what is removed changes nothing, and false certificates fail."""

import itertools

import numpy as np
import pytest

from pipelines.seeds.compression.compress import certificate, compress, faults
from pipelines.seeds.compression.stability import Affine, outputs, units

BOX = np.zeros(3), np.ones(3)


def network(seed: int = 0) -> list[Affine]:
    """3 - 5 - 6 - 2, the first layer with a unit that is never on and one that is always on."""
    drawn = np.random.default_rng(seed)
    layers = [
        Affine(drawn.standard_normal((n, m)), 0.1 * drawn.standard_normal(n))
        for m, n in itertools.pairwise((3, 5, 6, 2))
    ]
    layers[0].bias[0], layers[0].bias[1] = -9, 9
    return layers


def sample(count: int = 3000) -> np.ndarray:
    drawn = np.random.default_rng(7)
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=3)))
    return np.concatenate([corners, drawn.random((count, 3))])


def test_bounds_hold_on_a_fine_sample_and_programmes_are_met_by_it() -> None:
    given, x = network(), sample(30_000)
    known = units(given, BOX, x[:50], seconds=10)
    first = given[0](x)
    second = given[1](np.maximum(first, 0))
    for unit in known:
        values = (first, second)[unit.layer][:, unit.index]
        assert unit.low - 1e-6 <= values.min() and values.max() <= unit.high + 1e-6
    assert known[0].state == "inactive" and known[1].state == "active"


def test_the_programme_finds_the_largest_value_that_intervals_miss() -> None:
    # h1 = relu(x), h2 = relu(x - 1/2): h1 - h2 is at most 1/2 on [0, 1], intervals say 1.
    layers = [
        Affine(np.array([[1.0], [1.0]]), np.array([0.0, -0.5])),
        Affine(np.array([[1.0, -1.0]]), np.array([-0.6])),
        Affine(np.array([[1.0]]), np.zeros(1)),
    ]
    box = np.zeros(1), np.ones(1)
    last = units(layers, box, np.array([[0.2]]), seconds=10)[-1]
    assert last.state == "inactive" and last.proof in {"relaxation", "programme"}
    assert last.high == pytest.approx(-0.1, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_removed_and_merged_changes_nothing(seed: int) -> None:
    given, x = network(seed), sample()
    given[0].bias[1:] = 9  # four units always on, of three inputs: one depends on the others
    made = compress(given, units(given, BOX, x, seconds=10))
    assert made.removed[0] == (0,) and len(made.merged[0]) == 1
    assert len(made.network[0].bias) == 3
    assert outputs(made.network, x) == pytest.approx(outputs(given, x), abs=1e-10)


def test_a_unit_removed_without_a_proof_changes_the_output_and_is_refused() -> None:
    given, x = network(), sample()
    known = units(given, BOX, x, seconds=10)
    wrong = [
        u if (u.layer, u.index) != (0, 2) else type(u)(**{**vars(u), "state": "inactive"})
        for u in known
    ]
    made = compress(given, wrong)
    assert np.abs(outputs(made.network, x) - outputs(given, x)).max() > 1e-3
    told = certificate(given, BOX, known, made)
    assert any(
        "unit 2 of layer 0 without a proof" in fault
        for fault in faults(told, given, made.network, x)
    )


def test_a_certificate_of_other_weights_or_with_other_bounds_is_refused() -> None:
    given, x = network(), sample()
    known = units(given, BOX, x, seconds=10)
    made = compress(given, known)
    told = certificate(given, BOX, known, made)
    assert faults(told, given, made.network, x) == []
    assert "other weights" in faults(told, network(1), made.network, x)[0]
    told["units"][1]["low"] += 1.0
    assert faults(told, given, made.network, x)

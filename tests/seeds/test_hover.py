"""The quadrotor is a rigid body, and learning follows its formulas to the bit."""

import numpy as np
import pytest
import torch

from pipelines.seeds.hover import quadrotor
from pipelines.seeds.hover.learn import (
    Batch,
    Learned,
    Recipe,
    advantages,
    flown,
    learn,
    log_density,
    policy_loss,
)
from pipelines.seeds.hover.networks import Adam, Perceptron

FREE = np.zeros((5, 4))


def _bodies(count: int = 5) -> quadrotor.Bodies:
    return quadrotor.started(count, np.random.default_rng(0))


def test_rotors_at_a_quarter_of_the_weight_hold_it() -> None:
    level = np.tile(np.eye(3), (2, 1, 1))
    zero = np.zeros((2, 3))
    bodies = quadrotor.Bodies(zero, zero, level, zero, zero)
    thrusts = quadrotor.thrusts_of(np.zeros((2, 4)))
    assert thrusts.sum(1) == pytest.approx(quadrotor.MASS * quadrotor.GRAVITY)
    for _ in range(100):
        bodies = quadrotor.moved(bodies, thrusts)
    for still in (bodies.x, bodies.v, bodies.momentum):
        assert np.abs(still).max() < 1e-12
    assert np.allclose(bodies.rotation, level)
    assert quadrotor.reward(bodies) == pytest.approx(1)


def test_four_thrusts_reach_every_force_and_torque_there_is() -> None:
    assert np.linalg.matrix_rank(quadrotor.MIXING) == 4


def test_free_fall_keeps_its_energy_and_a_free_spin_its_momentum() -> None:
    bodies = _bodies()
    bodies.wind[:] = 0

    def energy(one: quadrotor.Bodies) -> np.ndarray:
        square = np.square(one.v).sum(1) / 2
        return quadrotor.MASS * (square + quadrotor.GRAVITY * one.x[:, 2])

    before, momentum = energy(bodies), bodies.momentum.copy()
    for _ in range(500):
        bodies = quadrotor.moved(bodies, FREE)
    assert energy(bodies) == pytest.approx(before, abs=1e-8)
    assert np.array_equal(bodies.momentum, momentum)


def test_the_energy_of_a_free_spin_is_kept_better_by_smaller_steps() -> None:
    def drift(step: float) -> float:
        bodies = _bodies()
        bodies.momentum *= 5
        energies = []
        for _ in range(round(1 / step)):
            energies.append(_spin(bodies))
            bodies = quadrotor.moved(bodies, FREE, step)
        return float(np.abs(energies[-1] / energies[0] - 1).max())

    assert drift(0.001) < drift(0.01) / 5 and drift(0.001) < 0.01


def _spin(bodies: quadrotor.Bodies) -> np.ndarray:
    return (quadrotor.INERTIA * bodies.omega**2).sum(1) / 2


def test_a_rotation_stays_one() -> None:
    bodies, generator = _bodies(), np.random.default_rng(1)
    for _ in range(2000):
        bodies = quadrotor.moved(bodies, quadrotor.thrusts_of(generator.uniform(-1, 1, (5, 4))))
    unit = bodies.rotation @ bodies.rotation.swapaxes(1, 2)
    assert np.allclose(unit, np.eye(3), atol=1e-9)
    assert np.linalg.det(bodies.rotation) == pytest.approx(1)


def test_a_turn_is_the_exponential_of_its_cross_product() -> None:
    turn = np.array([[0.3, -1.2, 0.4], [0, 0, 0], [0, 0, np.pi / 2]])
    for vector, found in zip(turn, quadrotor.turned(turn), strict=True):
        x, y, z = vector
        cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
        assert np.allclose(found, torch.linalg.matrix_exp(cross).numpy(), atol=1e-12)


def test_thrust_on_one_side_turns_the_body_away_from_it() -> None:
    bodies = quadrotor.Bodies(*np.zeros((2, 1, 3)), np.eye(3)[None], *np.zeros((2, 1, 3)))
    gone = quadrotor.moved(bodies, np.array([[3.0, 1.0, 1.0, 3.0]]))
    assert gone.omega[0, 0] > 0 and np.abs(gone.omega[0, 1:]).max() < 1e-12


def test_advantages_are_discounted_sums_of_surprises() -> None:
    generator, recipe = np.random.default_rng(0), Recipe()
    rewards, values = generator.normal(size=(12, 3)), generator.normal(size=(13, 3))
    ended = generator.random((12, 3)) < 0.2
    found = advantages(rewards, values, ended, recipe)
    for body in range(3):
        for t in range(12):
            total, weight = 0.0, 1.0
            for s in range(t, 12):
                on = 0.0 if ended[s, body] else recipe.discount
                total += weight * (rewards[s, body] + on * values[s + 1, body] - values[s, body])
                weight *= recipe.trace * on
            assert found[t, body] == pytest.approx(total)


def test_with_a_trace_of_one_they_are_the_return_less_the_value() -> None:
    recipe = Recipe(trace=1.0)
    rewards, values = np.ones((4, 1)), np.full((5, 1), 7.0)
    ended = np.array([[False], [False], [False], [True]])
    g = recipe.discount
    found = advantages(rewards, values, ended, recipe)
    assert found[0, 0] == pytest.approx(1 + g + g**2 + g**3 - 7)


def _batch(actor: Perceptron, spread: np.ndarray, count: int = 40) -> Batch:
    generator = np.random.default_rng(2)
    observed = generator.normal(size=(count, 18))
    actions = generator.normal(size=(count, 4))
    densities = log_density(actions, actor(observed), spread) + generator.normal(0, 0.3, count)
    gains = generator.normal(size=count)
    return Batch(observed, observed, actions, densities, gains, gains)


def test_the_gradient_of_the_policy_is_that_of_finite_differences() -> None:
    actor, spread = Perceptron((18, 8, 8, 4), np.random.default_rng(0)), np.full(4, -0.3)
    learned, batch = Learned(actor, spread), _batch(actor, spread)
    _, gradient = policy_loss(learned, batch, 0.2)
    generator = np.random.default_rng(3)
    for weight, slope in zip([*actor.weights, spread], gradient, strict=True):
        towards = generator.normal(size=weight.shape)
        sides = []
        for sign in (1, -1):
            weight += sign * 1e-6 * towards
            sides.append(policy_loss(learned, batch, 0.2)[0])
            weight -= sign * 1e-6 * towards
        assert (slope * towards).sum() == pytest.approx(
            (sides[0] - sides[1]) / 2e-6, rel=1e-4, abs=1e-8
        )


def test_the_gradient_of_a_perceptron_is_autograd_s() -> None:
    model = Perceptron((5, 7, 6, 2), np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(9, 5))
    layers = model.layers(x)
    found = model.gradient(layers, layers[-1])  # of the half square
    weights = [torch.tensor(w, requires_grad=True) for w in model.weights]
    y = torch.from_numpy(x)
    for k in range(0, len(weights), 2):
        y = y @ weights[k] + weights[k + 1]
        y = y.tanh() if k < len(weights) - 2 else y
    (y.square().sum() / 2).backward()
    for weight, slope in zip(weights, found, strict=True):
        assert np.allclose(slope, weight.grad, atol=1e-12)


def test_adam_moves_as_torch_s_does() -> None:
    ours = [np.array([1.0, -2.0]), np.array([[0.5]])]
    theirs = [torch.tensor(w, requires_grad=True) for w in ours]
    adam = Adam(ours, 0.1, clip=np.inf)
    optimiser = torch.optim.Adam(theirs, 0.1, eps=1e-8)
    for k in range(5):
        slopes = [np.cos(w + k) for w in ours]
        for weight, slope in zip(theirs, slopes, strict=True):
            weight.grad = torch.from_numpy(slope)
        adam.step(slopes)
        optimiser.step()
    for mine, weight in zip(ours, theirs, strict=True):
        assert np.allclose(mine, weight.detach(), atol=1e-6)


def test_a_seed_learns_the_same_bits_twice_and_another_others() -> None:
    brief = Recipe(rounds=2, bodies=8, rollout=16)
    first = learn(brief, 0, every=1)
    assert first.sha256() == learn(brief, 0, every=2).sha256()
    assert first.sha256() != learn(brief, 1).sha256()


@pytest.mark.parametrize("critic", ["full", "observation"])
def test_seconds_of_learning_reach_what_random_does_not(critic: str) -> None:
    learned = learn(Recipe(critic=critic, rounds=30), 0, every=30)
    assert learned.returns[-1][1] > 0.6
    assert flown(None, 200, 0).max() < 0.3

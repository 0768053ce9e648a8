"""Proximal policy optimisation: an actor that sees noise, a critic that may see the truth."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.seeds.hover import quadrotor
from pipelines.seeds.hover.networks import Adam, Perceptron
from pipelines.seeds.hover.quadrotor import FULL, OBSERVED

EPISODE = 200  # steps, four seconds
FLOWN = 100  # episodes that a return is the mean of


@dataclass(frozen=True)
class Recipe:
    """How is learned, and what the critic sees: what the actor sees, the state, or the wind too."""

    critic: Literal["observation", "state", "full"] = "full"
    bodies: int = 64
    rollout: int = 64
    rounds: int = 60
    passes: int = 5
    parts: int = 4
    discount: float = 0.97
    trace: float = 0.95
    rate: float = 3e-3
    clip: float = 0.2
    hidden: int = 32


@dataclass
class Learned:
    """An actor, the logarithm of its deviation, and its return by processor seconds of learning."""

    actor: Perceptron
    spread: NDArray
    returns: list[tuple[float, float]] = field(default_factory=list)

    def sha256(self) -> str:
        """Of all bits of the actor."""
        found = hashlib.sha256()
        for each in (*self.actor.weights, self.spread):
            found.update(each.tobytes())
        return found.hexdigest()


def advantages(rewards: NDArray, values: NDArray, ended: NDArray, recipe: Recipe) -> NDArray:
    """Generalised advantages (T, n) (Schulman et al. 2016) of rewards and ends (T, n).

    A_t = d_t + g l (1 - e_t) A_{t+1} with d_t = r_t + g (1 - e_t) V_{t+1} - V_t; values (T + 1, n).
    """
    found, here = np.zeros_like(rewards), np.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        goes_on = recipe.discount * (1 - ended[t])
        surprise = rewards[t] + goes_on * values[t + 1] - values[t]
        here = surprise + recipe.trace * goes_on * here
        found[t] = here
    return found


def log_density(action: NDArray, mean: NDArray, spread: NDArray) -> NDArray:
    """Of independent normal actions (n, 4) with a mean and the logarithm of their deviation."""
    scaled = (action - mean) / np.exp(spread)
    return -(np.square(scaled) / 2 + spread + np.log(2 * np.pi) / 2).sum(1)


def policy_loss(learned: Learned, batch: "Batch", clip: float) -> tuple[float, list[NDArray]]:
    """-mean min(q A, clip(q, 1 - c, 1 + c) A), q the ratio of densities, and its gradient."""
    layers = learned.actor.layers(batch.observed)
    mean, spread = layers[-1], learned.spread
    ratio = np.exp(log_density(batch.actions, mean, spread) - batch.densities)
    plain, cut = ratio * batch.gains, np.clip(ratio, 1 - clip, 1 + clip) * batch.gains
    slope = np.where(plain <= cut, -plain, 0.0)[:, None] / len(ratio)
    scaled = (batch.actions - mean) / np.exp(spread)
    gradient = learned.actor.gradient(layers, slope * scaled / np.exp(spread))
    return -float(np.minimum(plain, cut).mean()), [
        *gradient,
        (slope * (np.square(scaled) - 1)).sum(0),
    ]


@dataclass(frozen=True)
class Batch:
    """What was seen, told to the critic, done, with which density, and what came of it."""

    observed: NDArray
    judged: NDArray
    actions: NDArray
    densities: NDArray
    gains: NDArray
    returns: NDArray

    def __getitem__(self, rows: NDArray) -> "Batch":
        return Batch(*(each[rows] for each in vars(self).values()))


class Flight:
    """Quadrotors that fly on from one rollout to the next, begun anew where they end."""

    def __init__(self, recipe: Recipe, generator: np.random.Generator):
        self.recipe, self.generator = recipe, generator
        self.bodies = quadrotor.started(recipe.bodies, generator)
        self.age = generator.integers(0, EPISODE, recipe.bodies)  # so that not all end at once
        self.look()

    def look(self) -> None:
        """See all bodies as they are now."""
        self.state = self.bodies.state()
        self.observed = quadrotor.seen(self.state, self.generator)
        told = {"observation": self.observed, "state": self.state[:, :OBSERVED], "full": self.state}
        self.judged = told[self.recipe.critic]

    def collect(self, learned: Learned, critic: Perceptron) -> Batch:
        """As many steps as the recipe says of all bodies."""
        recipe, generator = self.recipe, self.generator
        kept: list[tuple[NDArray, ...]] = []
        values = [critic(self.judged)[:, 0]]
        for _ in range(recipe.rollout):
            observed, judged, mean = self.observed, self.judged, learned.actor(self.observed)
            action = mean + np.exp(learned.spread) * generator.standard_normal(mean.shape)
            density = log_density(action, mean, learned.spread)
            kept.append((observed, judged, action, density, *self._moved(action, critic)))
            values.append(critic(self.judged)[:, 0])
        *told, gains, ends = map(np.stack, zip(*kept, strict=True))
        found = advantages(gains, np.stack(values), ends, recipe)
        returns = found + np.stack(values[:-1])
        scaled = (found - found.mean()) / (found.std() + 1e-8)
        return Batch(*(each.reshape(-1, *each.shape[2:]) for each in (*told, scaled, returns)))

    def _moved(self, action: NDArray, critic: Perceptron) -> tuple[NDArray, NDArray]:
        """Fly a step; what it gained, and which flights ended with it and begin anew."""
        self.bodies = quadrotor.moved(self.bodies, quadrotor.thrusts_of(action))
        gain, gone = quadrotor.reward(self.bodies), quadrotor.lost(self.bodies)
        self.age += 1
        late = ~gone & (self.age >= EPISODE)
        self.look()
        if late.any():  # the flight would go on: what it is worth stands in for the rest
            gain[late] += self.recipe.discount * critic(self.judged[late])[:, 0]
        if (ended := gone | late).any():
            rows = np.flatnonzero(ended)
            self.bodies.put(rows, quadrotor.started(len(rows), self.generator))
            self.age[rows] = 0
            self.look()
        return gain, ended


def learn(recipe: Recipe, seed: int, *, every: int = 5) -> Learned:
    """An actor; its return is measured each `every` rounds, outside of the seconds told."""
    generator = np.random.default_rng(seed)
    actor = Perceptron((OBSERVED, recipe.hidden, recipe.hidden, 4), generator, 0.01)
    told = FULL if recipe.critic == "full" else OBSERVED
    critic = Perceptron((told, recipe.hidden, recipe.hidden, 1), generator)
    learned = Learned(actor, np.full(4, -1.0))
    moves = Adam([*actor.weights, learned.spread], recipe.rate)
    judges = Adam(critic.weights, recipe.rate)
    flight, spent = Flight(recipe, generator), 0.0
    for number in range(recipe.rounds):
        began = time.process_time()
        batch = flight.collect(learned, critic)
        for _ in range(recipe.passes):
            for rows in np.array_split(generator.permutation(len(batch.gains)), recipe.parts):
                part = batch[rows]
                moves.step(policy_loss(learned, part, recipe.clip)[1])
                layers = critic.layers(part.judged)
                slope = (layers[-1] - part.returns[:, None]) / len(rows)
                judges.step(critic.gradient(layers, slope))
        spent += time.process_time() - began
        if (number + 1) % every == 0:
            learned.returns.append((spent, flown(actor, FLOWN, seed=10_000 + seed).mean()))
    return learned


def flown(actor: Perceptron | None, count: int, seed: int) -> NDArray:
    """Returns (count,) of whole episodes, as shares of the most there is; None acts at random.

    An actor takes its mean; at random actions are uniform from -1 to 1.
    """
    generator = np.random.default_rng(seed)
    bodies = quadrotor.started(count, generator)
    total, alive = np.zeros(count), np.ones(count, bool)
    for _ in range(EPISODE):
        observed = quadrotor.seen(bodies.state(), generator)
        action = actor(observed) if actor else generator.uniform(-1, 1, (count, 4))
        bodies = quadrotor.moved(bodies, quadrotor.thrusts_of(action))
        alive &= ~quadrotor.lost(bodies)
        total += alive * quadrotor.reward(bodies)
    return total / EPISODE

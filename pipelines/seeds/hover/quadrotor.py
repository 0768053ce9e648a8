"""A small quadrotor as a rigid body, many at a time, in numpy.

Units are metres, seconds, kilograms. With thrusts f_1 to f_4 along the body's own axis, rotation R
(body to world), angular momentum L and inertia J (diagonal, body):

    m dv/dt = R (0, 0, f_1 + f_2 + f_3 + f_4) + wind - (0, 0, m g),    dL/dt = R torque,
    dR/dt = R [omega]x,    omega = J^-1 R^T L.

A step holds forces: v and x are exact for a constant force, L is moved as a whole and R by the
exponential of its turn, so that free fall keeps its energy, a free spin its angular momentum, and R
stays a rotation, each to rounding.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRAVITY, MASS, ARM, DRAG = 9.81, 1.0, 0.2, 0.05  # drag: torque about the axis a newton of thrust
INERTIA = np.array([0.01, 0.01, 0.02])
STEP = 0.02
HOVER = MASS * GRAVITY / 4  # thrust of a rotor that holds the weight
SIDE = ARM / np.sqrt(2)
# From four thrusts to the thrust of all and the torques about x, y and z.
MIXING = np.array(
    [[1, 1, 1, 1], [SIDE, -SIDE, -SIDE, SIDE], [-SIDE, -SIDE, SIDE, SIDE], [DRAG, -DRAG] * 2]
)
NOISE = np.repeat([0.05, 0.1, 0.03, 0.2], [3, 3, 9, 3])  # of what is seen
WIND = 0.3  # newtons, deviation of an episode's
OBSERVED, FULL = 18, 21


@dataclass
class Bodies:
    """States of n quadrotors: x, v, momentum, wind (n, 3) and rotation (n, 3, 3)."""

    x: NDArray
    v: NDArray
    rotation: NDArray
    momentum: NDArray
    wind: NDArray

    @property
    def omega(self) -> NDArray:
        """Angular velocity (n, 3) in the body's axes."""
        return np.einsum("nij,ni->nj", self.rotation, self.momentum) / INERTIA

    def state(self) -> NDArray:
        """All of it (n, 21): x, v, rotation, omega, wind. An observation lacks the wind."""
        flat = self.rotation.reshape(len(self.x), 9)
        return np.concatenate([self.x, self.v, flat, self.omega, self.wind], 1)

    def put(self, rows: NDArray, others: "Bodies") -> None:
        """Others in place of these rows."""
        for name, values in vars(self).items():
            values[rows] = getattr(others, name)


def seen(state: NDArray, generator: np.random.Generator) -> NDArray:
    """Noisy observations (n, 18) of states (n, 21)."""
    return state[:, :OBSERVED] + NOISE * generator.standard_normal((len(state), OBSERVED))


def turned(turn: NDArray) -> NDArray:
    """Rotations (n, 3, 3) about vectors (n, 3) by their length: the exponential (Rodrigues)."""
    angle = np.linalg.norm(turn, axis=1)[:, None, None]
    x, y, z = turn.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    half = np.sinc(angle / (2 * np.pi))
    return np.eye(3) + np.sinc(angle / np.pi) * cross + half**2 / 2 * cross @ cross


def started(count: int, generator: np.random.Generator) -> Bodies:
    """Up to half a metre off on each axis, tilted by some ten degrees, moving."""
    x, v = generator.uniform(-0.5, 0.5, (2, count, 3))
    rotation = turned(generator.normal(0, 0.2, (count, 3)))
    momentum = np.einsum("nij,nj->ni", rotation, INERTIA * generator.normal(0, 0.5, (count, 3)))
    return Bodies(x, v, rotation, momentum, generator.normal(0, WIND, (count, 3)))


def moved(bodies: Bodies, thrusts: NDArray, step: float = STEP) -> Bodies:
    """Bodies a step later under thrusts (n, 4) of their rotors, in newtons."""
    wrench = thrusts @ MIXING.T
    force = bodies.rotation[:, :, 2] * wrench[:, :1] + bodies.wind
    pull = force / MASS - np.array([0, 0, GRAVITY])
    x = bodies.x + step * bodies.v + step**2 / 2 * pull
    torque = np.einsum("nij,nj->ni", bodies.rotation, wrench[:, 1:])
    momentum = bodies.momentum + step * torque
    rotation = bodies.rotation @ turned(step * bodies.omega)
    return Bodies(x, bodies.v + step * pull, rotation, momentum, bodies.wind)


def thrusts_of(action: NDArray) -> NDArray:
    """Thrusts (n, 4) of actions: 0 holds the weight, -1 and 1 are none and twice as much."""
    return HOVER * (1 + np.clip(action, -1, 1))


def reward(bodies: Bodies) -> NDArray:
    """exp(-cost) (n,): 1 at rest and upright at the origin."""
    tilt = 1 - bodies.rotation[:, 2, 2]
    square = [np.square(each).sum(1) for each in (bodies.x, bodies.v, bodies.omega)]
    return np.exp(-(4 * square[0] + 0.2 * square[1] + 0.02 * square[2] + tilt))


def lost(bodies: Bodies) -> NDArray:
    """Whether (n,) a quadrotor is two metres away or lies on its side."""
    return (np.square(bodies.x).sum(1) > 4) | (bodies.rotation[:, 2, 2] < 0)

"""Draws bodies, exposures and opacities by chance; everything follows from (seed, index)."""

from dataclasses import dataclass, replace

import numpy as np

from medinv.data.phantoms.anatomy import chest
from medinv.data.phantoms.record import Anatomy, Exposure, Kind, Marker, Opacity, Phantom, Point
from medinv.data.phantoms.tubes import stretch
from medinv.errors import ConfigError

ZONES = {"upper": (4.0, 10.5), "middle": (-1.5, 4.0), "lower": (-8.5, -1.5)}
"""Heights of the lung zones in the medium adult's frame, cm."""
KINDS: tuple[Kind, ...] = ("nodule", "consolidation", "ground-glass")


@dataclass(frozen=True)
class Recipe:
    """What a set of phantoms contains."""

    opacity_share: float = 0.5
    """Share of bodies with at least one opacity."""
    subtle_share: float = 0.15
    """Share of opacities with 0.1 to 0.4 of the usual contrast."""
    kinds: tuple[Kind, ...] = KINDS
    marker: Marker = "none"
    marker_shares: tuple[float, float] = (0.0, 0.0)
    """Share of (clear, opacity) bodies that carry `marker`: unequal shares plant a confounder."""

    def __post_init__(self) -> None:
        shares = (self.opacity_share, self.subtle_share, *self.marker_shares)
        if (
            not all(0 <= s <= 1 for s in shares)
            or not self.kinds
            or not set(self.kinds) <= set(KINDS)
        ):
            raise ConfigError(
                f"recipe: expected shares in 0..1 and kinds among {', '.join(KINDS)}; got {self}"
            )


def draw(seed: int, index: int, recipe: Recipe = Recipe()) -> Phantom:
    """Phantom number `index` of a seed: the same for the same (seed, index, recipe),
    whatever else is drawn.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, 0)))
    anatomy, exposure = draw_anatomy(rng), draw_exposure(rng)
    sick = rng.random() < recipe.opacity_share
    marked = rng.random() < recipe.marker_shares[int(sick)]
    count = int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])) if sick else 0
    opacities = tuple(draw_opacity(rng, anatomy, recipe) for _ in range(count))
    if marked:
        exposure = replace(exposure, marker=recipe.marker)
    return Phantom(seed, index, anatomy, exposure, opacities)


def _near(rng: np.random.Generator, mean: float, spread: float) -> float:
    """A normal variate cut at two standard deviations."""
    return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """A child or an adult."""
    child = rng.random() < 0.45
    scale = rng.uniform(0.5, 0.8) if child else rng.uniform(0.86, 1.06)
    return Anatomy(
        scale=float(scale),
        width=_near(rng, 1.02 if child else 1.0, 0.03),
        height=_near(rng, 0.95 if child else 1.0, 0.035),
        depth=_near(rng, 1.05 if child else 1.0, 0.05),
        fat=float(rng.uniform(0.4, 1.2) if child else rng.uniform(0.6, 2.8)),
        inspiration=_near(rng, 0.0, 0.8),
        heart=_near(rng, 1.08 if child else 1.0, 0.06),
        heart_tilt=_near(rng, 38, 5),
        aorta=_near(rng, 0.7 if child else 1.0, 0.1),
        rotation=_near(rng, 0, 2.5),
        roll=_near(rng, 0, 1.6),
        shift_x=_near(rng, 0, 0.6) * float(scale),
        shift_z=_near(rng, 0, 0.6) * float(scale),
        field=float(rng.uniform(33.5, 37.5)),
        rib_slope=_near(rng, 0.9 if child else 1.0, 0.1),
        clavicle_lift=_near(rng, 0, 0.5),
        lung_density=_near(rng, 1.0, 0.12),
        vessels=_near(rng, 1.0, 0.1),
        arms_up=bool(rng.random() < (0.6 if child else 0.15)),
        stomach_gas=float(rng.uniform(0.6, 1.3)) if rng.random() < 0.75 else 0.0,
    )


def draw_exposure(rng: np.random.Generator) -> Exposure:
    """Dose, scatter, blur, brightness and collimation as they vary between examinations."""
    return Exposure(
        photons=float(np.exp(rng.uniform(np.log(8e3), np.log(6e4)))),
        scatter=float(rng.uniform(0.2, 0.5)),
        blur=float(rng.uniform(0.15, 0.4)),
        low_grey=float(rng.uniform(20, 45)),
        high_grey=float(rng.uniform(205, 235)),
        border=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.15 else 0.0,
    )


def draw_opacity(rng: np.random.Generator, anatomy: Anatomy, recipe: Recipe = Recipe()) -> Opacity:
    """An opacity of the usual range, anywhere in aerated lung."""
    kind = recipe.kinds[int(rng.integers(len(recipe.kinds)))]
    low, high = {"nodule": (1.2, 2.4), "consolidation": (2.4, 4.4), "ground-glass": (2.8, 5.0)}[
        kind
    ]
    radius = rng.uniform(low, high) * anatomy.scale
    rx, ry, rz = (float(radius * rng.uniform(0.85, 1.15)) for _ in range(3))
    low, high = {
        "nodule": (0.12, 0.17),
        "consolidation": (0.11, 0.165),
        "ground-glass": (0.055, 0.10),
    }[kind]
    contrast = rng.uniform(low, high) * (
        rng.uniform(0.1, 0.4) if rng.random() < recipe.subtle_share else 1.0
    )
    rough = rng.uniform(
        *{"nodule": (0.0, 0.5), "consolidation": (0.4, 1.0), "ground-glass": (0.2, 0.7)}[kind]
    )
    centre = place(rng, anatomy, radius)
    return Opacity(
        kind, centre, (rx, ry, rz), float(contrast), float(rough), int(rng.integers(2**31))
    )


def place(
    rng: np.random.Generator, anatomy: Anatomy, radius: float, side: str = "any", zone: str = "any"
) -> Point:
    """A point in aerated lung, patient cm, with lung around it within half of `radius` (cm)
    where such a point exists.

    side: left, right or any; zone: upper, middle, lower or any.
    Raises ConfigError for another word.
    """
    if side not in ("left", "right", "any") or zone not in (*ZONES, "any"):
        raise ConfigError(
            f"place: expected side left, right or any and zone {', '.join(ZONES)} or any; "
            f"got {side!r}, {zone!r}"
        )
    low, high = ZONES.get(zone, (ZONES["lower"][0], ZONES["upper"][1]))
    sign = {"left": 1.0, "right": -1.0}.get(side, 0.0) or rng.choice([-1.0, 1.0])
    points = np.stack(
        [
            sign * rng.uniform(2.5, 12.5, 300),
            rng.uniform(-7.5, 8.5, 300),
            rng.uniform(low, high, 300),
        ],
        1,
    )
    reach = 0.5 * radius / stretch(anatomy)
    offsets = (
        np.array([(0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)])
        * reach
    )
    around = points[:, None] + offsets
    inside = chest(around[..., 0], around[..., 2], anatomy).in_lung(around[..., 1])
    best = points[np.argmax(inside.sum(1) + 7 * inside[:, 0])] * stretch(anatomy)
    return float(best[0]), float(best[1]), float(best[2])

"""The organs of the phantom as spans, in the frame of a medium adult (cm);
`Anatomy` stretches that frame into the patient's.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from medinv.data.phantoms import tissue
from medinv.data.phantoms.record import Anatomy
from medinv.data.phantoms.solids import Span, column, ellipsoid, holds_any, keep, union_length

APEX, WIDEST, BASE = 12.2, -5.0, -13.0
"""Heights of the lungs: top, widest section, lowest recess."""
RIGHT_DOME, LEFT_DOME = -6.4, -7.4
"""Heights of the diaphragm domes at `inspiration` 0."""
CHEST, HILUM = 13.0, (4.0, 0.8, 0.6)
DISC = 2.35
"""Distance between vertebrae."""

_SKIN = PchipInterpolator(
    [-24, -14, -4, 3, 8, 11, 13, 14.5, 16, 24],
    [14.4, 14.7, 15.4, 15.3, 14.5, 13.0, 10.4, 7.4, 5.9, 5.7],
)
_THICK = PchipInterpolator([-24, -10, 0, 6, 11, 15, 24], [9.3, 10.2, 10.6, 10.2, 8.6, 6.4, 6.0])


@dataclass(frozen=True)
class Chest:
    """The lungs and all that takes their place, along a set of beams."""

    lungs: list[Span]
    heart: list[Span]
    vessels: list[Span]
    domes: list[Span]
    spine: Span

    @property
    def airless(self) -> list[Span]:
        """What takes the place of lung."""
        return [*self.heart, *self.vessels, *self.domes, self.spine]

    def at(self, where: np.ndarray) -> "Chest":
        """The same chest on the chosen beams only (boolean mask of the beams)."""

        def pick(spans: list[Span]) -> list[Span]:
            return [Span(s.near[where], s.far[where]) for s in spans]

        return Chest(
            pick(self.lungs),
            pick(self.heart),
            pick(self.vessels),
            pick(self.domes),
            pick([self.spine])[0],
        )

    def lung_length(self) -> np.ndarray:
        """Length of aerated lung on each beam: what the lungs and the airless solids cover,
        less what the airless cover.
        """
        total = self.lungs[0].length + self.lungs[1].length
        hit = total > 0
        part = self.at(hit)
        total[hit] = union_length([*part.airless, *part.lungs]) - union_length(part.airless)
        return total

    def in_lung(self, y: np.ndarray) -> np.ndarray:
        """Whether depth y is aerated lung."""
        return holds_any(self.lungs, y) & ~holds_any(self.airless, y)


@dataclass(frozen=True)
class Organs:
    """Every solid of one body along a set of beams."""

    skin: list[Span]
    flesh: Span
    chest: Chest
    bodies: Span
    heads: list[Span]
    blades: list[Span]
    gas: Span


def lean(anatomy: Anatomy) -> float:
    """Sideways shift per cm of depth that stands for a turn about the long axis."""
    return float(np.tan(np.radians(anatomy.rotation)))


def wall(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half width and half depth of the rib cage's inside at height z."""
    rise = np.clip((z - WIDEST) / (APEX - WIDEST), 0, 1)
    return 4.6 + (CHEST - 4.6) * np.sqrt(1 - rise**2.3), 8.7 * np.sqrt(1 - rise**2.8)


def lung(x: np.ndarray, z: np.ndarray, side: int, skew: float) -> Span:
    """One lung with the heart, mediastinum and diaphragm still in it;
    side -1 is the patient's right.
    """
    outer, deep = wall(z)
    rise = np.clip((z - WIDEST) / (APEX - WIDEST), 0, 1)
    inner = 4.6 - 4.4 * (outer - 4.6) / (CHEST - 4.6)
    back = 0.4 + 0.9 * rise**2
    span = column(
        x, (side * (outer + inner) / 2 + skew * back, back), ((outer - inner) / 2, deep), 2.4
    )
    return keep(span, (z < APEX) & (z > BASE))


def _dome(x: np.ndarray, z: np.ndarray, side: int, top: float) -> Span:
    """Half of the diaphragm and all beneath it."""
    rise = 5.6
    shrink = np.sqrt(np.maximum(1 - np.maximum((z - top + rise) / rise, 0) ** 2, 0))
    return column(x, (side * 6.6, -0.6), (7.1 * shrink, 9.6 * shrink), 2.2)


def _skin(x: np.ndarray, z: np.ndarray, a: Anatomy, fat: float) -> list[Span]:
    torso = column(x, (0.0, 0.3), (_SKIN(z) + a.fat - 1 - fat, _THICK(z) + a.fat - 1 - fat), 2.4)
    spans = [torso]
    for side in (-1, 1):
        lift = 2.2 if a.arms_up else 0.0
        spans.append(
            ellipsoid(
                x,
                z,
                (side * 14.0, 1.2, 9.4 + lift),
                (8.0 - fat, 5.4 - fat, 5.2 - fat),
                side * (-0.5 if a.arms_up else 0.40),
            )
        )
        if not a.arms_up:
            spans.append(
                ellipsoid(
                    x, z, (side * 19.4, 1.2, -2.0), (3.9 - fat, 4.6 - fat, 16.0 - fat), side * -0.05
                )
            )
    return spans


def _heart(x: np.ndarray, z: np.ndarray, a: Anatomy, skew: float) -> list[Span]:
    s, drop = a.heart, a.inspiration * 0.6
    tilt = np.radians(a.heart_tilt)
    front = skew * -3.0
    left = ellipsoid(x, z, (2.3 * s + front, -3.0, -4.7 - drop), (6.3 * s, 4.8, 4.5 * s), tilt)
    right = ellipsoid(x, z, (-1.5 * s + front, -2.0, -4.4 - drop), (3.0 * s, 3.8, 4.4 * s))
    return [left, right]


def _great_vessels(x: np.ndarray, z: np.ndarray, a: Anatomy, skew: float) -> list[Span]:
    half = 2.35 + 0.012 * (z - 5) ** 2 + 0.5 * np.clip((z - 9) / 4, 0, 1.5)
    middle = column(x, (0.1 - 0.5 * skew, -0.5), (np.where(z > -9, half, 2.4), 6.0))
    knob = 1.75 * a.aorta
    trunk = ellipsoid(x, z, (2.6 + skew * -1.5, -1.5, 0.4), (2.1, 2.2, 2.5))
    arch = ellipsoid(x, z, (2.0 + skew * 1.5, 1.5, 4.4), (knob, 2.4, knob))
    cava = ellipsoid(x, z, (-2.2 - 0.5 * skew, -0.5, 4.5), (1.25, 1.6, 7.5))
    down = keep(column(x, (1.7 + skew * 4.5, 4.5), (1.25 * a.aorta, 1.25)), z < 4.4)
    return [middle, trunk, arch, cava, down]


def vertebrae(z: np.ndarray) -> np.ndarray:
    """Attenuation added to soft tissue inside the spine at height z, 1/cm: spongy bodies,
    denser end plates, discs without bone.
    """
    phase = np.abs((z / DISC) % 1 - 0.5)
    body = 1 / (1 + np.exp((phase - 0.39) / 0.015))
    plate = np.exp(-(((phase - 0.37) / 0.03) ** 2))
    return (tissue.SPONGY_BONE - tissue.SOFT) * body + 0.14 * (
        tissue.CORTICAL_BONE - tissue.SOFT
    ) * plate


def _blades(x: np.ndarray, z: np.ndarray, lift: float) -> list[Span]:
    """Shoulder blades: thin oblique triangular plates with thicker rims, spread by raised arms."""
    spans = []
    for side in (-1, 1):
        u, w = side * x - lift * 0.6, z - lift
        inside = np.minimum.reduce(
            [
                (u - 8.6 - 0.16 * (9.0 - w)) * 2,
                (9.4 + 0.2 * (u - 9) - w) * 2,
                (w + 2.5 - 2.0 * (u - 11.5)) * 0.9,
            ]
        )
        half = np.clip(inside, 0, 1) * (0.14 + 0.16 * np.exp(-np.clip(inside, 0, 9) / 0.5))
        middle = 7.4 - 0.25 * (u - 10)
        spans.append(Span(middle - half, middle + half))
    return spans


def chest(x: np.ndarray, z: np.ndarray, a: Anatomy) -> Chest:
    """Lungs, heart, great vessels, diaphragm and spine along the beams at (x, z), any shape,
    medium adult's frame.
    """
    skew = lean(a)
    return Chest(
        lungs=[lung(x, z, side, skew) for side in (-1, 1)],
        heart=_heart(x, z, a, skew),
        vessels=_great_vessels(x, z, a, skew),
        domes=[
            _dome(x, z, -1, RIGHT_DOME - a.inspiration),
            _dome(x, z, 1, LEFT_DOME - a.inspiration),
        ],
        spine=column(x, (skew * 6.0, 6.0), (2.2, 3.2)),
    )


def organs(x: np.ndarray, z: np.ndarray, a: Anatomy) -> Organs:
    """All solids of a body along the beams at (x, z), any shape, medium adult's frame."""
    skew, lift, bubble = lean(a), 1.6 if a.arms_up else 0.0, max(a.stomach_gas, 1e-3)
    gas = ellipsoid(
        x, z, (6.0, -1.5, LEFT_DOME - a.inspiration - 2.6), (2.7 * bubble, 3.0, 1.5 * bubble)
    )
    return Organs(
        skin=_skin(x, z, a, 0.0),
        flesh=_skin(x, z, a, a.fat)[0],
        chest=chest(x, z, a),
        bodies=column(x, (skew * 5.4, 5.4), (1.55 + 1.1 * ((z / DISC) % 1 - 0.5) ** 2, 1.7), 2.4),
        heads=[
            ellipsoid(x, z, (side * 17.6, 1.2, 10.3 + lift), (2.3, 2.3, 2.3)) for side in (-1, 1)
        ],
        blades=_blades(x, z, lift),
        gas=keep(gas, np.full(np.shape(x), a.stomach_gas > 0)),
    )

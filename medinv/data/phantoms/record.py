"""The parameters of a phantom: plain frozen records, enough to make every pixel again,
written to and read from JSON.

Patient coordinates are centimetres in DICOM's directions: x to the patient's left, y to the back,
z to the head; the origin lies in the middle of the chest.
"""

import json
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from medinv.errors import ConfigError

Kind = Literal["nodule", "consolidation", "ground-glass"]
Marker = Literal["none", "left", "right"]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Anatomy:
    """One body. Lengths are factors on an adult of medium build unless a unit is given."""

    scale: float = 1.0
    """All lengths; 0.6 is a small child."""
    width: float = 1.0
    height: float = 1.0
    depth: float = 1.0
    fat: float = 1.0
    """Thickness of the fat layer under the skin, cm (before `scale`)."""
    inspiration: float = 0.0
    """How far the diaphragm domes are lowered, cm (before `scale`); negative: raised."""
    heart: float = 1.0
    heart_tilt: float = 38.0
    """Angle of the heart's axis below the horizontal, degrees."""
    aorta: float = 1.0
    rotation: float = 0.0
    """Turn about the long axis, degrees, as a shear of x with y: front and back structures part."""
    roll: float = 0.0
    """Turn in the image plane, degrees."""
    shift_x: float = 0.0
    shift_z: float = 0.0
    """Centring error, cm."""
    field: float = 36.0
    """Side of the square image, cm (before `scale`)."""
    rib_slope: float = 1.0
    clavicle_lift: float = 0.0
    """Height of the clavicles' outer ends, cm (before `scale`)."""
    lung_density: float = 1.0
    vessels: float = 1.0
    """Calibre of the lung vessels."""
    arms_up: bool = False
    stomach_gas: float = 1.0
    """Size of the stomach bubble; 0: none."""


@dataclass(frozen=True)
class Exposure:
    """One exposure and its display."""

    photons: float = 30000.0
    """Detected photons per mm2 behind the lungs."""
    scatter: float = 0.35
    """Scattered share of all that reaches the detector."""
    blur: float = 0.25
    """Standard deviation of focal spot and detector blur, mm."""
    low_grey: float = 30.0
    high_grey: float = 225.0
    """Grey levels of clear lung and of the mediastinum, on which the window is set."""
    border: float = 0.0
    """Width of the collimated border, cm."""
    marker: Marker = "none"
    """A lead letter in the upper corner of that side of the patient."""


@dataclass(frozen=True)
class Opacity:
    """One planted opacity: an ellipsoid of added attenuation, confined to aerated lung."""

    kind: Kind
    centre: Point
    """Patient coordinates, cm."""
    radii: Point
    """Half axes along x, y, z, cm."""
    contrast: float
    """Attenuation added at its densest, 1/cm; lung to muscle is 0.16."""
    roughness: float = 0.0
    """0 smooth to 1 patchy."""
    texture: int = 0
    """Seed of its patches."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(
                f"opacity: kind should be one of {', '.join(get_args(Kind))}; got {self.kind!r}"
            )
        if min(self.radii) <= 0 or self.contrast < 0 or not 0 <= self.roughness <= 1:
            raise ConfigError(
                "opacity: radii should be positive, contrast not negative, roughness in 0..1; "
                f"got {self}"
            )


@dataclass(frozen=True)
class Phantom:
    """One body, its exposure, its opacities; `seed` and `index` fix vessels, textures and noise."""

    seed: int
    index: int
    anatomy: Anatomy = Anatomy()
    exposure: Exposure = Exposure()
    opacities: tuple[Opacity, ...] = ()

    @property
    def label(self) -> int:
        """1 with an opacity, 0 without."""
        return int(bool(self.opacities))

    def clear(self) -> "Phantom":
        """The same body, exposure and noise without its opacities: the true counterfactual."""
        return replace(self, opacities=())

    def to_json(self) -> str:
        """Every parameter as JSON, numbers in full, for `from_json`."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Phantom":
        """Reads what `to_json` wrote. Raises ConfigError for anything else."""
        try:
            raw = json.loads(text)
            opacities = tuple(
                Opacity(**{**o, "centre": tuple(o["centre"]), "radii": tuple(o["radii"])})
                for o in raw["opacities"]
            )
            return cls(
                raw["seed"],
                raw["index"],
                Anatomy(**raw["anatomy"]),
                Exposure(**raw["exposure"]),
                opacities,
            )
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(
                f"phantom record: expected the JSON of a Phantom; got something else ({error})"
            ) from error

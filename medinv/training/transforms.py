"""A user's own augmentation: transforms of monai.transforms by name, with their settings.

    train:
      transforms:
        - {name: RandRotated, keys: image, range_x: 0.1, prob: 0.5}

Each is given {"image": (C, *size) float32 in grey levels, "label": int} and must leave the shape.
Only what changes an image in memory may be named: nothing that reads, writes or runs a function.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai import transforms as monai_transforms
from torch import Tensor

from medinv.errors import ConfigError

Sample = dict[str, Any]
PLACES = frozenset(
    f"monai.transforms.{place}.dictionary"
    for place in ("croppad", "intensity", "spatial", "smooth_field", "regularization")
)
SEEDS = 2**32


class Own:
    """The named transforms, one after another, with randomness that belongs to the image alone.

    The same image in the same epoch is changed alike by whatever process, after whatever pause.
    Values are rounded to whole grey levels, as those of every image that is classified are.
    """

    def __init__(self, entries: tuple[dict[str, Any], ...], top: float):
        self.steps = [_build(number, entry) for number, entry in enumerate(entries)]
        self.names = [entry["name"] for entry in entries]
        self.top = top

    def __call__(self, sample: Sample, seed: int) -> Sample:
        """The sample with its image changed. Raises ConfigError that names the entry."""
        shape = sample["image"].shape
        for number, step in enumerate(self.steps):
            where = _where(number, self.names[number])
            if isinstance(step, monai_transforms.Randomizable):
                step.set_random_state(seed=(seed + 7919 * number) % SEEDS)
            try:
                sample = step(sample)
            except Exception as error:
                raise ConfigError(f"{where}: {_first_line(error)}") from error
            got = tuple(sample["image"].shape)
            if got != tuple(shape):
                raise ConfigError(
                    f"{where}: expected an image that keeps its shape {tuple(shape)}; got {got}"
                )
        image = torch.as_tensor(sample["image"], dtype=torch.float32).round()
        if not torch.isfinite(image).all():
            raise ConfigError(f"train.transforms {', '.join(self.names)}: values are not finite")
        return {**sample, "image": _plain(image.clamp(0, self.top))}


def check(entries: tuple[dict[str, Any], ...], image: np.ndarray, top: float) -> None:
    """Try the entries on one stored image. Raises ConfigError that names the one at fault."""
    own = Own(entries, top)
    own({"image": torch.from_numpy(image).float(), "label": 0}, 0)


def _build(number: int, entry: dict[str, Any]) -> Callable[[Sample], Sample]:
    """One transform. Raises ConfigError where it is none, or not with these settings."""
    name = entry["name"]
    where, made = _where(number, name), getattr(monai_transforms, name, None)
    if not isinstance(made, type) or not issubclass(made, monai_transforms.MapTransform):
        raise ConfigError(
            f"{where}: monai.transforms has no transform of dictionaries of that name"
        )
    if made.__module__ not in PLACES:
        raise ConfigError(
            f"{where}: only transforms that change an image may be named, those of "
            f"{', '.join(sorted(PLACES))}"
        )
    keys = entry.get("keys")
    if keys != "image" and keys != ["image"]:
        raise ConfigError(f"{where}: expected keys: image; got {keys!r}")
    try:
        transform: Callable[[Sample], Sample] = made(
            **{key: value for key, value in entry.items() if key != "name"}
        )
    except Exception as error:
        raise ConfigError(f"{where}: {_first_line(error)}") from error
    return transform


def _where(number: int, name: str) -> str:
    return f"train.transforms, entry {number} ({name})"


def _first_line(error: BaseException) -> str:
    """What went wrong, without the frames of MONAI."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"


def _plain(image: Tensor) -> Tensor:
    """Without MONAI's metadata, which batches do not need."""
    return image.as_tensor() if hasattr(image, "as_tensor") else image

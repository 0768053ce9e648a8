"""A user's own MONAI transforms, named in the configuration: what is taken, and what is not."""

import numpy as np
import pytest
import torch

from medinv.config import load_config
from medinv.errors import ConfigError
from medinv.training.train import train
from medinv.training.transforms import Own

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 16, 16), dtype=np.uint8)


def test_an_image_is_changed_by_its_seed_alone_and_stays_in_whole_grey_levels() -> None:
    own = Own(({"name": "RandRotated", "keys": "image", "range_x": 0.5, "prob": 1.0},), 255.0)
    sample = {"image": torch.from_numpy(IMAGE).float(), "label": 1}
    first, other = own(sample, 1)["image"], own(sample, 2)["image"]
    assert torch.equal(first, own(sample, 1)["image"]) and not torch.equal(first, other)
    assert torch.equal(first, first.round()) and first.min() >= 0 and first.max() <= 255
    assert type(first) is torch.Tensor and first.dtype == torch.float32


@pytest.mark.parametrize(
    "entries, says",
    [
        ("[{name: RandRotatedd, keys: image}]", r"entry 0 \(RandRotatedd\): .*has no transform"),
        ("[{keys: image}]", "entry 0: expected name"),
        ("[{name: os.system, keys: image}]", "entry 0: expected name"),
        ("[{name: RandFlipd, keys: image, axes: 1}]", r"entry 0 \(RandFlipd\): TypeError.*axes"),
        ("[{name: RandFlipd, keys: label}]", r"entry 0 \(RandFlipd\): expected keys: image"),
        ("[{name: RandFlipd, keys: image}, {name: Resized, keys: image, spatial_size: [8, 8]}]",
         r"entry 1 \(Resized\): expected an image that keeps its shape"),
        ("[{name: LoadImaged, keys: image}]", r"entry 0 \(LoadImaged\): only transforms that"),
        ("[{name: SaveImaged, keys: image}]", r"entry 0 \(SaveImaged\): only transforms that"),
        ("[{name: Lambdad, keys: image, func: print}]", r"entry 0 \(Lambdad\): only transforms"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_by_entry_before_the_first_step(
    tiny_data, configs, entries, says
) -> None:
    small = ("data.size=16", "data.counts=[48,64,64]", "model.depths=[1,1]", "model.hidden=[8,8]")
    with pytest.raises(ConfigError, match=says):
        train(
            load_config(configs / "phantom-opacity.yaml", (*small, f"train.transforms={entries}")),
            tiny_data,
        )

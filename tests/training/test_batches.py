"""What a batch holds: as stored, whoever reads it, and mirrored in turn where that is asked for."""

import numpy as np
import pytest
import torch

from medinv.config import Config, load_config
from medinv.data.sets.labelled import Part
from medinv.errors import ConfigError
from medinv.training.batches import Batches

SMALL = ("train.batch=4", "train.shift=0", "train.cutout=0")


@pytest.fixture
def part() -> Part:
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 32, 32)).astype(np.uint8)
    return Part(images, np.arange(10), np.arange(10))


def config(configs, *overrides: str) -> Config:
    return load_config(configs / "cifar10.yaml", (*SMALL, *overrides))


def test_one_process_reads_what_several_would(configs, part) -> None:
    recipe = config(configs, "train.shift=3")
    alone, ahead = Batches(part, recipe), Batches(part, recipe, workers=1)
    for (x, labels), (y, same) in zip(alone.epoch(1), ahead.epoch(1), strict=True):
        assert torch.equal(x, y) and torch.equal(labels, same) and x.dtype == torch.float32


def test_alternate_flips_mirror_each_image_in_every_other_epoch(configs, part) -> None:
    batches = Batches(part, config(configs, "train.alternate=true"))
    mirrored = np.full((4, 10), -1)
    for epoch in range(4):
        for images, labels in batches.epoch(epoch):
            for image, label in zip(images.numpy(), labels.tolist(), strict=True):
                stored = part.images[label]
                mirrored[epoch, label] = 0 if (image == stored).all() else 1
                assert (image == stored).all() or (image == stored[..., ::-1]).all()
    seen = [mirrored[mirrored[:, k] >= 0, k] for k in range(10)]
    epochs = [np.flatnonzero(mirrored[:, k] >= 0) for k in range(10)]
    for turns, when in zip(seen, epochs, strict=True):
        assert len({(turn + number) % 2 for turn, number in zip(turns, when, strict=True)}) == 1
    assert 0 < mirrored[0].clip(0).sum() < 8


def test_alternate_without_flips_is_refused(configs) -> None:
    with pytest.raises(ConfigError, match="without flip"):
        config(configs, "train.flip=false", "train.alternate=true")

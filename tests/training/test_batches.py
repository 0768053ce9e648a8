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


def test_films_are_moved_with_repeated_edges_and_each_has_its_own_contrast(configs) -> None:
    column = np.linspace(40, 200, 128).astype(np.uint8)
    images = np.broadcast_to(column, (6, 1, 128, 128)).copy()
    part = Part(images, np.arange(6) % 2, np.arange(6))
    given = ("train.batch=6", "train.shift=5", "train.gain=0.1", "train.offset=10")
    recipe = load_config(configs / "chest-xray.yaml", given)
    ((films, _),) = Batches(part, recipe).epoch(0)
    assert films.min() >= 0 and films.max() <= 255
    contrasts = set()
    for film in films[:, 0]:
        assert torch.equal(film, film[:1].expand_as(film))  # rows alike before are alike still
        best = []
        for by in range(-5, 6):
            source = torch.from_numpy(column[(np.arange(128) + by).clip(0, 127)]).float()
            design = torch.stack([source, torch.ones(128)], 1)
            (gain, offset) = torch.linalg.lstsq(design, film[0, :, None]).solution[:, 0]
            best.append(
                ((design @ torch.stack([gain, offset]) - film[0]).abs().max(), gain, offset)
            )
        error, gain, offset = min(best)
        assert error < 1e-3 and abs(gain - 1) <= 0.1001 and abs(offset) <= 10.01
        contrasts.add((round(gain.item(), 4), round(offset.item(), 3)))
    assert len(contrasts) == 6

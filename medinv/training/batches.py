"""Batches of training images: monai.data over arrays that may lie memory-mapped on the disk.

An image is read, goes through the user's own transforms, is put into a batch, and the whole batch
through our augmentation. What a batch holds depends on the seed, the epoch and the step alone.
"""

import signal
from collections.abc import Iterator

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from torch import Tensor

from medinv.config import Config, TrainConfig
from medinv.data.augment import augmentation
from medinv.data.sets.labelled import Part
from medinv.errors import ConfigError
from medinv.layers import processes
from medinv.training import transforms


class Batches:
    """The batches of a part, epoch after epoch.

    `workers` processes read and transform ahead; images come on `device` where whole batches are
    augmented. Raises ConfigError where there are fewer images
    than a batch holds, where processes cannot share a batch evenly, or where a transform that the
    recipe names cannot be used.
    """

    def __init__(
        self,
        part: Part,
        config: Config,
        *,
        workers: int = 0,
        device: torch.device | str = "cpu",
    ):
        recipe = config.train
        self.part, self.config, self.workers, self.device = part, config, workers, device
        self.steps = len(part) // recipe.batch  # an epoch
        if not self.steps:
            raise ConfigError(
                f"train.batch: expected at most {len(part)}, the training images; got "
                f"{recipe.batch}"
            )
        if recipe.batch % processes.size():
            raise ConfigError(
                f"train.batch: expected a multiple of {processes.size()}, the processes; got "
                f"{recipe.batch}"
            )
        if recipe.transforms:
            transforms.check(recipe.transforms, part.images[0], _top(part))
        self.sides = np.random.default_rng(config.seed).random(len(part)) < 0.5

    def rows(self, number: int) -> np.ndarray:
        """The numbers (steps, batch) of the images of an epoch, in the order of its steps."""
        size = self.config.train.batch
        generator = np.random.default_rng((self.config.seed, number))
        chosen = order(self.part, generator, self.config.train)
        return chosen[: self.steps * size].reshape(self.steps, size)

    def epoch(self, number: int, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's images (n, C, *size) float32 and labels (n,), from step `first` on."""
        config, size = self.config, self.config.train.batch
        seed, mine = config.seed * 100_000 + number, processes.share(size)
        augment = augmentation(
            config.train, config.image_shape[1:], seed, _top(self.part), self.device
        )
        whole = np.zeros((size, *self.part.images.shape[1:]), self.part.images.dtype)
        for _ in range(first):  # brings its randomness to where it stood
            augment(torch.from_numpy(whole), None)
        rows = self.rows(number)[first:]
        read = self._read if self.workers or config.train.transforms else self._stored
        for chosen, batch in zip(rows, read(rows[:, mine], number), strict=True):
            flipped = self._flipped(chosen, number)
            images = batch["image"]
            if processes.size() > 1:  # as in one process, which augments the whole batch
                everyone = torch.zeros(whole.shape, dtype=images.dtype)
                everyone[mine] = images
                yield augment(everyone, flipped)[mine], batch["label"]
            else:
                yield augment(images, flipped), batch["label"]

    def _flipped(self, rows: np.ndarray, number: int) -> Tensor | None:
        """Which images (batch,) of an epoch are seen mirrored, where that is not drawn anew.

        Each is mirrored in every other epoch, half of them in the first: 2404.00498.
        """
        if not self.config.train.alternate:
            return None
        return torch.from_numpy(self.sides[rows] ^ bool(number % 2))

    def _stored(self, rows: np.ndarray, number: int) -> Iterator[dict[str, Tensor]]:
        """Images as they are stored, a batch at once: many times faster than one by one."""
        del number  # which a user's transforms alone draw by
        for chosen in rows:
            images = np.asarray(self.part.images[chosen])
            labels = self.part.labels[chosen]
            yield {"image": torch.from_numpy(images), "label": torch.from_numpy(labels)}

    def _read(self, rows: np.ndarray, number: int) -> DataLoader:
        """Not ThreadDataLoader: an error in its thread would end the epoch without a word."""
        return DataLoader(
            Dataset(range(len(self.part)), _Read(self.part, self.config, number)),
            num_workers=self.workers,
            batch_sampler=rows.tolist(),
            generator=torch.Generator(),  # else the global one would be drawn from
            worker_init_fn=in_a_worker,
        )


class _Read:
    """From the number of an image to {"image": Tensor, "label": int}, by the user's transforms."""

    def __init__(self, part: Part, config: Config, epoch: int):
        self.part, self.seed = part, (config.seed, epoch)
        entries = config.train.transforms
        self.own = transforms.Own(entries, _top(part)) if entries else None

    def __call__(self, index: int) -> transforms.Sample:
        image = torch.from_numpy(np.array(self.part.images[index]))
        sample = {"image": image, "label": int(self.part.labels[index])}
        if self.own is None:
            return sample
        seed = np.random.SeedSequence((*self.seed, index)).generate_state(1)[0]
        return self.own({**sample, "image": image.float()}, int(seed))


def order(part: Part, generator: np.random.Generator, recipe: TrainConfig) -> np.ndarray:
    """A random order of the images; with `whole_patients` those of one patient stay together."""
    if not recipe.whole_patients:
        return generator.permutation(len(part))
    patients, member_of = np.unique(part.patients, return_inverse=True)
    return np.argsort(generator.permutation(len(patients))[member_of], kind="stable")


def _top(part: Part) -> float:
    """The largest grey level that can be stored."""
    return float(np.iinfo(part.images.dtype).max)


def in_a_worker(worker: int) -> None:
    """Ctrl-C goes to every process of a terminal; the one that trains ends these."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)

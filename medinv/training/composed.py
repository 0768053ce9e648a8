"""The part of the loss that composed films have."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from medinv.config import ComposeConfig, TrainConfig
from medinv.data.compose import Composer, Composites
from medinv.data.sets.labelled import Part
from medinv.data.sets.prepared import located, read_set
from medinv.errors import ConfigError
from medinv.layers import processes
from medinv.models.base import Calibrated
from medinv.training.batches import in_a_worker


def composer_of(part: Part, recipe: TrainConfig) -> Composer | None:
    """What composes films of these training images, where the recipe says so.

    Raises ConfigError for images that it cannot compose, and what `read_set` raises.
    """
    if recipe.compose is None:
        return None
    shape, bits = part.images.shape[1:], 8 * part.images.dtype.itemsize
    square = len(shape) == 3 and shape[0] == 1 and shape[1] == shape[2]
    if not square or bits != 8 or part.labels.max() > 1:
        raise ConfigError(
            "train.compose: expected grey, square images of 8 bits in two classes; got images "
            f"{shape} of {bits} bits in {part.labels.max() + 1} classes: leave it out"
        )
    masks = None if part.masks is None else torch.from_numpy(np.array(part.masks))
    images, labels = torch.from_numpy(np.array(part.images)), torch.from_numpy(part.labels)
    others, ill = _others(recipe.compose, shape)
    return Composer(images, labels, recipe.compose, masks, others, ill)


def _others(recipe: ComposeConfig, shape: tuple[int, ...]) -> tuple[Tensor | None, Tensor | None]:
    """The other people's images (K, 1, H, W) uint8 that the recipe names: normal ones, and those
    that patches of ill lungs come of.
    """
    if recipe.negatives is None:
        return None, None
    data = read_set(located(recipe.negatives)).data
    if (sha256 := data.sha256()) != recipe.negatives_sha256:
        raise ConfigError(
            f"train.compose.negatives: expected the images of SHA-256 {recipe.negatives_sha256}; "
            f"got {sha256}: prepare them as those were, or state the hash of these"
        )
    images, labels = data.train.images, data.train.labels
    if images.shape[1:] != shape or images.dtype != np.uint8:
        raise ConfigError(
            f"train.compose.negatives: expected images {shape} of 8 bits, as those trained on; got "
            f"{images.shape[1:]} {images.dtype}: prepare them with the same --size and --bits"
        )
    normal, ill = (torch.from_numpy(np.array(images[labels == k])) for k in (0, 1))
    return normal, ill if recipe.negatives_patches else None


def films_at(composer: Composer, seed: int, epoch: int, step: int) -> Composites:
    """The films composed for a step: they depend on the seed, the epoch and the step alone."""
    words = np.random.SeedSequence((seed, epoch, step)).generate_state(1, np.uint64)
    return composer.batch(torch.Generator().manual_seed(int(words[0] >> 1)))


def films_ahead(
    composer: Composer, seed: int, epoch: int, steps: range, workers: int
) -> Iterable[Composites]:
    """`films_at` for each of `steps`, by processes that compose ahead where there are any."""
    return DataLoader(
        _Films(composer, seed, epoch, steps),  # type: ignore[arg-type]
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),  # else the global one would be drawn from
        worker_init_fn=in_a_worker,
    )


@dataclass(frozen=True)
class _Films:
    """The composed films of an epoch, as a dataset by step."""

    composer: Composer
    seed: int
    epoch: int
    steps: range

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Composites:
        return films_at(self.composer, self.seed, self.epoch, self.steps[index])


def composed_loss(
    model: Calibrated, films: Composites, recipe: ComposeConfig, layout: torch.memory_format
) -> Tensor:
    """The weighted cross-entropy of composed films on the model's device, dequantised as real ones
    are, and how far their answers are from steady: see `unsteadiness`.
    """
    mine = _share(len(films.images), 2 if recipe.steady else 1)
    images = (films.images + torch.rand_like(films.images) - 0.5)[mine]
    logits = model.calibrated(model.logits(images.to(memory_format=layout))).float()
    targets = films.targets[mine]
    loss = F.cross_entropy(logits, targets)
    if recipe.steady:
        loss = loss + recipe.steady * unsteadiness(logits, targets, films.blanked[mine])
    evened = len(targets) * processes.size() / len(films.images)  # shares may differ by one
    return recipe.weight * evened * loss


def unsteadiness(logits: Tensor, targets: Tensor, blanked: Tensor) -> Tensor:
    """How far the log-odds (N, 2) -> () move with what must not count.

    Of two films with the same lungs, rows 2 i and 2 i + 1, it is their difference by Huber's loss:
    squared while small, in proportion beyond 1, so that sure answers are not drawn together at the
    cost of open ones. Of films whose region is `blanked` (N,) it is the distance from the log-odds
    of their `targets` (N, 2), which are what is known of any film: in proportion throughout, since
    small differences are enough to rank films by. The cross-entropy alone feels neither: it is flat
    where targets are soft, and where answers are sure.
    """
    odds = logits[:, 1] - logits[:, 0]
    known = targets[:, 1].clamp_min(1e-6).log() - targets[:, 0].clamp_min(1e-6).log()
    other = odds.unflatten(0, (-1, 2)).flip(1).flatten()
    differ = F.huber_loss(odds, other, reduction="none")
    return torch.where(blanked, (odds - known).abs(), differ).mean()


def _share(count: int, each: int) -> slice:
    """This process's share of `count` films that stay together by `each`."""
    share = processes.share(count // each)
    return slice(each * share.start, each * share.stop)

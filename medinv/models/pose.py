"""Whether an image stands as those of training do, or mirrored, turned or cut out of one.

A small network is taught to tell training images from the same ones changed so: what it learns to
see is how such images usually stand (Gidaris et al., ICLR 2018; Golan and El-Yaniv, NeurIPS 2018).
Where a change makes no difference, as a mirror makes none to photographs, it cannot be told, and
every image is as likely changed as not. Images are reduced to SIDE pixels of the mean channel, of
mean 0 and variance 1, so that neither exposure nor fine detail counts.
"""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medinv.models.region import sampled

MIRRORED = "mirrored"
CHANGES = (MIRRORED, "upside down", "turned by a quarter", "cut out of a larger one")
AS_IS, DRAWN = 20, (10, 5, 5, 20)  # images a step: as they are, and of each change
SIDE, ROOM = 32, 40  # pixels that the network sees, and that images are kept at while it learns
MOST = 20_000  # training images that are drawn from
STEPS, RATE, DECAY = 3000, 2e-3, 0.01
AVERAGED = 1 / 15  # share of the steps that the running mean of weights looks back on
CUT = (0.4, 0.75)  # least and most share of a side that is left
WHOLE = 0.25  # chance that one of both sides is left whole
SHIFT, ZOOM = 0.04, 0.05  # greatest, of half the side: images in scope differ by as much
GAMMA, NOISE = 0.3, 0.016  # s.d. of its logarithm, and the greatest s.d., of the range of an image
SEED = 0


class Pose(nn.Module):
    """Images (N, C, H, W) in any grey levels -> log-probabilities (N, 1 + CHANGES), float32 on the
    processor: that the image is as it is, or changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(given, made, 3, padding=1, bias=False), nn.BatchNorm2d(made), nn.ReLU()
            )
            for given, made in ((1, 16), (16, 32), (32, 64))
        )
        self.head = nn.Linear(64 * (SIDE // 8) ** 2, 1 + len(CHANGES))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        return self.seen(_reduced(images)).log_softmax(1)

    def seen(self, reduced: Tensor, dropout: float = 0.0) -> Tensor:
        """Of images (N, 1, ROOM, ROOM) logits (N, 1 + CHANGES)."""
        size = (SIDE, SIDE)
        x = F.interpolate(reduced, size=size, mode="bilinear", antialias=True, align_corners=False)
        spread = x.std((2, 3), keepdim=True).clamp_min(1e-6)
        x = (x - x.mean((2, 3), keepdim=True)) / spread
        for stage in self.stages:
            x = F.max_pool2d(stage(x), 2)
        logits: Tensor = self.head(F.dropout(x.flatten(1), dropout, training=self.training))
        return logits


def fit_pose(images: np.ndarray, steps: int = STEPS) -> Pose:
    """Of training images (N, C, H, W): some minutes of one processor, whatever their number."""
    generator = torch.Generator().manual_seed(SEED)
    kept = np.sort(torch.randperm(len(images), generator=generator)[:MOST].numpy())
    reduced = torch.cat([_reduced(torch.from_numpy(images[i])[None]) for i in kept])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        learning = Pose()
        mean = torch.optim.swa_utils.AveragedModel(
            learning,
            multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(1 - 1 / (AVERAGED * steps)),
            use_buffers=True,
        )
        optimiser = torch.optim.AdamW(learning.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
        counts = (AS_IS, *DRAWN)
        told = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        for _ in range(steps):
            drawn = torch.randint(len(reduced), (sum(counts),), generator=generator)
            asked = _changed(_varied(reduced[drawn], generator).split(counts), generator)
            loss = F.cross_entropy(learning.seen(asked, dropout=0.3), told)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            mean.update_parameters(learning)
    fitted = mean.module.eval().requires_grad_(False)
    return cast(Pose, fitted)


def _reduced(images: Tensor) -> Tensor:
    """(N, 1, ROOM, ROOM) from 0 to 1, the mean of the channels."""
    grey = images.detach().float().cpu().mean(1, keepdim=True)
    small = F.interpolate(grey, size=(ROOM, ROOM), mode="area")
    low, high = small.amin((2, 3), keepdim=True), small.amax((2, 3), keepdim=True)
    return (small - low) / (high - low).clamp_min(1e-6)


def _varied(images: Tensor, generator: torch.Generator) -> Tensor:
    """As images of one kind differ: a little moved, stretched, otherwise exposed, and noisy."""
    uniform = 2 * torch.rand(len(images), 4, generator=generator) - 1
    places = torch.tensor([0.0, 0, 1, 1]) + torch.tensor([SHIFT, SHIFT, ZOOM, ZOOM]) * uniform
    each = (len(images), 1, 1, 1)
    gamma = (GAMMA * torch.randn(each, generator=generator)).exp()
    grain = NOISE * torch.rand(each, generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    return sampled(images, places, ROOM).clamp(0, 1).pow(gamma) + grain * noise


def _changed(parts: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
    """The first as it is, the others each by its change."""
    as_is, mirrored, turned, quarter, larger = parts
    left = CUT[0] + (CUT[1] - CUT[0]) * torch.rand(len(larger), 2, generator=generator)
    whole = torch.rand(len(larger), 2, generator=generator) < WHOLE
    left[whole & ~whole.all(1, keepdim=True)] = 1
    places = (1 - left) * (2 * torch.rand(len(larger), 2, generator=generator) - 1)
    return torch.cat(
        [
            as_is,
            mirrored.flip(3),
            turned[::2].flip(2),
            turned[1::2].flip(2, 3),
            quarter[::2].rot90(1, (2, 3)),
            quarter[1::2].rot90(3, (2, 3)),
            sampled(larger, torch.cat([places, left], 1), ROOM),
        ]
    )

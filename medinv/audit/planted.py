"""Findings planted in images without any, and places hidden where no finding can be planted.

Findings are other in shape than those of training (`data.compose`): hard halves, flat discs, and
patches of real disease of other patients. Lengths are shares of an image's side; sizes are told in
pixels of 64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.audit.changes import UNIT
from medinv.audit.sample import Region, Sample
from medinv.data.compose.findings import patch
from medinv.data.compose.images import grow
from medinv.models.region import onto

VISIBLE = 15.0  # mean rise, grey levels, of a patch of real disease that counts as planted
BRIGHTEST = 235.0  # planted findings do not rise above this, as bone does
TRIES = 20


@dataclass(frozen=True)
class Planted:
    """Images with something put in: which of the sample, the images, and where it lies.

    rows (n,); images (n, C, *size); where (n, H, W) in 0..1.
    """

    key: str
    name: str
    rows: Tensor
    images: Tensor
    where: Tensor


def plantings(sample: Sample, region: Region, *, quick: bool = False) -> Iterator[Planted]:
    """Findings in the region of every film of the first class, by size and strength."""
    rows = sample.rows(0)
    halves = torch.stack(
        [_lower_half(region.exact[i, 0], left=k % 2 == 0) for k, i in enumerate(rows)]
    )
    for by in (50,) if quick else (25, 50, 100):
        yield _raised(sample, rows, halves, by, ("half", "lower half of a lung"))
    for radius in (8,) if quick else (5, 8):
        generator = torch.Generator().manual_seed(radius)
        discs = torch.stack([_disc(region.exact[i, 0], radius * UNIT, generator) for i in rows])
        for by in (100,) if quick else (50, 100):
            named = (f"disc-{radius}", f"one disc of radius {radius}")
            yield _raised(sample, rows, discs, by, named)
    yield from patched(sample, region)


def _raised(
    sample: Sample, rows: Tensor, where: Tensor, by: float, named: tuple[str, str]
) -> Planted:
    images = sample.images[rows]
    raised = torch.minimum(images + by * where[:, None], images.clamp_min(BRIGHTEST))
    return Planted(f"{named[0]}-{by}", f"{named[1]}, {by}", rows, raised, where)


def _lower_half(lungs: Tensor, *, left: bool) -> Tensor:
    columns = torch.arange(lungs.shape[1])
    middle = (lungs.sum(0) * columns).sum() / lungs.sum()
    one = lungs * ((columns < middle) if left else (columns >= middle))
    rows = torch.nonzero(one.sum(1) > 0.5)[:, 0]
    below = torch.arange(len(lungs))[:, None] >= (rows.min() + rows.max()) / 2
    return (one * below > 0.5).float()


def _disc(region: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    """A flat disc with a narrow soft edge about a place in the region (H, W)."""
    down, right = _from_a_place(region, generator)
    inside = ((1.15 * radius - (down**2 + right**2).sqrt()) / (0.3 * radius)).clamp(0, 1)
    return inside * grow(region[None, None], 0.02)[0, 0]


def _from_a_place(region: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    centre = int(torch.multinomial(region.flatten(), 1, generator=generator))
    height, width = region.shape
    down = (torch.arange(height)[:, None] - centre // width) / width
    right = (torch.arange(width) - centre % width) / width
    return down, right


def patched(sample: Sample, region: Region, count: int = 1) -> Iterator[Planted]:
    """Of each image of the first class `count` boxes as in some of other patients of the second.

    Kept where each is visibly brighter: nothing where they never are, or no place is known.
    """
    if region.places is None:
        return
    generator, ill = torch.Generator().manual_seed(7), sample.rows(1)
    kept, images, where = list[int](), list[Tensor](), list[Tensor]()
    for i in sample.rows(0).tolist():
        film, boxes, left = sample.images[i, 0], torch.zeros_like(sample.images[i, 0]), count
        for _ in range(TRIES * count):
            j = ill[torch.randint(len(ill), (1,), generator=generator)]
            box = _box(region.exact[i, 0], generator)
            other = onto(sample.images[j], region.places[j], region.places[i][None])[0, 0]
            made = patch(film, box, other, 1 - region.wide[i, 0])
            if ((made - film) * box).sum() > VISIBLE * box.sum():
                film, boxes, left = made, torch.maximum(boxes, box), left - 1
            if not left:
                kept, images, where = [*kept, i], [*images, film], [*where, boxes]
                break
    if kept:
        made_of = torch.tensor(kept), torch.stack(images)[:, None], torch.stack(where)
        some = "a patch" if count == 1 else f"{count} patches"
        yield Planted("patch", f"{some} of real disease", *made_of)


def _box(lungs: Tensor, generator: torch.Generator) -> Tensor:
    side = lungs.shape[-1]
    centre = int(torch.multinomial(lungs.flatten(), 1, generator=generator))
    height, width = (0.1 + 0.05 * torch.rand(2, generator=generator)).tolist()
    steps = torch.arange(side)
    inside = [
        ((half * side - (steps - at).abs()) / 2).clamp(0, 1)
        for half, at in ((height, centre // side), (width, centre % side))
    ]
    return inside[0][:, None] * inside[1] * grow(lungs[None, None], 0.02)[0, 0]


def hidden(sample: Sample, region: Region, *, quick: bool = False) -> Iterator[tuple[str, Planted]]:
    """Discs hidden by the mean training image, "inside" the region and "outside" of it."""
    rows = torch.arange(len(sample.images))
    flat = region.exact.amax(2) if region.exact.ndim == 5 else region.exact
    places = {"inside": flat[:, 0], "outside": 1 - flat[:, 0]}
    for radius in (8, 16) if quick else (4, 8, 16):
        for side, where in places.items():
            kept = rows[where.flatten(1).sum(1) > 0]
            generator = torch.Generator().manual_seed(radius)
            discs = torch.stack([_spot(where[i], radius * UNIT, generator) for i in kept])
            shape = (len(kept), 1, *[1] * (sample.images.ndim - 4), *discs.shape[1:])
            soft = discs.view(shape)
            images = sample.images[kept] * (1 - soft) + sample.ground * soft
            name = f"disc of radius {radius} hidden {side} the {region.name}"
            yield side, Planted(f"hidden-{side}-{radius}", name, kept, images, discs)


def _spot(where: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    down, right = _from_a_place(where, generator)
    return ((1.15 * radius - (down**2 + right**2).sqrt()) / (0.3 * radius)).clamp(0, 1)

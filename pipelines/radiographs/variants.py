"""Films changed on purpose: regions blanked or exchanged, findings planted, and what should change
nothing. Lengths are shares of a film's side.

All are made at SIDE pixels; a model of another size is shown its own film plus the change, averaged
to its pixels, so that all models see the same change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from medinv.data.compose.findings import patch
from medinv.data.compose.images import blur, grow, moved
from medinv.data.compose.lungs import fit_template
from medinv.data.sets.chest_xray import load_chest_xray
from medinv.models.region import Template, at_places, onto

SIDE, PAIRS = 128, 100
BEYOND, SOFT = (
    0.04,
    0.01,
)  # how far beyond the estimated lungs a blanked region reaches, and its edge
UNIT = 1 / 64  # planted sizes and blurs are told in pixels of 64
VISIBLE = 15.0  # mean rise, grey levels, of a patch of real pneumonia that counts as planted


@dataclass(frozen=True)
class Films:
    """Films (N, 1, SIDE, SIDE) float32 with labels and patients (N,), the places of their lungs,
    and the lungs, wide ones with soft edges.
    """

    images: Tensor
    labels: Tensor
    patients: Tensor
    places: Tensor
    lungs: Tensor
    wide: Tensor

    def rows(self, label: int) -> Tensor:
        return torch.nonzero(self.labels == label)[:, 0]


@dataclass(frozen=True)
class Planted:
    """Normal films with a finding: rows of the films they are of, the films, and where it lies (n,
    H, W) in 0..1.
    """

    rows: Tensor
    images: Tensor
    where: Tensor


@dataclass(frozen=True)
class Ground:
    """What of training films serves for blanking: the template of the lungs and the mean film (1,
    SIDE, SIDE).
    """

    template: Template
    mean: Tensor

    def wide(self, places: Tensor) -> Tensor:
        return blur(grow(at_places(self.template.mask, places), BEYOND), SOFT)


def films_of(part: str) -> tuple[Films, Ground]:
    """The `validation` or `test` films, and the ground that training films make."""
    data = load_chest_xray("MEDINV_DATA", SIDE)
    train = torch.from_numpy(data.train.images).float()
    ground = Ground(fit_template(train, torch.from_numpy(data.train.labels)), train.mean(0))
    chosen = getattr(data, part)
    images = torch.from_numpy(chosen.images).float()
    places = ground.template.place(images)
    lungs = at_places(ground.template.mask, places)
    labels, patients = torch.from_numpy(chosen.labels), torch.from_numpy(chosen.patients)
    return Films(images, labels, patients, places, lungs, ground.wide(places)), ground


def shown(films: Tensor, variant: Tensor, own: Tensor) -> Tensor:
    """What a model with films `own` (N, 1, h, w) is shown of a variant of `films`: values 0..255,
    rounded.
    """
    change = F.interpolate(variant - films, size=own.shape[2:], mode="area")
    return (own + change).clamp(0, 255).round()


def blanked(films: Films, ground: Ground, *, lungs: bool, fixed: bool = False) -> Tensor:
    """Films with the lungs, or all but the lungs, replaced by the mean training film; `fixed`: one
    mask for all, at the template's place.
    """
    still = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(films.images), -1)
    wide = ground.wide(still) if fixed else films.wide
    gone = wide if lungs else 1 - wide
    return films.images * (1 - gone) + ground.mean * gone


def exchanged(films: Films, label: int, *, aligned: bool) -> tuple[Tensor, Tensor]:
    """Rows (PAIRS,) of films of `label`, and their lungs in the surround of a film of the other;
    `aligned`: moved so that its lungs lie on these.
    """
    generator = torch.Generator().manual_seed(10 + label)
    inner, outer = (_some(films.rows(k), generator) for k in (label, 1 - label))
    around = films.images[outer]
    if aligned:
        around = onto(around, films.places[outer], films.places[inner])
    wide = films.wide[inner]
    return inner, films.images[inner] * wide + around * (1 - wide)


def _some(rows: Tensor, generator: torch.Generator) -> Tensor:
    order = torch.cat([rows[torch.randperm(len(rows), generator=generator)] for _ in range(2)])
    return order[:PAIRS]


def plantings(films: Films) -> Iterator[tuple[str, Planted]]:
    """Findings in the lungs of every normal film, other in shape than those of training: hard
    halves, flat discs, and patches of real pneumonia of other patients.
    """
    rows = films.rows(0)
    halves = torch.stack(
        [_lower_half(films.lungs[i, 0], left=k % 2 == 0) for k, i in enumerate(rows)]
    )
    for by in (25, 50, 100):
        yield f"lower half of a lung, {by}", _raised(films, rows, halves, by)
    for radius in (5, 8):
        generator = torch.Generator().manual_seed(radius)
        discs = torch.stack([_disc(films.lungs[i, 0], radius * UNIT, generator) for i in rows])
        for by in (50, 100):
            yield f"one disc of radius {radius}, {by}", _raised(films, rows, discs, by)
    yield "a patch of real pneumonia", _patched(films, rows)


def _raised(films: Films, rows: Tensor, where: Tensor, by: float) -> Planted:
    images = films.images[rows]
    raised = torch.minimum(images + by * where[:, None], images.clamp_min(235.0))
    return Planted(rows, raised, where)


def _lower_half(lungs: Tensor, *, left: bool) -> Tensor:
    columns = torch.arange(SIDE)
    middle = (lungs.sum(0) * columns).sum() / lungs.sum()
    one = lungs * ((columns < middle) if left else (columns >= middle))
    rows = torch.nonzero(one.sum(1) > 0.5)[:, 0]
    below = torch.arange(SIDE)[:, None] >= (rows.min() + rows.max()) / 2
    return (one * below > 0.5).float()


def _disc(lungs: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    centre = int(torch.multinomial(lungs.flatten(), 1, generator=generator))
    steps = torch.arange(SIDE)
    distance = ((steps[:, None] - centre // SIDE) ** 2 + (steps - centre % SIDE) ** 2).sqrt() / SIDE
    inside = ((1.15 * radius - distance) / (0.3 * radius)).clamp(0, 1)
    return inside * grow(lungs[None, None], 0.02)[0, 0]


def _patched(films: Films, rows: Tensor) -> Planted:
    """Of each normal film a box in the lungs as in the film of another patient with pneumonia,
    where that is visibly brighter; the others are left out.
    """
    generator, ill = torch.Generator().manual_seed(7), films.rows(1)
    kept, images, where = [], [], []
    for i in rows.tolist():
        for _ in range(20):
            j = ill[torch.randint(len(ill), (1,), generator=generator)]
            box = _box(films.lungs[i, 0], generator)
            other = onto(films.images[j], films.places[j], films.places[i][None])[0, 0]
            made = patch(films.images[i, 0], box, other, 1 - films.wide[i, 0])
            if ((made - films.images[i, 0]) * box).sum() > VISIBLE * box.sum():
                kept, images, where = [*kept, i], [*images, made], [*where, box]
                break
    return Planted(torch.tensor(kept), torch.stack(images)[:, None], torch.stack(where))


def _box(lungs: Tensor, generator: torch.Generator) -> Tensor:
    centre = int(torch.multinomial(lungs.flatten(), 1, generator=generator))
    height, width = (0.1 + 0.05 * torch.rand(2, generator=generator)).tolist()
    steps = torch.arange(SIDE)
    inside = [
        ((half * SIDE - (steps - at).abs()) / 2).clamp(0, 1)
        for half, at in ((height, centre // SIDE), (width, centre % SIDE))
    ]
    return inside[0][:, None] * inside[1] * grow(lungs[None, None], 0.02)[0, 0]


def harmless(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Changes that are no finding, each by name with the changed films."""
    yield "blur of s.d. 0.7", blur(images, 0.7 * UNIT)
    yield "blur of s.d. 1", blur(images, UNIT)
    for gamma in (0.75, 1.33):
        yield f"gamma {gamma}", 255 * (images / 255) ** gamma
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(3))
    yield "noise of s.d. 8", images + 8 * noise
    still, angle = torch.ones(len(images)), torch.full((len(images),), torch.pi * 8 / 180)
    yield "turn of 8 degrees", moved(images, angle, still, torch.zeros(len(images), 2))

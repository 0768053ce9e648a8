"""Batches of composed films, for the cross-entropy alone: a density would learn their seams."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from medinv.config import ComposeConfig
from medinv.data.compose import findings
from medinv.data.compose.images import bent, blur, chance, grow, moved, smooth_noise, uniform
from medinv.data.compose.lungs import fit_template
from medinv.models.region import Template, at_places, onto

LUNG, WIDE = (
    0.015,
    0.045,
)  # how far beyond the estimated lungs findings reach, and an exchange leaves alone
SOFT = 0.012  # standard deviation of the masks' soft edges
SEEN = 15.0  # mean rise from which a patch of a pneumonia film counts as a finding


@dataclass(frozen=True)
class Composites:
    """Films (N, 1, H, W) float32 grey levels with the probabilities (N, 2) of their labels, and
    which are blanked (N,) bool. Where `Composer.pairs`, rows 2 i and 2 i + 1 show the same lungs.
    """

    images: Tensor
    targets: Tensor
    blanked: Tensor


class Composer:
    """Composes films of training films (M, 1, H, W) uint8 with labels (M,), 0 for normal and 1 for
    ill.

    The label follows the lungs: a planted finding makes a normal film ill, findings outside and
    another film's surround change nothing, and of a film whose lungs are blanked nothing is known:
    its target is the share of each class among `labels`. With `masks` (M, 1, H, W) uint8 the region
    of the set stands where lungs are said here. Other people's normal films `others`
    (K, 1, H, W) uint8 are composed with like the set's own, which alone make the template, the mean
    film and the shares. Of other people's ill films `ill` (L, 1, H, W) uint8, patches in `others`
    and surrounds are taken.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        recipe: ComposeConfig,
        masks: Tensor | None = None,
        others: Tensor | None = None,
        ill: Tensor | None = None,
    ):
        self.recipe = recipe
        films = images.float()
        template = fit_template(films, labels, masks)
        self.template = template
        lungs = template.mask[None, None]
        self.lungs, self.wide = (blur(grow(lungs, by), SOFT)[0, 0] for by in (LUNG, WIDE))
        rows = [torch.nonzero(labels == k)[:, 0] for k in (0, 1)]
        self.shares = torch.tensor([len(some) / len(labels) for some in rows])
        self.mean = torch.stack([films[some].mean(0) for some in rows]).mean(0)
        more, parts = (images[:0] if some is None else some for some in (others, ill))
        self.films = torch.cat([images, more, parts])
        self.places = torch.cat([template.place(some.float()) for some in self.films.split(256)])
        own, last = len(images), len(images) + len(more)
        self.labels = torch.cat([labels, labels.new_zeros(len(more)), labels.new_ones(len(parts))])
        self.rows = [torch.nonzero(self.labels[:last] == k)[:, 0] for k in (0, 1)]
        theirs = torch.arange(last, len(self.films)) if len(parts) else self.rows[1]
        if recipe.negatives_ill:
            self.rows[1] = torch.cat([self.rows[1], theirs])
        # of a film's own people: patches of other normal films, and of ill ones
        mine = torch.nonzero(labels == 1)[:, 0]
        self._patches = {True: (self.rows[0], mine), False: (self.rows[0], theirs)}
        self.own = own  # so many of the films are the set's

    @property
    def pairs(self) -> bool:
        """Whether each film's lungs are shown twice, in different surrounds and exposures."""
        return self.recipe.steady > 0

    @property
    def region(self) -> Template:
        """The template with the region in which findings are planted, for the model to keep."""
        return Template(self.template.film, self.lungs)

    def masks(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Of films with these places the lungs and the wide lungs, (N, 1, H, W) with soft edges."""
        return at_places(self.lungs, places), at_places(self.wide, places)

    def batch(self, generator: torch.Generator) -> Composites:
        """`recipe.films` composed films."""
        n, each = self.recipe.films, 2 if self.pairs else 1
        drawn = self._draw(n // each, generator)
        images, labels = self.films[drawn].float(), self.labels[drawn].clone()
        lungs, wide = self.masks(self.places[drawn])
        if self.recipe.mixed:  # else nothing is drawn, and earlier recipes compose what they did
            for i in torch.nonzero(chance(self.recipe.mixed, len(drawn), generator))[:, 0].tolist():
                other = self._other(int(drawn[i]), int(labels[i]), generator)
                shape = findings.mixture(lungs[i, 0], generator)
                images[i, 0] = findings.patch(images[i, 0], shape, other, 1 - wide[i, 0])
        for i in torch.nonzero(labels == 0)[:, 0].tolist():
            images[i, 0], labels[i] = self._inside(
                images[i, 0], lungs[i, 0], wide[i, 0], int(drawn[i]), generator
            )
        drawn, labels, images, wide = (
            some.repeat_interleave(each, 0) for some in (drawn, labels, images, wide)
        )
        images = self._surround(images, wide, self.places[drawn], generator)
        for i in torch.nonzero(chance(self.recipe.outside, n, generator))[:, 0].tolist():
            shape = findings.shape_in(1 - wide[i, 0], generator)
            images[i, 0] = findings.rise(images[i, 0], shape, self._rise(generator), generator)
        targets = torch.eye(2)[labels]
        blank = chance(self.recipe.blank_lungs, n // each, generator).repeat_interleave(each)
        without = self._without(images, wide, generator)
        images = torch.where(blank[:, None, None, None], without, images)
        targets[blank] = self.shares
        return Composites(self._varied(images, generator), targets, blank)

    def blanked(self, generator: torch.Generator) -> Iterator[Tensor]:
        """The set's own films in turn, (n, 1, H, W) at a time, with their lungs blanked."""
        for rows in torch.arange(self.own).split(256):
            wide = self.masks(self.places[rows])[1]
            yield self._without(self.films[rows].float(), wide, generator)

    def _draw(self, films: int, generator: torch.Generator) -> Tensor:
        normal = round(self.recipe.normal * films)
        counts = (normal, films - normal)
        pairs = zip(self.rows, counts, strict=True)
        return torch.cat(
            [rows[torch.randint(len(rows), (k,), generator=generator)] for rows, k in pairs]
        )

    def _rise(self, generator: torch.Generator) -> float:
        return float(uniform(*self.recipe.rises, 1, generator))

    def _inside(
        self, film: Tensor, lungs: Tensor, wide: Tensor, row: int, generator: torch.Generator
    ) -> tuple[Tensor, int]:
        """A normal film as it is, with a finding (label 1), or with a patch of another normal film
        (label 0).
        """
        drawn, recipe = float(torch.rand(1, generator=generator)), self.recipe
        if drawn >= recipe.inside + recipe.patched + recipe.sham:
            return film, 0
        shape = findings.shape_in(lungs, generator)
        if drawn < recipe.inside:
            return findings.rise(film, shape, self._rise(generator), generator), 1
        ill = drawn < recipe.inside + recipe.patched
        made = findings.patch(film, shape, self._other(row, int(ill), generator), 1 - wide)
        if ill and ((made - film) * shape).sum() < SEEN * shape.square().sum():
            return findings.rise(film, shape, self._rise(generator), generator), 1
        return made, int(ill)

    def _other(self, row: int, label: int, generator: torch.Generator) -> Tensor:
        """A film (H, W) of a label, moved onto that of `row`."""
        rows = self._patches[row < self.own][label]
        other = rows[torch.randint(len(rows), (1,), generator=generator)]
        return onto(self.films[other].float(), self.places[other], self.places[row][None])[0, 0]

    def _surround(
        self, images: Tensor, wide: Tensor, places: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Other films' surrounds, or none, around the lungs."""
        n = len(images)
        others = torch.randint(len(self.films), (n,), generator=generator)
        around = onto(self.films[others].float(), self.places[others], places)
        around = around * uniform(0.9, 1.1, n, generator) + uniform(-10, 10, n, generator)
        drawn = torch.rand(n, generator=generator)[:, None, None, None]
        bound = self.recipe.exchange, self.recipe.exchange + self.recipe.blank_surround
        around = torch.where(drawn < bound[0], around, self._fill(n, generator))
        return torch.where(drawn < bound[1], images * wide + around * (1 - wide), images)

    def _without(self, images: Tensor, wide: Tensor, generator: torch.Generator) -> Tensor:
        """Films (n, 1, H, W) with what says nothing in their lungs' stead."""
        return images * (1 - wide) + self._fill(len(images), generator) * wide

    def _fill(self, n: int, generator: torch.Generator) -> Tensor:
        """What says nothing (n, 1, H, W): the mean film, one grey level, or smooth noise."""
        size = self.films.shape[-1]
        level = uniform(0, 255, n, generator)
        noise = uniform(60, 180, n, generator) + 30 * smooth_noise(n, size, 8, generator)
        drawn = torch.rand(n, generator=generator)[:, None, None, None]
        return torch.where(drawn < 0.5, self.mean, torch.where(drawn < 0.75, level, noise)).clamp(
            0, 255
        )

    def _varied(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Left for right, small turns, moves and zooms, then gamma, gain, offset, blur and noise:
        what must not change an answer.
        """
        recipe, n = self.recipe, len(images)
        if recipe.mirrored:  # as above
            mirrored = chance(recipe.mirrored, n, generator)[:, None, None, None]
            images = torch.where(mirrored, images.flip(3), images)
        turn = recipe.turn * (2 * torch.rand(n, generator=generator) - 1) * torch.pi / 180
        zoom = 1 + recipe.zoom * (2 * torch.rand(n, generator=generator) - 1)
        shift = 2 * recipe.shift * (2 * torch.rand(n, 2, generator=generator) - 1)
        images = moved(images, turn, zoom, shift)
        if recipe.bent:
            images = bent(images, recipe.bent, generator)
        gamma = torch.exp(recipe.gamma * torch.randn(n, 1, 1, 1, generator=generator))
        images = 255 * (images.clamp(0, 255) / 255) ** gamma
        images = images * uniform(0.9, 1.1, n, generator) + uniform(-10, 10, n, generator)
        for i in torch.nonzero(chance(recipe.blurred, n, generator))[:, 0].tolist():
            sigma = float(uniform(0.2, 1.0, 1, generator)) * recipe.blur
            images[i : i + 1] = blur(images[i : i + 1], sigma)
        level = (
            recipe.noise
            * uniform(0, 1, n, generator)
            * chance(0.3, n, generator)[:, None, None, None]
        )
        return (images + level * torch.randn(images.shape, generator=generator)).clamp(0, 255)

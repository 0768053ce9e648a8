"""What a model keeps of its training images, made from them: `medinv.models.reference.Reference`.

Training cases projected to a few axes with their labels, for similar cases; the mean image of each
class; the mean state of negative images at some depths, for local evidence; and, where the
configuration asks for them, how the classes differ or what belongs in a part of an image, for
counterfactuals. What the projection gives away of an image is measured on validation images: by
least-squares decoding, by the network run backwards from it, and by the most that any linear index
of that size could.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from medinv.config import Config, ReferenceConfig
from medinv.data.compose import Composer
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.errors import ConfigError
from medinv.models.base import Calibrated, InvertibleNetwork, in_batches
from medinv.models.build import kind_of
from medinv.models.depths import mean_states, steps
from medinv.models.expectation import fit_expectation
from medinv.models.reference import Reference, ReferenceMetadata, principal_axes
from medinv.models.region import Donors
from medinv.models.transport import fit_transport
from medinv.training.composed import composer_of

BATCH = 32
NEAREST = 5
DEFAULT_LEVELS, DEFAULT_PLACE = (2, 3), 2  # the second coupling of these levels

Fitted = TypeVar("Fitted")


@torch.no_grad()
def make_reference(
    network: Calibrated, config: Config, data: LabelledImages, weights_sha256: str
) -> Reference | None:
    """The reference of a network; None where its kind keeps none. Leaves the model in float64.

    Raises ConfigError where `reference.depths` names depths that the trunk does not have.
    """
    directions = kind_of(config.model).directions
    if directions is None:
        return None
    model = cast(InvertibleNetwork, network)
    settings = config.reference or ReferenceConfig()
    depths = settings.depths or default_depths(model)
    unknown = set(depths) - {step.name for step in steps(model.trunk)}
    if unknown:
        raise ConfigError(
            f"reference.depths: this trunk has no {', '.join(sorted(unknown))}; "
            "see medinv.models.depths.steps"
        )
    model.float()
    train = _first(data.train, settings.cases)
    projection = _projection(model, directions(model).float(), train, settings.axes)
    metadata = _metadata(model, projection, train, data.validation, weights_sha256)
    metadata = metadata.model_copy(
        update={"training_set": _words(config, len(train), len(data.train))}
    )
    labels = torch.from_numpy(train.labels)
    means = [train.images[train.labels == k].mean(0) for k in range(len(model.classes))]
    negative = torch.from_numpy(train.images[train.labels == 0]).float().split(BATCH)
    states = mean_states(model.trunk, negative, depths)
    model.double()
    composer = composer_of(data.train, config.train)
    return Reference(
        axes=projection.axes,
        offset=projection.offset,
        scale=projection.scale,
        points=projection.points,
        labels=labels,
        class_means=torch.from_numpy(np.stack(means)).float(),
        states=states,
        metadata=metadata,
        transport=_fitted(fit_transport, data.train, settings.transport),
        expectation=_fitted(fit_expectation, data.train, settings.expectation),
        region=composer.region if composer else None,
        donors=_donors(composer, data.train, settings.donors),
    )


def default_depths(model: InvertibleNetwork) -> tuple[str, ...]:
    """Where states are averaged unless named: the second coupling of the second and third level.

    Of a level that has fewer it is the last, and of a trunk of one level those of the first.
    """
    levels: dict[int, list[str]] = {}
    for step in steps(model.trunk):
        if step.name.endswith("AffineCoupling"):
            level = int(step.name.removeprefix("level ").partition(",")[0])
            levels.setdefault(level, []).append(step.name)
    chosen = [level for level in DEFAULT_LEVELS if level in levels] or sorted(levels)[:1]
    return tuple(levels[k][min(DEFAULT_PLACE, len(levels[k])) - 1] for k in chosen)


@dataclass(frozen=True)
class _Projection:
    axes: Tensor
    offset: Tensor
    scale: Tensor
    centre: Tensor  # the mean of the coarse features
    points: Tensor

    def project(self, coarse: Tensor) -> Tensor:
        return (coarse.flatten(1) @ self.axes.T - self.offset) / self.scale

    def decode(self, points: Tensor) -> Tensor:
        """The flat coarse features nearest to the mean that have these points."""
        return self.centre + (points * self.scale) @ self.axes


def _projection(
    model: InvertibleNetwork, directions: Tensor, train: Part, count: int
) -> _Projection:
    coarse = _coarse(model, train).flatten(1)
    axes = principal_axes(coarse, directions, min(count, len(train), coarse.shape[1]))
    offset = axes @ coarse.mean(0)
    raw = coarse @ axes.T - offset
    scale = raw.std(0)
    return _Projection(axes, offset, scale, coarse.mean(0), raw / scale)


def _coarse(model: InvertibleNetwork, part: Part) -> Tensor:
    """What the head sees of a part's images, (N, C, *size)."""
    return in_batches(
        lambda x: model.features(x)[:, : model.coarse], model, part.images, batch=BATCH
    )


def _metadata(
    model: InvertibleNetwork, projection: _Projection, train: Part, validation: Part, digest: str
) -> ReferenceMetadata:
    coarse = _coarse(model, validation)
    points, points_v = projection.points, projection.project(coarse)
    pixels, pixels_v = (_pixels(part) for part in (train, validation))
    mean = pixels.mean(0)
    least_squares = _with_ones(points_v) @ torch.linalg.lstsq(_with_ones(points), pixels).solution
    torch.manual_seed(0)  # the low-rank decomposition draws
    best = torch.svd_lowrank(pixels - mean, q=len(projection.axes), niter=4)[2]
    distance, rows = torch.cdist(points_v, points).topk(min(NEAREST, len(points)), largest=False)
    labels, labels_v = torch.from_numpy(train.labels), torch.from_numpy(validation.labels)
    chance = torch.from_numpy(np.random.default_rng(0).integers(len(train), size=len(validation)))
    shares = torch.bincount(labels) / len(labels)
    return ReferenceMetadata(
        weights_sha256=digest,
        cases_sha256="",
        training_set="",
        cases=len(train),
        axes=len(projection.axes),
        recovered_least_squares=_explained(pixels_v, least_squares, mean),
        recovered_network=_explained(pixels_v, _backwards(model, projection, coarse), mean),
        recovered_best_axes=_explained(pixels_v, mean + (pixels_v - mean) @ best @ best.T, mean),
        agreement=(labels[rows] == labels_v[:, None]).float().mean().item(),
        agreement_chance=shares[labels_v].mean().item(),
        rms_nearest=_rms(pixels_v, pixels[rows[:, 0]]),
        rms_chance=_rms(pixels_v, pixels[chance]),
        typical_distance=(_quantile(distance[:, 0], 0.5), _quantile(distance[:, 0], 0.95)),
    )


def _backwards(model: InvertibleNetwork, projection: _Projection, coarse: Tensor) -> Tensor:
    """Pixels by the network run backwards from projections, all other features at zero."""
    guess = projection.decode(projection.project(coarse)).reshape(coarse.shape)
    images = []
    for some in guess.split(BATCH):
        shape = model.features(torch.zeros(1, *model.image_shape)).shape[1:]
        z = torch.zeros(len(some), *shape)
        z[:, : model.coarse] = some
        images.append(model.invert(z).flatten(1))
    return torch.cat(images)


def _pixels(part: Part) -> Tensor:
    return torch.from_numpy(part.images).float().flatten(1)


def _with_ones(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones(len(points), 1)], 1)


def _explained(truth: Tensor, guess: Tensor, mean: Tensor) -> float:
    return (1 - (truth - guess).square().sum() / (truth - mean).square().sum()).item()


def _rms(first: Tensor, second: Tensor) -> float:
    return (first - second).square().mean(1).sqrt().median().item()


def _quantile(values: Tensor, share: float) -> float:
    return values.quantile(share).item()


def _fitted(
    fit: Callable[[Tensor, Tensor, int], Fitted], part: Part, axes: int | None
) -> Fitted | None:
    """A fit along at most as many axes as the smallest class has images to tell."""
    if axes is None:
        return None
    most = int(np.bincount(part.labels).min()) - 1
    images, labels = torch.from_numpy(part.images).float(), torch.from_numpy(part.labels)
    return fit(images, labels, min(axes, most))


def _donors(composer: Composer | None, part: Part, count: int | None) -> Donors | None:
    """`count` training images of each class, drawn with a fixed seed, and where their region lies.

    Raises ConfigError where no region is known.
    """
    if count is None:
        return None
    if composer is None:
        raise ConfigError("reference.donors needs train.compose, which says where the region lies")
    generator = torch.Generator().manual_seed(0)
    labels = torch.from_numpy(part.labels)
    each = [torch.nonzero(labels == k)[:, 0] for k in range(int(labels.max()) + 1)]
    rows = torch.cat([one[torch.randperm(len(one), generator=generator)[:count]] for one in each])
    return Donors(torch.from_numpy(part.images)[rows], labels[rows], composer.places[rows])


def _first(part: Part, count: int | None) -> Part:
    return Part(part.images[:count], part.labels[:count], part.patients[:count])


def _words(config: Config, cases: int, count: int) -> str:
    some = "" if cases == count else f"first {cases} "
    return f"{some}training images of {config.data.set}, in the order of medinv.data.sets.load"

"""What a model keeps of its training images, made from them: `medinv.models.reference.Reference`.

Training cases projected to a few axes with their labels, for similar cases; the mean image of each
class; the mean state of the images of a class at some depths, for local evidence (of two classes
that of the negative one); and, where the configuration asks for them, how the classes differ or
what belongs in a part of an image, for counterfactuals. What the projection gives away of an image
is measured on validation images: by least-squares decoding, by the network run backwards from it,
and by the most that any linear index of that size could.
"""

import math
from collections.abc import Callable, Iterator
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
# Where a level's states stand by themselves: after what mixes its channels or bends them.
LANDMARKS = ("AffineCoupling", "LeakyReLU")
DEFAULT_LEVELS, DEFAULT_PLACE = (2, 3), 2  # the second landmark of these levels
HELD = 2**27  # most values that are held at a time for one measurement: half a gigabyte
EXACT = 2**24  # values up to which principal axes are found by a full decomposition
STATES = 3000  # images of a class of which states are averaged

Fitted = TypeVar("Fitted")


@torch.no_grad()
def make_reference(
    network: Calibrated, config: Config, data: LabelledImages, weights_sha256: str
) -> Reference | None:
    """The reference of a network; None where its kind keeps none. Leaves the model in float64.

    Raises ConfigError where `reference.depths` names depths that the trunk does not have.
    """
    if not kind_of(config.model).invertible:
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
    train = _part(data.train, _cases(data.train.labels, settings.cases))
    projection = _projection(model, train, settings.axes)
    metadata = _metadata(model, projection, train, data.validation, weights_sha256)
    metadata = metadata.model_copy(
        update={"training_set": _words(config, len(train), len(data.train))}
    )
    labels = torch.from_numpy(train.labels)
    means = [train.images[train.labels == k].mean(0) for k in range(len(model.classes))]
    states = _states(model, train, depths)
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


def _states(model: InvertibleNetwork, train: Part, depths: tuple[str, ...]) -> dict[str, Tensor]:
    """As `Reference.states` holds them."""
    count = len(model.classes)
    if count == 2:
        return mean_states(model.trunk, _batches(train, 0), depths)
    of_class = [mean_states(model.trunk, _batches(train, k), depths) for k in range(count)]
    return {name: torch.stack([each[name] for each in of_class]) for name in depths}


def _batches(part: Part, label: int) -> Iterator[Tensor]:
    """The first images of a class, in float32."""
    rows = np.flatnonzero(part.labels == label)[:STATES]
    for start in range(0, len(rows), BATCH):
        yield torch.from_numpy(part.images[rows[start : start + BATCH]]).float()


def default_depths(model: InvertibleNetwork) -> tuple[str, ...]:
    """Where states are averaged unless named: the second landmark of the second and third level.

    Of a level that has fewer it is the last, of a trunk of one level those of the first, and of a
    trunk without landmarks its last step.
    """
    levels: dict[int, list[str]] = {}
    for step in steps(model.trunk):
        if step.name.startswith("level ") and step.name.endswith(LANDMARKS):
            level = int(step.name.removeprefix("level ").partition(",")[0])
            levels.setdefault(level, []).append(step.name)
    if not levels:
        return (steps(model.trunk)[-1].name,)
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


def _projection(model: InvertibleNetwork, train: Part, count: int) -> _Projection:
    """Axes from as many cases as can be held; points of all."""
    values = math.prod(_coarse(model, _part(train, np.arange(1))).shape[1:])
    some = _part(train, _spread(len(train), HELD // values))
    seen = _coarse(model, some)
    directions = torch.stack(
        [model.class_direction(k, 0, seen).flatten() for k in range(1, len(model.classes))]
    )
    coarse = seen.flatten(1)
    most = min(count, len(some), values)
    axes = principal_axes(coarse, directions.detach(), most, exact=coarse.numel() < EXACT)
    offset, centre = axes @ coarse.mean(0), coarse.mean(0)
    raw = coarse @ axes.T - offset
    if len(some) < len(train):
        raw = _seen(model, train, lambda part: part.flatten(1) @ axes.T) - offset
    # A direction along which no case differs, as of equal classes, has no unit.
    scale = raw.std(0).clamp_min(torch.finfo(raw.dtype).tiny)
    return _Projection(axes, offset, scale, centre, raw / scale)


def _coarse(model: InvertibleNetwork, part: Part) -> Tensor:
    """What the head sees of a part's images, (N, C, *size)."""
    return _seen(model, part, lambda coarse: coarse)


def _seen(model: InvertibleNetwork, part: Part, of: Callable[[Tensor], Tensor]) -> Tensor:
    return in_batches(
        lambda x: of(model.features(x)[:, : model.coarse]), model, part.images, batch=BATCH
    )


def _metadata(
    model: InvertibleNetwork, projection: _Projection, train: Part, validation: Part, digest: str
) -> ReferenceMetadata:
    most = HELD // math.prod(model.image_shape)
    rows, rows_v = (_spread(len(part), most) for part in (train, validation))
    train, validation = _part(train, rows), _part(validation, rows_v)
    coarse = _coarse(model, validation)
    points, points_v = projection.points[rows], projection.project(coarse)
    pixels, pixels_v = (_pixels(part) for part in (train, validation))
    mean = pixels.mean(0)
    least_squares = _with_ones(points_v) @ torch.linalg.lstsq(_with_ones(points), pixels).solution
    torch.manual_seed(0)  # the low-rank decomposition draws
    best = torch.svd_lowrank(pixels - mean, q=len(projection.axes), niter=4)[2]
    distance, near = torch.cdist(points_v, points).topk(min(NEAREST, len(points)), largest=False)
    labels, labels_v = torch.from_numpy(train.labels), torch.from_numpy(validation.labels)
    chance = torch.from_numpy(np.random.default_rng(0).integers(len(train), size=len(validation)))
    shares = torch.bincount(labels, minlength=len(model.classes)) / len(labels)
    return ReferenceMetadata(
        weights_sha256=digest,
        cases_sha256="",
        training_set="",
        cases=len(projection.points),
        axes=len(projection.axes),
        recovered_least_squares=_explained(pixels_v, least_squares, mean),
        recovered_network=_explained(pixels_v, _backwards(model, projection, coarse), mean),
        recovered_best_axes=_explained(pixels_v, mean + (pixels_v - mean) @ best @ best.T, mean),
        agreement=(labels[near] == labels_v[:, None]).float().mean().item(),
        agreement_chance=shares[labels_v].mean().item(),
        rms_nearest=_rms(pixels_v, pixels[near[:, 0]]),
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
    some = _part(part, _spread(len(part), HELD // math.prod(part.images.shape[1:])))
    most = int(np.bincount(some.labels).min()) - 1
    images, labels = torch.from_numpy(some.images).float(), torch.from_numpy(some.labels)
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


def _cases(labels: np.ndarray, count: int | None) -> np.ndarray:
    """Rows of `count` images in their order, of each class its share and one at least: sets may be
    in the order of classes.
    """
    count = len(labels) if count is None else count
    rows = np.argsort(labels, kind="stable")[_spread(len(labels), count)]
    classes, first = np.unique(labels, return_index=True)
    return np.union1d(rows, first[~np.isin(classes, labels[rows])])


def _part(part: Part, rows: np.ndarray) -> Part:
    return Part(part.images[rows], part.labels[rows], part.patients[rows])


def _spread(count: int, most: int) -> np.ndarray:
    """Rows of at most so many cases, at equal distances: sets may be in the order of classes."""
    wanted = min(count, max(most, 2))
    return np.arange(wanted) * count // wanted


def _words(config: Config, cases: int, count: int) -> str:
    some = "" if cases == count else f"{cases} of the "
    return f"{some}training images of {config.data.set}, in the order of medinv.data.sets.load"

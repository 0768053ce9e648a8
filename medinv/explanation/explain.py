"""All explanations of one image: one entry for scripts, the command and the report."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medinv.errors import ConfigError, ShapeError
from medinv.explanation.counterfactual import counterfactual
from medinv.explanation.counterfactual.smallest import smallest_part
from medinv.explanation.evidence import evidence, head_view, layer_evidence, likelihood_ratio
from medinv.explanation.ground import grounds_of, region_of
from medinv.explanation.local import checked, local_evidence
from medinv.explanation.neighbours import nearest
from medinv.explanation.result import (
    Explanation,
    LocalEvidence,
    Neighbours,
    Prediction,
    Reconstruction,
)
from medinv.explanation.robustness import robustness
from medinv.explanation.sanity import controls
from medinv.explanation.sensitivity import of_foreign
from medinv.explanation.trace import trace
from medinv.explanation.trunk import Asked, asked, picture
from medinv.models.base import InvertibleNetwork
from medinv.models.precision import decode

Detail = Literal["brief", "report", "full"]
DETAILS: tuple[Detail, ...] = ("brief", "report", "full")
BITS = 8  # of the stored values of a network input


@dataclass(frozen=True)
class Part:
    """A field of `Explanation`, the detail from which on it is made, and what makes it.

    make: of the model as asked, the image (1, C, *size) and the explanation without any such part.
    """

    name: str
    detail: Detail
    make: Callable[[Asked, Tensor, Explanation], Any]


def _neighbours(model: Asked, x: Tensor, so_far: Explanation) -> Neighbours | None:
    return nearest(model, model.reference, x) if model.reference else None


PARTS: tuple[Part, ...] = (
    Part("trace", "report", lambda model, x, so_far: trace(model, x)),
    Part("neighbours", "report", _neighbours),
    Part("sanity", "report", controls),
    Part("smallest_part", "report", smallest_part),
    Part("layer_evidence", "full", lambda model, x, so_far: layer_evidence(model, x)),
    Part("likelihood_ratio", "full", lambda model, x, so_far: likelihood_ratio(model, x)),
    Part("head", "full", lambda model, x, so_far: head_view(model, x)),
    Part("robustness", "full", lambda model, x, so_far: robustness(model, x)),
)


def explain(
    model: InvertibleNetwork,
    image: NDArray,
    *,
    detail: Detail = "brief",
    target: str | None = None,
) -> Explanation:
    """What `model` says of one network input `image` (C, *size) uint8, and why.

    Evidence is for the class called against another one, `target`: by itself the next likely class.
    Of two classes it is for the second against the first, whichever is called. brief: prediction,
    reconstruction, evidence, local evidence with its check where the model has a reference, and the
    counterfactual of the other class. report: also trace, neighbours, sanity and the smallest part
    that decides. full: all, seconds an image. A figure is the same at every detail and at every
    call. What needs the model's reference is None where it has none.

    Raises ShapeError for an image that the model does not take, ConfigError for another detail and
    for a target that is no class or the one that is called.
    """
    if detail not in DETAILS:
        raise ConfigError(f"detail: expected one of {', '.join(DETAILS)}; got {detail!r}")
    x = _network_input(model, image)
    prediction = _prediction(model, x)
    other = _other(model, prediction, target)
    two = len(model.classes) == 2
    question = asked(model, *(model.pair if two else (_number(model, prediction.label), other)))
    local = local_evidence_of(question, x)
    edit, tried = counterfactual(question, x, other, local)
    explanation = Explanation(
        prediction=prediction,
        reconstruction=_reconstruction(model, x),
        evidence=evidence(question, x),
        local_evidence=local,
        counterfactual=edit,
        towards=model.classes[question.pair[0]],
        against=model.classes[question.pair[1]],
        tried=tried,
    )
    wanted = [part for part in PARTS if DETAILS.index(part.detail) <= DETAILS.index(detail)]
    made = {part.name: part.make(question, x, explanation) for part in wanted}
    return replace(explanation, **made)


def _number(model: InvertibleNetwork, name: str) -> int:
    return model.classes.index(name)


def _other(model: InvertibleNetwork, prediction: Prediction, target: str | None) -> int:
    """The class that the one called is held against. Raises ConfigError."""
    others = [name for name in model.classes if name != prediction.label]
    if target is None:
        return _number(model, max(others, key=lambda name: prediction.probabilities[name]))
    if target not in others:
        raise ConfigError(
            f"target: expected one of {', '.join(others)}, as this image is called "
            f"{prediction.label}; got {target!r}"
        )
    return _number(model, target)


def _network_input(model: InvertibleNetwork, image: NDArray) -> Tensor:
    if image.shape != model.image_shape or image.dtype != np.uint8:
        raise ShapeError(
            f"explain expects one network input {model.image_shape} uint8; got {image.shape} "
            f"{image.dtype}; resize it as medinv.data.resize does, with its axis of channels"
        )
    return torch.from_numpy(image)[None].to(model.class_weights)


@torch.no_grad()
def _prediction(model: InvertibleNetwork, x: Tensor) -> Prediction:
    reading = model.read(x)
    called = model.called(reading.logits)
    (looked,) = model.look_at(x, called)
    return Prediction(
        label=model.classes[int(called)],
        probabilities=dict(zip(model.classes, reading.probabilities[0].tolist(), strict=True)),
        scope_score=None if reading.scope is None else reading.scope.item(),
        in_scope=bool(model.in_scope(reading)) and not looked.objections,
    )


@torch.no_grad()
def _reconstruction(model: InvertibleNetwork, x: Tensor) -> Reconstruction:
    """The features of one image `x` (1, C, *size) decoded, and compared with it."""
    (back,) = decode(model, model.features(x), x)
    return Reconstruction(
        picture(back.image).numpy(), back.exact, BITS, back.max_abs_error, back.dtype
    )


def local_evidence_of(model: Asked, x: Tensor) -> LocalEvidence | None:
    """Of one image `x` (1, C, *size), by all that the model's reference knows, and checked.

    None where the model has no reference of mean states.
    """
    reference = model.reference
    if not reference or not reference.states:
        return None
    noise, compose = model.card.config.train.noise, model.card.config.train.compose
    _, against = model.pair
    region, grounds, other = region_of(model, x), None, against
    if len(model.classes) == 2:
        called = int(model.called(model.logits(x))[0])
        other, grounds = 1 - called, grounds_of(model, x, 1 - called)
        if grounds is None:
            other, grounds = against, grounds_of(model, x, against)
    local = local_evidence(model, x, reference.grounds(against), noise, region, grounds)
    local = replace(
        local,
        region_name=compose.region if compose else "",
        ground=model.classes[other],
        sensitivity=None if grounds is None else of_foreign(model, x),
    )
    ground = reference.class_means[against] if grounds is None else grounds[0, 0]
    return checked(model, x, local, ground)

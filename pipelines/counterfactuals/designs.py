"""Designs of counterfactuals that counterfactuals.py compares:
each a function from images to the features of their edits.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medinv.data.sets.load import load_images
from medinv.explanation.counterfactual.ascent import Search, Witness, ascend
from medinv.explanation.counterfactual.brightening import brighten
from medinv.explanation.counterfactual.inpainting import inpaint
from medinv.explanation.counterfactual.transport import Path, transport_features
from medinv.explanation.explain import local_evidence_of
from medinv.models.base import Calibrated
from medinv.models.density import Classifier
from medinv.models.expectation import Expectation, fit_expectation
from medinv.models.transport import Transport
from medinv.training.calibrate import in_batches

SEED = 0
AXES = 96  # of the expectation where a model keeps none
Edit = Callable[[Tensor], Tensor]


def designs(
    model: Classifier,
    target: int,
    *,
    ascent: bool,
    witness: Calibrated | None,
) -> dict[str, Edit]:
    """By name; the one in reports last."""
    reference = model.reference
    found: dict[str, Edit] = {"class direction": lambda x: along_direction(model, x, target)}
    if ascent:
        found["ascent"] = lambda x: ascend(model, x, target)
    if ascent and witness:
        convinced = Witness(witness, witness_odds(witness, model, target))
        found["ascent, witness"] = lambda x: ascend(model, x, target, witness=convinced)
    local = local_design(model, reference.expectation or expectation(model), target)
    if not reference.transport:
        return found | local
    between = {
        "transport alone, no model": lambda x: by_classes_alone(
            model, reference.transport, x, target
        ),
        "transport, then class direction": lambda x: transport_features(
            model, reference.transport, x, target
        ),
    }
    return found | local | between


def local_design(model: Classifier, belongs: Expectation, target: int) -> dict[str, Edit]:
    def removing(x: Tensor) -> Tensor:
        filled = [
            inpaint(model, belongs, one, local_evidence_of(model, one).locations)
            for one in x.split(1)
        ]
        return model.features(torch.cat(filled))

    def planting(x: Tensor) -> Tensor:
        return model.features(torch.cat([brighten(model, belongs, one) for one in x.split(1)]))

    return {"least brightening": planting} if target else {"part that speaks, filled in": removing}


def expectation(model: Classifier) -> Expectation:
    train = load_images(model.card.config.data).train
    return fit_expectation(
        torch.from_numpy(train.images).float(), torch.from_numpy(train.labels), AXES
    )


def along_direction(model: Classifier, x: Tensor, target: int) -> Tensor:
    """The features moved along the class direction to the target's typical log-odds,
    as `medinv.explanation.counterfactual.direction` does.
    """
    z = model.features(x)
    direction, logits = model.means[1] - model.means[0], model.logits_of(z)
    t = (model.typical_odds[target] - (logits[:, 1] - logits[:, 0])) / direction.square().sum()
    z[:, : direction.shape[0]] += t[:, None, None, None] * direction
    return z


def by_classes_alone(model: Classifier, transport: Transport, x: Tensor, target: int) -> Tensor:
    """The features of images that went the transport's part of the way and nothing more:
    what the model adds is missing.
    """
    step = transport.step(x, target)
    return model.features(
        (x + Path().length * step / step.square().mean((1, 2, 3), keepdim=True).sqrt()).clamp(
            0, 255
        )
    )


def witness_odds(witness: Calibrated, model: Classifier, target: int) -> float:
    """A share of the median calibrated log-odds that the witness gives
    training images of the target.
    """
    train = load_images(model.card.config.data).train
    some = np.random.default_rng(SEED).permutation(len(train))[:400]
    odds = in_batches(
        lambda x: witness.log_odds(witness.logits(x)), witness, train.images[some]
    ).numpy()
    return Search().share * float(np.median(odds[train.labels[some] == target]))

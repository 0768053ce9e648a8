"""What the card says of a trained network, measured on images that it was not trained on."""

import numpy as np
import torch
from torch import Tensor

from medinv.data.sets.labelled import LabelledImages, Part
from medinv.layers import InvertibleConv2d, InvertibleConv3d
from medinv.metrics import (
    ClassMetrics,
    Estimate,
    ObservedShare,
    by_class,
    class_metrics,
    metrics,
    observed,
    proportion,
    share,
)
from medinv.models.base import Calibrated, InvertibleNetwork, ScopeScore, in_batches
from medinv.models.card import Exactness, FitInterval
from medinv.models.conformal import ERRORS, Conformal, fit_conformal
from medinv.training.calibrate import fit_interval

VALUES = 2**20  # of images that are run backwards together, unless one alone has more
INVERTED = 2**39  # over the square of an image's values: how many are run backwards for a card


def measure(model: Calibrated, part: Part) -> dict[str, Estimate]:
    """The metrics of a part, with 95 % intervals over patients.

    AUC, accuracy, sensitivity, specificity, Brier score and calibration error. More than two
    classes: accuracy, balanced accuracy, macro AUC, Brier score and calibration error, and of
    ordered ones how far off calls are. What is not defined, as of a part of one class, is left out.
    """
    probabilities = in_batches(model.probabilities, model, part.images).numpy()
    if len(model.classes) > 2:
        return class_metrics(part.labels, probabilities, part.patients, ordered=model.ordered)
    return metrics(part.labels, probabilities[:, 1], part.patients, model.threshold)


def measure_classes(model: Calibrated, part: Part) -> tuple[ClassMetrics, ...]:
    """Each class of a part against the rest, with what its images are called."""
    logits = in_batches(model.logits, model, part.images)
    called = model.cpu().called(logits).numpy()
    probabilities = model.calibrated(logits).softmax(1).detach().numpy()
    return by_class(part.labels, called, probabilities, part.patients, model.classes)


@torch.no_grad()
def conformal(model: Calibrated, validation: Part, test: Part) -> Conformal:
    """Thresholds for sets of classes from validation images, and what they give on test images."""
    fitted = fit_conformal(
        in_batches(model.probabilities, model, validation.images).numpy(), validation.labels
    )
    logits = in_batches(model.logits, model, test.images)
    called = model.cpu().called(logits).numpy()
    probabilities = model.calibrated(logits).softmax(1).numpy()
    rows = np.arange(len(test))
    held = [fitted.holds(probabilities, error) for error in ERRORS]
    return fitted.model_copy(
        update={
            "covered": tuple(share(one[rows, test.labels], test.patients) for one in held),
            "undecided": tuple(
                share((one.sum(1) != 1) | ~one[rows, called], test.patients) for one in held
            ),
        }
    )


def most_inverted(images: np.ndarray) -> int:
    """How many of such images are run backwards for a card: some minutes' worth, at least 64."""
    return max(64, INVERTED // images[0].size ** 2)


@torch.no_grad()
def exactness(model: InvertibleNetwork, images: np.ndarray) -> Exactness:
    """Round trip of stored images (N, C, *size) through the features.

    Where they are many or large, some of them, evenly drawn.
    It is run in float64 and in float32. Leaves the model in float64.
    """

    def error(x: Tensor) -> Tensor:
        return (model.invert(model.features(x)) - x).abs().flatten(1).max(1).values

    images = images[:: -(-len(images) // most_inverted(images))]
    few = max(1, min(64, VALUES // images[0].size))
    single = in_batches(error, model.float(), images, batch=few)
    double = in_batches(error, model.double(), images, batch=few)
    return Exactness(
        bits=8 * images.dtype.itemsize,
        images=len(images),
        share_float64=(double < 0.5).double().mean().item(),
        max_abs_error_float64=double.max().item(),
        share_float32=(single < 0.5).double().mean().item(),
        max_abs_error_float32=single.max().item(),
    )


@torch.no_grad()
def condition_numbers(model: InvertibleNetwork) -> list[float]:
    """The condition number of every inverted convolution where it works, in order."""
    met: list[tuple[InvertibleConv2d | InvertibleConv3d, Tensor]] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: met.append((layer, given[0])))
        for layer in model.inverted_convolutions()
    ]
    model.features(next(model.parameters()).new_zeros(1, *model.image_shape))
    for hook in hooks:
        hook.remove()
    return [layer.condition_number(x).item() for layer, x in met]


def flagged(model: Calibrated, scope: ScopeScore, images: np.ndarray) -> Estimate:
    """Share of images that the scope's score places outside."""
    scores = in_batches(scope.score, model, images)
    return proportion((scores > scope.threshold).numpy())


def calibration_interval(model: Calibrated, fitted: Part) -> FitInterval:
    """How sure a probability of two classes is, from the images that it was calibrated on."""
    patients = len(np.unique(fitted.patients))
    return FitInterval(**fit_interval(model, fitted), images=len(fitted), patients=patients)


def observed_shares(model: Calibrated, data: LabelledImages) -> tuple[ObservedShare, ...]:
    """How often test images of a probability have the class that it is of.

    Of two classes that is the positive one, of more the one that is called.
    """
    probabilities = in_batches(model.probabilities, model, data.test.images).numpy()
    labels, patients = data.test.labels, data.test.patients
    if len(model.classes) == 2:
        return observed(labels, probabilities[:, 1], patients)
    right = (probabilities.argmax(1) == labels).astype(int)
    return observed(right, probabilities.max(1), patients)

"""Images of many studies through one network, forwards and back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from medinv.data.frame import LosslessCertificate
from medinv.errors import MedinvError, NetworkError, ShapeError, typed
from medinv.models.base import InvertibleNetwork
from medinv.models.layout import Looked
from medinv.models.precision import Decoder

BITS = 8
FORWARD = 4
"""Images of one pass, always as many: matrix products of another size round otherwise.

Measured on the shipped models: within a pass of 4 no image's numbers depend on the others or on its
place, and a pass of 4 takes as long for an image as one of 64.
"""


@dataclass(frozen=True)
class Prediction:
    """What the network says of one image, and whether it gave the image back."""

    probabilities: tuple[float, ...]  # calibrated, in the order of the model's classes
    scope_score: float | None  # None of a model without a scope
    exact: bool
    max_abs_error: float  # grey levels
    decoded: np.ndarray  # (C, H, W) what the features gave back, unrounded
    dtype: str
    device: str  # cpu or cuda
    seconds: float
    # whether the image is laid out like those in scope
    layout: Looked = field(default_factory=Looked)
    certificate: LosslessCertificate | None = None  # of the stored pixels, by the lossless intake


def predict_studies(
    model: InvertibleNetwork, studies: Sequence[Sequence[np.ndarray]]
) -> list[list[Prediction] | MedinvError]:
    """Predictions of the images (C, H, W) in grey levels of each study, several studies in one go.

    One that the network cannot take fails by itself.
    """
    images = [image for study in studies for image in study]
    try:
        predictions = iter(predict(model, images))
        return [[next(predictions) for _ in study] for study in studies]
    except Exception as error:
        if len(studies) > 1:
            return [one for study in studies for one in predict_studies(model, [study])]
        failed = isinstance(error, (RuntimeError, MemoryError))
        return [_network_error(error) if failed else typed(error)]


@torch.inference_mode()
def predict(model: InvertibleNetwork, images: Sequence[np.ndarray]) -> list[Prediction]:
    """Predictions of images (C, H, W) in grey levels; each the same whatever stands beside it.

    Raises ShapeError for another shape than the model's and NetworkError for numbers that are not
    finite.
    """
    weights, shape = next(model.parameters()), model.image_shape
    for image in images:
        if image.shape != shape:
            raise ShapeError(f"expected images {shape} in grey levels, got one {image.shape}")
    predictions, decode = [], Decoder(model)
    for i in range(0, len(images), FORWARD):
        start = time.monotonic()
        x = torch.from_numpy(np.stack(images[i : i + FORWARD])).to(weights)
        reading = model.read(x[torch.arange(FORWARD).clamp_max(len(x) - 1)])
        decoded = decode(reading.features, x)
        scope = None if reading.scope is None else reading.scope.tolist()
        _check_finite(reading.probabilities, reading.scope, *[one.image for one in decoded])
        layout = model.look_at(x, model.called(reading.logits))
        seconds = (time.monotonic() - start) / len(x)
        predictions += [
            Prediction(
                probabilities=tuple(reading.probabilities[k].tolist()),
                scope_score=scope[k] if scope else None,
                exact=decoded[k].exact,
                max_abs_error=decoded[k].max_abs_error,
                decoded=decoded[k].image[0].cpu().numpy(),
                dtype=decoded[k].dtype,
                device=weights.device.type,
                seconds=seconds,
                layout=layout[k],
            )
            for k in range(len(x))
        ]
    return predictions


def _check_finite(*values: Tensor | None) -> None:
    if not all(bool(value.isfinite().all()) for value in values if value is not None):
        raise NetworkError(
            "expected finite numbers from the network, got others: its weights are damaged or too "
            "large; restore the model"
        )


def _network_error(error: Exception) -> NetworkError:
    return NetworkError(str(error).splitlines()[0] if str(error) else type(error).__name__)

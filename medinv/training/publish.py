"""From a trained network to a model that others can use: calibrated, measured, described by its card."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages, Part
from medinv.metrics import Estimate, class_metrics, metrics, observed, proportion
from medinv.layers import InvertibleConv2d, InvertibleConv3d
from medinv.training.calibrate import SCOPE_QUANTILE, calibrate, fit_interval, in_batches
from medinv.models.base import Calibrated, InvertibleNetwork
from medinv.models.density import Classifier
from medinv.models.card import Calibration, Card, Exactness, FitInterval, OperatingPoint, Scope
from medinv.models.store import save, serialise
from medinv.training.train import Trained

CHOSEN_ON = "validation images"
INTAKE = "lossy: display grey levels, squashed to a square by area averages, rounded to 8 bits"
AS_STORED = "images of the data set as they are stored, 8 bits"


def publish(
    folder: Path,
    trained: Trained,
    config: Config,
    data: LabelledImages,
    *,
    command: str,
    foreign: Mapping[str, np.ndarray],
) -> Card:
    """Calibrate `trained` on validation images, measure it on test images, and write weights and card to `folder`.

    foreign: images (N, 1, H, W) uint8 of other kinds by name; the card says how many of each the model flags.
    """
    model = trained.model.cpu().double()
    calibrate(model, data)
    weights, digest = serialise(model)
    card = _card(
        model, trained, config, data, foreign, {"command": command, "weights_sha256": digest}
    )
    save(folder, weights, card)
    return card


def measure(model: Calibrated, part: Part) -> dict[str, Estimate]:
    """AUC, accuracy, sensitivity, specificity, Brier score and calibration error of a part, with 95 % intervals over patients.

    More than two classes: accuracy, macro AUC, Brier score and calibration error, with intervals over images.
    """
    probabilities = in_batches(model.probabilities, model, part.images).numpy()
    if len(model.classes) > 2:
        return class_metrics(part.labels, probabilities)
    return metrics(part.labels, probabilities[:, 1], part.patients, model.threshold)


@torch.no_grad()
def exactness(model: InvertibleNetwork, images: np.ndarray) -> Exactness:
    """Round trip of stored images (N, C, *size) uint8 through the features in float64 and in float32. Leaves the model in float64."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        model.to(dtype)
        error = in_batches(
            lambda x: (model.invert(model.features(x)) - x).abs().flatten(1).max(1).values,
            model,
            images,
            batch=64,
        )
        found[dtype] = ((error < 0.5).double().mean().item(), error.max().item())
    double, single = found[torch.float64], found[torch.float32]
    return Exactness(
        bits=8,
        images=len(images),
        share_float64=double[0],
        max_abs_error_float64=double[1],
        share_float32=single[0],
        max_abs_error_float32=single[1],
    )


def calibration_uncertainty(model: Calibrated, data: LabelledImages) -> dict:
    """What the card says of how sure a probability is: the interval of the fit, from validation images, and observed shares among test images."""
    fitted, probabilities = (
        data.validation,
        in_batches(model.probabilities, model, data.test.images)[:, 1].numpy(),
    )
    return {
        "interval": FitInterval(
            **fit_interval(model, fitted),
            images=len(fitted),
            patients=len(np.unique(fitted.patients)),
        ),
        "observed": observed(data.test.labels, probabilities, data.test.patients),
    }


@torch.no_grad()
def condition_numbers(model: InvertibleNetwork) -> list[float]:
    """The condition number of every inverted convolution at the resolution where it works, in order."""
    met: list[tuple[InvertibleConv2d | InvertibleConv3d, Tensor]] = []
    convolutions = [
        layer
        for layer in model.trunk.modules()
        if isinstance(layer, InvertibleConv2d | InvertibleConv3d)
    ]
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: met.append((layer, given[0])))
        for layer in convolutions
    ]
    model.features(next(model.parameters()).new_zeros(1, *model.image_shape))
    for hook in hooks:
        hook.remove()
    return [layer.condition_number(x).item() for layer, x in met]


def flagged(model: Classifier, images: np.ndarray) -> Estimate:
    """Share of images that the likelihood places out of scope."""
    scores = in_batches(lambda x: model.read(x).scope, model, images)
    return proportion((scores > model.scope_threshold).numpy())


def _card(
    model: Calibrated,
    trained: Trained,
    config: Config,
    data: LabelledImages,
    foreign: Mapping[str, np.ndarray],
    facts: dict,
) -> Card:
    measured = measure(model, data.test)
    two, invertible = len(model.classes) == 2, isinstance(model, InvertibleNetwork)
    texts = config.card.model_dump(exclude={"modalities", "body_parts"})
    return Card(
        name=config.name,
        version=version("medinv"),
        classes=config.model.classes,
        **texts,
        splits={
            "training": len(data.train),
            "validation": len(data.validation),
            "test": len(data.test),
        },
        metrics=measured,
        operating_point=_operating_point(model, measured) if two else None,
        calibration=Calibration(
            fitted_on=CHOSEN_ON,
            temperature_inverse=model.temperature_inverse.item(),
            prior=tuple(model.prior.tolist()),
            brier=measured["brier"],
            calibration_error=measured["calibration_error"],
            **(calibration_uncertainty(model, data) if two else {}),
        ),
        scope=_scope(model, config, data, foreign) if isinstance(model, Classifier) else None,
        exactness=exactness(model, data.test.images) if invertible else None,
        largest_condition_number=max(condition_numbers(model)) if invertible else None,
        intake=INTAKE if config.data.set in ("chest-xray", "phantoms") else AS_STORED,
        config=config,
        config_sha256=config.sha256(),
        data_sha256=data.sha256(),
        parameters=sum(p.numel() for p in model.parameters()),
        convolutions=sum(config.model.depths),
        seed=config.seed,
        commit=_commit(),
        device=_device(trained.device),
        seconds=round(trained.seconds, 1),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai", "numpy")},
        },
        **facts,
    )


def _operating_point(model: Calibrated, measured: Mapping[str, Estimate]) -> OperatingPoint:
    chosen = f"{CHOSEN_ON} (Youden)"
    return OperatingPoint(
        threshold=model.threshold,
        chosen_on=chosen,
        sensitivity=measured["sensitivity"],
        specificity=measured["specificity"],
    )


def _scope(
    model: Classifier, config: Config, data: LabelledImages, foreign: Mapping[str, np.ndarray]
) -> Scope:
    return Scope(
        modalities=config.card.modalities,
        body_parts=config.card.body_parts,
        statistic=f"Mahalanobis distance of {len(model.scope_centre)} terms of the log-likelihood; bound: quantile {SCOPE_QUANTILE} of validation images",
        threshold=model.scope_threshold.item(),
        flagged_in_scope=flagged(model, data.test.images),
        flagged_foreign={name: flagged(model, images) for name, images in foreign.items()},
    )


def _commit() -> str:
    """The commit of the working tree, with "+" if it holds changes; "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _device(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    listed = Path("/proc/cpuinfo")  # Linux; elsewhere the standard library has to know
    names = (
        [
            line.partition(":")[2].strip()
            for line in listed.read_text().splitlines()
            if line.startswith("model name")
        ]
        if listed.is_file()
        else []
    )
    return f"CPU {names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"

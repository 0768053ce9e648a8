"""From a trained network to a model that others can use: calibrated, measured, described.

`publish` writes the weights, the card and, of kinds that keep one, the reference.
"""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np
import torch

from medinv.config import Config
from medinv.data.sets.foreign import foreign_images
from medinv.data.sets.labelled import LabelledImages
from medinv.data.sets.load import source_of
from medinv.files import write_whole
from medinv.metrics import Estimate
from medinv.models.base import Calibrated, InvertibleNetwork
from medinv.models.build import kind_of
from medinv.models.card import Calibration, Card, OperatingPoint, Scope
from medinv.models.folder import LAYOUT
from medinv.models.folder import digest as sha256
from medinv.models.layout import fit_layout, serialise_layout
from medinv.models.reference import save_reference
from medinv.models.store import save, serialise
from medinv.training.calibrate import calibrate, refits
from medinv.training.measure import (
    calibration_interval,
    condition_numbers,
    conformal,
    exactness,
    flagged,
    measure,
    measure_classes,
    observed_shares,
)
from medinv.training.reference import make_reference
from medinv.training.train import Trained

CHOSEN_ON = "validation images"

__all__ = ["condition_numbers", "exactness", "measure", "publish"]


def publish(
    folder: Path, trained: Trained, config: Config, data: LabelledImages, *, command: str
) -> Card:
    """Calibrate on validation images, measure on test images, and write the model's folder.

    command: how the model was made, for the card. Raises OutputError.
    """
    model = trained.model.cpu().double()
    calibrate(model, config, data)
    weights, digest = serialise(model)
    card = _card(model, trained, config, data, command).model_copy(
        update={"weights_sha256": digest}
    )
    layout = fit_layout(data.train.images, data.validation.images)
    if layout is not None:
        kept = serialise_layout(layout)
        write_whole(folder / LAYOUT, kept)
        card = card.model_copy(update={"layout_sha256": sha256(kept)})
    reference = make_reference(model, config, data, digest)
    if reference is not None:
        save_reference(folder, reference)
    save(folder, weights, card)
    return card


def _card(
    model: Calibrated, trained: Trained, config: Config, data: LabelledImages, command: str
) -> Card:
    metrics = measure(model, data.test)
    provenance = source_of(config.data).provenance(config.data)
    backwards = cast(InvertibleNetwork, model) if kind_of(config.model).invertible else None
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    return Card(
        name=config.name,
        version=version("medinv"),
        classes=config.model.classes,
        **config.card.model_dump(exclude={"modalities", "body_parts"}),
        splits={name: len(part) for name, part in parts.items()},
        metrics=metrics,
        by_class=measure_classes(model, data.test) if len(model.classes) > 2 else (),
        operating_point=_operating_point(model, config, metrics),
        calibration=_calibration(model, data, metrics),
        scope=_scope(model, config, data),
        exactness=exactness(backwards, data.test.images) if backwards else None,
        bits=8 * data.train.images.dtype.itemsize,
        largest_condition_number=max(condition_numbers(backwards)) if backwards else None,
        intake=provenance.intake or source_of(config.data).intake,
        data_source=provenance.source,
        data_command=provenance.command,
        config=config,
        config_sha256=config.sha256(),
        data_sha256=data.sha256(),
        weights_sha256="",
        parameters=sum(p.numel() for p in model.parameters()),
        convolutions=model.convolutions,
        seed=config.seed,
        command=command,
        commit=_commit(),
        device=_device(trained.device),
        seconds=round(trained.seconds, 1),
        conformal=conformal(model, data.validation, data.test),
        versions={
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "monai", "numpy")},
        },
    )


def _operating_point(
    model: Calibrated, config: Config, metrics: dict[str, Estimate]
) -> OperatingPoint | None:
    if len(model.classes) > 2:
        return None
    wanted = config.train.sensitivity
    rule = "Youden" if wanted is None else f"a sensitivity of {wanted:g} there"
    return OperatingPoint(
        threshold=model.threshold,
        chosen_on=f"{CHOSEN_ON} ({rule})",
        sensitivity=metrics["sensitivity"],
        specificity=metrics["specificity"],
    )


def _calibration(
    model: Calibrated, data: LabelledImages, metrics: dict[str, Estimate]
) -> Calibration:
    two, fitted = len(model.classes) == 2, data.validation
    return Calibration(
        fitted_on=CHOSEN_ON,
        temperature_inverse=model.temperature_inverse.item(),
        prior=tuple(model.prior.tolist()),
        brier=metrics["brier"],
        calibration_error=metrics["calibration_error"],
        interval=calibration_interval(model, fitted) if two else None,
        refits=() if two else refits(model, fitted),
        refitted_on=None if two else (len(fitted), len(np.unique(fitted.patients))),
        observed=observed_shares(model, data),
    )


def _scope(model: Calibrated, config: Config, data: LabelledImages) -> Scope | None:
    scores = kind_of(config.model).scope
    if scores is None:
        return None
    scope = scores(model)
    foreign = foreign_images(data.test)
    return Scope(
        modalities=config.card.modalities,
        body_parts=config.card.body_parts,
        statistic=scope.statistic,
        threshold=scope.threshold,
        flagged_in_scope=flagged(model, scope, data.test.images),
        flagged_foreign={name: flagged(model, scope, images) for name, images in foreign.items()},
    )


def _commit() -> str:
    """The commit of the working tree, with "+" where it holds changes; "unknown" without one."""
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

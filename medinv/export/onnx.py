"""A model as ONNX: FILE.onnx forwards and, where its operators allow it, FILE-invert.onnx."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medinv.errors import ConfigError, ExportError
from medinv.export.facts import LAYOUT, Written, beside, facts
from medinv.export.programs import (
    BACKWARDS,
    FORWARDS,
    Backwards,
    Forwards,
    Progress,
    check,
    programs,
    say_nothing,
)
from medinv.files import write_whole
from medinv.models.base import Calibrated

OPSET = 18


@torch.no_grad()
def write_onnx(model: Calibrated, path: Path, progress: Progress = say_nothing) -> Written:
    """Write ONNX programs of a model, in float32 and for any number of images.

    Inputs and outputs bear names: image -> logits, probabilities, scope, features; features ->
    image. Each file is run by onnxruntime and compared with the model before it is kept. A network
    whose inverse has no ONNX operators (convolutions under other than circular padding with more
    than 4,096 unknowns) is written forwards alone: `words` says so. `progress` takes a word on each
    step, which may take minutes. Raises ConfigError where onnx, onnxscript or onnxruntime is
    missing, ExportError and OutputError.
    """
    _check_installed()
    made = programs(model, torch.float32)
    words = [LAYOUT] if model.card.layout_sha256 else []
    progress(f"ONNX: {FORWARDS}")
    forward = _proto(made.forwards, made.images, "image", model, made.threshold)
    outputs = _run(forward, {"image": made.images})
    files, restored = {path: forward}, None
    if made.kept:
        words.append(
            f"invert is not written as ONNX: {len(made.kept)} convolutions under other than "
            "circular padding are solved by an operator that ONNX has not; --torch-export has it"
        )
    elif made.backwards is not None:
        progress(f"ONNX: {BACKWARDS}")
        back = _proto(made.backwards, outputs[-1], "features", model, made.threshold)
        (restored,) = _run(back, {"features": outputs[-1]})
        files[beside(path, "invert")] = back
    checked = check(made, outputs, restored)
    if checked.image is not None and not checked.exact:
        words.append(
            f"in float32 images come back to {checked.image:.2g} grey levels, not exactly: use "
            "--torch-export, which is float64"
        )
    for each, data in files.items():
        write_whole(each, data)
    return Written(tuple(files), checked, tuple(words))


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--onnx needs {error.name}, which is not installed: pip install 'medinv[export]'"
        ) from error


def _proto(
    module: Forwards | Backwards, given: Tensor, name: str, model: Calibrated, scope: float | None
) -> bytes:
    import onnx

    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    try:
        with _quiet():
            program: Any = torch.onnx.export(
                module,
                (given,),
                dynamo=True,
                input_names=[name],
                output_names=list(module.outputs),
                dynamic_shapes=({0: batch},),
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # torch.onnx.errors and what the passes raise share no base
        cause = error.__cause__ or error
        raise ExportError(
            f"ONNX takes no {type(module).__name__.lower()} program of this model "
            f"({type(cause).__name__}: {str(cause).splitlines()[0][:200]})"
        ) from error
    proto = program.model_proto
    told = facts(model.card, module.outputs, scope)
    onnx.helper.set_model_props(
        proto,
        {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in told.items()
        },
    )
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter speaks of its own deprecations, and of torchvision, which is not wanted."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _run(data: bytes, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    import onnxruntime

    logging.getLogger("onnxruntime").setLevel(logging.ERROR)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    feeds = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in given.items()}
    return tuple(torch.from_numpy(array) for array in session.run(None, feeds))

"""`torch.export` programs of a model: FILE.pt2 forwards and FILE-invert.pt2 backwards."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medinv.errors import ExportError
from medinv.export.facts import LAYOUT, Written, beside, facts
from medinv.export.programs import (
    BACKWARDS,
    FORWARDS,
    Progress,
    check,
    programs,
    say_nothing,
)
from medinv.files import write_whole
from medinv.models.base import Calibrated


@torch.no_grad()
def write_torch_export(model: Calibrated, path: Path, progress: Progress = say_nothing) -> Written:
    """Write the programs of a model, in float64 and for any number of images.

    `torch.export.load(FILE)` gives them back, without medinv; `.module()(image)` returns what the
    extra file `medinv.json` names: logits, probabilities, scope, features. Each is read back and
    compared with the model before it is kept. Where convolutions under other than circular padding
    are too large, the backward program calls `medinv::solve_convolution`: `words` says so.
    `progress` takes a word on each step, which may take minutes. Raises ExportError, OutputError,
    SingularError.
    """
    made = programs(model, torch.float64)
    said = json.dumps(facts(model.card, made.forwards.outputs, made.threshold))
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    progress(f"torch.export: {FORWARDS}")
    forward, outputs = _saved(made.forwards, made.images, batch, said)
    files, restored = {path: forward}, None
    words = [LAYOUT] if model.card.layout_sha256 else []
    if made.backwards is not None:
        said = json.dumps(facts(model.card, made.backwards.outputs, made.threshold))
        progress(f"torch.export: {BACKWARDS}")
        back, (restored,) = _saved(made.backwards, outputs[-1], batch, said)
        files[beside(path, "invert")] = back
    if made.kept:
        words.append(
            f"invert: the inverses of {len(made.kept)} convolutions under other than circular "
            "padding are too large to stand in the file; it loads where `import medinv.layers` "
            "has run"
        )
    checked = check(made, outputs, restored)
    for each, data in files.items():
        write_whole(each, data)
    return Written(tuple(files), checked, tuple(words))


def _saved(
    module: nn.Module, given: Tensor, batch: Any, said: str
) -> tuple[bytes, tuple[Tensor, ...]]:
    """The bytes of a program, and what it gives once it is read back."""
    data = io.BytesIO()
    try:
        program = torch.export.export(module, (given,), dynamic_shapes=({0: batch},))
        torch.export.save(program, data, extra_files={"medinv.json": said})
        again = torch.export.load(io.BytesIO(data.getvalue())).module()
        found = again(given)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise ExportError(
            f"torch.export takes no {type(module).__name__.lower()} program of this model "
            f"({type(error).__name__}: {str(error).splitlines()[0][:200]})"
        ) from error
    return data.getvalue(), found if isinstance(found, tuple) else (found,)

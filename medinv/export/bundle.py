"""`medinv export --bundle`: a model as a MONAI bundle, by the conventions of the model zoo."""

import io
import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors

from medinv.errors import OutputError
from medinv.export.configs import LOGGING, inference, metadata, training
from medinv.files import write_whole
from medinv.models.card import Card
from medinv.models.folder import LAYOUT, WEIGHTS, read_file
from medinv.models.store import load, locate


def write_bundle(name: str | Path, out: Path) -> tuple[Path, ...]:
    """Write a bundle of a model into an empty folder; returns its files.

    Run with

        python -m monai.bundle run --config_file configs/inference.json --bundle_root OUT
            --dataset_dir STUDIES --output_dir RESULTS

    it writes `predictions.csv` with the numbers of `medinv classify`. `models/model.pt` holds
    tensors alone, in float32, for `torch.load(..., weights_only=True)`. Raises ModelError where the
    model is not whole, OutputError where the folder holds something else.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("the folder of a bundle must be new or empty", path=out)
    card = load(name).card  # which checks the weights against it
    tensors = load_tensors(read_file(locate(name), WEIGHTS))
    weights = io.BytesIO()
    torch.save(tensors, weights)
    content = {
        "configs/metadata.json": _json(metadata(card)),
        "configs/inference.json": _json(inference(card)),
        "configs/train.json": _json(training(card)),
        "configs/logging.conf": LOGGING.encode(),
        "models/model.pt": weights.getvalue(),
        **({f"models/{LAYOUT}": read_file(locate(name), LAYOUT)} if card.layout_sha256 else {}),
        "docs/README.md": _readme(card).encode(),
        "docs/data_license.txt": f"{card.training_data}\n\n{card.data_licence}\n".encode(),
        "LICENSE": _licence().encode(),
    }
    return tuple(write_whole(out / path, data) for path, data in content.items())


def _json(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, indent=4).encode() + b"\n"


def _licence() -> str:
    """Of medinv, whose code the bundle runs; that of the data is docs/data_license.txt."""
    for path in distribution("medinv").files or ():
        if path.name == "LICENSE":
            return path.read_text()
    return "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"


def _readme(card: Card) -> str:
    numbers = "\n".join(f"| {name} | {estimate} |" for name, estimate in card.metrics.items())
    points = "\n".join(f"- {text}" for text in card.limits)
    untested = "\n".join(f"- {text}" for text in card.not_tested)
    return f"""# {card.title}

{card.task}

{card.intended_use} **{card.disclaimer}**

Classes: {", ".join(card.classes)}. Input: {card.config.image_shape} in grey levels 0 to 255;
{card.intake}. The bundle runs with `medinv`, `monai`, `pytorch-ignite` and `fire` installed
(`pip install 'medinv[export]'`).

## Run

```
python -m monai.bundle run --config_file configs/inference.json --meta_file configs/metadata.json \\
    --logging_file configs/logging.conf --bundle_root . --dataset_dir STUDIES --output_dir RESULTS
```

STUDIES is a folder of DICOM studies, of which the images are taken that the model's rules let
through. RESULTS/predictions.csv has a row an image: the called class (or "out of scope"),
calibrated probabilities, and the scope's score over its threshold. They are the numbers of
`medinv classify`.

## Fine-tune

```
python -m monai.bundle run --config_file configs/train.json --bundle_root . --dataset_dir SET
```

SET is a folder of `medinv prepare` with the same classes and size. The weights of the best epoch
are written to models/model_finetuned.pt. Calibration, operating point and scope are those of the
original weights and do not hold for the new ones; `medinv train` fits all of them.

## Performance on test images

| metric | value (95 % interval) |
|---|---|
{numbers}

## Data

{card.training_data}

Licence of the data: {card.data_licence}

## Limits

{points}

Not tested:

{untested}

Weights: SHA-256 {card.weights_sha256}.
"""

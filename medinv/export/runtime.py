"""What a bundle's configurations call: the network, the images of a folder, the table of results.

A bundle names these by dotted path, so that its results are `medinv classify`'s to the last digit
that the arithmetic allows.
"""

import csv
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import Tensor

from medinv.config import Config, Rules
from medinv.data.dicom.index import index
from medinv.data.dicom.rules import choose
from medinv.data.sets.info import PARTS
from medinv.data.sets.prepared import read_set
from medinv.errors import DataError
from medinv.files import write_whole
from medinv.models.base import Calibrated
from medinv.models.build import build, scope_of
from medinv.models.layout import Layout

OUT_OF_SCOPE = "out of scope"
_LOG = logging.getLogger("medinv.export")


def network(config: Mapping[str, Any]) -> Calibrated:
    """The untrained network of a configuration, in float64 and evaluation mode.

    The weights come from models/model.pt, by MONAI's `CheckpointLoader` or
    `load_state_dict(torch.load(path, weights_only=True))`.
    """
    return build(Config.model_validate(dict(config))).double().eval()


def studies(folder: str | Path, rules: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The images of a folder that the rules of the model's card let through, {"image": path}.

    Of a model of volumes an item is {"image": [path, ...]}, the files of one volume. How many are
    left out is logged as a warning; why each, `medinv classify` lists. Raises DataError where
    nothing is left.
    """
    found = index([Path(folder)])
    wanted = Rules.model_validate(dict(rules))
    chosen = [choose(study, wanted).study for study in found.studies]
    files = [
        [str(image.location.path) for image in study.instances if not image.location.member]
        for study in chosen
    ]
    there, taken = found.counts()["files"], sum(map(len, files))
    if taken < there:
        _LOG.warning("%d of %d files left out: medinv classify says why", there - taken, there)
    whole = wanted.selection.takes == "volume"
    items: list[dict[str, Any]] = [
        {"image": image} for paths in files for image in ([paths] if whole and paths else paths)
    ]
    if not items:
        left = sorted({one.code for study in chosen for one in study.skipped})
        left += sorted({one.error.code for one in found.broken})
        raise DataError(
            f"no image for this model; left out: {', '.join(left) or 'nothing, it is empty'}",
            path=folder,
            stage="bundle",
        )
    return items


def labelled(folder: str | Path, part: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The images of a part of a set that `medinv prepare` made: {"image": (C, *size), "label": k}.

    Labels are the numbers of the model's `classes`. Raises DataError where a class or the part is
    another, and what `read_set` raises.
    """
    found = read_set(folder)
    parts = dict(
        zip(PARTS, (found.data.train, found.data.validation, found.data.test), strict=True)
    )
    if set(found.info.classes) != set(classes) or part not in parts:
        raise DataError(
            f"expected a part of {', '.join(parts)} with the classes {', '.join(classes)}; got "
            f"{part} of a set with {', '.join(found.info.classes)}",
            path=folder,
            stage="bundle",
        )
    numbers = [classes.index(name) for name in found.info.classes]
    chosen = parts[part]
    return [
        {"image": np.array(image), "label": numbers[label]}
        for image, label in zip(chosen.images, chosen.labels, strict=True)
    ]


class CalibratedInferer(Inferer):
    """Images through a network -> (N, K) calibrated probabilities, and, of kinds with a scope, one
    more column: the scope's score over its threshold, above 1 where an image is out of scope. With
    a layout a last column is 1 where an image is laid out otherwise than those of the model.
    """

    def __init__(self, config: Mapping[str, Any], layout: Layout | None = None):
        super().__init__()
        self.settings, self.layout = Config.model_validate(dict(config)).model, layout

    @torch.no_grad()
    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """(N, C, *size) -> (N, K), (N, K + 1) or (N, K + 2)."""
        model: Any = network
        images = torch.as_tensor(inputs).as_subclass(Tensor)  # without MONAI's metadata
        logits = model(images)
        made = [model.calibrated(logits).softmax(1)]
        scope = scope_of(model, self.settings)
        if scope is not None:
            made.append((scope.score(images) / scope.threshold)[:, None])
        if self.layout is not None:
            looked = self.layout.look_at(
                images, model.called(logits), lambda some: model.called(model(some))
            )
            other = [bool(one.objections) for one in looked]
            made.append(torch.tensor(other).to(made[0])[:, None])
        return torch.cat(made, 1)


class ResultsWriter:
    """An ignite handler that writes one row an image to a CSV file, when all are done.

    Columns: image, label (by the operating point of two classes; out of scope), the probability of
    each class, scope, the score over its threshold, and, with a `layout`, 1 where an image is laid
    out otherwise. The table ends with the disclaimer.
    """

    def __init__(
        self, path: str | Path, network: Calibrated, disclaimer: str, *, layout: bool = False
    ):
        self.path, self.network, self.disclaimer = Path(path), network, disclaimer
        self.layout = layout
        self.rows: list[list[str]] = []

    def attach(self, engine: Any) -> None:
        """Follow an evaluator."""
        from ignite.engine import Events

        engine.add_event_handler(Events.STARTED, lambda engine: self.rows.clear())
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _collect(self, engine: Any) -> None:
        for given, made in zip(engine.state.batch, engine.state.output, strict=True):
            name = str(given["image"].meta["filename_or_obj"])
            self.rows.append([name, *self._row(made["pred"].tolist())])

    def _row(self, values: list[float]) -> Iterator[str]:
        classes = self.network.classes
        probabilities, more = values[: len(classes)], values[len(classes) :]
        other_layout = self.layout and more[-1] > 0
        scope = more[: len(more) - self.layout]
        if other_layout or (scope and scope[0] > 1):
            yield OUT_OF_SCOPE
        elif len(classes) == 2:
            yield classes[int(probabilities[1] >= self.network.threshold)]
        else:
            yield classes[int(np.argmax(probabilities))]
        yield from map(repr, (*probabilities, *more))

    def _write(self, engine: Any) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        own = 2 + len(self.network.classes) + self.layout
        scope = ["scope"] if self.rows and len(self.rows[0]) > own else []
        layout = ["layout"] if self.layout else []
        table.writerow(["image", "label", *self.network.classes, *scope, *layout])
        table.writerows(self.rows)
        table.writerow([f"# {self.disclaimer}"])
        write_whole(self.path, text.getvalue().encode())

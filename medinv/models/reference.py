"""What a model keeps of its training images for explanations: a few numbers a case, from which no image can be decoded, its label, and averages over many.

The features of an invertible network *are* the image, so that an index of features would ship every patient. This one holds a projection to a few
axes; how much of the image they give away is measured and stands in the file. `cases.safetensors` holds the tensors, `cases.json` what binds them to the weights.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from medinv.errors import IntegrityError, ModelNotFoundError, OutputError
from medinv.models.expectation import Expectation
from medinv.models.store import locate
from medinv.models.transport import Transport

CASES, FACTS = "cases.safetensors", "cases.json"
USUAL = "usual: "  # before the name of a depth
TRANSPORT, EXPECTATION = "transport: ", "expectation: "  # before the name of a part


class CaseFacts(BaseModel):
    """What the index holds and what it gives away. Variances are shares of the pixels' variance about the mean training image, on validation images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_sha256: str  # of the model whose features were projected
    cases_sha256: str
    training_set: str  # of what `ids` are rows
    cases: int
    axes: int
    recovered_least_squares: float  # by the best affine decoding fitted on training images
    recovered_network: float  # by the network run backwards from the projection, all else at zero
    recovered_best_axes: float  # by as many principal axes of the pixels: what any linear index of this size could give away
    agreement: (
        float  # share of the five nearest training cases with the label of a validation image
    )
    agreement_chance: float  # the same for cases drawn by chance
    rms_nearest: (
        float  # grey levels, median, between a validation image and the image of its nearest case
    )
    rms_chance: float  # the same for a case drawn by chance
    typical_distance: tuple[
        float, float
    ]  # 50th and 95th percentile of validation images' distance to their nearest case
    disclaimer: str = "Research use, not for diagnosis."


@dataclass(frozen=True)
class CaseIndex:
    """axes (K, values of the coarse features), scale (K,), offset (K,), points (n, K), labels (n,): a point is (axes . c - offset) / scale.

    class_means (classes, C, *size): the mean training image of each class, grey levels. states: by the name of a depth of the trunk, the mean of what stands
    there over training images of the negative class, (C_d, *size_d). transport: how images of the two classes differ, and
    expectation: what belongs in a part of a negative image, where those were fitted.
    """

    axes: Tensor
    offset: Tensor
    scale: Tensor
    points: Tensor
    labels: Tensor
    class_means: Tensor
    states: dict[str, Tensor]
    facts: CaseFacts
    transport: Transport | None = None
    expectation: Expectation | None = None

    @property
    def usual(self) -> dict[str, Tensor]:
        """The older name of `states`."""
        return self.states

    def project(self, coarse: Tensor) -> Tensor:
        """Coarse features (N, C, *size) to points (N, K)."""
        return (coarse.flatten(1).to(self.axes.dtype) @ self.axes.T - self.offset) / self.scale


Reference = CaseIndex
ReferenceFacts = CaseFacts


def attached(name_or_path: str | Path) -> CaseIndex | None:
    """What `load` attaches to a model: its index, or None where it has none of its own."""
    try:
        return load_cases(name_or_path)
    except (ModelNotFoundError, IntegrityError):
        return None


def load_cases(name_or_path: str | Path) -> CaseIndex:
    """The index beside the model of a shipped name or folder. Raises ModelNotFoundError where there is none, IntegrityError where it is not this model's."""
    folder = locate(name_or_path)
    if not (folder / CASES).is_file() or not (folder / FACTS).is_file():
        raise ModelNotFoundError(
            f"this model has no index of cases: expected {CASES} and {FACTS} in its folder; make them with pipelines/case_index.py",
            path=folder,
        )
    try:
        facts = CaseFacts.model_validate_json((folder / FACTS).read_bytes())
        card = json.loads((folder / "card.json").read_bytes())
        data = (folder / CASES).read_bytes()
        tensors = load_tensors(data)
    except (ValidationError, SafetensorError, OSError) as error:
        raise IntegrityError(
            f"this index of cases cannot be read: {str(error).splitlines()[0]}; make it anew",
            path=folder,
        ) from error
    if (
        hashlib.sha256(data).hexdigest() != facts.cases_sha256
        or card["weights_sha256"] != facts.weights_sha256
    ):
        raise IntegrityError(
            "the index of cases, its facts and the weights do not belong together; make it anew with pipelines/case_index.py",
            path=folder,
        )
    tensors = {
        name: t.float() if t.is_floating_point() else t.long() for name, t in tensors.items()
    }
    usual, moves, belongs = (_taken(tensors, prefix) for prefix in (USUAL, TRANSPORT, EXPECTATION))
    return CaseIndex(
        **tensors,
        states=usual,
        facts=facts,
        transport=Transport(**moves) if moves else None,
        expectation=Expectation(**belongs) if belongs else None,
    )


def _taken(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those of `tensors` whose names begin so, which leave it, by the rest of their names."""
    return {
        name.removeprefix(prefix): tensors.pop(name)
        for name in sorted(tensors)
        if name.startswith(prefix)
    }


def save_cases(folder: Path, tensors: dict[str, Tensor], facts: CaseFacts) -> None:
    """Write the index beside the model in `folder`, each file to a temporary name first; `cases_sha256` of the facts is filled in. Raises OutputError."""
    data = save_tensors({name: t.contiguous() for name, t in tensors.items()})
    facts = facts.model_copy(update={"cases_sha256": hashlib.sha256(data).hexdigest()})
    try:
        for name, content in (
            (CASES, data),
            (FACTS, facts.model_dump_json(indent=1).encode() + b"\n"),
        ):
            temporary = folder / (name + ".tmp")
            temporary.write_bytes(content)
            os.replace(temporary, folder / name)
    except OSError as error:
        raise OutputError(
            f"cannot write the index of cases here: {error.strerror}", path=folder
        ) from error


def principal_axes(coarse: Tensor, direction: Tensor, count: int) -> Tensor:
    """(count, values) orthonormal: first `direction` (values,), then the principal axes of what is left of the coarse features (n, values)."""
    first = direction / torch.linalg.vector_norm(direction)
    rest = coarse - coarse.mean(0)
    rest = rest - (rest @ first)[:, None] * first
    return torch.cat([first[None], torch.linalg.svd(rest, full_matrices=False)[2][: count - 1]])

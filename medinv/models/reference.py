"""What a model keeps of its training images for explanations.

These are a few numbers a case, from which no image can be decoded, its label, and averages over
many. The features of an invertible network *are* the image, so that an index of features would ship
every patient. This one holds a projection to a few axes; how much of the image they give away is
measured and stands in the file. `cases.safetensors` holds the tensors, `cases.json` what binds them
to the weights. Made by `medinv.training.reference`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from medinv.errors import IntegrityError, ModelError
from medinv.files import write_whole
from medinv.models.expectation import Expectation
from medinv.models.folder import CASES, FACTS, digest, has_file, read_file
from medinv.models.region import Donors, Template
from medinv.models.transport import Transport

# In the file, before the name of a depth: states of the negative class, and of every class.
STATE, STATES = "usual: ", "usual of each class: "
# Before the name of a part.
TRANSPORT, EXPECTATION, REGION, DONORS = "transport: ", "expectation: ", "region: ", "donors: "


class ReferenceMetadata(BaseModel):
    """What the reference holds and what it gives away.

    Variances are shares of the pixels' variance about the mean training image, on validation
    images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_sha256: str  # of the model whose features were projected
    cases_sha256: str
    training_set: str  # of what the points are rows
    cases: int
    axes: int
    recovered_least_squares: float  # by the best affine decoding fitted on training images
    recovered_network: float  # by the network run backwards from the projection, all else at zero
    recovered_best_axes: float  # by as many principal axes of the pixels: the most any could give
    agreement: float  # share of the five nearest cases with the label of a validation image
    agreement_chance: float  # the same for cases drawn by chance
    rms_nearest: float  # grey levels, median, between a validation image and its nearest case
    rms_chance: float  # the same for a case drawn by chance
    typical_distance: tuple[float, float]  # 50th and 95th percentile, to the nearest case
    disclaimer: str = "Research use, not for diagnosis."


@dataclass(frozen=True)
class Reference:
    """What a model keeps of its training images: a point of a case is (axes . c - offset) / scale.

    axes (K, values of the coarse features), scale (K,), offset (K,), points (n, K), labels (n,).
    class_means (classes, C, *size): the mean training image of each class, grey levels.
    states: by the name of a depth of the trunk, the mean of what stands there over training images
    of each class, (classes, C_d, *size_d); of two classes of the negative one alone, (C_d,
    *size_d). transport: how images of the classes differ, and expectation: what belongs in a part
    of a negative image, where those were fitted. region: where lies what the label is about, of a
    model that was trained with composed images. donors: training images that may be shown in part,
    where the configuration asks for them.
    """

    axes: Tensor
    offset: Tensor
    scale: Tensor
    points: Tensor
    labels: Tensor
    class_means: Tensor
    states: dict[str, Tensor]
    metadata: ReferenceMetadata
    transport: Transport | None = None
    expectation: Expectation | None = None
    region: Template | None = None
    donors: Donors | None = None

    def grounds(self, label: int) -> dict[str, Tensor]:
        """The mean states (C_d, *size_d) of a class; of two classes those of the negative one."""
        if len(self.class_means) == 2:
            return self.states
        return {name: states[label] for name, states in self.states.items()}

    def project(self, coarse: Tensor) -> Tensor:
        """Coarse features (N, C, *size) to points (N, K), on the processor."""
        return (coarse.flatten(1).to(self.axes) @ self.axes.T - self.offset) / self.scale


def load_reference(folder: Path, weights_sha256: str) -> Reference:
    """The reference in a model's folder.

    Raises ModelError where there is none, IntegrityError where it is not of these weights.
    """
    if not has_file(folder, CASES) or not has_file(folder, FACTS):
        raise ModelError(
            f"this model has no reference: expected {CASES} and {FACTS} in its folder; "
            "`medinv train` writes them",
            path=folder,
        )
    data = read_file(folder, CASES)
    try:
        metadata = ReferenceMetadata.model_validate_json(read_file(folder, FACTS))
        tensors = load_tensors(data)
    except (ValidationError, SafetensorError) as error:
        raise IntegrityError(
            f"this reference cannot be read: {str(error).splitlines()[0]}; train again", path=folder
        ) from error
    if digest(data) != metadata.cases_sha256 or weights_sha256 != metadata.weights_sha256:
        raise IntegrityError(
            "the reference, its facts and the weights do not belong together; train again",
            path=folder,
        )
    if not all(t.isfinite().all() for t in tensors.values()):
        raise IntegrityError("the reference holds values that are not finite", path=folder)
    return _from_tensors(tensors, metadata, folder)


def read_reference(folder: Path, weights_sha256: str) -> tuple[Reference | None, str | None]:
    """The reference in a model's folder and None, or None and why it cannot be used."""
    try:
        return load_reference(folder, weights_sha256), None
    except ModelError as error:
        return None, error.message


def save_reference(folder: Path, reference: Reference) -> ReferenceMetadata:
    """Write it beside the model; gives the facts with the hash of the file. Raises OutputError."""
    many = len(reference.class_means)
    tensors = {
        "axes": reference.axes,
        "offset": reference.offset,
        "scale": reference.scale,
        "points": reference.points.half(),
        "labels": reference.labels.to(torch.uint8 if many < 256 else torch.int16),
        "class_means": reference.class_means,
    }
    kept = STATE if many == 2 else STATES
    tensors |= {kept + name: states for name, states in reference.states.items()}
    for prefix, part in ((TRANSPORT, reference.transport), (EXPECTATION, reference.expectation)):
        if part is not None:
            values = vars(part)
            tensors |= {prefix + name: values[name] for name in values}
            tensors[prefix + "axes"] = part.axes.half()
    if reference.region is not None:
        tensors |= {REGION + name: part.half() for name, part in vars(reference.region).items()}
    if reference.donors is not None:
        donors = vars(reference.donors)
        tensors |= {DONORS + name: donors[name] for name in donors}
    data = save_tensors({name: tensor.contiguous() for name, tensor in tensors.items()})
    metadata = reference.metadata.model_copy(update={"cases_sha256": digest(data)})
    write_whole(folder / CASES, data)
    write_whole(folder / FACTS, metadata.model_dump_json(indent=1).encode() + b"\n")
    return metadata


def principal_axes(coarse: Tensor, directions: Tensor, count: int, *, exact: bool = True) -> Tensor:
    """Orthonormal axes (count, values) of coarse features (n, values).

    First those of `directions` (values,) or (d, values), at least those, then the principal axes of
    what is left; these by a seeded random projection (Halko et al. 2011) where not `exact`.
    """
    rows = directions if directions.ndim == 2 else directions[None]
    first = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    if len(first) > 1:
        first = torch.linalg.qr(first.T)[0].T
    wanted = count - len(first)
    if wanted <= 0:
        return first
    rest = coarse - coarse.mean(0)
    rest = rest - (rest @ first.T) @ first
    if exact:
        others = torch.linalg.svd(rest, full_matrices=False)[2]
    else:
        torch.manual_seed(0)
        others = torch.svd_lowrank(rest, q=wanted, niter=4)[2].T
    return torch.cat([first, others[:wanted]])


NAMES = frozenset({"axes", "offset", "scale", "points", "labels", "class_means"})


def _from_tensors(
    stored: Mapping[str, Tensor], metadata: ReferenceMetadata, folder: Path
) -> Reference:
    tensors = {name: t.float() if t.is_floating_point() else t.long() for name, t in stored.items()}

    def part(prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(prefix): tensors[name]
            for name in sorted(tensors)
            if name.startswith(prefix)
        }

    states = part(STATE) | part(STATES)
    transport, expectation = part(TRANSPORT), part(EXPECTATION)
    region, donors = part(REGION), part(DONORS)
    whole = {name: t for name, t in tensors.items() if name in NAMES}
    try:
        return Reference(
            **whole,
            states=states,
            metadata=metadata,
            transport=Transport(**transport) if transport else None,
            expectation=Expectation(**expectation) if expectation else None,
            region=Template(**region) if region else None,
            donors=Donors(**donors) if donors else None,
        )
    except TypeError as error:  # a part that is missing, or one too many
        raise IntegrityError(f"this reference is not whole: {error}", path=folder) from error

"""Training cases that are most like this image, by a projection that cannot be decoded."""

import torch
from torch import Tensor

from medinv.explanation.result import Neighbours
from medinv.explanation.trunk import Asked, last_state
from medinv.models.reference import Reference


@torch.no_grad()
def nearest(model: Asked, reference: Reference, x: Tensor, *, count: int = 5) -> Neighbours:
    """The `count` cases of the model's reference nearest to one image `x` (1, C, *size).

    What is near in the projection need not look alike: see the facts of the reference.
    """
    coarse = last_state(model, x)
    called = int(model.called(model.logits_of(coarse)))
    distances = torch.linalg.vector_norm(reference.points - reference.project(coarse), dim=1)
    values, rows = distances.topk(min(count, len(distances)), largest=False)
    labels, metadata = reference.labels[rows], reference.metadata
    return Neighbours(
        ids=tuple(rows.tolist()),
        labels=tuple(model.classes[k] for k in labels.tolist()),
        distances=tuple(values.tolist()),
        typical=metadata.typical_distance,
        chance=(reference.labels == called).double().mean().item(),
        agreement=(labels == called).double().mean().item(),
        recovered=max(metadata.recovered_least_squares, metadata.recovered_network),
    )

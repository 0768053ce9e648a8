"""Training cases that are most like this image, by a projection of the features that cannot be decoded."""

from typing import Any

import torch
from torch import Tensor

from medinv.explanation.result import Nearest
from medinv.explanation.trunk import Explainable, run, steps
from medinv.models.reference import CaseIndex


@torch.no_grad()
def nearest(model: Explainable, index: CaseIndex, x: Tensor, *, count: int = 5) -> Nearest:
    """The `count` cases of `index` nearest to one image `x` (1, C, *size), with their labels.

    The index must be this model's (`medinv.models.reference.load_cases` sees to it). What is near in the projection need not look alike: see the facts of the index.
    """
    coarse = last_state(model, x)
    called = int(model.log_odds(model.logits_of(coarse)).item() >= model.decision_logit.item())
    distances = torch.linalg.vector_norm(index.points - index.project(coarse), dim=1)
    values, rows = distances.topk(min(count, len(distances)), largest=False)
    labels = index.labels[rows]
    facts = index.facts
    return Nearest(
        ids=tuple(rows.tolist()),
        labels=tuple(model.classes[k] for k in labels.tolist()),
        distances=tuple(values.tolist()),
        typical=facts.typical_distance,
        chance=(index.labels == called).double().mean().item(),
        agreement=(labels == called).double().mean().item(),
        recovered=max(facts.recovered_least_squares, facts.recovered_network),
    )


def last_state(model: Explainable, x: Tensor) -> Any:
    """What the head sees (N, C, *size): the coarse features."""
    *_, last = run(steps(model.trunk), x)
    return last.here

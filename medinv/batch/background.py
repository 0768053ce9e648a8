"""What a report shows behind an explanation: decoded depths, similar cases and controls. Costs more than the explanation itself, so for one image a study."""

import numpy as np
import torch

from medinv.errors import IntegrityError, ModelNotFoundError
from medinv.explain.controls import equal_changes, likenesses, sham_head, untrained
from medinv.explain.evidence import evidence
from medinv.explain.nearest import nearest
from medinv.explain.result import Controls, Counterfactual, Nearest
from medinv.explain.trace import trace
from medinv.models.build import build
from medinv.models.cases import load_cases
from medinv.models.classifier import Classifier
from medinv.report.background import Background

ITERATIONS = 4  # of the power iteration for a layer's condition number


def background(model: Classifier, image: np.ndarray, counterfactual: Counterfactual) -> Background:
    """All of it for one network input (1, H, W) uint8; no similar cases where the model has no index of its own."""
    x = torch.from_numpy(image)[None].to(next(model.parameters()).dtype)
    return Background(trace(model, x, iterations=ITERATIONS), _nearest(model, x), _controls(model, x, counterfactual))


def _nearest(model: Classifier, x: torch.Tensor) -> Nearest | None:
    try:
        index = load_cases(model.card.name)
    except (ModelNotFoundError, IntegrityError):
        return None
    return nearest(model, index, x) if index.facts.weights_sha256 == model.card.weights_sha256 else None


def _controls(model: Classifier, x: torch.Tensor, edit: Counterfactual) -> Controls:
    """Noise and blur as large as the counterfactual, and the evidence by networks that know nothing.

    The untrained one takes its statistics from this image and its edits, as no training image is at hand.
    """
    stored, wanted = x[0, 0].cpu().numpy().astype(np.uint8), model.classes.index(edit.target)

    @torch.no_grad()
    def logit(changed: np.ndarray) -> float:
        return model.log_odds(model.logits(torch.from_numpy(changed)[None, None].to(x.dtype))).item()

    changes = equal_changes(stored, edit.image, logit, lambda odds: (odds >= model.decision_logit.item()) == bool(wanted))
    around = torch.from_numpy(np.stack([stored, *edit.strip]))[:, None].to(x.dtype)
    others = {"untrained weights": untrained(build(model.card.config), model, around), "a head of random direction": sham_head(model)}
    return Controls(changes, likenesses("evidence", evidence(model, x).contributions, lambda other: evidence(other, x).contributions, others))

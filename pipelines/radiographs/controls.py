"""Changes of films that should convince nobody, beside the edits that are shown.

Of each edit that holds: noise, blur and the difference of the class means of its size; the same
edit where another film's mask lies; and the edit that a network asks for whose head has learned no
label.
"""

from collections.abc import Iterator

import numpy as np
from torch import Tensor

from medinv.explanation.counterfactual import counterfactual
from medinv.explanation.counterfactual.exchange import Choice, exchanged
from medinv.explanation.result import Counterfactual
from medinv.explanation.sanity import equal_changes, sham_head
from medinv.models.density import Classifier

OTHER_MASK, SHAM_HEAD = "another film's mask", "a head of random direction"
Held = list[tuple[Tensor, Counterfactual]]  # films (1, 1, H, W) with their edits, which hold


def controls(model: Classifier, held: Held, target: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names with the changed films (N, H, W) uint8."""
    means = model.reference.class_means
    step = (means[target] - means[1 - target])[0].numpy()
    changes = [
        equal_changes(_stored(film), edit.image, lambda image: (0.0, False), class_step=step)
        for film, edit in held
    ]
    for some in zip(*changes, strict=True):
        yield some[0].name, np.stack([one.image for one in some])
    yield OTHER_MASK, np.stack([_elsewhere(model, held, k, target) for k in range(len(held))])
    sham = sham_head(model)
    made = [counterfactual(sham, film, target, None)[0].image for film, _ in held]
    yield SHAM_HEAD, np.stack(made)


def _elsewhere(model: Classifier, held: Held, k: int, target: int) -> np.ndarray:
    """The k-th edit where the mask of the next film lies.

    The lungs of another child go to the place of that film's lungs; a local change lies where that
    film's does.
    """
    (film, edit), (other, change) = held[k], held[(k + 1) % len(held)]
    if edit.method != "exchange":
        return _clipped(film[0, 0].numpy() + change.difference)
    template, donors = model.reference.region, model.reference.donors
    nearest = Choice(nearest=1, margins=Choice().margins[:1])
    place = template.place(other)
    moved = exchanged(template, donors, film, target, choice=nearest, place=place)
    return _clipped(moved[0, 0].numpy())


def _stored(film: Tensor) -> np.ndarray:
    return film[0, 0].numpy().astype(np.uint8)


def _clipped(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)

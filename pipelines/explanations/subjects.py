"""Models and images that faithfulness.py measures explanations with."""

import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation, gaussian_filter
from torch import Tensor

from medinv.data.phantoms import TEST_SEED, TRAIN_SEED, Recipe, draw, radiographs
from medinv.data.phantoms.sets import thumbnail, thumbnails
from medinv.data.sets.load import load_images
from medinv.models.density import Classifier
from medinv.models.depths import mean_states
from medinv.models.store import load
from pipelines.datasets.controls import MARKED, SEEDS

# Bodies of the training seed that say where opacities lie in general,
# and pixels by which that is smeared.
OTHERS, BLUR = 200, 2.0
# Of the bodies measured here: none was looked at when depths and settings were chosen.
START = 20_000
PLANTED = Recipe(opacity_share=1.0, subtle_share=0.5)
SMALLEST = 4  # pixels of a mask
GROUPS = ("marker alone", "opacity alone", "both")
# Grey levels by which a pixel of the marker is brighter; pixels around that count as on it:
# no method sees finer than a few.
LIT, AROUND = 20, 2


@dataclass(frozen=True)
class Subject:
    """A model with the mean state of negative images by depth, their mean image (1, 1, H, W),
    and some of them (n, 1, H, W).
    """

    model: Classifier
    usual: dict[str, Tensor]
    ground: Tensor
    clear: Tensor
    sha256: str

    def called(self, x: Tensor) -> np.ndarray:
        with torch.no_grad():
            return (self.model.log_odds(self.model.logits(x)) >= self.model.decision_logit).numpy()

    def with_model(self, model: Classifier) -> "Subject":
        return replace(
            self,
            model=model,
            usual=mean_states(model.trunk, self.clear.split(16), tuple(self.usual)),
        )

    def double(self) -> "Subject":
        return replace(self, model=deepcopy(self.model).double())


class Subjects(tuple):
    """Two of them."""

    def __new__(cls, *subjects: Subject):
        return super().__new__(cls, subjects)

    @property
    def sha256(self) -> str:
        return "+".join(one.sha256[:16] for one in self)


@dataclass(frozen=True)
class Images:
    """images (n, H, W) uint8, and where they are known the same without what is to be found
    (`empties`), masks, contrasts and groups.
    """

    images: np.ndarray
    empties: np.ndarray | None
    masks: np.ndarray | None = None
    contrasts: np.ndarray | None = None
    groups: tuple[str, ...] = ()
    markers: np.ndarray | None = None
    elsewhere: np.ndarray | None = None  # (H, W) how often a pixel lies on the mask of other bodies

    @property
    def rows(self) -> list[int]:
        return [
            row
            for row in range(len(self.images))
            if self.masks is None or self.groups or self.masks[row].sum() >= SMALLEST
        ]

    def tensor(self, rows: list[int]) -> Tensor:
        return torch.from_numpy(self.images[rows][:, None]).float()

    def empty(self, rows: list[int]) -> Tensor:
        return torch.from_numpy(self.empties[rows][:, None]).float()

    def first(self, wanted: Callable[[int], bool], count: int) -> list[int]:
        return list(islice(filter(wanted, self.rows), count))

    def places(self, row: int) -> tuple[tuple[str, np.ndarray], ...]:
        given = {
            "marker alone": ("marker",),
            "opacity alone": ("opacity",),
            "both": ("marker", "opacity"),
        }[self.groups[row]]
        return tuple(
            (name, {"marker": self.markers, "opacity": self.masks}[name][row]) for name in given
        )


def shipped_subject(name: str) -> Subject:
    model = load(name, dtype=torch.float32)
    reference = model.reference
    source = model.card.config.data
    if source.set == "phantoms":
        clear = radiographs(64, source.size, TRAIN_SEED, recipe=Recipe(opacity_share=0.0)).images
    else:
        train = load_images(source).train
        clear = train.images[train.labels == 0][:64, 0]
    return Subject(
        model,
        reference.states,
        reference.class_means[:1],
        torch.from_numpy(clear[:, None]).float(),
        model.card.weights_sha256,
    )


def control_subject(folder: Path, kind: str) -> Subject:
    """Of a control model: what is usual comes from the first of its own training images (of the
    sham one all, as no label means anything).
    """
    model, names = (
        load(folder, dtype=torch.float32),
        tuple(load("phantom-opacity").reference.states),
    )
    made = radiographs(200, 64, SEEDS[0], recipe=MARKED if kind == "marker" else Recipe())
    clear = torch.from_numpy(
        (made.images[made.labels == 0] if kind == "marker" else made.images)[:, None]
    ).float()
    return Subject(
        model,
        mean_states(model.trunk, clear.split(16), names),
        clear.mean(0, keepdim=True),
        clear[:64],
        model.card.weights_sha256,
    )


def chest_subject() -> Subject | None:
    return shipped_subject("chest-xray") if os.environ.get("MEDINV_DATA") else None


def lesions(
    count: int, seed: int = TEST_SEED, *, start: int = START, beside: bool = True
) -> Images:
    """Bodies with opacities, half of them subtle, each beside itself without
    unless `beside` is false.
    """
    made = radiographs(count, 64, seed, start=start, recipe=PLANTED)
    empties = (
        np.stack([thumbnails(phantom, 64)[0] for phantom in made.phantoms]) if beside else None
    )
    elsewhere = gaussian_filter(
        radiographs(OTHERS, 64, TRAIN_SEED, start=START, recipe=PLANTED).masks.mean(0, dtype=float),
        BLUR,
    )
    return Images(made.images, empties, made.masks, made.contrasts, elsewhere=elsewhere)


def marked(bodies: int) -> Images:
    """Every body with the marker alone, with opacities alone, and with both."""
    images, empties, masks, markers, groups = [], [], [], [], []
    for index in range(START, START + bodies):
        phantom = draw(TEST_SEED, index, Recipe(opacity_share=1.0, subtle_share=0.0))
        clear, sick = thumbnails(phantom, 64)
        letter = replace(phantom, exposure=replace(phantom.exposure, marker=MARKED.marker))
        alone, both = thumbnails(letter, 64)
        lit = binary_dilation(alone.astype(int) - clear > LIT, iterations=AROUND)
        images += [alone, sick, both]
        empties += [clear] * 3
        masks += [thumbnail(phantom, 64)[1]] * 3
        markers += [lit] * 3
        groups += GROUPS
    return Images(
        *(np.stack(part) for part in (images, empties, masks)),
        None,
        tuple(groups),
        np.stack(markers),
    )


def films(subject: Subject, count: int) -> Images:
    """Test films with pneumonia called rightly; `empties`: of the training films called normal the
    one most like each. The mean film is hazy and called sick.
    """
    data = load_images(subject.model.card.config.data)
    sick = [
        row
        for row in np.flatnonzero(data.test.labels == 1)
        if subject.called(torch.from_numpy(data.test.images[row : row + 1]).float())[0]
    ][:count]
    shown, clear = data.test.images[sick, 0], data.train.images[data.train.labels == 0, 0]
    clear = clear[
        ~np.concatenate(
            [
                subject.called(torch.from_numpy(part[:, None]).float())
                for part in np.array_split(clear, len(clear) // 32)
            ]
        )
    ]
    apart = np.stack([np.square(clear - film.astype(np.float32)).mean((1, 2)) for film in shown])
    return Images(shown, clear[apart.argmin(1)])

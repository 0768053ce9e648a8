"""The images that are audited, and where in each the region lies that should decide.

The region is that of the data set's masks, or of the lungs as the template of `data.compose`
estimates them, or not known. Lengths are shares of an image's side. Of volumes, masks and blurs are
taken slice by slice.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from medinv.data.compose.images import blur, grow
from medinv.data.compose.lungs import fit_template
from medinv.data.sets.labelled import Part
from medinv.models.region import Template, at_places

BEYOND, SOFT = 0.04, 0.01  # how far beyond the region a blanked one reaches, and its soft edge
COMMON = 0.05  # share of the images whose region holds a pixel of the one mask for all
PLAUSIBLE = (0.05, 0.6)  # share of a film that its lungs can take


@dataclass(frozen=True)
class Region:
    """Where the region lies in N images.

    exact (N, 1, *size) in 0..1; wide: with a margin and soft edges, what is blanked; fixed
    (1, *size): one such mask for all, whose outline says nothing of an image; places (N, 4) of the
    template of the lungs, where they were estimated.
    """

    name: str
    origin: str
    exact: Tensor
    wide: Tensor
    fixed: Tensor
    places: Tensor | None = None

    def of(self, rows: Tensor) -> "Region":
        """That of some of the images."""
        places = None if self.places is None else self.places[rows]
        return replace(self, exact=self.exact[rows], wide=self.wide[rows], places=places)


@dataclass(frozen=True)
class Sample:
    """Images (N, C, *size) float32 grey levels with labels and patients (N,), and their region.

    Levels run from 0 to 255 whatever the bits, so that all lengths and strengths of changes hold.
    ground (C, *size): the mean training image, by which regions are blanked.
    """

    images: Tensor
    labels: Tensor
    patients: Tensor
    ground: Tensor
    region: Region | None

    def rows(self, label: int) -> Tensor:
        """Which images have a label."""
        return torch.nonzero(self.labels == label)[:, 0]

    def clusters(self, rows: Tensor) -> np.ndarray:
        """Patients of some of the images, for intervals."""
        return self.patients[rows].numpy()


def grey(images: np.ndarray) -> Tensor:
    """Stored images of 8 or 16 bits as float32 from 0 to 255."""
    top = np.iinfo(images.dtype).max
    return torch.from_numpy(np.ascontiguousarray(images)).float() * (255 / top)


def in_plane(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """A function of (M, 1, H, W), image by image, for images of any channels and axes."""
    flat = images.reshape(-1, 1, *images.shape[-2:])
    return function(flat).view(images.shape)


def widened(masks: Tensor) -> Tensor:
    """Masks (N, 1, *size) with the margin BEYOND and soft edges."""
    return in_plane(lambda some: blur(grow(some, BEYOND), SOFT), masks)


def sample_of(part: Part, train: Part, find: Callable[[Part, Part], Region] | None) -> Sample:
    """The images of a part, their ground from training images, and the region that `find` gives."""
    return Sample(
        grey(part.images),
        torch.from_numpy(part.labels),
        torch.from_numpy(part.patients),
        ground_of(train),
        find(part, train) if find else None,
    )


def ground_of(train: Part) -> Tensor:
    """The mean training image (C, *size), from 0 to 255."""
    mean = torch.from_numpy(train.images.mean(0, dtype=np.float64)).float()
    return mean * (255 / np.iinfo(train.images.dtype).max)


def lungs(part: Part, train: Part) -> Region:
    """The lungs as the template estimates them, from films of one channel.

    Raises ValueError where what it finds cannot be lungs.
    """
    films = grey(part.images)
    template = template_of(train)
    area = float(template.mask.mean())
    if not PLAUSIBLE[0] <= area <= PLAUSIBLE[1]:
        raise ValueError(
            f"no lungs: the template's dark parts take {area:.0%} of the mean film, expected "
            f"{PLAUSIBLE[0]:.0%} to {PLAUSIBLE[1]:.0%}"
        )
    places = template.place(films)
    exact = at_places(template.mask, places)
    fixed = widened(at_places(template.mask, torch.tensor([[0.0, 0.0, 1.0, 1.0]])))[0]
    origin = "estimated by a template fitted to each film"
    return Region("lungs", origin, exact, widened(exact), fixed, places)


def template_of(train: Part) -> Template:
    """The template of training films."""
    return fit_template(grey(train.images), torch.from_numpy(train.labels))


def masked(part: Part, train: Part) -> Region:
    """The region of the data set's masks. Raises ValueError where they are not there or empty."""
    if part.masks is None or train.masks is None:
        raise ValueError("the data set has no masks")
    exact = torch.from_numpy(np.ascontiguousarray(part.masks)).float() / 255
    common = (train.masks > 127).mean(0, dtype=np.float64) >= COMMON
    if not exact.any() or not common.any():
        raise ValueError("the masks of the data set are empty")
    fixed = widened(torch.from_numpy(common).float()[None])[0]
    return Region("region", "masks of the data set", exact, widened(exact), fixed)

"""What counterfactuals.py measures of edited images beside whether they flip: what changed,
whether a planted opacity is gone, and how likely the image is.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, label

from medinv.explanation.result import CHANGED
from medinv.explanation.sanity import cosine

DARK = 12  # grey levels: pixels as dark that hang together with the border are outside the body
# Pixels, standard deviations of what is taken off before structures are compared,
# and before texture is measured.
FINE, TEXTURE = 2.0, 3.0
AXES = 64


@dataclass(frozen=True)
class Density:
    """A Gaussian of whole images (probabilistic principal components) of one class,
    fitted on some images, with the log-likelihoods of others of that class.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    rest: float
    true: np.ndarray

    def percentiles(self, images: np.ndarray) -> np.ndarray:
        """Share of true images of the class that are less likely than
        each of `images` (n, H, W).
        """
        return (self.true[None] < _log_likelihoods(self, images)[:, None]).mean(1)


def fit_density(images: np.ndarray) -> Density:
    """From images (n, H, W) that no edit was fitted on: two halves,
    the second for what is usual.
    """
    flat = images.reshape(len(images), -1).astype(float)
    half, held = flat[::2], images[1::2]
    mean = half.mean(0)
    sizes, axes = np.linalg.svd(half - mean, full_matrices=False)[1:]
    variances, axes = sizes[:AXES] ** 2 / (len(half) - 1), axes[:AXES]
    inside = (held.reshape(len(held), -1) - mean) @ axes.T
    rest = float(
        (((held.reshape(len(held), -1) - mean) ** 2).sum(1) - (inside**2).sum(1)).mean()
        / (flat.shape[1] - AXES)
    )
    found = Density(mean, axes, variances, rest, np.empty(0))
    return Density(mean, axes, variances, rest, _log_likelihoods(found, held))


def _log_likelihoods(density: Density, images: np.ndarray) -> np.ndarray:
    off = images.reshape(len(images), -1) - density.mean
    inside = off @ density.axes.T
    beyond = (off**2).sum(1) - (inside**2).sum(1)
    return -0.5 * ((inside**2 / density.variances).sum(1) + beyond / density.rest)


def outside_body(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: dark pixels that hang together with the border."""
    pieces = label(image <= DARK)[0]
    border = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    return np.isin(pieces, border[border > 0])


def locality(images: np.ndarray, stored: np.ndarray) -> tuple[str, ...]:
    """Medians over images (n, H, W): share of the pixels changed,
    share of the squared change outside the body (mean), and what is kept of the fine structure.
    """
    change = stored.astype(float) - images
    squares = change**2
    outside = [
        part[outside_body(image)].sum() / max(part.sum(), 1e-9)
        for part, image in zip(squares, images, strict=True)
    ]
    kept = [cosine(_fine(a), _fine(b)) for a, b in zip(images, stored, strict=True)]
    return (
        f"{np.median((np.abs(change) > CHANGED).mean((1, 2))):.1%}",
        f"{np.mean(outside):.1%}",
        f"{np.median(kept):.3f}",
    )


def _fine(image: np.ndarray) -> np.ndarray:
    fine = image - gaussian_filter(image.astype(float), FINE)
    return fine - fine.mean()


def moved_changes(images: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """(3, n, H, W) uint8: the same changes half an image away, down, across and both."""
    change, (height, width) = stored.astype(float) - images, images.shape[1:]
    moves = [(height // 2, 0), (0, width // 2), (height // 2, width // 2)]
    return np.stack(
        [np.clip(images + np.roll(change, move, (1, 2)), 0, 255).astype(np.uint8) for move in moves]
    )


def opacity_left(
    shown: np.ndarray, clear: np.ndarray, masks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For images (n, H, W) of bodies whose `clear` pictures are known, the mean rise inside the
    mask; the standard deviation of the clear body there; and that of its texture there, what is
    left of it after a Gaussian of TEXTURE pixels is taken off.
    """
    rise = np.array(
        [(a.astype(float) - b)[m].mean() for a, b, m in zip(shown, clear, masks, strict=True)]
    )
    spread = np.array([b[m].astype(float).std() for b, m in zip(clear, masks, strict=True)])
    texture = np.array(
        [
            (b - gaussian_filter(b.astype(float), TEXTURE))[m].std()
            for b, m in zip(clear, masks, strict=True)
        ]
    )
    return rise, spread, texture


def removal(
    images: np.ndarray, stored: np.ndarray, clear: np.ndarray, masks: np.ndarray
) -> tuple[str, ...]:
    """Before and after: share of the opacities within one standard deviation of the healthy body,
    within one of its texture alone, and the mean rise.
    """
    (before, spread, texture), (after, _, _) = (
        opacity_left(images, clear, masks),
        opacity_left(stored, clear, masks),
    )
    shares = [
        f"{(np.abs(before) <= sd).mean():.2f} to {(np.abs(after) <= sd).mean():.2f}"
        for sd in (spread, texture)
    ]
    return *shares, f"{before.mean():.1f} to {after.mean():.1f}"

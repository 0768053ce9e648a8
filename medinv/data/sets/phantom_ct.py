"""Generated CT of a simulated thorax, as volumes: clear, or with opacities in the lungs.

Scanned hardly finer than a network reads it: of one body a finer scan, averaged, is nearly the
same. What becomes of a DICOM series of the same scan when it is classified is the same, bit by bit.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from medinv.config import PhantomCtData
from medinv.data.dicom.grey import window
from medinv.data.phantoms import TEST_SEED, TRAIN_SEED, VALIDATION_SEED, Recipe, draw
from medinv.data.phantoms.ct import Scanner, Volume, volume
from medinv.data.phantoms.radiograph import stream
from medinv.data.phantoms.record import Phantom
from medinv.data.resize import resize_volume
from medinv.data.sets.labelled import DataSet, LabelledImages, Part, Progress

LUNG = (-600.0, 1500.0)
"""Centre and width of the window that generated series state first, HU."""
SLICES, FIELD, LENGTH = (12, 30), (36.0, 44.0), (22.0, 26.0)
"""Fewest and most slices of a scan; its square's side and its length, cm in an adult's frame."""
NOISE, GAPS = (3.0, 14.0), (1 / 3, 1.0)
"""HU; thickness of a slice, of the distance between slices."""
POINTS = 6
CHUNK = 16
"""Bodies that a process scans at a time."""
WORTH = 50
"""Bodies for which a process is worth its start."""
INTAKE = (
    "lossy: display grey levels of one window a volume, each axis resized by area averages, "
    "rounded to 8 bits"
)


@dataclass(frozen=True)
class Scan:
    """The network inputs (1, *size) uint8 of one body with and without its opacities; where in them
    opacities and aerated lung are, (1, *size) uint8 0 or 255; and whether a slice shows an opacity:
    what lies between two slices is not in the volume.
    """

    shown: np.ndarray
    clear: np.ndarray
    mask: np.ndarray
    lungs: np.ndarray
    visible: bool


def load_phantom_ct(settings: PhantomCtData, progress: Progress) -> LabelledImages:
    """Training bodies with and without their opacities; validation and test bodies as they come."""
    training, validation, test = settings.counts
    progress(
        f"scanning {training} bodies for training, {validation} for validation, {test} for testing"
    )
    return LabelledImages(
        _pairs(training, settings.size),
        _bodies(validation, settings.size, VALIDATION_SEED),
        _bodies(test, settings.size, TEST_SEED),
    )


def scanned(phantom: Phantom, side: int) -> Volume:
    """A body in a scanner of its own: slices with or without gaps, the square somewhat larger or
    smaller, `side` pixels wide or a third more.
    """
    rng = stream(phantom, 6)
    slices, wide = int(rng.integers(SLICES[0], SLICES[1] + 1)), bool(rng.integers(2))
    field, length, noise = (float(rng.uniform(*bounds)) for bounds in (FIELD, LENGTH, NOISE))
    scanner = Scanner(field, length, GAPS[int(rng.integers(2))], noise, POINTS)
    return volume(phantom, slices, side * 4 // 3 if wide else side, scanner)


def network_inputs(scan: Volume, size: tuple[int, ...]) -> Scan:
    """What a network of volumes is given of a scan. Raises ShapeError for a size that is none."""
    mask, lungs = (
        np.where(resize_volume(part.astype(np.uint8) * 255, size) > 127, 255, 0).astype(np.uint8)
        for part in (scan.mask, scan.lungs)
    )
    shown, clear = (resize_volume(_levels(hu), size) for hu in (scan.hu, scan.clear))
    return Scan(shown, clear, mask, lungs, bool(scan.mask.any()))


def _levels(hu: np.ndarray) -> np.ndarray:
    shown = window(hu.astype(np.float64), *LUNG)
    return np.rint((np.zeros(hu.shape) if shown is None else shown) * 255.0).astype(np.uint8)


def _scan(index: int, seed: int, size: tuple[int, ...], recipe: Recipe = Recipe()) -> Scan:
    return network_inputs(scanned(draw(seed, index, recipe), size[-1]), size)


def _scans(numbers: range, seed: int, size: tuple[int, ...], recipe: Recipe) -> Iterable[Scan]:
    """Bodies of a seed, in order; many are shared among the processor's cores, where a process can
    be forked: what a body looks like depends on no other.
    """
    scan = partial(_scan, seed=seed, size=size, recipe=recipe)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    cores = min(cores, len(numbers) // WORTH)
    return map(scan, numbers) if cores < 2 else _shared(scan, numbers, cores)


def _shared(scan: "partial[Scan]", numbers: range, cores: int) -> Iterator[Scan]:
    with multiprocessing.get_context("fork").Pool(cores, _in_a_worker) as pool:
        yield from pool.imap(scan, numbers, CHUNK)


def _in_a_worker() -> None:
    """Ctrl-C is for the process that waits, which ends these, without a word of theirs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _pairs(count: int, size: tuple[int, ...]) -> Part:
    """Bodies whose opacity shows, each twice, without and with it, all else the same.

    The label is then told by the opacity alone. Masks, here and below, are those of the lungs.
    """
    scans, patients, numbers = list[Scan](), list[int](), range(count)
    while numbers:
        drawn = _scans(numbers, TRAIN_SEED, size, Recipe(opacity_share=1.0))
        for index, scan in zip(numbers, drawn, strict=True):
            if scan.visible:
                scans.append(scan)
                patients.append(TRAIN_SEED * 1_000_000 + index)
        numbers = range(numbers.stop, numbers.stop + count - len(scans))
    images = np.stack([image for scan in scans for image in (scan.clear, scan.shown)])
    masks = np.repeat(np.stack([scan.lungs for scan in scans]), 2, axis=0)
    return Part(images, np.tile([0, 1], count), np.repeat(patients, 2), masks=masks)


def _bodies(count: int, size: tuple[int, ...], seed: int) -> Part:
    """Every body of a seed once, about half with opacities."""
    scans = list(_scans(range(count), seed, size, Recipe()))
    return Part(
        np.stack([scan.shown for scan in scans]),
        np.array([scan.visible for scan in scans], np.int64),
        seed * 1_000_000 + np.arange(count),
        masks=np.stack([scan.lungs for scan in scans]),
    )


PHANTOM_CT = DataSet(PhantomCtData, load_phantom_ct, intake=INTAKE)

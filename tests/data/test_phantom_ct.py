"""Generated volumes: a network is trained on what intake makes of the same scan as DICOM."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medinv.config import PhantomCtData
from medinv.data.dicom.index import index
from medinv.data.phantoms import TEST_SEED, TRAIN_SEED, Recipe, draw
from medinv.data.phantoms.dicom import ct_datasets
from medinv.data.sets.load import load_images
from medinv.data.sets.phantom_ct import network_inputs, scanned
from medinv.data.volume import read_volume

SIZE = (16, 20, 20)
OPAQUE = Recipe(1.0, 0.0, ("consolidation",))


def test_the_set_holds_what_a_series_of_the_same_scan_becomes(tmp_path: Path) -> None:
    for number in range(2):
        phantom = draw(TEST_SEED, number, OPAQUE)
        scan = scanned(phantom, SIZE[-1])
        folder = tmp_path / str(number)
        folder.mkdir()
        for k, dataset in enumerate(ct_datasets(phantom, scan)):
            dataset.save_as(folder / f"{k}.dcm", enforce_file_format=True)
        read = read_volume(list(index([folder]).instances), SIZE)
        assert np.array_equal(read, network_inputs(scan, SIZE).shown)


def test_bodies_differ_by_their_opacity_alone_and_stand_in_one_part() -> None:
    data = load_images(PhantomCtData(size=SIZE, counts=(3, 4, 4)))
    clear, ill = data.train.images[0::2].astype(int), data.train.images[1::2].astype(int)
    assert np.array_equal(data.train.labels, [0, 1] * 3)
    for without, shown, lungs in zip(clear, ill, data.train.masks[0::2], strict=True):
        changed = np.abs(shown - without) > 4
        assert changed.any() and not (changed & ~_grown(lungs > 127)).any()
    again = load_images(PhantomCtData(size=SIZE, counts=(3, 4, 4)))
    assert again.sha256() == data.sha256()
    assert len(np.unique(np.concatenate([p.patients for p in (data.train, data.test)]))) == 3 + 4


def test_a_clear_twin_is_the_scan_of_the_body_without_its_opacities() -> None:
    phantom = draw(TRAIN_SEED, 5, OPAQUE)
    with_, without = (scanned(one, 20) for one in (phantom, replace(phantom, opacities=())))
    assert np.array_equal(with_.clear, without.hu) and with_.mask.any() and not without.mask.any()
    dense = (with_.hu - with_.clear)[with_.mask]
    assert np.median(dense) > 100  # HU: the mask lies where the opacity is


def _grown(mask: np.ndarray) -> np.ndarray:
    """With a voxel of margin: partial volume."""
    from scipy.ndimage import binary_dilation

    return binary_dilation(mask, np.ones((1, 3, 3, 3)), iterations=2)


def test_many_bodies_scanned_by_several_processes_are_those_of_one(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    few = PhantomCtData(size=(16, 16, 16), counts=(4, 3, 3))
    monkeypatch.setattr("medinv.data.sets.phantom_ct.WORTH", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    before = signal.signal(signal.SIGTERM, lambda *_: os.write(2, b"ended"))  # as commands have one
    try:
        several = load_images(few)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr().err == ""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
    assert load_images(few).sha256() == several.sha256()

"""A reference is bound to its model by hashes, and comes with it from the folder it lies in."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medinv.errors import IntegrityError, ModelError
from medinv.models.reference import (
    CASES,
    FACTS,
    Reference,
    ReferenceMetadata,
    load_reference,
    read_reference,
    save_reference,
)
from medinv.models.region import Template
from medinv.models.transport import Transport

METADATA = ReferenceMetadata(
    weights_sha256="abc",
    cases_sha256="",
    training_set="tiny",
    cases=3,
    axes=2,
    recovered_least_squares=0.2,
    recovered_network=0.1,
    recovered_best_axes=0.5,
    agreement=0.5,
    agreement_chance=0.5,
    rms_nearest=1.0,
    rms_chance=2.0,
    typical_distance=(0.5, 1.0),
)
REFERENCE = Reference(
    axes=torch.eye(2, 4),
    offset=torch.tensor([1.0, 0.0]),
    scale=torch.tensor([2.0, 1.0]),
    points=torch.zeros(3, 2),
    labels=torch.tensor([0, 1, 1]),
    class_means=torch.zeros(2, 1, 4, 4),
    states={"level 1, layer 1: Haar": torch.ones(4, 2, 2)},
    metadata=METADATA,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a reference of three cases."""
    save_reference(tmp_path, REFERENCE)
    return tmp_path


def test_what_is_written_comes_back(folder: Path) -> None:
    reference = load_reference(folder, "abc")
    assert reference.labels.tolist() == [0, 1, 1] and reference.points.dtype == torch.float32
    assert list(reference.states) == ["level 1, layer 1: Haar"]
    coarse = torch.tensor([[[3.0, 5.0]], [[1.0, 1.0]]]).reshape(1, 4)
    assert torch.equal(reference.project(coarse), torch.tensor([[1.0, 5.0]]))


def test_how_the_classes_differ_comes_back_where_it_was_fitted(folder: Path) -> None:
    assert load_reference(folder, "abc").transport is None
    moves = Transport(torch.eye(4, 2), torch.ones(2, 4), torch.zeros(2, 2, 2))
    save_reference(folder, replace(REFERENCE, transport=moves))
    loaded = load_reference(folder, "abc").transport
    assert torch.equal(loaded.axes, torch.eye(4, 2)) and loaded.maps.shape == (2, 2, 2)


def test_the_region_comes_back_where_the_model_keeps_one(folder: Path) -> None:
    assert load_reference(folder, "abc").region is None
    kept = Template(torch.arange(16.0).reshape(4, 4), torch.eye(4))
    save_reference(folder, replace(REFERENCE, region=kept))
    region = load_reference(folder, "abc").region
    assert torch.equal(region.film, kept.film) and torch.equal(region.mask, kept.mask)


def test_a_changed_file_or_another_model_is_refused(folder: Path) -> None:
    with pytest.raises(IntegrityError, match="belong together"):
        load_reference(folder, "other")
    data = bytearray((folder / CASES).read_bytes())
    data[-1] ^= 1
    (folder / CASES).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="belong together"):
        load_reference(folder, "abc")
    (folder / FACTS).write_text("{}")
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_reference(folder, "abc")


def test_a_missing_reference_is_said_in_a_sentence(folder: Path) -> None:
    (folder / FACTS).unlink()
    with pytest.raises(ModelError, match="medinv train"):
        load_reference(folder, "abc")
    reference, missing = read_reference(folder, "abc")
    assert reference is None and "no reference" in missing

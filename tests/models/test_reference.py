"""An index of cases is bound to its model by hashes."""

import json

import pytest
import torch
from safetensors.torch import load as load_tensors

from medinv.errors import IntegrityError, ModelNotFoundError
from medinv.models.reference import CASES, FACTS, TRANSPORT, USUAL, CaseFacts, load_cases, save_cases
from medinv.models.store import CARD

FACT = dict(
    weights_sha256="abc", cases_sha256="", training_set="tiny", cases=3, axes=2, recovered_least_squares=0.2, recovered_network=0.1, recovered_best_axes=0.5,
    agreement=0.5, agreement_chance=0.5, rms_nearest=1.0, rms_chance=2.0, typical_distance=(0.5, 1.0),
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A model folder with an index of three cases; its card holds the weights' hash alone."""
    (tmp_path / CARD).write_text(json.dumps({"weights_sha256": "abc"}))
    tensors = {
        "axes": torch.eye(2, 4), "offset": torch.tensor([1.0, 0.0]), "scale": torch.tensor([2.0, 1.0]), "points": torch.zeros(3, 2).half(),
        "labels": torch.tensor([0, 1, 1], dtype=torch.uint8), "class_means": torch.zeros(2, 1, 4, 4), USUAL + "level 1, layer 1: Haar": torch.ones(4, 2, 2),
    }  # fmt: skip
    save_cases(tmp_path, tensors, CaseFacts(**FACT))
    return tmp_path


def test_what_is_written_comes_back(folder) -> None:
    kept = load_cases(folder)
    assert (
        kept.labels.tolist() == [0, 1, 1]
        and kept.points.dtype == torch.float32
        and list(kept.usual) == ["level 1, layer 1: Haar"]
    )
    assert torch.equal(
        kept.project(torch.tensor([[[3.0, 5.0]], [[1.0, 1.0]]]).reshape(1, 4)),
        torch.tensor([[1.0, 5.0]]),
    )


def test_how_the_classes_differ_comes_back_where_it_was_kept(folder) -> None:
    assert load_cases(folder).transport is None
    tensors = load_tensors((folder / CASES).read_bytes())
    parts = {
        "axes": torch.eye(4, 2).half(),
        "centres": torch.ones(2, 4),
        "maps": torch.zeros(2, 2, 2),
    }
    save_cases(
        folder,
        tensors | {TRANSPORT + name: part for name, part in parts.items()},
        CaseFacts(**FACT),
    )
    kept = load_cases(folder).transport
    assert torch.equal(kept.axes, torch.eye(4, 2)) and kept.maps.shape == (2, 2, 2)


def test_a_changed_file_or_another_model_is_refused(folder) -> None:
    (folder / CARD).write_text(json.dumps({"weights_sha256": "other"}))
    with pytest.raises(IntegrityError, match="belong together"):
        load_cases(folder)
    (folder / CARD).write_text(json.dumps({"weights_sha256": "abc"}))
    data = bytearray((folder / CASES).read_bytes())
    data[-1] ^= 1
    (folder / CASES).write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="belong together"):
        load_cases(folder)
    (folder / FACTS).write_text("{}")
    with pytest.raises(IntegrityError, match="cannot be read"):
        load_cases(folder)


def test_a_model_without_an_index_says_so(folder) -> None:
    (folder / FACTS).unlink()
    with pytest.raises(ModelNotFoundError, match="case_index"):
        load_cases(folder)

"""Images that are laid out otherwise are told from those of the model's kind, and say why."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from medinv.analysis.infer import predict
from medinv.errors import IntegrityError
from medinv.models.layout import fit_layout
from medinv.models.store import keep_layout, load, locate, read_card


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    """Two dark fields in a bright one, of varying place, brightness and grain (n, 1, 64, 64)."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64] / 64
    made = np.empty((1000, 1, 64, 64))
    for image in made:
        down, right = generator.normal(0, 0.02, 2)
        fields = sum(
            np.exp(-(((rows - 0.5 - down) / 0.25) ** 2 + ((columns - at - right) / 0.15) ** 2))
            for at in (0.3, 0.7)
        )
        level, grain = generator.uniform(0.9, 1.1), generator.uniform(4, 8)
        image[0] = level * (180 - 120 * fields - 60 * rows) + generator.normal(0, grain, (64, 64))
    return made.clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def layout(films):
    return fit_layout(films[:800], films[800:900])


def test_what_lies_otherwise_is_flagged_and_what_does_not_is_not(layout, films) -> None:
    fresh = torch.from_numpy(films[900:])
    share = {
        "as they are": layout.flagged(fresh),
        "upside down": layout.flagged(fresh.flip(2)),
        "quarter turn": layout.flagged(fresh.rot90(1, (2, 3))),
        "half of it gone": layout.flagged(torch.cat([fresh[:, :, :32], 0 * fresh[:, :, 32:]], 2)),
    }
    assert share["as they are"].float().mean() <= 0.06
    assert all(share[name].float().mean() > 0.9 for name in list(share)[1:])


def test_reasons_are_given_where_an_image_is_flagged(layout, films) -> None:
    fresh = torch.cat([torch.from_numpy(films[900:910]), torch.from_numpy(films[900:910]).flip(2)])
    said = layout.objections(fresh)
    assert [bool(reasons) for reasons in said] == layout.flagged(fresh).tolist()
    assert any("upside down" in reason for reason in said[-1])


def test_few_images_and_volumes_have_none(films) -> None:
    assert fit_layout(films[:100], films[:50]) is None
    assert fit_layout(np.zeros((900, 1, 8, 8, 8), np.uint8), films) is None


def test_a_model_keeps_its_layout_and_judges_by_it(tmp_path: Path, layout, films) -> None:
    folder = shutil.copytree(locate("phantom-opacity"), tmp_path / "model")
    keep_layout(folder, layout)
    model = load(folder)
    said = predict(model, [films[900], films[900, :, ::-1].copy()])
    assert not said[0].layout and "upside down" in " ".join(said[1].layout)
    path = folder / "layout.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(IntegrityError, match="layout"):
        load(folder)
    assert read_card(folder).layout_sha256 and read_card(folder).audit is None

"""Images that are laid out otherwise are told from those of the model's kind, and say why."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from medinv.analysis.infer import predict
from medinv.errors import IntegrityError
from medinv.models.layout import Layout, fit_layout, serialise_layout
from medinv.models.store import keep_layout, load, locate, read_card


@pytest.fixture(scope="module")
def films() -> np.ndarray:
    """Two dark fields in a bright one, the left one wider, of varying place, brightness and grain
    (n, 1, 64, 64)."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64] / 64
    made = np.empty((1000, 1, 64, 64))
    for image in made:
        down, right = generator.normal(0, 0.02, 2)
        fields = sum(
            np.exp(-(((rows - 0.5 - down) / 0.25) ** 2 + ((columns - at - right) / wide) ** 2))
            for at, wide in ((0.3, 0.15), (0.7, 0.11))
        )
        level, grain = generator.uniform(0.9, 1.1), generator.uniform(4, 8)
        image[0] = level * (180 - 120 * fields - 60 * rows) + generator.normal(0, grain, (64, 64))
    return made.clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def layout(films):
    return fit_layout(films[:800], films[800:900], steps=300)


def _flagged(layout: Layout, images: torch.Tensor, other: int = 1) -> torch.Tensor:
    """Whether each gets no label, where class 0 is called and mirrored images are `other`."""
    called = torch.zeros(len(images)).long()
    looked = layout.look_at(images, called, lambda some: torch.tensor([other] * len(some)))
    return torch.tensor([bool(one.objections) for one in looked])


def test_what_lies_otherwise_is_flagged_and_what_does_not_is_not(layout, films) -> None:
    fresh = torch.from_numpy(films[900:])
    share = {
        "as they are": _flagged(layout, fresh),
        "upside down": _flagged(layout, fresh.flip(2)),
        "mirrored": _flagged(layout, fresh.flip(3)),
        "quarter turn": _flagged(layout, fresh.rot90(1, (2, 3))),
        "its middle alone": _flagged(layout, fresh[:, :, 12:-12, 12:-12]),
        "half of it gone": _flagged(layout, torch.cat([fresh[:, :, :32], 0 * fresh[:, :, 32:]], 2)),
    }
    assert share["as they are"].float().mean() <= 0.06
    assert all(share[name].float().mean() > 0.9 for name in list(share)[1:])


def test_reasons_are_given_where_an_image_is_flagged(layout, films) -> None:
    fresh = torch.from_numpy(films[900:910])
    changed = {
        "mirrored": fresh.flip(3),
        "upside down": fresh.flip(2, 3),
        "turned by a quarter": fresh.rot90(3, (2, 3)),
        "cut out of a larger one": fresh[:, :, :32].repeat_interleave(2, 2),
    }
    for change, images in changed.items():
        both = torch.cat([fresh, images])
        looked = layout.look_at(both, torch.zeros(20).long(), lambda some: torch.tensor([1]))
        looks = [any(change in reason for reason in one.objections) for one in looked]
        assert sum(looks[:10]) == 0 and sum(looks[10:]) >= 9


def test_a_mirrored_image_called_the_same_the_other_way_round_keeps_its_label(
    layout, films
) -> None:
    mirrored = torch.from_numpy(films[900:910]).flip(3)
    asked: list[torch.Tensor] = []

    def call(images: torch.Tensor) -> torch.Tensor:
        asked.append(images)
        return torch.tensor([len(asked) % 2])

    looked = layout.look_at(mirrored, torch.zeros(10).long(), call)
    assert torch.equal(torch.cat(asked), mirrored.flip(3))  # as the film was taken
    assert ["mirrored" in " ".join(one.objections) for one in looked] == [True, False] * 5
    assert [one.remarks != () for one in looked] == [False, True] * 5


def test_exposure_and_levels_do_not_count_for_the_pose(layout, films) -> None:
    fresh = torch.from_numpy(films[900:910]).double()
    poses = layout.pose(fresh)
    assert torch.allclose(layout.pose(257 * fresh + 100), poses, atol=1e-3)
    assert bool((layout.pose(255 * (fresh / 255) ** 1.3)[:, 0] >= layout.least_as_is).all())


def test_images_without_an_upright_position_are_not_called_turned() -> None:
    """Of noise no pose can be told, and none is."""
    noise = np.random.default_rng(0).integers(0, 256, (1000, 1, 32, 32)).astype(np.uint8)
    layout = fit_layout(noise[:800], noise[800:900], steps=60)
    assert layout is not None
    turned = torch.from_numpy(noise[900:]).flip(2)
    assert _flagged(layout, turned).float().mean() <= 0.1


def test_an_image_likelier_as_it_is_than_changed_is_in_scope(layout) -> None:
    """However sure those of validation are."""
    assert layout.least_as_is.exp().item() <= 0.5


def test_the_same_images_give_the_same_layout(films) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (fit_layout(films[:800], films[800:900], steps=20) for _ in range(2))
    assert first is not None and second is not None
    assert serialise_layout(first) == serialise_layout(second)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_few_images_and_volumes_have_none(films) -> None:
    assert fit_layout(films[:100], films[:50]) is None
    assert fit_layout(np.zeros((900, 1, 8, 8, 8), np.uint8), films) is None


def test_a_model_keeps_its_layout_and_judges_by_it(tmp_path: Path, layout, films) -> None:
    folder = shutil.copytree(locate("phantom-opacity"), tmp_path / "model")
    keep_layout(folder, layout)
    model = load(folder)
    said = predict(model, [films[900], films[900, :, ::-1].copy()])
    assert not said[0].layout.objections
    assert "upside down" in " ".join(said[1].layout.objections)
    path = folder / "layout.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(IntegrityError, match="layout"):
        load(folder)
    assert read_card(folder).layout_sha256 and read_card(folder).audit is None

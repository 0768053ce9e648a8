"""Films composed in training: the lungs are found where they are, and the label follows them."""

import numpy as np
import pytest
import torch
from chests import SIZE, chests, ellipses
from torch import Tensor

from medinv.config import ComposeConfig
from medinv.data.compose import Composer
from medinv.data.compose.findings import BRIGHTEST, SHAPES, patch, rise
from medinv.data.compose.images import bent, blur, grow, moved
from medinv.data.compose.lungs import fit_template
from medinv.errors import ConfigError
from medinv.models.region import at_places, onto

QUIET = {
    "gamma": 0.0,
    "blurred": 0.0,
    "noise": 0.0,
    "turn": 0.0,
    "zoom": 0.0,
    "shift": 0.0,
    "outside": 0.0,
    "blank_surround": 0.0,
    "blank_lungs": 0.0,
}


def composer(**recipe: float) -> tuple[Composer, Tensor]:
    films, labels, lungs = chests(60)
    return Composer(films, labels, ComposeConfig(**({"films": 16} | QUIET | recipe))), lungs


def overlap(first: Tensor, second: Tensor) -> float:
    first, second = first > 0.5, second > 0.5
    return (2 * (first & second).sum() / (first.sum() + second.sum())).item()


def test_lungs_are_found_in_films_that_the_template_never_saw() -> None:
    films, labels, _ = chests(60)
    template = fit_template(films.float(), labels)
    others, _, lungs = chests(20, seed=1)
    found = at_places(template.mask, template.place(others.float()))[:, 0]
    scores = [overlap(*pair) for pair in zip(found, lungs, strict=True)]
    still = [overlap(template.mask, one) for one in lungs]
    assert min(scores) > 0.6
    assert np.mean(scores) > max(0.8, np.mean(still) + 0.05)


def test_the_masks_of_a_set_say_where_the_region_lies_and_wandering_ones_are_refused() -> None:
    films, labels, lungs = chests(60)
    hearts = 255 * (1 - (lungs > 0.5).to(torch.uint8))[:, None]  # all but the lungs
    template = fit_template(films.float(), labels, hearts)
    assert overlap(template.mask, 1 - fit_template(films.float(), labels).mask) > 0.85
    spots = torch.zeros_like(hearts)
    for number, spot in enumerate(spots):
        spot[0, number % SIZE, number * 7 % SIZE] = 255
    with pytest.raises(ConfigError, match="another place in each image"):
        Composer(films, labels, ComposeConfig(), spots)


def test_a_film_moved_onto_another_has_its_lungs_there() -> None:
    films, labels, _ = chests(60)
    template = fit_template(films.float(), labels)
    places = template.place(films.float())
    moving = onto(films[:30].float(), places[:30], places[30:])
    again = template.place(moving)
    before = (places[:30] - places[30:]).abs().mean()
    assert (again - places[30:]).abs().mean() < before / 2


def test_other_peoples_normal_films_are_composed_with_and_make_nothing_else() -> None:
    films, labels, _ = chests(60)
    others = torch.full_like(films[:20], 250)
    recipe = {"films": 16, "exchange": 0.0, "inside": 0.0, "patched": 0.0, "sham": 0.0}
    alone, both = (
        Composer(films, labels, ComposeConfig(**(QUIET | recipe)), others=more)
        for more in (None, others)
    )
    assert torch.equal(alone.region.mask, both.region.mask)
    assert torch.equal(alone.mean, both.mean) and torch.equal(alone.shares, both.shares)
    generator = torch.Generator().manual_seed(0)
    made = [both.batch(generator) for _ in range(20)]
    white = torch.cat([some.images.mean((1, 2, 3)) for some in made]) > 200
    ill = torch.cat([some.targets[:, 1] for some in made]) > 0.5
    assert not ill[white].any()
    share = 20 / (20 + (labels == 0).sum().item())
    assert white[~ill].float().mean().item() == pytest.approx(share, abs=0.1)


def test_other_peoples_ill_films_lend_patches_to_their_own_kind_alone() -> None:
    films, labels, _ = chests(60)
    others, ill = torch.full_like(films[:20], 60), torch.full_like(films[:20], 250)
    made = Composer(films, labels, ComposeConfig(**QUIET), others=others, ill=ill)
    generator, middle = torch.Generator().manual_seed(0), (SIZE // 2, SIZE // 2)
    for row in range(0, 80, 5):
        lent = {round(made._other(row, 1, generator)[middle].item()) for _ in range(9)}
        assert (lent == {250}) if row >= 60 else (250 not in lent)
    drawn = torch.cat([made._draw(16, generator) for _ in range(20)])
    assert (drawn < 80).all()  # their ill films themselves are never shown


def test_another_surround_changes_neither_lungs_nor_label() -> None:
    made, _ = composer(exchange=1.0, inside=0.0, patched=0.0, sham=0.0, normal=0.5)
    drawn = made._draw(16, torch.Generator().manual_seed(0))
    batch = made.batch(torch.Generator().manual_seed(0))
    lungs, wide = made.masks(made.places[drawn])
    own = made.films[drawn].float()
    change = (batch.images - own).abs()
    assert batch.targets.tolist() == torch.eye(2)[made.labels[drawn]].tolist()
    core = lungs * (wide > 0.999)
    gain = 26  # of exposure: up to a tenth and ten grey levels
    assert (change * core).max() < gain
    assert (change * (wide < 0.01)).mean() > 3


@pytest.mark.parametrize("kind", ["inside", "patched"])
def test_a_finding_in_the_lungs_makes_a_normal_film_ill(kind: str) -> None:
    shares = {"inside": 0.0, "patched": 0.0, "sham": 0.0, "exchange": 0.0} | {kind: 1.0}
    made, _ = composer(normal=1.0, **shares)
    batch = made.batch(torch.Generator().manual_seed(0))
    assert batch.targets[:, 1].tolist() == [1.0] * 16


def test_a_part_of_another_normal_film_leaves_it_normal() -> None:
    made, _ = composer(normal=1.0, inside=0.0, patched=0.0, sham=1.0, exchange=0.0)
    batch = made.batch(torch.Generator().manual_seed(0))
    assert batch.targets[:, 0].tolist() == [1.0] * 16


def test_mirrored_films_keep_their_labels() -> None:
    made, _ = composer(mirrored=1.0, inside=0.0, patched=0.0, sham=0.0, exchange=0.0)
    drawn = made._draw(16, torch.Generator().manual_seed(0))
    batch = made.batch(torch.Generator().manual_seed(0))
    own = made.films[drawn].float()
    assert batch.targets.tolist() == torch.eye(2)[made.labels[drawn]].tolist()
    gain = 36  # of exposure: up to a tenth and ten grey levels
    assert (batch.images - own.flip(3)).abs().max() < gain
    assert (batch.images - own).abs().max() > gain


def test_of_a_film_without_lungs_nothing_is_known() -> None:
    made, _ = composer(blank_lungs=1.0, exchange=0.0)
    batch = made.batch(torch.Generator().manual_seed(0))
    assert torch.allclose(batch.targets, torch.tensor([0.5, 0.5]).expand(16, 2))


def test_steady_answers_are_asked_for_by_pairs_with_the_same_lungs() -> None:
    made, _ = composer(exchange=1.0, steady=0.1)
    batch = made.batch(torch.Generator().manual_seed(0))
    assert torch.equal(batch.targets[0::2], batch.targets[1::2])
    drawn = made._draw(8, torch.Generator().manual_seed(0))
    lungs, wide = made.masks(made.places[drawn])
    differ = (batch.images[0::2] - batch.images[1::2]).abs()
    gain = 52  # of either exposure: up to a tenth and ten grey levels
    assert (differ * lungs * (wide > 0.999)).max() < gain
    assert (differ * (wide < 0.01)).mean() > 3


def test_composed_films_are_grey_levels_and_the_same_seed_makes_the_same() -> None:
    films, labels, _ = chests(60)
    made = Composer(films, labels, ComposeConfig(films=16))
    first, again, other = (made.batch(torch.Generator().manual_seed(k)) for k in (1, 1, 2))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.images.shape == (16, 1, SIZE, SIZE)
    assert first.images.min() >= 0 and first.images.max() <= 255


@pytest.mark.parametrize("name", list(SHAPES))
def test_shapes_stay_in_their_region_and_are_seen(name: str) -> None:
    region, generator = ellipses(0.0, 0.0, 1.0), torch.Generator().manual_seed(0)
    shapes = torch.stack([SHAPES[name][1](region, generator) for _ in range(20)])
    assert (shapes * (1 - region)).abs().max() == 0
    assert shapes.min() >= 0 and shapes.max() <= 1
    assert (shapes.flatten(1).max(1).values > 0.3).all()


def test_a_finding_brightens_no_bone() -> None:
    film = torch.full((SIZE, SIZE), 100.0)
    film[:10] = 240.0
    shape = torch.ones(SIZE, SIZE)
    made = rise(film, shape, 200.0, torch.Generator().manual_seed(0))
    assert torch.equal(made[:10], film[:10])
    assert made[10:].max() == BRIGHTEST


def test_a_patch_has_the_exposure_of_the_film_around_it() -> None:
    film, shape = 20 * torch.randn(SIZE, SIZE) + 120, torch.zeros(SIZE, SIZE)
    shape[20:40, 20:40] = 1
    other = 1.3 * film - 40  # the same film, otherwise exposed
    assert (patch(film, shape, other, 1 - shape) - film).abs().max() < 1.0


def test_masks_grow_blur_and_turn_as_told() -> None:
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., 32, 32] = 1
    assert grow(mask, 2 / SIZE).sum() == 25
    assert blur(mask, 2 / SIZE).sum() == pytest.approx(1, abs=1e-4)
    image = torch.rand(1, 1, SIZE, SIZE)
    quarter = moved(image, torch.tensor([torch.pi / 2]), torch.ones(1), torch.zeros(1, 2))
    assert torch.allclose(quarter, image.rot90(-1, (2, 3)), atol=1e-3) or torch.allclose(
        quarter, image.rot90(1, (2, 3)), atol=1e-3
    )


def test_shares_of_one_whole_may_not_exceed_it() -> None:
    with pytest.raises(ValueError, match="neither may exceed 1"):
        ComposeConfig(inside=0.8, sham=0.3)


def test_mixed_films_show_the_lungs_of_two_of_one_label_in_the_surround_of_one() -> None:
    films, labels, lungs = chests(60)
    grey = 30 * (torch.arange(60) % 4 < 2)[:, None, None] * lungs  # of either label half
    films = (films + grey[:, None]).clamp(0, 255).to(torch.uint8)
    recipe = QUIET | {"films": 16, "exchange": 0.0, "inside": 0.0, "patched": 0.0, "sham": 0.0}
    changed = []
    for mixed in (0.0, 1.0):
        maker = Composer(films, labels, ComposeConfig(**recipe, normal=1.0, mixed=mixed))
        made = maker.batch(torch.Generator().manual_seed(3))
        assert (made.targets[:, 0] == 1).all()
        wide = maker.masks(maker.places)[1]
        fits = [best_fit(film, maker.films.float(), wide) for film in made.images]
        assert max(fit[0] for fit in fits) < 6  # the noise of the drawn films
        changed.append(np.mean([fit[1] for fit in fits]))
    assert changed[1] > changed[0] + 4


def best_fit(film: Tensor, films: Tensor, wide: Tensor) -> tuple[float, float]:
    """How far a film lies from the one of `films` (N, 1, H, W) that is like it but for exposure
    outside its lungs `wide` (N, 1, H, W): outside, and in its lungs.
    """
    best = (np.inf, np.inf)
    for other, lungs in zip(films, wide, strict=True):
        out, deep = lungs < 0.01, lungs > 0.9
        design = torch.stack([other[out], torch.ones_like(other[out])], 1)
        gain, offset = torch.linalg.lstsq(design, film[out][:, None]).solution[:, 0]
        far = (gain * other + offset - film).abs()
        best = min(best, (far[out].mean().item(), far[deep].mean().item()))
    return best


def test_bent_films_show_what_they_showed_somewhat_elsewhere() -> None:
    drawing = torch.zeros(1, 1, SIZE, SIZE)
    drawing[..., SIZE // 2 - 2 : SIZE // 2 + 2, SIZE // 2 - 2 : SIZE // 2 + 2] = 200.0
    made = bent(drawing.expand(200, -1, -1, -1), 0.02, torch.Generator().manual_seed(0))
    steps = torch.arange(SIZE).float()
    rows = (made.sum((1, 3)) * steps).sum(1) / made.sum((1, 2, 3))
    assert made.sum((1, 2, 3)).mean().item() == pytest.approx(drawing.sum().item(), rel=0.1)
    assert rows.std().item() == pytest.approx(0.02 * SIZE, rel=0.35)
    assert rows.mean().item() == pytest.approx((SIZE - 1) / 2, abs=0.5)


def test_other_peoples_ill_lungs_are_composed_with_where_the_recipe_says_so() -> None:
    films, labels, _ = chests(60)
    bright = torch.full_like(films[:20], 250)
    recipe = QUIET | {"films": 64, "exchange": 0.0, "normal": 0.0, "negatives_patches": True}
    named = {"negatives": "others", "negatives_sha256": "0" * 64}
    shown = []
    for ill in (False, True):
        settings = ComposeConfig(**(recipe | named), negatives_ill=ill)
        maker = Composer(films, labels, settings, others=films[:8], ill=bright)
        made = maker.batch(torch.Generator().manual_seed(0))
        assert (made.targets[:, 1] == 1).all()
        shown.append((made.images.mean((1, 2, 3)) > 240).float().mean().item())
    assert shown[0] == 0
    assert 0.2 < shown[1] < 0.6  # 20 of 50
    with pytest.raises(ValueError, match="negatives_ill needs negatives_patches"):
        ComposeConfig(negatives_ill=True)


def test_blanked_films_keep_their_surround_and_lose_their_lungs() -> None:
    maker, lungs = composer()
    made = torch.cat(list(maker.blanked(torch.Generator().manual_seed(0))))
    films = maker.films.float()
    wide = maker.masks(maker.places)[1] > 0.01
    assert torch.allclose(made[~wide], films[~wide], rtol=0, atol=3)
    deep = (lungs[:, None] > 0.5) & (maker.masks(maker.places)[1] > 0.99)
    assert (made - films).abs()[deep].mean() > 20

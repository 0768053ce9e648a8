"""The phantom generator: determinism, truth, and physics that can be checked by hand."""

from dataclasses import replace

import numpy as np
import pytest

from medinv.data import phantoms
from medinv.data.phantoms import Anatomy, Exposure, Opacity, Phantom, Recipe, tissue
from medinv.data.phantoms.radiograph import STORED_OFFSET, STORED_PER_LOG, area_resize, radiograph
from medinv.data.phantoms.solids import Span, column, ellipsoid, union_length
from medinv.data.phantoms.tubes import Tube, shadow
from medinv.errors import ConfigError

NODULE = Opacity("nodule", (6.5, 1.0, 2.0), (2.0, 2.0, 2.0), 0.15)


@pytest.fixture(scope="module")
def training() -> phantoms.Radiographs:
    return phantoms.radiographs(24, 64, phantoms.TRAIN_SEED)


def test_an_image_depends_on_its_seed_and_index_alone(training: phantoms.Radiographs) -> None:
    again = phantoms.radiographs(2, 64, phantoms.TRAIN_SEED, start=7)
    assert np.array_equal(again.images, training.images[7:9])
    assert np.array_equal(again.masks, training.masks[7:9])
    assert again.phantoms == training.phantoms[7:9]


def test_sets_of_different_seeds_share_no_image(training: phantoms.Radiographs) -> None:
    seeds = (phantoms.VALIDATION_SEED, phantoms.TEST_SEED, phantoms.SAMPLE_SEED)
    seen = {image.tobytes() for image in training.images}
    for seed in seeds:
        assert seen.isdisjoint(
            image.tobytes() for image in phantoms.radiographs(4, 64, seed).images
        )
    assert len({phantoms.TRAIN_SEED, *seeds}) == 4


def test_masks_and_contrasts_are_there_exactly_where_the_label_is_one(
    training: phantoms.Radiographs,
) -> None:
    sick = training.labels == 1
    assert 0 < sick.sum() < len(sick)
    assert np.array_equal(training.masks.any((1, 2)), sick)
    assert (training.contrasts[sick] > 0).all() and (training.contrasts[~sick] == 0).all()


def test_a_radiograph_looks_like_one(training: phantoms.Radiographs) -> None:
    """Lungs darker than the mediastinum, the abdomen bright, air black,
    hardly a pixel saturated.
    """
    mean = training.images.mean(0)
    lungs, middle = np.concatenate([mean[24:36, 14:24], mean[24:36, 42:50]], 1), mean[24:36, 30:34]
    assert lungs.mean() + 80 < middle.mean()
    assert mean[56:, 20:44].mean() > 150
    assert mean[:6, :6].mean() < 30
    assert (training.images == 255).mean() < 0.02


def test_the_clear_twin_differs_by_the_opacity_alone() -> None:
    sick = Phantom(5, 0, opacities=(NODULE,))
    shot, twin = radiograph(sick, 128), radiograph(sick.clear(), 128)
    assert np.array_equal(shot.clear, twin.stored) and shot.window == twin.window
    far = shot.opacity == 0
    assert np.abs(shot.stored[far].astype(int) - twin.stored[far]).max() <= 1
    assert (shot.stored[shot.mask] > twin.stored[shot.mask]).mean() > 0.99
    assert not twin.mask.any()


def test_the_nodule_adds_its_attenuation_times_its_diameter() -> None:
    """Beer-Lambert by hand: without scatter the log signal rises by
    contrast x 2 radius in the middle.
    """
    bare = Exposure(scatter=0.0, photons=1e9, blur=0.0)
    shot = radiograph(Phantom(5, 1, Anatomy(), bare, (NODULE,)), 256)
    rise = (shot.stored.astype(float) - shot.clear) / STORED_PER_LOG
    row, column_ = (round(127.5 + s * c * 256 / 36) for s, c in ((-1, 2.0), (1, 6.5)))
    assert rise[row, column_] == pytest.approx(0.15 * 4.0, rel=0.03)


def test_a_brick_of_water_would_read_its_thickness() -> None:
    shot = radiograph(
        Phantom(5, 2, Anatomy(fat=1.0), Exposure(scatter=0.0, photons=1e9, blur=0.0)), 128
    )
    liver = (shot.stored[118, 40:50].astype(float).mean() - STORED_OFFSET) / STORED_PER_LOG
    assert 16 < liver / tissue.SOFT < 22, "an adult's upper abdomen is about 19 cm thick"


def test_a_zero_contrast_opacity_is_invisible_and_contrast_orders_visibility() -> None:
    rises = []
    for contrast in (0.0, 0.03, 0.16):
        shot = radiograph(Phantom(5, 3, opacities=(replace(NODULE, contrast=contrast),)), 64)
        rises.append(float((shot.stored.astype(int) - shot.clear).max()))
    assert rises[0] == 0 and rises[0] < rises[1] < rises[2]


def test_opacities_stay_in_aerated_lung() -> None:
    """A blob centred in the heart adds nothing where no lung is on the beam."""
    blob = Opacity("nodule", (0.0, -2.0, -4.0), (1.0, 1.0, 1.0), 0.15)
    assert radiograph(Phantom(5, 4, opacities=(blob,)), 64).opacity.max() == 0


@pytest.mark.parametrize(
    ("side", "zone"), [("left", "upper"), ("right", "lower"), ("left", "middle")]
)
def test_place_obeys_side_and_zone(side: str, zone: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        x, _, z = phantoms.place(rng, Anatomy(), 1.5, side, zone)
        assert (x > 0) == (side == "left")
        assert {"upper": z > 4, "middle": -1.5 < z < 4, "lower": z < -1.5}[zone]


def test_noise_falls_with_dose() -> None:
    """A tenth of the photons: sqrt(10) times the grain, measured against the noiseless image."""
    shots = [
        radiograph(Phantom(5, 5, exposure=Exposure(photons=p)), 128)
        .stored[20:110, 30:100]
        .astype(float)
        for p in (20.0, 200.0, 1e12)
    ]
    few, many = ((shot - shots[2]).std() for shot in shots[:2])
    assert few / many == pytest.approx(np.sqrt(10), rel=0.1)


def test_the_marker_lies_in_the_corner_of_its_side_and_changes_nothing_else() -> None:
    plain = radiograph(Phantom(5, 6), 128).stored.astype(int)
    left = radiograph(Phantom(5, 6, exposure=Exposure(marker="left")), 128).stored.astype(int)
    rows, columns = np.nonzero(left - plain > 200)
    assert rows.size > 10 and rows.max() < 24 and columns.min() > 104
    assert np.abs(left - plain)[40:].max() <= 5


def test_a_recipe_can_plant_a_confounder() -> None:
    drawn = [
        phantoms.draw(9, i, Recipe(marker="left", marker_shares=(0.0, 1.0))) for i in range(12)
    ]
    assert {p.label for p in drawn} == {0, 1}
    assert all((p.exposure.marker == "left") == bool(p.label) for p in drawn)


def test_records_survive_json() -> None:
    phantom = phantoms.draw(9, 3, Recipe(opacity_share=1.0))
    assert Phantom.from_json(phantom.to_json()) == phantom
    with pytest.raises(ConfigError, match="expected the JSON of a Phantom"):
        Phantom.from_json("[1, 2]")


@pytest.mark.parametrize("bad", [{"kind": "mass"}, {"radii": (1.0, 0.0, 1.0)}, {"contrast": -0.1}])
def test_an_impossible_opacity_is_refused(bad: dict) -> None:
    with pytest.raises(ConfigError, match="opacity"):
        replace(NODULE, **bad)


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ConfigError, match="n and size should be at least 1"):
        phantoms.radiographs(0)


def test_chords_of_an_ellipsoid_add_up_to_its_volume() -> None:
    line = np.linspace(-5, 5, 400)
    x, z = np.meshgrid(line, line)
    volume = ellipsoid(x, z, (0.3, 0, -0.2), (3, 2, 4), 0.5).length.sum() * (line[1] - line[0]) ** 2
    assert volume == pytest.approx(4 / 3 * np.pi * 24, rel=1e-3)


def test_the_union_of_solids_equals_counting_along_the_beam() -> None:
    rng = np.random.default_rng(0)
    ends = np.sort(rng.uniform(0, 10, (5, 40, 2)), -1)
    spans = [Span(e[:, 0], e[:, 1]) for e in ends]
    y = (np.arange(20000) + 0.5) / 2000
    counted = np.logical_or.reduce([s.holds(y[:, None]) for s in spans]).mean(0) * 10
    assert union_length(spans) == pytest.approx(counted, abs=2e-3)


def test_a_column_is_as_deep_as_its_half_axis_says() -> None:
    span = column(np.array([0.0, 2.0, 5.0]), (0.0, 1.0), (2.0, 3.0), 2.4)
    assert span.length == pytest.approx([6.0, 0.0, 0.0])


def test_the_shadow_of_a_straight_tube_is_its_chord() -> None:
    """A wire across the image, upright and foreshortened: thickness on its axis is mu 2 r,
    divided by the cosine of its tilt.
    """
    size, pixel, radius = 200, 0.05, 0.8
    for tilt in (0.0, np.pi / 3):
        t = np.linspace(-20, 20, 4000)
        points = np.stack([t * np.cos(tilt), t * np.sin(tilt), 0 * t], 1)
        tube = Tube(points, np.full(4000, t[1] - t[0]) / radius, (radius, radius), 0.3)
        image = shadow(
            [tube], [points[:, 0] / pixel + 99.5], [99.5 - points[:, 2] / pixel], size, pixel
        )
        assert image[99, 100] == pytest.approx(0.3 * 2 * radius / np.cos(tilt), rel=0.01)


def test_area_resize_keeps_the_mean() -> None:
    image = np.random.default_rng(1).random((50, 50))
    assert area_resize(image, 16).mean() == pytest.approx(image.mean())
    assert np.allclose(area_resize(image, 25), image.reshape(25, 2, 25, 2).mean((1, 3)))

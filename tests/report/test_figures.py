"""Figures: a signed map is honest about sign, scale and zero."""

import io
from dataclasses import replace

import numpy as np
import pytest
from made import edited, explanation_with, first
from PIL import Image

from medinv.data.frame import InputSpec
from medinv.explanation.evidence import regional
from medinv.explanation.place import placed
from medinv.report import drawing, figures


def decoded(picture: drawing.Picture) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture.png)))


@pytest.mark.parametrize("palette", [drawing.EVIDENCE, drawing.CHANGE])
def test_diverging_map_is_transparent_at_zero_symmetric_and_linear(palette):
    values = np.array([[-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]])
    rgba = drawing.diverging(values, 1.0, palette)[0]
    assert rgba[:, 3].tolist() == [255, 255, 128, 0, 128, 255, 255]
    assert (rgba[:3, :3] == palette[0]).all() and (rgba[4:, :3] == palette[1]).all()


def test_colour_bar_is_drawn_as_the_map_is():
    bar = decoded(drawing.colour_bar(drawing.EVIDENCE))[0]
    assert bar[127, 3] == 0
    assert (bar[:, 3] == bar[::-1, 3]).all()
    assert (bar[0, :3] == drawing.EVIDENCE[0]).all() and (bar[-1, :3] == drawing.EVIDENCE[1]).all()


def test_signed_picture_says_its_scale_and_what_lies_beyond():
    values = np.full((20, 20), -0.1)
    values[0, :2] = 9.0
    drawn = drawing.signed(values, drawing.EVIDENCE)
    assert (drawn.scale, drawn.clipped) == (pytest.approx(0.1), 2)


def test_network_pixels_are_enlarged_without_smoothing():
    image = np.array([[0, 255], [100, 7]], np.uint8)
    drawn = decoded(drawing.grey(image))
    assert (drawn == image.repeat(drawing.ENLARGE, 0).repeat(drawing.ENLARGE, 1)).all()


def test_a_map_of_zeros_is_wholly_transparent():
    drawn = drawing.signed(np.zeros((4, 4)), drawing.CHANGE)
    assert drawn.scale == 0 and decoded(drawn.picture)[..., 3].max() == 0


@pytest.mark.parametrize(
    ("aspect", "shape"), [(1.0, (100, 200)), (2.0, (100, 200)), (0.5, (100, 200))]
)
def test_native_image_has_square_pixels_and_is_never_enlarged(aspect, shape):
    picture = drawing.native(np.zeros(shape, np.uint8), aspect)
    assert picture.height / picture.width == pytest.approx(shape[0] * aspect / shape[1], rel=0.02)
    assert picture.height <= shape[0] and picture.width <= shape[1]


def test_a_large_noisy_image_is_drawn_within_the_budget():
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1200), dtype=np.uint8)
    picture = drawing.native(noise, 1.0)
    assert max(picture.width, picture.height) <= drawing.LONGEST
    assert len(picture.png) <= drawing.NATIVE_BYTES


def test_scale_bar_has_the_headers_length():
    picture = drawing.Picture(b"", width=500, height=400)
    bar = drawing.scale_bar(picture, columns=1000, spacing=(0.4, 0.305))
    assert (bar.length_mm, bar.length_px) == (100, pytest.approx(500 * 100 / 305))
    assert drawing.scale_bar(picture, 1000, None) is None


def test_the_evidence_over_the_image_is_the_results(opacity):
    (panel,) = figures.pictures(opacity).panels
    local = first(opacity).explanation.local_evidence
    shown = panel.explained.evidence
    drawn = decoded(shown.drawn.picture)[:: drawing.ENLARGE, :: drawing.ENLARGE]
    values = placed(local.locations, local.region) - placed(-local.locations, local.region)
    expected = drawing.diverging(values, np.abs(values).max(), drawing.EVIDENCE)
    assert (drawn == expected).all()
    assert values.sum() == pytest.approx(local.locations.sum())
    assert (shown.bias, shown.logit) == (local.bias + local.jitter, local.logit)
    assert shown.residual == local.residual and shown.size == local.grain


def test_the_place_named_speaks_for_the_class_called(opacity, clear):
    for result, sign in ((opacity, 1), (clear, -1)):
        (panel,) = figures.pictures(result).panels
        assert sign * panel.explained.evidence.balance.largest > 0
        local = first(result).explanation.local_evidence
        values = placed(sign * local.locations, local.region)
        assert sign * panel.explained.evidence.balance.largest == values.max()


def test_pixels_and_regions_are_the_same_sum(opacity):
    by_region = edited(opacity, explanation={"local_evidence": None})
    (panel,) = figures.pictures(by_region).panels
    drawn, evidence = panel.explained, first(opacity).explanation.evidence
    assert drawn.evidence is drawn.regions and drawn.regions.size == figures.REGION
    for map_ in (drawn.regions, drawn.pixels):
        sums = map_.balance
        total = sums.towards + sums.against + map_.bias
        assert total == pytest.approx(evidence.logit, abs=1e-9) and map_.logit == evidence.logit
    assert drawn.regions.drawn.scale == pytest.approx(
        np.abs(regional(evidence.contributions, figures.REGION)).max()
    )


def test_an_input_that_does_not_divide_into_regions_shows_its_pixels(opacity):
    given = first(opacity).explanation
    side = len(given.evidence.contributions) - 4
    cut = {"contributions": given.evidence.contributions[:side, :side]}
    odd = edited(
        opacity,
        explanation=explanation_with(
            given,
            local_evidence=None,
            evidence=cut,
            reconstruction={"image": given.reconstruction.image[:side, :side]},
        ),
    )
    frame = first(opacity).pixels
    inputs = {InputSpec(1, (side, side)): frame.input[:, :side, :side]}
    odd = edited(odd, pixels=type(frame)(**(vars(frame) | {"inputs": inputs})))
    (panel,) = figures.pictures(odd).panels
    assert panel.explained.regions is None and panel.explained.evidence is panel.explained.pixels


def test_the_strip_goes_from_the_input_to_the_counterfactual(opacity):
    (panel,) = figures.pictures(opacity).panels
    frame, edit = first(opacity).pixels, first(opacity).explanation.counterfactual
    given = frame.input[0]
    ends = [decoded(panel.explained.frames[k])[:: drawing.ENLARGE, :: drawing.ENLARGE]
            for k in (0, -1)]  # fmt: skip
    assert (ends[0] == given).all() and (ends[1] == edit.image).all()
    assert panel.explained.difference.scale == pytest.approx(
        np.quantile(np.abs(edit.image.astype(float) - given), 0.99)
    )
    assert panel.given == given.shape and panel.full_size == frame.display.shape


def test_the_most_suspicious_images_are_drawn_first_and_no_more_than_six(pair, outside):
    drawn = figures.pictures(pair)
    assert [panel.number for panel in drawn.panels] == [2, 1] and set(drawn.thumbnails) == {1, 2}
    many = pair.model_copy(update={"instances": pair.instances * 5})
    assert len(figures.pictures(many).panels) == figures.SHOWN_IN_FULL
    alone = figures.pictures(outside)
    assert len(alone.panels) == 1 and alone.panels[0].explained is None and not alone.thumbnails
    two = outside.model_copy(update={"instances": outside.instances * 2})
    assert len(figures.pictures(two).panels) == 1, "of a study out of scope one is enough"


def test_images_without_arrays_are_listed_not_drawn(pair):
    read = pair.instances[1].pixels
    listed = edited(pair, 2, pixels=type(read)(**(vars(read) | {"display": None})))
    assert [panel.number for panel in figures.pictures(listed).panels] == [1]
    assert [panel.number for panel in figures.pictures(edited(pair, 2, pixels=None)).panels] == [1]


def test_sides_and_scale_are_the_headers(opacity):
    (panel,) = figures.pictures(opacity).panels
    frame = first(opacity).pixels
    assert panel.letters == ("R", "L") and frame.orientation[0] == "L"
    width_mm = frame.display.shape[1] * frame.spacing[1]
    assert panel.bar.length_px / panel.native.width == pytest.approx(panel.bar.length_mm / width_mm)


def test_pixels_that_name_the_patient_are_not_drawn_without_leave(opacity):
    frame = first(opacity).pixels
    instance = replace(frame.instance, burned_in_annotation="YES")
    named = edited(opacity, pixels=replace(frame, instance=instance))
    plain, given = figures.pictures(opacity), frame.input[0]
    (panel,) = figures.pictures(named).panels
    assert panel.withheld and panel.burned_in and not plain.panels[0].withheld
    drawn, rows = decoded(panel.native), panel.native.height
    assert drawn.shape == (rows, panel.native.width) == decoded(plain.panels[0].native).shape
    assert set(np.unique(drawn)) <= set(np.unique(given)), "nothing but the network's input"
    assert drawn[rows // 2, 0] == given[len(given) // 2, 0]
    (allowed,) = figures.pictures(named, phi=True).panels
    assert allowed.native == plain.panels[0].native and not allowed.withheld
    two = named.model_copy(update={"instances": named.instances * 2})
    small = figures.pictures(two).thumbnails[1]
    assert set(np.unique(decoded(small))) <= set(np.unique(given))

"""What DICOM results draw: the evidence where it was claimed, at its place in the image."""

from dataclasses import replace

import numpy as np
import pytest
from dicom_headers import items, slices
from dicom_made import chosen, made
from made import edited, first

SUM = "Contribution to the log-odds of the finding, sum over the region"


def test_nothing_is_drawn_for_a_finding_that_was_not_called(analyse, clear) -> None:
    assert set(made(analyse(clear))) == {"SR", "OT", "DOC"}


def test_nothing_is_drawn_where_the_check_of_the_evidence_failed(analyse, opacity) -> None:
    check = replace(first(opacity).explanation.local_evidence.check, fall=-1.0)
    unclaimed = edited(opacity, explanation={"local_evidence": {"check": check}})
    assert set(made(analyse(unclaimed))) == {"SR", "OT", "DOC"}


def test_the_segmentation_is_the_evidence_above_the_stated_threshold(analyse, opacity) -> None:
    found, (mask, _, limit) = made(analyse(opacity)), chosen(opacity)
    drawn, side = found["SEG"].pixel_array, len(mask)
    assert drawn.shape == (120, 100)
    for r, c in np.ndindex(drawn.shape):
        inside = (
            np.array([r, c]) * side / drawn.shape,
            np.array([r + 1, c + 1]) * side / drawn.shape,
        )
        (i, j), ends = inside[0].astype(int), np.ceil(inside[1]).astype(int)
        if (ends == (i + 1, j + 1)).all():  # stored pixels that lie wholly in one of the network's
            assert drawn[r, c] == mask[i, j]
    assert f"{limit:+.3f}" in found["SEG"].SegmentSequence[0].SegmentDescription
    (total,) = items(found["SR"], SUM)
    values = first(opacity).explanation.local_evidence.locations
    said = float(total.MeasuredValueSequence[0].NumericValue)
    assert said == pytest.approx(values[mask].sum(), abs=1e-3)
    (frame,) = items(found["SR"], "Referenced Segmentation Frame")
    named = frame.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == found["SEG"].SOPInstanceUID


def test_without_local_evidence_regions_are_segmented(analyse, opacity) -> None:
    by_region = edited(opacity, explanation={"local_evidence": None})
    found = made(analyse(by_region))["SEG"]
    pixels = first(opacity).explanation.evidence.contributions
    n = len(pixels) // 8
    sums = pixels.reshape(n, 8, n, 8).sum((1, 3))
    for i, j in np.ndindex(sums.shape):
        at = int((i + 0.5) * 120 / n), int((j + 0.5) * 100 / n)
        assert found.pixel_array[at] == (sums[i, j] >= sums.max() / 2)
    assert f"{sums.max() / 2:+.2f}" in found.SegmentSequence[0].SegmentDescription


def test_the_presentation_state_outlines_the_largest_evidence(analyse, opacity) -> None:
    state, (_, around, _) = made(analyse(opacity))["PR"], chosen(opacity)
    rows, columns = np.nonzero(around)
    side = np.array([100, 120]) / len(around)
    graphic = state.GraphicAnnotationSequence[0]
    corners = np.array(graphic.GraphicObjectSequence[0].GraphicData).reshape(-1, 2)
    assert corners.min(axis=0) == pytest.approx(np.array([columns.min(), rows.min()]) * side)
    high = np.array([columns.max() + 1, rows.max() + 1]) * side
    assert corners.max(axis=0) == pytest.approx(high)
    assert state.PresentationLUTShape == "INVERSE"  # the image is MONOCHROME1
    words = graphic.TextObjectSequence[0].UnformattedTextValue
    outlined = first(opacity).explanation.local_evidence.locations[around].sum()
    assert words == f"{outlined:+.2f} log-odds for opacity. Research use, not for diagnosis"


def test_slices_come_with_the_exact_map_at_its_place(analyse, opacity) -> None:
    found = made(analyse(opacity, *slices()))
    assert "PR" not in found and found["SEG"].pixel_array.shape == (3, 120, 100)
    ds, local = found["map"], first(opacity).explanation.local_evidence.locations
    side = len(local)
    values = np.frombuffer(ds.DoubleFloatPixelData).reshape(3, side, side)
    heights = []
    for value, frame in zip(values, ds.PerFrameFunctionalGroupsSequence, strict=True):
        x, y, z = frame.PlanePositionSequence[0].ImagePositionPatient
        assert (value == local).all()
        # The common corner of both grids lies half a stored pixel before the header's centre.
        expected = [-30 + (100 / side - 1) / 2 * 0.6, -20 + (120 / side - 1) / 2 * 0.5]
        assert [x, y] == pytest.approx(expected)
        heights.append(z)
    assert sorted(heights) == [5, 10, 15]
    spacing = ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    assert list(spacing) == pytest.approx([0.5 * 120 / side, 0.6 * 100 / side])


def test_each_slice_s_region_names_its_own_frame(analyse, opacity) -> None:
    found = made(analyse(opacity, *slices()))
    regions = items(found["SR"], "Referenced Segmentation Frame")
    sources = items(found["SR"], "Source Image for Segmentation")
    assert len(regions) == 3
    for region, source in zip(regions, sources, strict=True):
        number = region.ReferencedSOPSequence[0].ReferencedFrameNumber
        frame = found["SEG"].PerFrameFunctionalGroupsSequence[number - 1]
        z = frame.PlanePositionSequence[0].ImagePositionPatient[2]
        named = source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert named == f"1.2.1.1.{int(z / 5)}"


def test_the_picture_shows_image_evidence_and_counterfactual(analyse, opacity, normal) -> None:
    drawn = made(analyse(opacity))["OT"].pixel_array
    assert drawn.shape[1] == 28 + 3 * (560 + 28), "three panels"
    panel = slice(150, 150 + 560)
    plain, over = drawn[panel, 28:588].astype(int), drawn[panel, 616:1176].astype(int)
    assert (np.ptp(plain, axis=2) == 0).mean() > 0.95, "the first panel has no colour but letters"
    values = first(opacity).explanation.local_evidence.locations
    row, column = np.unravel_index(values.argmax(), values.shape)
    at = int((row + 0.5) / len(values) * 560), int((column + 0.5) / len(values) * 560)
    assert over[at][0] > over[at][2] + 50, "orange where evidence speaks for the finding"
    none = edited(normal, explanation={"counterfactual": {"flipped": False}})
    assert made(analyse(none))["OT"].pixel_array.shape[1] == 28 + 2 * (560 + 28)

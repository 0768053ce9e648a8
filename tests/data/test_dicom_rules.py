"""What a study's images are grouped into, and which of them the rules of a model's card let
through."""

import dataclasses
from pathlib import Path

import pytest
from dicom_samples import PYDICOM_FILES, write
from hypothesis import given, settings
from hypothesis import strategies as st

from medinv.config import Rules, Selection
from medinv.data.dicom.grouping import Group, group
from medinv.data.dicom.index import Index, index
from medinv.data.dicom.pixels import read_pixels
from medinv.data.dicom.rules import Choice, choose
from medinv.models.store import read_card

AXIAL, CORONAL, TILTED = (
    [1, 0, 0, 0, 1, 0],
    [1, 0, 0, 0, 0, -1],
    [1, 0, 0, 0, 0.9483237, -0.3173047],
)


def stack(folder: Path, count: int, first: int = 1, **elements: object) -> None:
    """Slices 5 mm apart of one CT series."""
    elements = {
        "Modality": "CT",
        "PixelSpacing": [0.5, 0.5],
        "SliceThickness": 5,
        "ImageOrientationPatient": AXIAL,
        **elements,
    }
    for number in range(first, first + count):
        place = {"ImagePositionPatient": [0, 0, 5 * (number - first)]} | elements
        write(folder / f"{number}", number=number, **place)


def groups(folder: Path) -> tuple[Group, ...]:
    (study,) = index([folder]).studies
    return group(study.instances)


def chosen(
    folder: Path,
    modalities: tuple[str, ...] = (),
    body_parts: tuple[str, ...] = (),
    **rules: object,
) -> Choice:
    (study,) = index([folder]).studies
    return choose(
        study, Rules(modalities=modalities, body_parts=body_parts, selection=Selection(**rules))
    )


def codes(choice: Choice) -> list[str]:
    return sorted({skipped.code for skipped in choice.study.skipped})


@pytest.mark.parametrize(
    "second",
    [
        {"Rows": 48, "Columns": 64},
        {"PixelSpacing": [0.7, 0.7]},
        {"ImageOrientationPatient": CORONAL},
        {"EchoTime": 80},
        {"DiffusionBValue": 1000.0},
        {"AcquisitionNumber": 2},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "P"]},
        {"SeriesInstanceUID": "1.2.1.2"},
    ],
    ids=lambda second: "-".join(second),
)
def test_a_folder_of_two_kinds_makes_two_groups(tmp_path: Path, second: dict) -> None:
    first = {
        "EchoTime": 30,
        "DiffusionBValue": 0.0,
        "AcquisitionNumber": 1,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "M"],
    }
    stack(tmp_path, 3, **first)
    stack(tmp_path, 2, first=4, **(first | second))
    assert [[instance.number for instance in found.instances] for found in groups(tmp_path)] in (
        [[1, 2, 3], [4, 5]],
        [[1, 2, 3], [5, 4]],
    )


def test_rounding_in_headers_divides_nothing(tmp_path: Path) -> None:
    stack(tmp_path, 3, PixelSpacing=[0.48828125, 0.48828125], EchoTime=30)
    stack(
        tmp_path,
        2,
        first=4,
        PixelSpacing=[0.488281, 0.488281],
        EchoTime=30.001,
        ImageOrientationPatient=[1, 0, 0, 0, 0.9999995, 0.0003],
    )
    assert len(groups(tmp_path)) == 1


def test_the_steps_of_a_sequential_scan_stay_together_and_its_phases_do_not(tmp_path: Path) -> None:
    for number in range(1, 5):
        stack(
            tmp_path / "steps",
            1,
            first=number,
            AcquisitionNumber=number,
            ImagePositionPatient=[0, 0, 5 * number],
        )
        stack(tmp_path / "phases", 3, first=10 * number, AcquisitionNumber=number)
    assert [found.slices for found in groups(tmp_path / "steps")] == [4]
    assert [found.slices for found in groups(tmp_path / "phases")] == [3, 3, 3, 3]


def test_a_real_series_with_tilt_and_two_thicknesses_is_one_group(data_dir: Path) -> None:
    found = index([data_dir / "dicom" / "ct_ge_head28.zip"])
    (study,) = [study for study in found.studies if study.instances]
    (whole,) = group(study.instances)
    assert (whole.slices, whole.plane, whole.thickness) == (28, "axial", (4.0, 7.0))
    places = [instance.geometry.depth for instance in whole.instances]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [
        (AXIAL, "axial"),
        (CORONAL, "coronal"),
        (TILTED, "axial"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([0.7071068, 0.7071068, 0, 0, 0, -1], "oblique"),
    ],
)
def test_planes(tmp_path: Path, orientation: list[float], plane: str) -> None:
    stack(tmp_path, 2, ImageOrientationPatient=orientation)
    assert groups(tmp_path)[0].plane == plane


@pytest.fixture(scope="module")
def real() -> Index:
    """All files that pydicom ships."""
    return index([PYDICOM_FILES])


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_groups_do_not_depend_on_the_order_of_the_files(real: Index, data: st.DataObject) -> None:
    images = list(real.instances)
    assert group(data.draw(st.permutations(images))) == group(images)


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"modalities": ("MR",)}, "modality"),
        ({"body_parts": ("HEAD",)}, "body-part"),
        ({"views": ("AP",)}, "view"),
        ({"image_type": ("MIP",)}, "image-type"),
        ({"not_image_type": ("DERIVED", "SECONDARY")}, "image-type"),
        ({"planes": ("axial",)}, "plane"),
        ({"slices": (6, 90)}, "slices"),
        ({"slices": (1, 3)}, "slices"),
        ({"thickness": (0, 3)}, "thickness"),
        ({"series_description": "lung"}, "series-description"),
        ({"not_series_description": "bone.*kernel"}, "series-description"),
        ({"study_description": "^chest"}, "study-description"),
    ],
    ids=str,
)
def test_each_rule_leaves_out_what_it_names_and_says_so(
    tmp_path: Path, rules: dict, code: str
) -> None:
    stack(
        tmp_path,
        4,
        BodyPartExamined="CHEST",
        ViewPosition="LL",
        ImageType=["DERIVED", "PRIMARY", "AXIAL"],
        ImageOrientationPatient=CORONAL,
        SeriesDescription="Bone sharp kernel",
        StudyDescription="Thorax of Doe",
    )
    out = chosen(tmp_path, **rules)
    assert not out.study.instances and codes(out) == [code] and len(out.study.skipped) == 4
    assert "Doe" not in repr(out) and "sharp" not in repr(out)
    assert len(chosen(tmp_path).study.instances) == 4


def test_descriptions_are_searched_in_their_own_characters(tmp_path: Path) -> None:
    stack(tmp_path, 2, SpecificCharacterSet="ISO_IR 192", SeriesDescription="Schädel 肺")
    assert len(chosen(tmp_path, series_description="schädel 肺").study.instances) == 2


def test_what_the_header_does_not_state_is_said(tmp_path: Path) -> None:
    stack(tmp_path, 2, SliceThickness="")
    out = chosen(tmp_path, body_parts=("CHEST",), views=("AP",), thickness=(1, 5))
    assert len(out.study.instances) == 2
    assert [warning.split(" not")[0] for warning in out.warnings] == [
        "body part",
        "view",
        "image type",
        "thickness",
    ]
    assert codes(chosen(tmp_path, series_description="CT")) == ["series-description"]


def test_a_localizer_in_a_series_is_left_out_and_the_rest_is_not(tmp_path: Path) -> None:
    stack(tmp_path, 5, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    stack(
        tmp_path,
        1,
        first=6,
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
        ImageOrientationPatient=CORONAL,
    )
    out = chosen(tmp_path, takes="volume")
    assert [instance.number for instance in out.study.instances] == [1, 2, 3, 4, 5]
    assert [(skipped.code, skipped.sop_uid) for skipped in out.study.skipped] == [
        ("image-type", "1.2.1.1.6")
    ]


def test_two_volumes_that_fit_are_reported_and_none_is_guessed(tmp_path: Path) -> None:
    stack(tmp_path, 3, AcquisitionNumber=1)
    stack(tmp_path, 3, first=4, AcquisitionNumber=2)
    out = chosen(tmp_path, takes="volume")
    assert (
        not out.study.instances
        and codes(out) == ["ambiguous"]
        and "1.1, 1.2" in out.study.skipped[0].message
    )
    assert len(chosen(tmp_path, takes="images").study.instances) == 6


def test_slices_at_one_place_that_nothing_tells_apart_are_no_volume(tmp_path: Path) -> None:
    stack(tmp_path, 3)
    stack(tmp_path, 3, first=4)
    assert codes(chosen(tmp_path, takes="volume")) == ["same-place"]


@pytest.mark.parametrize(
    "name", ["SC_rgb_small_odd.dcm", "examples_palette.dcm", "examples_ybr_color.dcm"]
)
def test_colour_is_read_only_by_models_that_say_so(name: str) -> None:
    (study,) = index([PYDICOM_FILES / name]).studies
    grey, colour = (
        choose(study, Rules(selection=Selection(colour=said))) for said in ("refuse", "luminance")
    )
    assert "colour" in {verdict.rule for judged in grey.judged for verdict in judged.objections}
    assert "colour" not in {verdict.rule for judged in colour.judged for verdict in judged.verdicts}


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        ("66.4", "segmentation"),
        ("66.7", "segmentation"),
        ("30", "parametric-map"),
        ("481.2", "dose"),
        ("1.1.1", "for-processing"),
    ],
)
def test_objects_with_pixels_that_no_model_reads(tmp_path: Path, sop_class: str, code: str) -> None:
    write(tmp_path / "a", SOPClassUID=f"1.2.840.10008.5.1.4.1.1.{sop_class}")
    assert codes(chosen(tmp_path)) == [code]


def test_images_without_a_place_are_no_volume(tmp_path: Path) -> None:
    write(tmp_path / "a", Modality="CT")
    assert codes(chosen(tmp_path, takes="volume")) == ["no-geometry"]


def test_several_views_are_said(tmp_path: Path) -> None:
    for number, view in enumerate(("PA", "AP"), 1):
        write(tmp_path / view, number=number, ViewPosition=view)
    out = chosen(tmp_path, views=("AP", "PA"))
    assert len(out.study.instances) == 2 and any(
        "2 views (AP, PA)" in warning for warning in out.warnings
    )


def every(found: Index) -> list[str]:
    return sorted(
        record.source for kind in (found.instances, found.skipped, found.broken) for record in kind
    )


WORDS = st.none() | st.sampled_from(["", "a", "^t1", "ct|mr"])
BOUNDS = st.none() | st.tuples(st.integers(0, 9), st.integers(9, 99))
TYPES = st.lists(st.sampled_from(["DERIVED", "PRIMARY", "AXIAL", "LOCALIZER"]), max_size=2)
SELECTIONS = st.builds(
    Selection,
    takes=st.sampled_from(["images", "volume"]),
    views=st.lists(st.sampled_from(["AP", "PA"])),
    image_type=TYPES,
    not_image_type=TYPES,
    planes=st.lists(st.sampled_from(["axial", "oblique"])),
    slices=BOUNDS,
    thickness=BOUNDS,
    series_description=WORDS,
    not_study_description=WORDS,
)


@settings(deadline=None, max_examples=30)
@given(modalities=st.lists(st.sampled_from(["CT", "MR", "CR"])), selection=SELECTIONS)
def test_no_rules_lose_or_double_a_file_or_leave_it_without_a_reason(
    real: Index, modalities: list[str], selection: Selection
) -> None:
    rules = Rules(modalities=modalities, selection=selection)
    after = Index(tuple(choose(study, rules).study for study in real.studies))
    assert every(after) == every(real)
    assert all(skipped.code and skipped.message for skipped in after.skipped)
    if selection.takes == "volume":
        assert all(len(group(study.instances)) <= 1 for study in after.studies)


def test_the_shipped_radiograph_model_takes_frontal_films_alone(tmp_path: Path) -> None:
    rules = read_card("chest-xray").rules
    for number, elements in enumerate(
        (
            {"ViewPosition": "PA"},
            {"ViewPosition": "LL"},
            {"Modality": "CT"},
            {"BodyPartExamined": "HAND"},
            {"ImageType": ["DERIVED", "SECONDARY"]},
            {},
        ),
        1,
    ):
        write(tmp_path / str(number), number=number, **elements)
    (study,) = index([tmp_path]).studies
    out = choose(study, rules)
    assert [instance.number for instance in out.study.instances] == [1, 6]
    assert [skipped.code for skipped in out.study.skipped] == [
        "view",
        "modality",
        "body-part",
        "image-type",
    ]
    assert out.warnings


@pytest.mark.parametrize(
    "wrong",
    [
        {"slices": (9, 1)},
        {"thickness": (-1, 2)},
        {"series_description": "("},
        {"planes": ("upright",)},
        {"takes": "all"},
        {"view": ("AP",)},
    ],
    ids=str,
)
def test_rules_that_cannot_be_meant_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Selection(**wrong)


def test_frames_at_one_place_are_no_volume(tmp_path: Path) -> None:
    write(tmp_path / "a", ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXIAL)
    (study,) = index([tmp_path]).studies
    (image,) = study.instances
    twice = dataclasses.replace(image, frames=2, frame_geometry=(image.geometry,) * 2)
    rules = Rules(selection=Selection(takes="volume"))
    out = choose(dataclasses.replace(study, instances=(twice,)), rules)
    assert codes(out) == ["same-place"]


@pytest.mark.parametrize(
    "elements",
    [
        {"Modality": "DOE JANE"},
        {"BodyPartExamined": "DOE JANE"},
        {"ViewPosition": "DOE JANE"},
        {"ImageType": ["ORIGINAL", "DOE JANE", "LOCALIZER"]},
        {"PhotometricInterpretation": "DOE JANE"},
        {"PatientOrientation": ["LDOEJANE", "FDOEJANE"]},
        {"PresentationLUTShape": "DOE JANE"},
    ],
)
def test_no_header_text_is_quoted_but_known_codes(tmp_path: Path, elements: dict) -> None:
    """A code string may hold anything, the patient's name among it."""
    stack(tmp_path, 2, **({"Modality": "DX"} | elements))
    found = index([tmp_path])
    rules = Rules(
        modalities=("CT",), body_parts=("CHEST",), selection=Selection(views=("AP", "PA"))
    )
    choice = choose(found.studies[0], rules)
    said = [verdict.says for one in choice.judged for verdict in one.verdicts]
    said += [str(one.group) for one in choice.judged] + list(choice.warnings)
    said += [skipped.message for skipped in (*choice.study.skipped, *found.skipped)]
    for instance in found.instances:
        pixels = read_pixels(instance)
        said += [pixels.policy, *pixels.warnings]
    assert said and "JANE" not in " ".join(said)

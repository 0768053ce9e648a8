"""Pictures through the whole run: by models whose rules take them, with a report, without DICOM."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import medinv
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.models.store import load
from medinv.report.write import Reports


@pytest.fixture(scope="module")
def model():
    """The shipped phantom model, whose rules take pictures too."""
    loaded = load("phantom-opacity")
    modalities = (*loaded.card.scope.modalities, "picture")
    scope = loaded.card.scope.model_copy(update={"modalities": modalities})
    loaded.card = loaded.card.model_copy(update={"scope": scope})
    return loaded


@pytest.fixture(scope="module")
def classified(model, write_film, tmp_path_factory) -> SimpleNamespace:
    """One film as DICOM and as a picture of its display, with reports and DICOM results."""
    folder = tmp_path_factory.mktemp("pictures")
    film = write_film(folder / "film.dcm", 1)
    (shown,) = medinv.classify(film, model, explain=True)
    picture = folder / "Doe^Jane.png"
    Image.fromarray(shown.instances[0].pixels.display).save(picture)
    reports = Reports()
    renderers = {"report": reports.reports, "dicom": reports.dicom}
    options = Options(folder / "out", renderers=renderers)
    (row,) = run(index([picture]), [model], options).results
    return SimpleNamespace(film=shown, row=row, out=folder / "out", picture=picture)


def test_a_picture_of_a_film_gets_the_films_answer(classified) -> None:
    film, row = classified.film, classified.row
    assert row.status == "ok" and row.probabilities == film.probabilities
    (image,) = row.instances
    assert image.modality == "picture" and image.reconstruction_exact
    assert row.study_uid.startswith("study-") and "Doe" not in row.study_uid + image.sop_uid


def test_its_report_is_made_and_no_dicom_results_with_a_clear_word(classified) -> None:
    row = classified.row
    report = classified.out / row.report
    for form in ("html", "pdf", "json"):
        assert report.with_suffix(f".{form}").stat().st_size > 1000
    page = report.read_text()
    assert "whether the pixels name the patient: they may" in page and "Doe^" not in page
    said = json.loads(report.with_suffix(".json").read_text())
    assert said["disclaimer"].startswith("Research use, not for diagnosis")
    assert not row.dicom and not list(classified.out.rglob("*.dcm"))
    (why,) = [warning for warning in row.warnings if warning.startswith("no dicom")]
    assert "header" in why and "not a DICOM image" in why


def test_the_shipped_model_names_why_it_takes_no_picture(classified) -> None:
    (row,) = medinv.classify(classified.picture, "phantom-opacity")
    assert row.status == "skipped" and row.error.code == "picture" and "CR, DX" in row.error.message


def test_colours_are_read_by_luminance_where_the_rules_say_so(model, write_film, tmp_path) -> None:
    film = write_film(tmp_path / "film.dcm", 1)
    (shown,) = medinv.classify(film, model, explain=True)
    grey = shown.instances[0].pixels.display
    Image.fromarray(np.stack([grey] * 3, 2)).save(tmp_path / "film.png")
    (refused,) = medinv.classify(tmp_path / "film.png", model)
    assert refused.error.code == "colour"
    card = model.card
    try:
        selection = card.selection.model_copy(update={"colour": "luminance"})
        model.card = card.model_copy(update={"selection": selection})
        (row,) = medinv.classify(tmp_path / "film.png", model, explain=True)
    finally:
        model.card = card
    assert row.probabilities == shown.probabilities
    assert row.instances[0].pixels.display.shape == (*grey.shape, 3)


def test_a_picture_decodes_to_every_stored_value(model, tmp_path) -> None:
    wide = np.random.default_rng(0).integers(0, 1 << 16, (80, 70), dtype=np.uint16)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (row,) = medinv.classify(tmp_path / "wide.png", model, lossless=True)
    (image,) = row.instances
    assert image.certificate.exact and image.certificate.bytes == wide.nbytes

"""What a header says reaches the row and every report: names, UIDs, how a film lies, whose."""

import base64
import hashlib
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.charset import convert_encodings
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from medinv.analysis.result import StudyResult
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.report import strings, write

KOREAN = ["", "ISO 2022 IR 149"]


def _edited(path: Path, **elements: object) -> pydicom.Dataset:
    film = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(film, keyword, value)
    film.save_as(path, enforce_file_format=False)
    return film


@pytest.fixture
def with_dicom(phantom, tmp_path) -> Callable[[], list[StudyResult]]:
    """Classifies the films of `tmp_path / "in"` with DICOM results."""

    def make() -> list[StudyResult]:
        options = Options(tmp_path / "out", renderers={"dicom": write.Reports().dicom})
        return list(run(index([tmp_path / "in"]), [phantom], options).results)

    return make


def test_names_are_written_and_what_cannot_be_read_stands_in_the_row(
    write_film, with_dicom, tmp_path
) -> None:
    names = {
        1: b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
        2: b"Kim^\xff\xfe(A)",
    }
    for study, stored in names.items():
        path = write_film(tmp_path / "in" / f"{study}.dcm", study)
        name = PersonName(stored, convert_encodings(KOREAN))
        _edited(path, SpecificCharacterSet=KOREAN, PatientName=name)
    read, kept = with_dicom()
    assert not read.warnings and read.dicom and kept.dicom
    for path in read.dicom:
        name = pydicom.dcmread(tmp_path / "out" / path).PatientName
        assert str(name) == "Hong^Gildong=洪^吉洞"
    (warning,) = kept.warnings
    assert warning.startswith("DICOM results: PatientName: ") and "kept" in warning
    for path in kept.dicom:
        element = pydicom.dcmread(tmp_path / "out" / path).get_item("PatientName")
        assert element.value.rstrip() == names[2]  # pydicom would replace what it cannot read


def test_an_image_of_an_odd_uid_is_classified_and_no_object_refers_to_it(
    write_film, with_dicom, tmp_path
) -> None:
    odd = "1.2.3/film A"
    _edited(write_film(tmp_path / "in" / "1.dcm", 1), SOPInstanceUID=odd)
    (row,) = with_dicom()
    assert row.status == "ok" and not row.dicom
    (warning,) = (one for one in row.warnings if one.startswith("no dicom: header: "))
    assert "the header's SOPInstanceUID is none" in warning and odd not in row.model_dump_json()
    assert not list((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.parametrize("lossless", [False, True])
def test_a_film_stored_upside_down_gets_the_answer_of_the_film_and_its_own_certificate(
    write_film, phantom, tmp_path, lossless
) -> None:
    stored = {}
    for study, letters in ((1, ["L", "F"]), (2, ["L", "H"])):
        path = write_film(tmp_path / "in" / f"{study}.dcm", study)
        pixels = pydicom.dcmread(path).pixel_array[:: 1 if study == 1 else -1]
        film = _edited(path, PatientOrientation=letters, PixelData=pixels.tobytes())
        stored[study] = hashlib.sha256(film.PixelData).hexdigest()
    assert stored[1] != stored[2]
    options = Options(tmp_path / "out", lossless=lossless)
    upright, turned = run(index([tmp_path / "in"]), [phantom], options).results
    assert turned.label == upright.label != "out of scope"
    assert turned.probabilities == upright.probabilities
    (image,) = turned.instances
    assert "turned upside down" in image.intake and any("L\\H" in one for one in image.warnings)
    assert turned.reconstruction.exact
    if lossless:
        certificate = image.certificate
        assert certificate.exact and certificate.contradicted is None
        assert certificate.stored_sha256 == certificate.recovered_sha256 == stored[2]


def test_a_mirrored_film_keeps_its_label_only_where_it_is_the_same_both_ways(
    samples, phantom, tmp_path
) -> None:
    """Nothing in its header says so; the row does."""
    for name in ("study-01", "study-08"):
        path = tmp_path / "in" / name / "film.dcm"
        path.parent.mkdir(parents=True)
        film = pydicom.dcmread(samples / "studies" / name / "radiograph.dcm")
        mirrored = film.pixel_array[:, ::-1].tobytes()
        film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        film.PixelData = mirrored
        film["PixelData"].VR = "OW"
        film.save_as(path)
    rows = run(index([tmp_path / "in"]), [phantom], Options(tmp_path / "out")).results
    said = {Path(row.instances[0].path).parent.name: row for row in rows}
    other, same = said["study-01"], said["study-08"]
    assert other.label == "out of scope" and not other.instances[0].warnings
    assert any("looks mirrored" in one for one in other.instances[0].scope.reasons)
    assert same.label == "opacity" and same.instances[0].scope.in_scope
    assert any("looks mirrored" in one for one in same.instances[0].warnings)


@pytest.mark.skipif(shutil.which("pdfimages") is None, reason="no pdfimages: install poppler-utils")
@pytest.mark.parametrize(
    ("stated", "phi", "drawn"),
    [("YES", False, False), ("YES", True, True), (None, False, True), ("NO", False, True)],
)
def test_pixels_that_name_the_patient_are_drawn_nowhere_without_leave(
    write_film, phantom, tmp_path, stated, phi, drawn
) -> None:
    """In page, PDF and summary picture: told by a fine grid in the film."""
    path = write_film(tmp_path / "in" / "1.dcm", 1)
    film = pydicom.dcmread(path)
    side, marked = 512, np.repeat(np.repeat(film.pixel_array, 8, 0), 8, 1)
    grid = marked[256:272, 256:272]  # finer than the network's input can hold, and of its mean
    grid[::2, ::2] += grid[::2, ::2] // 3
    grid[1::2, 1::2] -= grid[1::2, 1::2] // 3
    film.Rows = film.Columns = side
    film.PixelData = marked.tobytes()
    film.save_as(path)
    _edited(path, BurnedInAnnotation=stated)
    once = write.Reports(phi=phi)
    renderers = {"report": once.reports, "dicom": once.dicom}
    options = Options(tmp_path / "out", renderers=renderers, phi=phi)
    (row,) = run(index([tmp_path / "in"]), [phantom], options).results
    folder = (tmp_path / "out" / row.report).parent
    page = (folder / "report.html").read_text("utf-8")
    natives = {"html": _pictures(page), "pdf": _pdf_pictures(folder / "report.pdf")}
    for form, pictures in natives.items():
        assert any(_fine(one) for one in pictures) == drawn, form
    assert (strings.WITHHELD in page) == (not drawn)
    assert (strings.MAY_NAME in page) == (stated is None)
    (sheet,) = map(pydicom.dcmread, folder.glob("ot-*.dcm"))
    panel = sheet.pixel_array[150:710, 28:588, 0].astype(int)
    assert (np.abs(np.diff(panel[282:296, 282:296], axis=0)).mean() > 12) == drawn
    assert (sheet.BurnedInAnnotation == "YES") == (phi or (stated == "YES" and drawn))


def _pictures(page: str) -> list[np.ndarray]:
    """The grey pictures that a page holds."""
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    opened = (Image.open(io.BytesIO(base64.b64decode(one))) for one in found)
    return [np.asarray(one.convert("L")) for one in opened]


def _pdf_pictures(path: Path) -> list[np.ndarray]:
    """Those of a PDF."""
    command = ["pdfimages", "-png", str(path), str(path.with_suffix(""))]
    subprocess.run(command, check=True, timeout=60)
    files = sorted(path.parent.glob(f"{path.stem}-*.png"))
    return [np.asarray(Image.open(one).convert("L")) for one in files]


def _fine(picture: np.ndarray) -> bool:
    """Whether a picture holds the grid: every second pixel brighter."""
    if picture.shape != (512, 512):
        return False
    grid = picture[256:272, 256:272].astype(int)
    return bool((grid[::2, ::2] > grid[1::2, 1::2] + 30).all())

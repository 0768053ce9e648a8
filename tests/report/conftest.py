"""Results of the shipped models, assembled as a run assembles them; made once for all tests."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pydicom
import pytest
from dicom_headers import header
from made import Page, pdf_words
from pydicom import Dataset

import medinv
from medinv.analysis.result import StudyResult
from medinv.models.card import Card
from medinv.models.store import load, read_card
from medinv.report import write
from medinv.report.derived import presented
from medinv.report.dicom.common import Analysis
from medinv.report.dicom.header import quoted
from medinv.report.figures import Pictures, pictures

PHANTOM, CHEST = "phantom-opacity", "chest-xray"
STUDY, PATIENT = "1.2.3.77", "PAIR"


def _write_pair(samples: Path, folder: Path) -> None:
    """One study of two series: an opacity and a clear body, as of one patient."""
    for number, study in enumerate(("study-01", "study-03"), start=1):
        dataset = pydicom.dcmread(samples / "studies" / study / "radiograph.dcm")
        dataset.StudyInstanceUID, dataset.PatientID, dataset.PatientName = STUDY, PATIENT, PATIENT
        dataset.PatientBirthDate = "20000101"
        dataset.SeriesInstanceUID = f"{STUDY}.{number}"
        dataset.SOPInstanceUID = f"{STUDY}.{number}.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(folder / f"pair-{number}.dcm")


def _write_others(samples: Path, folder: Path) -> None:
    """A study whose pixels are cut off, and one that has no radiograph."""
    for name, uid in (("failed", "1.2.3.78"), ("skipped", "1.2.3.79")):
        dataset = pydicom.dcmread(samples / "studies" / "study-01" / "radiograph.dcm")
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid, f"{uid}.1"
        dataset.SOPInstanceUID = f"{uid}.1.1"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if name == "failed":
            dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
        else:
            dataset.Modality = "MG"
        dataset.save_as(folder / f"{name}.dcm")


def _write_film(samples: Path, folder: Path) -> None:
    """A real film that the chest model keeps, in the header of a sample."""
    donors = load(CHEST).reference.donors
    film = donors.films[donors.labels == 0][0, 0].byte().numpy()
    dataset = pydicom.dcmread(samples / "studies" / "study-06" / "radiograph.dcm")
    dataset.decompress()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.80", "1.2.3.80.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.80.1.1"
    dataset.Rows, dataset.Columns = film.shape
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.WindowCenter, dataset.WindowWidth = "127.5", "256"
    dataset.PixelData = film.tobytes()
    dataset.save_as(folder / "film.dcm")


@pytest.fixture(scope="session")
def classified(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> list[StudyResult]:
    """What renderers are given of sample studies by both models."""
    folder = tmp_path_factory.mktemp("studies")
    for study in ("study-01", "study-03", "study-05"):
        shutil.copy(samples / "studies" / study / "radiograph.dcm", folder / f"{study}.dcm")
    _write_film(samples, folder)
    _write_pair(samples, folder)
    _write_others(samples, folder)
    return [
        result
        for name in (PHANTOM, CHEST)
        for result in medinv.classify(folder, name, explain=True)
    ]


def _found(results: Sequence[StudyResult], model: str, path: str) -> StudyResult:
    (one,) = (
        result
        for result in results
        if result.model.name == model
        and any(
            path in source
            for source in (
                *(image.path for image in result.instances),
                *(problem.source for problem in (*result.skipped, *result.broken)),
            )
        )
    )
    return one


@pytest.fixture(scope="session")
def opacity(classified: list[StudyResult]) -> StudyResult:
    """An opacity that the model finds, with local evidence and all that stands beside."""
    return _found(classified, PHANTOM, "study-03")


@pytest.fixture(scope="session")
def clear(classified: list[StudyResult]) -> StudyResult:
    """A body without one, called clear."""
    return _found(classified, PHANTOM, "study-01")


@pytest.fixture(scope="session")
def normal(classified: list[StudyResult]) -> StudyResult:
    """A film called normal by another model."""
    return _found(classified, CHEST, "film")


@pytest.fixture(scope="session")
def outside(classified: list[StudyResult]) -> StudyResult:
    """A film that is none of the model's."""
    return _found(classified, CHEST, "study-05")


@pytest.fixture(scope="session")
def pair(classified: list[StudyResult]) -> StudyResult:
    """Two series of one study; the second image decides."""
    return _found(classified, PHANTOM, "pair-1")


@pytest.fixture(scope="session")
def failed(classified: list[StudyResult]) -> StudyResult:
    """A study that cannot be read."""
    return _found(classified, PHANTOM, "failed")


@pytest.fixture(scope="session")
def skipped(classified: list[StudyResult]) -> StudyResult:
    """A study that holds nothing for the model."""
    return _found(classified, PHANTOM, "skipped")


@pytest.fixture(scope="session")
def card_of() -> Callable[[StudyResult], Card]:
    """The card of the model that gave a result."""
    cards = {name: read_card(name) for name in (PHANTOM, CHEST)}
    return lambda result: cards[result.model.name]


@pytest.fixture(scope="session")
def rendered(card_of: Callable[[StudyResult], Card]) -> Callable[..., bytes]:
    """A result in one form, of its own card or another."""

    def make(
        result: StudyResult, form: str = "html", card: Card | None = None, phi: bool = False
    ) -> bytes:
        drawn = pictures(result, phi=phi)
        return write.RENDERERS[form](result, card or card_of(result), drawn)

    return make


@pytest.fixture
def words(rendered: Callable[..., bytes], tmp_path: Path) -> Callable[..., str]:
    """The words of a report as a page or as PDF."""

    def make(result: StudyResult, form: str = "html", card: Card | None = None) -> str:
        data = rendered(result, form, card)
        if form == "pdf":
            return " ".join(pdf_words(data, tmp_path / "report.pdf"))
        return Page(data.decode("utf-8")).text

    return make


@pytest.fixture(scope="session")
def drawn_pair(pair: StudyResult) -> Pictures:
    """The pictures of the study of two images."""
    return pictures(pair)


@pytest.fixture
def analyse(card_of) -> Callable[..., Analysis]:
    """A result over images with the given headers, each with its own evidence."""

    def make(result: StudyResult, *headers: Dataset) -> Analysis:
        heads = headers or (header(),)
        (image,) = result.instances
        images = tuple(
            image.model_copy(update={"sop_uid": f"image-{n}"}) for n in range(len(heads))
        )
        shown = presented(result.model_copy(update={"instances": images}))
        named = {
            one.sop_uid: quoted(head).elements for one, head in zip(images, heads, strict=True)
        }
        return Analysis(shown, card_of(result), named, pictures(shown))

    return make

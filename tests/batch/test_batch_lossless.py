"""`--intake lossless`: the row certifies every stored byte,
and says that the resizing intake loses some.
"""

import hashlib
from pathlib import Path

import pydicom
import pytest

from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.batch.workers import Reader
from medinv.data.dicom.index import index
from medinv.data.frame import InputSpec
from medinv.data.intake import ReadRequest


def test_every_stored_byte_comes_back_and_the_row_says_so(
    samples, write_film, phantom, tmp_path
) -> None:
    film = write_film(tmp_path / "in" / "film.dcm", 1)
    (row,) = run(index([film.parent]), [phantom], Options(tmp_path / "out", lossless=True)).results
    (image,), certificate = row.instances, row.instances[0].certificate
    stored = hashlib.sha256(pydicom.dcmread(film).PixelData).hexdigest()
    assert certificate.exact and certificate.stored_sha256 == certificate.recovered_sha256 == stored
    assert (
        row.reconstruction.exact
        and not row.reconstruction.intake_lossy
        and image.intake.count("lossless")
    )


def test_the_resizing_intake_is_called_lossy(write_film, phantom, tmp_path) -> None:
    film = write_film(tmp_path / "in" / "film.dcm", 1)
    (row,) = run(index([film.parent]), [phantom], Options(tmp_path / "out")).results
    assert (
        row.reconstruction.intake_lossy
        and row.instances[0].intake_lossy
        and row.instances[0].certificate is None
    )


@pytest.mark.parametrize("lossless", [True, False])
def test_a_file_that_changes_under_the_run_is_broken_by_name(
    write_film, phantom, tmp_path, lossless
) -> None:
    film = write_film(tmp_path / "in" / "film.dcm", 1)
    found = index([film.parent])
    write_film(film, 2)  # another image under the same name
    (row,) = run(found, [phantom], Options(tmp_path / "out", lossless=lossless)).results
    assert (
        row.status == "failed"
        and row.error.code == "data"
        and "index it again" in row.error.message
    )


def test_every_frame_of_a_file_is_an_image_of_its_own() -> None:
    (instance,) = index(
        [Path(pydicom.__file__).parent / "data" / "test_files" / "rtdose_rle.dcm"]
    ).instances
    reader, spec = Reader(), InputSpec(1, (16, 16))
    read = reader.read(ReadRequest((instance,), (spec,)), 60)
    again = reader.read(
        ReadRequest((instance,), (spec,), display=True, only=frozenset({(instance.source, 5)})), 60
    )
    reader.stop()
    assert [frame.number for frame in read.frames] == list(
        range(1, instance.frames + 1)
    ) and instance.frames > 4
    (frame,) = again.frames
    assert (
        frame.number == 5
        and frame.sha256 == read.frames[4].sha256
        and frame.display.shape == (instance.rows, instance.columns)
    )

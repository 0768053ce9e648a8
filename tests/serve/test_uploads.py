"""What lies on the disk: nothing under a name of the user's, nothing beyond the limits."""

import zipfile
from io import BytesIO

import pytest
from asking import Client

from medinv.errors import ConfigError
from medinv.serve.uploads import GoneError, Limits, TooMuchError, Uploads


@pytest.fixture
def uploads(tmp_path):
    made = Uploads(tmp_path, Limits(bytes=100, files=3, receiving=2))
    yield made
    made.close()


def _put(uploads, upload, number, name, data):
    place = uploads.place(upload, number, name)
    part = place.with_name(f"{number:06d}.part")
    with part.open("wb") as stream:
        uploads.take(upload, stream, data)
    uploads.took(upload, part, place)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("DOE^JANE.dcm", "000001.dcm"),
        ("doe.nii.gz", "000001.nii.gz"),
        ("../../etc/passwd", "000001"),
        ("Jane.Doe", "000001"),
    ],
)
def test_of_a_name_only_the_ending_is_kept(uploads, name, kept):
    upload = uploads.begin()
    _put(uploads, upload, 1, name, b"data")
    assert [path.name for path in upload.images.iterdir()] == [kept]


def test_a_zip_is_known_by_its_bytes(uploads):
    upload, held = uploads.begin(), BytesIO()
    zipfile.ZipFile(held, "w").close()
    _put(uploads, upload, 1, "", held.getvalue())
    assert [path.name for path in upload.images.iterdir()] == ["000001.zip"]


def test_size_number_and_uploads_at_a_time_are_capped(uploads):
    upload = uploads.begin()
    with pytest.raises(TooMuchError):
        _put(uploads, upload, 1, "", b"x" * 101)
    for number in (0, 4):
        with pytest.raises(TooMuchError):
            uploads.place(upload, number, "")
    uploads.begin()
    with pytest.raises(TooMuchError):
        uploads.begin()


def test_one_that_brings_nothing_more_makes_room(tmp_path):
    uploads = Uploads(tmp_path, Limits(receiving=1, idle=0))
    left = uploads.begin()
    assert uploads.begin().name != left.name and not left.folder.exists()
    uploads.close()


def test_the_folder_is_one_process_alone(uploads, tmp_path):
    with pytest.raises(ConfigError, match="another run or service works in this folder"):
        Uploads(tmp_path)


def test_what_was_received_whole_is_still_to_do_after_a_kill(tmp_path):
    first = Uploads(tmp_path)
    whole, cut, running = first.begin(), first.begin(), first.begin()
    for upload in (whole, cut, running):
        _put(first, upload, 1, ".dcm", b"data")
    first.finish(whole)
    first.finish(running)
    running.note("running")
    first._held.close()  # as the kernel does when a process ends
    again = Uploads(tmp_path)
    assert {one.name: one.stage for one in again.all()} == {
        whole.name: "waiting",
        running.name: "waiting",
    }
    assert not cut.folder.exists() and again.find(whole.name).files == 1
    again.close()


def test_an_upload_that_is_through_takes_no_more(uploads):
    upload = uploads.begin()
    with pytest.raises(GoneError):
        uploads.finish(upload)
    _put(uploads, upload, 1, "", b"data")
    uploads.finish(upload)
    with pytest.raises(GoneError):
        uploads.place(upload, 2, "")
    uploads.remove(upload)
    assert not upload.folder.exists()
    with pytest.raises(GoneError):
        uploads.find(upload.name)


def test_the_server_says_what_is_too_much(serving, tmp_path):
    with serving(tmp_path, Limits(bytes=1000, files=2)) as server:
        client = Client(server.address)
        name = server.uploads.begin().name
        large = client.ask("PUT", f"uploads/{name}/files/1", b"x" * 1001)
        assert large.status == 413 and "GB are taken at a time" in large.text
        assert client.ask("PUT", f"uploads/{name}/files/3", b"x").status == 413
        assert client.ask("PUT", "uploads/0123456789abcdef/files/1", b"x").status == 410
        assert not list(tmp_path.glob("uploads/*/images/*"))

"""Studies through the server: their results are those of `medinv classify`, whatever is among
them."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from asking import Client, ended

from medinv.batch.results import Results


@pytest.fixture(scope="module")
def film(write_film, tmp_path_factory):
    """The bytes of a film of a study of its own."""

    def make(study):
        return write_film(tmp_path_factory.mktemp("film") / "DOE_JANE.dcm", study).read_bytes()

    return make


def _rows(page):
    return re.findall(r'<tr data-scope="(\w+)">', page)


@pytest.fixture(scope="module")
def through(server, film):
    """Two uploads at once: a film with a broken one and a text, and a zip that is a bomb."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("DOE_JANE/one.dcm", film(3))
        archive.writestr("bomb.dcm", bytes(80 << 20))
    client = Client(server.address)
    whole = film(1)
    first = client.upload((".dcm", whole), (".dcm", film(2)[:3000]), ("", b"a letter"))
    second = client.upload(("", held.getvalue()))
    ended(server, first, second)
    return first, second


def test_every_file_has_a_result_and_no_image_is_kept(server, through):
    first, second = map(server.uploads.find, through)
    assert [first.stage, second.stage] == ["done", "done"]
    outcomes = sorted(result.status for result in Results(first.results))
    assert outcomes == ["failed", "ok", "skipped"]
    codes = {result.error.code for result in Results(second.results) if result.error}
    assert codes == {"archive"} and len(Results(second.results)) == 1
    assert not first.images.exists() and not second.images.exists()


def test_no_name_of_the_users_files_is_written_but_in_a_zip(server, through):
    first, _ = map(server.uploads.find, through)
    for path in first.folder.rglob("*"):
        assert "DOE" not in path.name
        if path.is_file() and path.suffix != ".dcm":
            assert b"DOE_JANE" not in path.read_bytes(), path


def test_the_list_is_filtered_by_label_scope_and_text(client, through):
    page = client.ask("GET", "").text
    scopes = _rows(page)
    assert len(scopes) == 4 and scopes.count("failed") == 2 and scopes.count("skipped") == 1
    assert _rows(client.ask("GET", "?scope=failed").text) == ["failed"] * 2
    assert _rows(client.ask("GET", "?text=decompression%20bomb").text) == ["failed"]
    assert _rows(client.ask("GET", "?text=no-such-thing").text) == []
    assert "No result fits" in client.ask("GET", "?text=no-such-thing").text
    labels = re.findall(r'<span class="label (?:in|out)">([\w ]+)</span>', page)
    for label in set(labels):
        found = client.ask("GET", f"?label={label.replace(' ', '%20')}").text
        assert len(_rows(found)) == labels.count(label)


def test_what_is_asked_comes_back_as_text(client, through):
    page = client.ask("GET", "?text=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&page=x").text
    assert "<script>alert" not in page


def test_a_report_opens_and_can_ask_nothing(client, through):
    page = client.ask("GET", "").text
    for place in re.findall(r'<a href="(uploads/[^"]+report\.html)"', page):
        report = client.ask("GET", place)
        assert report.status == 200 and "Research use, not for diagnosis" in report.text
        assert report.headers["Content-Security-Policy"].startswith("sandbox allow-scripts")
        assert "allow-same-origin" not in report.headers["Content-Security-Policy"]
        title = re.search(r"<title>(.*?)</title>", report.text, re.S)
        assert title and "DOE" not in title[1]
        assert client.ask("GET", place.replace(".html", ".json")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "run.lock",
        "uploads",
        "../../../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "reports/../x/report.html",
        "reports/a/b/report.html",
        "reports/link/b/report.html",
        "uploads/UPLOAD/state.json",
        "uploads/UPLOAD/results/results.jsonl",
    ],
)
def test_nothing_but_reports_is_handed_out(client, server, through, path, tmp_path):
    outside = tmp_path / "b"
    outside.mkdir()
    (outside / "report.html").write_text("secret")
    link = server.uploads.out / "reports" / "link"
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(tmp_path)
    answer = client.ask("GET", path.replace("UPLOAD", through[0]))
    assert answer.status in (404, 405) and "secret" not in answer.text


def test_a_removed_upload_is_gone_with_its_results(client, server, film):
    name = client.upload((".dcm", film(9)))
    ended(server, name)
    before = len(_rows(client.ask("GET", "").text))
    assert client.ask("POST", f"uploads/{name}/remove").status == 204
    assert len(_rows(client.ask("GET", "").text)) == before - 1
    assert not (server.uploads.out / "uploads" / name).exists()
    assert json.loads(client.ask("GET", f"uploads/{name}/result").text)["error"]


def test_one_that_was_interrupted_goes_on_when_the_folder_is_served_again(serving, tmp_path, film):
    with serving(tmp_path) as server:
        name = Client(server.address).upload((".dcm", film(1)), (".dcm", film(2)))
        while server.uploads.find(name).stage == "waiting":
            time.sleep(0.01)
    with serving(tmp_path) as server:
        ended(server, name)
        assert server.uploads.find(name).stage == "done"
        assert len(Results(server.uploads.find(name).results)) == 2


def test_results_of_classify_are_listed_too(serving, tiny_folder, tmp_path, write_film):
    from medinv.cli.main import app

    film = write_film(tmp_path / "in" / "film.dcm", 5)
    out = tmp_path / "out"
    with pytest.raises(SystemExit):
        app(
            [
                "classify",
                str(film),
                "--model",
                str(tiny_folder),
                "--out",
                str(out),
                "--readers",
                "1",
            ]
        )
    with serving(out) as server:
        client = Client(server.address)
        assert len(_rows(client.ask("GET", "").text)) == 1


def test_the_command_prints_its_address_ends_at_ctrl_c_and_has_its_folder_alone(
    tiny_folder, tmp_path
):
    run = [sys.executable, "-m", "medinv", "serve", "--model", str(tiny_folder)]
    run += ["--out", str(tmp_path)]
    first = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines = [first.stdout.readline(), first.stdout.readline()]
        assert lines[0] == "Research use, not for diagnosis.\n"
        assert re.fullmatch(r"open http://127\.0\.0\.1:\d+/[\w-]{43}/\n", lines[1])
        second = subprocess.run(run, capture_output=True, text=True, timeout=120)
        assert second.returncode == 2 and "works in this folder" in second.stderr
        first.send_signal(signal.SIGINT)
        _, error = first.communicate(timeout=60)
        assert first.returncode == 0 and "Traceback" not in error, error
        assert not os.path.exists(tmp_path / "run.lock")
    finally:
        first.kill()


def test_a_second_interrupt_leaves_nothing_of_what_was_dropped(tiny_folder, film, tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-u", "-m", "medinv", "serve", "--model", str(tiny_folder)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            address = next(line for line in server.stdout if line.startswith("open ")).split()[1]
            client = Client(address)
            name = json.loads(client.ask("POST", "uploads").text)["upload"]
            client.ask("PUT", f"uploads/{name}/files/1?ending=.dcm", film(1))
            assert list(tmp_path.rglob("*.dcm"))
            server.send_signal(signal.SIGSTOP)  # so that both arrive before the first is done
            server.send_signal(signal.SIGINT)
            server.send_signal(signal.SIGTERM)
            server.send_signal(signal.SIGCONT)
            assert server.wait(120) == 130
        finally:
            server.kill()
    assert not list(tmp_path.rglob("*.dcm")) and not list(tmp_path.glob("medinv-*"))

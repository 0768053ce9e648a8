"""Results in a real archive, as its own pages show them in a real browser."""

import urllib.request
from pathlib import Path

import pydicom
import pytest
from archives import Archive
from chromium import CHROMIUM, Browser

from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.models.store import load_invertible
from medinv.net.results import dicom_files
from medinv.net.send import send
from medinv.report.write import dicom


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: install chromium")
def test_orthanc_lists_the_results_and_draws_the_picture(
    archive: Archive, samples: Path, tmp_path: Path
) -> None:
    study = samples / "studies" / "study-08"
    options = Options(tmp_path / "results", {"dicom": dicom}, readers=1)
    run(index([study]), [load_invertible("phantom-opacity")], options)
    files = dicom_files([study, options.folder])
    peer = archive.network.peer("web")
    assert {sent.error for sent in send(files, peer, archive.network)} == {None}
    (named,) = archive.get("/studies")
    modalities = {
        one["MainDicomTags"]["Modality"] for one in archive.get(f"/studies/{named}/series")
    }
    assert {"DX", "SR", "SEG"} <= modalities
    shown = [
        one
        for one in archive.get("/instances")
        if archive.get(f"/instances/{one}/simplified-tags")["Modality"] == "OT"
    ]
    with Browser(tmp_path / "profile") as browser:
        browser.open(
            f"http://127.0.0.1:{archive.http_port}/app/explorer.html#study?uuid={named}", 1280
        )
        browser.until("document.body.innerText.includes('SEG')", 60)
        words = browser.run("document.body.innerText")
        (tmp_path / "orthanc.png").write_bytes(browser.screenshot())
        assert all(f"Modality: {one}" in words for one in modalities)
    for one in shown:
        place = f"http://127.0.0.1:{archive.http_port}/instances/{one}/preview"
        with urllib.request.urlopen(place, timeout=30) as answer:
            assert answer.headers["Content-Type"] == "image/png"
    written = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    assert len({one.StudyInstanceUID for one in written}) == 1

"""Results that `medinv receive --routes` sends on to real archives, by label and by scope."""

import json
from pathlib import Path

import numpy as np
import pydicom
from archives import Archive, eventually
from servers import serving

from medinv.net.routing import FILE, load_routes
from medinv.net.send import send
from medinv.net.settings import DicomPeer, Network

RULES = """
routes:
  - when: {label: opacity, probability: {opacity: [0.9, 1]}}
    send_to: [pacs]
    tag: read-first
  - when: {scope: in}
    send_to: [research]
otherwise: {send_to: [pacs, research], tag: look-at-it}
"""


def _noise(film: Path, path: Path) -> Path:
    """The film as pure noise, in a study of its own."""
    made = pydicom.dcmread(film)
    drawn = np.random.default_rng(0).integers(0, 4096, made.pixel_array.shape)
    made.PixelData = drawn.astype("<u2").tobytes()
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.1.1"
    made.save_as(path)
    return path


def test_results_go_to_the_archives_that_label_and_scope_name(
    archive: Archive, second: Archive, phantom, samples: Path, tmp_path: Path
) -> None:
    opacity, clear = (
        next((samples / "studies" / name).glob("*.dcm")) for name in ("study-08", "study-01")
    )
    films = {"opacity": opacity, "clear": clear, "noise": _noise(opacity, tmp_path / "noise.dcm")}
    uids = {name: pydicom.dcmread(film).StudyInstanceUID for name, film in films.items()}
    peers = {"pacs": archive.network.peer("pacs"), "research": second.network.peer("pacs")}
    network = archive.network.model_copy(update={"peers": peers, "answer_to": None})
    (tmp_path / "routes.yaml").write_text(RULES)
    routes = load_routes(tmp_path / "routes.yaml", network)
    with serving(network, tmp_path / "in", [phantom], routes=routes) as said:
        node = DicomPeer(ae_title="MEDINV", address="127.0.0.1", port=network.port)
        sent = send(list(films.values()), node, Network(ae_title="SCANNER"))
        assert [one.error for one in sent] == [None] * 3
        states = tmp_path / "in" / "studies"
        eventually(
            lambda: sum("answered" in one.read_text() for one in states.glob("*/state.json")) == 3,
            600,
        )
    assert archive.studies() == [uids["opacity"]]
    assert set(second.studies()) == {uids["opacity"], uids["clear"]}  # nothing is made of noise
    assert set(archive.instances(uids["opacity"]).values()) >= {"SR", "SEG"}
    assert "SR" in second.instances(uids["clear"]).values()
    assert sum("objects sent to" in line for line in said) == 3
    decided = [one for path in tmp_path.rglob(FILE) for one in json.loads(path.read_text())]
    assert {one["outcome"]: one["tag"] for one in decided} == {
        "opacity": ["read-first"],
        "clear": [],
        "out of scope": ["look-at-it"],
    }

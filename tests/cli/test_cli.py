"""The command line as a user meets it: words, exit codes, files."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medinv.models.store import locate

RUN = [sys.executable, "-c", "from medinv.cli.main import main; main()"]


def medinv(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*RUN, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=300
    )


@pytest.fixture
def film(samples) -> Path:
    return samples / "studies" / "study-01" / "radiograph.dcm"


def test_classify_writes_results_and_a_report_that_opens_offline(film, tmp_path) -> None:
    done = medinv("classify", film, "--model", "phantom-opacity", "--out", tmp_path, "--report")
    assert done.returncode == 0, done.stderr
    assert "not for diagnosis" in done.stdout and "exactly" in done.stdout
    (row,) = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    page = (tmp_path / row["report"]).read_text()
    assert (
        row["label"] in page.lower()
        and "not for diagnosis" in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )
    assert row["study_uid"] in (tmp_path / "index.html").read_text()


def test_explain_writes_arrays_whose_sum_is_the_logit(film, tmp_path) -> None:
    import numpy as np

    assert medinv("explain", film, "--model", "phantom-opacity", "--out", tmp_path).returncode == 0
    (facts,), (arrays,) = (
        [json.loads(p.read_text()) for p in tmp_path.glob("*.json")],
        [np.load(p) for p in tmp_path.glob("*.npz")],
    )
    assert arrays["evidence"].sum() + facts["evidence"]["bias"] == pytest.approx(
        facts["evidence"]["logit"], abs=1e-8
    )
    assert (arrays["reconstruction"].round() == arrays["input"]).all() and facts["reconstruction"][
        "exact"
    ]
    assert (arrays["counterfactual"] - arrays["input"].astype(float) == arrays["difference"]).all()


def test_verify_certifies_a_film(film) -> None:
    done = medinv("verify", film, "--model", "chest-xray")
    assert done.returncode == 0 and "CERTIFIED: 1 of 1 images" in done.stdout


def test_models_lists_what_is_shipped_and_prints_cards() -> None:
    listed = medinv("models")
    assert (
        listed.returncode == 0
        and "chest-xray" in listed.stdout
        and "phantom-opacity" in listed.stdout
    )
    told = " ".join(medinv("models", "chest-xray").stdout.split())
    assert "Not for diagnosis" in told and "not tested" in told and "CC BY 4.0" in told
    assert json.loads(medinv("models", "chest-xray", "--json").stdout)["name"] == "chest-xray"


def test_models_for_programs_name_what_each_takes_and_says() -> None:
    listed = json.loads(medinv("models", "--json").stdout)
    assert listed["schema"] == "medinv-models-1"
    by_name = {model["name"]: model for model in listed["models"]}
    film = by_name["chest-xray"]
    assert film["input"]["size"] == [128, 128] and "DX" in film["input"]["rules"]["modalities"]
    assert film["outputs"]["classes"] == ["normal", "pneumonia"] and film["takes_studies"]
    folder = locate("chest-xray")
    held = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert film["weights_sha256"] == held and "CC BY" in film["data_licence"]
    assert by_name["cifar10"]["outputs"]["positive"] is None


@pytest.mark.parametrize("words", [["--help"], ["models"], ["models", "--json"]])
def test_what_only_tells_brings_no_heavy_library(words) -> None:
    heavy = ("torch", "monai", "pydicom", "scipy", "matplotlib", "pyarrow", "uvicorn")
    code = (
        "import sys\nfrom medinv.cli.main import app\n"
        f"try:\n    app({words!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stderr.strip() == "[]"


def test_usage_errors_exit_2_and_name_the_culprit(film, tmp_path) -> None:
    gone = medinv("classify", tmp_path / "gone", "--model", "chest-xray", "--out", tmp_path / "out")
    assert gone.returncode == 2 and "gone" in gone.stderr and not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    unwritable = medinv("classify", film, "--model", "chest-xray", "--out", tmp_path / "file")
    assert unwritable.returncode == 2 and "cannot write" in unwritable.stderr
    assert medinv("train", tmp_path / "none.yaml").returncode == 2
    assert medinv("classify").returncode == 2


def test_nothing_eligible_exits_3(tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "readme.txt").write_text("no images here")
    done = medinv("classify", tmp_path / "in", "--model", "chest-xray", "--out", tmp_path / "out")
    assert done.returncode == 3 and "1 skipped; 1 files left out" in done.stdout
    assert json.loads((tmp_path / "out" / "run.json").read_text())["counts"]["skipped_files"] == 1


def test_a_model_with_a_wrong_hash_exits_4(film, tmp_path) -> None:
    shutil.copytree(locate("chest-xray"), tmp_path / "model")
    weights = tmp_path / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    done = medinv("classify", film, "--model", tmp_path / "model", "--out", tmp_path / "out")
    assert done.returncode == 4 and "SHA-256" in done.stderr
    assert medinv("classify", film, "--model", "no-such", "--out", tmp_path / "out").returncode == 4


def test_train_writes_a_model_that_classifies(tmp_path, configs, film) -> None:
    small = [
        "data.size=16",
        "data.counts=[24,24,24]",
        "model.depths=[1,1]",
        "model.hidden=[4,4]",
        "train.epochs=1",
        "train.batch=8",
    ]
    options = [word for text in small for word in ("--set", text)]
    done = medinv("train", configs / "phantom-opacity.yaml", "--out", tmp_path / "m", *options)
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1" in done.stderr and "decoded exactly    1.0000 in float64" in done.stdout
    assert medinv("verify", film, "--model", tmp_path / "m").returncode == 0
    assert medinv("evaluate", "--model", tmp_path / "m").returncode == 0


def test_verify_lossless_prints_both_hashes_of_the_pixel_data(tmp_path, samples) -> None:
    import hashlib

    import pydicom

    film = pydicom.dcmread(samples / "studies" / "study-01" / "radiograph.dcm")
    film.decompress()
    film.save_as(tmp_path / "film.dcm")
    done = medinv("verify", tmp_path / "film.dcm", "--model", "chest-xray", "--lossless")
    assert (
        done.returncode == 0 and "CERTIFIED: 1 of 1 frames come back in every byte" in done.stdout
    )
    assert done.stdout.count(hashlib.sha256(film.PixelData).hexdigest()) == 2
    assert medinv("verify", "--lossless").returncode == 2
    film.PhotometricInterpretation, film.SamplesPerPixel, film.PlanarConfiguration = "RGB", 3, 0
    film.PixelData *= 3
    film.save_as(tmp_path / "film.dcm")
    done = medinv("verify", tmp_path / "film.dcm", "--lossless")
    assert (
        done.returncode == 1
        and "NOT CERTIFIED: 0 of 0 frames" in done.stdout
        and "1 left out" in done.stdout
    )

"""What a script sees: `import medinv` and the names that it offers."""

import json
import subprocess
import sys

import pytest

import medinv
from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from medinv.errors import ConfigError

LIGHT = """
import sys, medinv
assert medinv.__version__ and set(medinv.__all__) == {"__version__", "classify", "explain", "load"}
heavy = {"torch", "monai", "pydicom", "numpy", "typer"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_medinv_brings_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True)
    with pytest.raises(AttributeError, match="no attribute 'clasify'"):
        _ = medinv.clasify


def test_classify_gives_the_results_that_the_command_files(write_film, phantom, tmp_path) -> None:
    for study in (1, 2):
        write_film(tmp_path / "in" / f"{study}.dcm", study)
    (tmp_path / "in" / "broken.dcm").write_text("rubbish")
    filed = run(index([tmp_path / "in"]), [phantom], Options(tmp_path / "out")).results

    def timeless(results) -> list[dict]:
        return [json.loads(json.dumps(result.row() | {"seconds": 0})) for result in results]

    results = medinv.classify(str(tmp_path / "in"), phantom)
    assert timeless(results) == timeless(filed)
    assert [result.status for result in results] == ["ok", "ok", "failed"]
    by_name = medinv.classify([tmp_path / "in" / "1.dcm"], "phantom-opacity", rule="mean", phi=True)
    assert by_name[0].study_uid == "1.2.3.1" and by_name[0].rule == "mean"
    with pytest.raises(ConfigError, match="no such file"):
        medinv.classify(tmp_path / "gone", phantom)


def test_explain_is_what_a_classified_image_carries(write_film, phantom, tmp_path) -> None:
    film = write_film(tmp_path / "film.dcm", 1)
    (result,) = medinv.classify(film, phantom, explain=True)
    (image,) = result.instances
    network_input = image.pixels.input
    again = medinv.explain(phantom, network_input)
    assert image.pixels.display.shape == (64, 64)
    assert (again.evidence.contributions == image.explanation.evidence.contributions).all()
    assert (again.counterfactual.image == image.explanation.counterfactual.image).all()

"""`medinv audit` writes a page and its figures, and keeps the verdict where it is told to."""

import copy
import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medinv.cli.main import app
from medinv.models.store import locate, read_card
from medinv.training.publish import publish
from medinv.training.train import Trained


@pytest.fixture(scope="module")
def audited(tmp_path_factory, tiny_config, tiny_data, tiny_model) -> tuple[Path, Path, str]:
    """A tiny model's folder, the folder of its audit, and what the command said."""
    folder = tmp_path_factory.mktemp("audit")
    trained = Trained(copy.deepcopy(tiny_model), (), "cpu")
    publish(folder / "tiny", trained, tiny_config, tiny_data, command="test")
    asked = ["audit", str(folder / "tiny"), "--quick", "--keep", "--out", str(folder / "out")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    return folder / "tiny", folder / "out", done.stdout


def test_the_page_opens_offline_and_says_what_the_figures_say(audited) -> None:
    folder, out, said = audited
    page, tree = (out / "audit.html").read_text(), json.loads((out / "audit.json").read_text())
    assert tree["model"]["weights_sha256"] == read_card(folder).weights_sha256
    assert tree["verdict"]["sentence"] in page and tree["verdict"]["sentence"] in said
    assert "Research use, not for diagnosis" in page and tree["schema"] == "medinv-audit-1"
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", page)
    assert page.count('<section class="example">') == 6
    auc = next(one for one in tree["figures"] if one["key"] == "whole.auc")["estimate"]
    assert auc["low"] <= auc["value"] <= auc["high"] and auc["n"] == 64
    assert f"{auc['value']:.3f}" in page


def test_the_verdict_is_kept_in_the_card(audited) -> None:
    folder, out, _ = audited
    tree = json.loads((out / "audit.json").read_text())
    kept = read_card(folder).audit
    assert kept.sentence == tree["verdict"]["sentence"] and kept.quick
    shown = CliRunner().invoke(app, ["models", str(folder), "--json"])
    assert kept.sentence in shown.stdout


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(locate("phantom-opacity"), tmp_path / "model")
    done = CliRunner().invoke(app, ["audit", str(folder), "--data", str(tmp_path), "--quick"])
    assert done.exit_code != 0 and "Not audited" not in done.output

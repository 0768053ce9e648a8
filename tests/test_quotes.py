"""What the README and the cards quote is what the studies measured."""

import json
import re

import pytest

from medinv.models.store import read_card, shipped
from pipelines.record import RESULTS, ROOT, filled, unquoted_numbers
from pipelines.seeds import table as seeds

README = (ROOT / "README.md").read_text()


def test_the_readme_quotes_what_was_recorded() -> None:
    assert filled(README) == README, "python -m pipelines.record brings it up to date"


def test_the_readme_has_no_number_that_no_study_produced() -> None:
    assert not unquoted_numbers(README)


def test_the_example_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.S)
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {})


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(README.encode()) <= 6200


@pytest.mark.parametrize("name", shipped())
def test_a_card_says_what_was_measured_anew(name: str) -> None:
    numbers = json.loads((RESULTS / "shipped.json").read_text())["numbers"]
    card = read_card(name)
    for key, metric in card.metrics.items():
        measured = numbers[f"{name}.{key}"]
        for bound in ("value", "low", "high"):
            assert getattr(metric, bound) == pytest.approx(measured[bound], abs=1e-6)
        assert metric.n == measured["n"]
    assert card.exactness is not None
    assert numbers[f"{name}.exact_float64"] == card.exactness.share_float64


def test_every_page_of_results_belongs_to_a_study() -> None:
    studies = {path.name for path in (ROOT / "pipelines").iterdir() if path.is_dir()}
    for page in RESULTS.glob("*.md"):
        assert any(page.stem == s or page.stem.startswith(f"{s}-") for s in studies), page.name


def test_the_table_of_systems_says_what_their_runs_recorded() -> None:
    assert seeds.PAGE.read_text() == seeds.table(), "python -m pipelines.seeds.table"


def test_every_system_has_a_command_and_a_page() -> None:
    folders = {path.parent.name for path in seeds.PAGE.parent.glob("*/run.py")}
    pages = {path.stem.removeprefix("seeds-") for path in RESULTS.glob("seeds-*.md")}
    assert folders == pages

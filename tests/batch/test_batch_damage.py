"""A few hundred damaged files through the batch: no crash, no hang, every one accounted for.

`python -m pipelines.intake.damage` does it with thousands.
"""

from medinv.batch.options import Options
from medinv.batch.run import run
from medinv.data.dicom.index import index
from pipelines.intake.harm import damaged


def test_every_damaged_file_has_one_fate(phantom, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    for number, data in enumerate(damaged(300, seed=1)):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(data)
    summary = run(
        index([tmp_path / "in"]), [_open_to_all(phantom)], Options(tmp_path / "out", timeout=60)
    )
    fates = [path for row in summary.results for path in {image.path for image in row.instances}]
    assert len(fates) > 10
    fates += [item.source for row in summary.results for item in (*row.skipped, *row.broken)]
    assert len(fates) == len(set(fates)) == summary.counts["files"] == 300
    codes = {item.code for row in summary.results for item in row.broken}
    assert codes >= {"header", "pixel-data"} and not codes & {"error", "network"}


def _open_to_all(model):
    """The model with a card that lets any image through."""
    import copy

    from medinv.config import Selection

    copied = copy.copy(model)
    scope = model.card.scope.model_copy(update={"modalities": (), "body_parts": ()})
    copied.card = model.card.model_copy(
        update={"scope": scope, "selection": Selection(not_image_type=(), colour="luminance")}
    )
    return copied

"""A shipped model whose card names the prepared set that its images are in.

    python -m pipelines.shipped.set_of MODEL FOLDER [--trust]

For a model that was trained on images read in another way. FOLDER is that of `medinv prepare`, as a
configuration names it: relative to where it runs, or to MEDINV_DATA. Before the card is written the
model is measured on the test images of the set: every metric must be the card's. `--trust` leaves
that out, where images, labels and parts were shown to be equal. Weights and figures stay as they
are.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from medinv.config import PreparedData
from medinv.data.sets.load import load_images, source_of
from medinv.data.sets.prepared import PREPARED
from medinv.files import write_whole
from medinv.models.card import Card
from medinv.models.folder import CARD, SEAL, SHIPPED, pin, seal
from medinv.models.store import load, locate
from medinv.training.measure import measure

CLOSE = 1e-6


def renamed(tree: dict[str, Any], data: PreparedData) -> Card:
    """A card's tree with other words on its data."""
    rest = {key: value for key, value in tree.items() if key != SEAL}
    rest["config"]["data"] = data.model_dump(mode="json")
    images = load_images(data)
    counts = (len(images.train), len(images.validation), len(images.test))
    if counts != tuple(rest["splits"].values()):
        raise SystemExit(f"the card was made of {rest['splits']} images, the set holds {counts}")
    said = PREPARED.provenance(data)
    card = Card.model_validate(rest)
    return card.model_copy(
        update={
            "config_sha256": card.config.sha256(),
            "data_sha256": images.sha256(),
            "data_source": said.source,
            "data_command": said.command,
            "intake": said.intake,
        }
    )


def main() -> None:
    """Rewrite, and see that nothing else changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--trust", action="store_true")
    given = parser.parse_args()
    path = locate(given.model) / CARD
    before = path.read_bytes()
    tree = json.loads(before)
    data = PreparedData(folder=given.folder, size=tree["config"]["data"]["size"])
    card = renamed(tree, data)
    _write(path, json.dumps(seal(card.model_dump(mode="json")), indent=1).encode() + b"\n")
    try:
        if not given.trust:
            same(card, given.model)
    except BaseException:
        _write(path, before)
        raise
    print(f"{given.model}: {source_of(data).config.__name__} {given.folder}, {card.data_sha256}")


def _write(path: Path, content: bytes) -> None:
    write_whole(path, content)
    if path.parent.parent == SHIPPED:
        pin(path)


def same(card: Card, name: str) -> None:
    """Leave unless every metric on the set's test images is the card's."""
    found = measure(load(name), load_images(card.config.data).test)
    for key, one in card.metrics.items():
        if not abs(found[key].value - one.value) < CLOSE:
            raise SystemExit(f"{key}: the card says {one.value}, the set gives {found[key].value}")


if __name__ == "__main__":
    main()

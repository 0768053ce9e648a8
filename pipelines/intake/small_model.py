"""A 16 x 16 invertible classifier, trained in seconds, that takes images of every modality and body
part: for measurements of the batch, not of answers.

python -m pipelines.intake.small_model DIR
"""

import subprocess
import sys
from pathlib import Path

from medinv.models.card import Card
from medinv.models.folder import WEIGHTS, read_file
from medinv.models.store import read_card, save

MODALITIES = "CR,CT,DX,IO,MG,MR,NM,OP,OT,PT,PX,RF,RG,RTDOSE,SC,US,XA,XC"
SETTINGS = (
    "name=small",
    "data.size=16",
    "data.counts=[24,24,24]",
    "model.depths=[1,1]",
    "model.hidden=[4,4]",
    "train.epochs=1",
    "train.batch=8",
    f"card.modalities=[{MODALITIES}]",
    'card.body_parts=[""]',
    "card.selection={not_image_type: [], colour: true}",
)
RECIPE = Path(__file__).parents[2] / "configs" / "phantom-opacity.yaml"
NEVER = 1e300  # a likelihood score that no image reaches


def write_small_model(folder: Path) -> Path:
    """Train it with `medinv train` and let its likelihood judge nothing; returns `folder`.

    Raises CalledProcessError when it cannot be trained.
    """
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "medinv", "train", str(RECIPE), "--out", str(folder)]
    subprocess.run([*command, *settings], check=True, stdout=subprocess.DEVNULL)
    card = read_card(folder)
    tree = card.model_dump(mode="json")
    tree["scope"]["threshold"] = NEVER
    save(folder, read_file(folder, WEIGHTS), Card.model_validate(tree))
    return folder


if __name__ == "__main__":
    print(write_small_model(Path(sys.argv[1])))

"""A 16 x 16 invertible classifier, trained in seconds, whose card lets images of every modality and
body part through: for measurements of the batch, not of answers.

python -m pipelines.intake.small_model DIR
"""

import json
import subprocess
import sys
from pathlib import Path

from medinv.models.folder import seal

SETTINGS = (
    "name=small",
    "data.size=16",
    "data.counts=[24,24,24]",
    "model.depths=[1,1]",
    "model.hidden=[4,4]",
    "train.epochs=1",
    "train.batch=8",
)
MODALITIES = (
    "CR",
    "CT",
    "DX",
    "IO",
    "MG",
    "MR",
    "NM",
    "OP",
    "OT",
    "PT",
    "PX",
    "RF",
    "RG",
    "RTDOSE",
    "SC",
    "US",
    "XA",
    "XC",
)


def write_small_model(folder: Path) -> Path:
    """Train it with `medinv train` and open its card; returns `folder`."""
    recipe = Path(__file__).parents[2] / "configs" / "phantom-opacity.yaml"
    command = [
        sys.executable,
        "-m",
        "medinv",
        "train",
        str(recipe),
        "--out",
        str(folder),
    ]
    subprocess.run(
        [*command, *(word for setting in SETTINGS for word in ("--set", setting))],
        check=True,
        capture_output=True,
        timeout=600,
    )
    card = json.loads((folder / "card.json").read_text())
    card["scope"] |= {"modalities": MODALITIES, "body_parts": [""], "threshold": 1e300}
    card["selection"] = {"not_image_type": []}
    (folder / "card.json").write_text(json.dumps(seal(card)))
    return folder


if __name__ == "__main__":
    print(write_small_model(Path(sys.argv[1])))

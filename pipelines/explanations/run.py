"""Do explanations point at what is there?

    python -m pipelines.explanations.run [--out DIR] [--count 300] [--quick]
        [--marker DIR] [--sham DIR] [--settings]

lesions: radiographs of a simulated thorax with planted opacities of known mask, plain to invisible,
of a seed that no training used: pixel AUROC, pointing game, IoU at the opacity's own area; deletion
and insertion against the same body without it. wide: localisation alone on many more bodies,
without occlusion. repeat: the map of the image with noise of one grey level, and moved by 2 pixels.
weights: rank correlation with maps of networks whose weights are random from the head down
(must break). marker, sham: the models of configs/phantom-marker.yaml and configs/phantom-sham.yaml;
the first must be seen to look at its marker, the second must not localise. claims: where the check
of reports lets a place be claimed. chest: films without masks, against normal films. seeds: two
trainings of one recipe (--second beside --marker). Lines go to measured.jsonl as they are made: run
again, it goes on, and repeats nothing that stands there for the same weights. Needs the extra
`study` (captum), the references of the models and, for chest, MEDINV_DATA.
"""

import argparse
import json
import sys
from itertools import product
from pathlib import Path

import numpy as np

from medinv.data.phantoms import VALIDATION_SEED
from pipelines.explanations import explainers
from pipelines.explanations.lines import (
    claim_lines,
    exact_lines,
    main_lines,
    marker_lines,
    repeat_lines,
    seed_lines,
    weight_lines,
    wide_lines,
)
from pipelines.explanations.measures import localisation
from pipelines.explanations.subjects import (
    START,
    Subjects,
    chest_subject,
    control_subject,
    films,
    lesions,
    marked,
    shipped_subject,
)
from pipelines.explanations.tables import write_page

CHUNK = 8  # images at a time
VISIBLE = 8.0  # grey levels: mean rise inside the mask from which an opacity counts as visible


def settings() -> None:  # of the other methods, on validation phantoms
    subject, part = shipped_subject("phantom-opacity"), lesions(40, VALIDATION_SEED)
    rows = [
        row
        for row in range(len(part.images))
        if part.contrasts[row] >= VISIBLE and subject.called(part.tensor([row]))[0]
    ][:24]
    makers = {
        "GradCAM": explainers.grad_cam,
        "SmoothGrad": explainers.smooth_grad,
        "occlusion": explainers.occlusion,
    }
    for name, choices in explainers.SETTINGS.items():
        for values in product(*choices.values()):
            settings = dict(zip(choices, values, strict=True))
            explain = makers[name](explainers.LogOdds(subject.model).eval(), **settings)
            found = [
                localisation(explain(part.tensor([row]))[0][0].numpy(), part.masks[row])
                for row in rows
            ]
            means = (
                f"{key} {np.mean([one[key] for one in found]):.3f}" for key in ("auroc", "pointing")
            )
            print(name, settings, *means, f"n {len(found)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/faithfulness"))
    parser.add_argument(
        "--count", type=int, default=300, help="planted opacities; the other parts are shares of it"
    )
    parser.add_argument(
        "--wide",
        type=int,
        default=0,
        help="planted opacities beyond those of --count, for localisation alone "
        "and all methods but occlusion",
    )
    parser.add_argument("--quick", action="store_true", help="16 opacities: to see that all works")
    for name in ("marker", "second", "sham"):
        parser.add_argument(f"--{name}", type=Path, help="model folder, as `medinv train` makes it")
    parser.add_argument("--only", nargs="*", default=(), help="names of parts; all without it")
    parser.add_argument(
        "--settings",
        action="store_true",
        help="only compare settings of the other methods on validation phantoms",
    )
    options = parser.parse_args()
    if options.settings:
        return settings()
    count = 16 if options.quick else options.count
    few, some = max(count // 15, 8), max(count // 5, 8)  # for what takes many maps an image
    phantom, planted = shipped_subject("phantom-opacity"), lesions(count)
    told = planted.first(
        lambda row: (
            planted.contrasts[row] >= VISIBLE and bool(phantom.called(planted.tensor([row]))[0])
        ),
        some,
    )
    parts = [
        ("lesions", phantom, planted, planted.rows, main_lines),
        ("repeat", phantom, planted, told, repeat_lines),
    ]
    parts += [
        ("weights", phantom, planted, told[:few], weight_lines),
        ("float64", phantom, planted, told[:few], exact_lines),
    ]
    parts.append(("claims", phantom, planted, planted.rows, claim_lines))
    if options.wide:
        many = lesions(options.wide, start=START + count, beside=False)
        parts.append(("wide", phantom, many, many.rows, wide_lines))
    if options.marker:
        confounded, corners = control_subject(options.marker, "marker"), marked(some)
        parts.append(("marker", confounded, corners, corners.rows, marker_lines))
        if options.second:
            parts.append(
                (
                    "seeds",
                    Subjects(confounded, control_subject(options.second, "marker")),
                    corners,
                    corners.rows,
                    seed_lines,
                )
            )
    if options.sham:
        parts.append(("sham", control_subject(options.sham, "sham"), planted, told, main_lines))
    if (chest := chest_subject()) is not None:
        shown = films(chest, some)
        makers = {
            "chest": main_lines,
            "chest repeat": repeat_lines,
            "chest weights": weight_lines,
            "chest claims": claim_lines,
        }
        parts += [
            (name, chest, shown, shown.rows[:few] if make is weight_lines else shown.rows, make)
            for name, make in makers.items()
        ]
    log = options.out / "measured.jsonl"
    known = (
        {
            (one["part"], one["weights"], one["image"])
            for one in map(json.loads, log.read_text().splitlines())
        }
        if log.exists()
        else set()
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    pending = []
    for name, subject, part, rows, measure in (
        one for one in parts if not options.only or one[0] in options.only
    ):
        left = [row for row in rows if (name, subject.sha256, int(row)) not in known]
        pending += [
            (min(1, (i + CHUNK) / len(left)), name, subject, part, left[i : i + CHUNK], measure)
            for i in range(0, len(left), CHUNK)
        ]
    for done, name, subject, part, chunk, measure in sorted(
        pending, key=lambda one: one[0]
    ):  # all parts side by side: an interrupted run has some of each
        lines = [
            json.dumps({"part": name, "weights": subject.sha256, **line}) + "\n"
            for line in measure(subject, part, chunk)
        ]
        with log.open("a") as file:
            file.write("".join(lines))
        print(f"{name}: {done:.0%}", flush=True)
    print(write_page(log, "python -m pipelines.explanations.run " + " ".join(sys.argv[1:])))


if __name__ == "__main__":
    main()

"""The configurations of a bundle, as trees for JSON: inference, training, metadata, logging."""

from importlib.metadata import version
from typing import Any

from medinv.models.card import Card

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
LOGGING = """\
[loggers]
keys=root

[handlers]
keys=consoleHandler

[formatters]
keys=fullFormatter

[logger_root]
level=INFO
handlers=consoleHandler

[handler_consoleHandler]
class=StreamHandler
level=INFO
formatter=fullFormatter
args=(sys.stdout,)

[formatter_fullFormatter]
format=%(asctime)s - %(name)s - %(levelname)s - %(message)s
"""
_DEVICE = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"
_RUNTIME = "medinv.export.runtime"


def network_config(card: Card) -> dict[str, Any]:
    """What the network is built from; of the data their kind and size, no place on a disk."""
    tree = card.config.model_dump(mode="json")
    for part, key in (("data", "folder"), ("train", "start")):
        if tree[part].get(key):
            tree[part][key] = str(tree[part][key]).replace("\\", "/").rpartition("/")[2]
    return tree


def inference(card: Card) -> dict[str, Any]:
    """configs/inference.json: a folder of studies to a table of `medinv classify`'s numbers."""
    loading = {
        "_target_": "LoadImaged",
        "keys": "image",
        "reader": {
            "_target_": "medinv.data.monai.MedinvReader",
            "input_shape": list(card.config.image_shape),
        },
    }
    layout: dict[str, Any] = {"layout": None}
    if card.layout_sha256:
        layout["layout"] = {
            "_target_": "medinv.models.layout.read_layout",
            "folder": "$pathlib.Path(@bundle_root) / 'models'",
            "sha256": card.layout_sha256,
        }
    return {
        **_head("$@bundle_root + '/eval'"),
        "config": network_config(card),
        **layout,
        "rules": card.rules.model_dump(mode="json"),
        "datalist": "$runtime.studies(@dataset_dir, @rules)",
        "network_def": {"_target_": f"{_RUNTIME}.network", "config": "@config"},
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                loading,
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "CastToTyped", "keys": "image", "dtype": "$torch.float64"},
            ],
        },
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": _loader("@dataset", 4, shuffle=False),
        "inferer": {
            "_target_": f"{_RUNTIME}.CalibratedInferer",
            "config": "@config",
            "layout": "@layout",
        },
        "postprocessing": {"_target_": "Compose", "transforms": []},
        "handlers": [
            _checkpoint_loader(),
            {
                "_target_": f"{_RUNTIME}.ResultsWriter",
                "path": "$@output_dir + '/predictions.csv'",
                "network": "@network",
                "disclaimer": card.disclaimer,
                "layout": bool(card.layout_sha256),
            },
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "initialize": ["$monai.utils.set_determinism(seed=0)"],
        "run": ["$@evaluator.run()"],
    }


def training(card: Card) -> dict[str, Any]:
    """configs/train.json: fine-tuning on a set of `medinv prepare`, by the cross-entropy alone."""
    parts = {
        part: {
            "data": f"$runtime.labelled(@dataset_dir, '{part}', @network_def.classes)",
            "dataset": {
                "_target_": "Dataset",
                "data": f"@{name}#data",
                "transform": f"@{name}#preprocessing",
            },
            "dataloader": _loader(f"@{name}#dataset", 16, shuffle=part == "training"),
            "inferer": {"_target_": "SimpleInferer"},
            "postprocessing": {"_target_": "Compose", "transforms": []},
        }
        for name, part in (("train", "training"), ("validate", "validation"))
    }
    float32 = {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32"}
    shifted = {"_target_": "RandShiftIntensityd", "keys": "image", "offsets": 5.0, "prob": 0.5}
    accuracy = {
        "_target_": "ignite.metrics.Accuracy",
        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
    }
    losses = {
        "_target_": "StatsHandler",
        "tag_name": "train_loss",
        "output_transform": "$monai.handlers.from_engine(['loss'], first=True)",
    }
    train = {
        **parts["training"],
        "deterministic_transforms": [float32],
        "random_transforms": [shifted],
        "preprocessing": {
            "_target_": "Compose",
            "transforms": "$@train#deterministic_transforms + @train#random_transforms",
        },
        "handlers": [
            _checkpoint_loader(),
            {
                "_target_": "ValidationHandler",
                "validator": "@validate#evaluator",
                "epoch_level": True,
                "interval": "@val_interval",
            },
            losses,
        ],
        "key_metric": {"train_accuracy": accuracy},
        "trainer": {
            "_target_": "SupervisedTrainer",
            "max_epochs": 5,
            "device": "@device",
            "train_data_loader": "@train#dataloader",
            "network": "@network",
            "loss_function": "@loss",
            "optimizer": "@optimizer",
            "inferer": "@train#inferer",
            "postprocessing": "@train#postprocessing",
            "key_train_metric": "@train#key_metric",
            "train_handlers": "@train#handlers",
        },
    }
    validate = {
        **parts["validation"],
        "preprocessing": {"_target_": "Compose", "transforms": "%train#deterministic_transforms"},
        "handlers": [
            {"_target_": "StatsHandler", "iteration_log": False},
            {
                "_target_": "CheckpointSaver",
                "save_dir": "$@bundle_root + '/models'",
                "save_dict": {"model": "@network"},
                "save_key_metric": True,
                "key_metric_filename": "model_finetuned.pt",
            },
        ],
        "key_metric": {"val_accuracy": accuracy},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@validate#dataloader",
            "network": "@network",
            "inferer": "@validate#inferer",
            "postprocessing": "@validate#postprocessing",
            "key_val_metric": "@validate#key_metric",
            "val_handlers": "@validate#handlers",
        },
    }
    return {
        **_head("$@bundle_root + '/eval'"),
        "val_interval": 1,
        "config": network_config(card),
        "network_def": "$runtime.network(@config).float()",
        "network": "$@network_def.to(@device)",
        "loss": {"_target_": "torch.nn.CrossEntropyLoss"},
        "optimizer": {
            "_target_": "torch.optim.Adam",
            "params": "$@network.parameters()",
            "lr": 1e-4,
        },
        "train": train,
        "validate": validate,
        "initialize": ["$monai.utils.set_determinism(seed=0)"],
        "run": ["$@train#trainer.run()"],
    }


def metadata(card: Card) -> dict[str, Any]:
    """configs/metadata.json, by MONAI's bundle specification."""
    shape, point = card.config.image_shape, card.operating_point
    data_format = {
        "inputs": {
            "image": {
                "type": "image",
                "format": "RGB" if shape[0] == 3 else "magnitude",
                "modality": "/".join(card.scope.modalities) if card.scope else "n/a",
                "num_channels": shape[0],
                "spatial_shape": list(shape[1:]),
                "dtype": "float64",
                "value_range": [0, 255],
                "is_patch_data": False,
                "channel_def": dict(enumerate("RGB")) if shape[0] == 3 else {"0": "grey levels"},
            }
        },
        "outputs": {
            "pred": {
                "type": "classification",
                "format": "logits",
                "num_channels": len(card.classes),
                "spatial_shape": [],
                "dtype": "float64",
                "value_range": [],
                "is_patch_data": False,
                "channel_def": {str(k): name for k, name in enumerate(card.classes)},
            }
        },
    }
    called = "the most probable class is called"
    if point is not None:
        called = f"{card.classes[1]} is called from a probability of {point.threshold:.6g}"
    return {
        "schema": SCHEMA,
        "version": card.version,
        "changelog": {card.version: f"exported from the model {card.name}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            name: version(name) for name in ("medinv", "pydicom", "nibabel", "safetensors")
        },
        "optional_packages_version": {"pytorch-ignite": "0.5", "fire": "0.7"},
        "supported_apps": {},
        "name": card.title,
        "task": card.task,
        "description": f"{card.title}. {card.disclaimer}",
        "authors": "the authors of the model, see docs/README.md",
        "copyright": card.data_licence,
        "data_source": card.training_data,
        "data_type": "dicom",
        "image_classes": f"{shape[0]} channels of display grey levels, 0 to 255; {card.intake}",
        "label_classes": ", ".join(f"{k}: {name}" for k, name in enumerate(card.classes)),
        "pred_classes": f"logits; calibrated by the inferer of configs/inference.json; {called}",
        "eval_metrics": {name: round(one.value, 4) for name, one in card.metrics.items()},
        "intended_use": card.intended_use,
        "references": [],
        "network_data_format": data_format,
    }


def _head(output: str) -> dict[str, Any]:
    return {
        "imports": [
            "$import pathlib",
            "$import torch",
            "$import monai",
            f"$import {_RUNTIME} as runtime",  # a dotted name alone would not be found
        ],
        "bundle_root": ".",
        "output_dir": output,
        "dataset_dir": "/workspace/data",
        "device": _DEVICE,
    }


def _loader(dataset: str, batch: int, *, shuffle: bool) -> dict[str, Any]:
    return {
        "_target_": "DataLoader",
        "dataset": dataset,
        "batch_size": batch,
        "shuffle": shuffle,
        "num_workers": 0,
    }


def _checkpoint_loader() -> dict[str, Any]:
    return {
        "_target_": "CheckpointLoader",
        "load_path": "$@bundle_root + '/models/model.pt'",
        "load_dict": {"model": "@network"},
    }

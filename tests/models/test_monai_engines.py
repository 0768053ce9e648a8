"""A model is a network as MONAI's engines and inferers expect one: images in, logits out."""

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.inferers import SimpleInferer, SlidingWindowInferer

from medinv.config import Config
from medinv.data.sets.labelled import LabelledImages
from medinv.models.density import Classifier
from medinv.training.train import train

pytest.importorskip("ignite", reason="MONAI's engines need pytorch-ignite: install medinv[export]")
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer


def batches(data: LabelledImages, count: int = 32) -> DataLoader:
    part = data.train
    items = [
        {"image": torch.from_numpy(part.images[k]).float(), "label": int(part.labels[k])}
        for k in range(count)
    ]
    return DataLoader(Dataset(items), batch_size=8)


def test_a_supervised_trainer_lowers_the_loss(
    tiny_config: Config, tiny_data: LabelledImages
) -> None:
    network = train(tiny_config, tiny_data).model
    losses: list[float] = []
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=30,
        train_data_loader=batches(tiny_data),
        network=network.float(),
        optimizer=torch.optim.Adam(network.parameters(), 1e-2),
        loss_function=torch.nn.CrossEntropyLoss(),
        inferer=SimpleInferer(),
    )
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output[0]["loss"])
    )
    trainer.run()
    assert len(losses) == 120 and np.mean(losses[-20:]) < 0.9 * np.mean(losses[:20])


def test_a_supervised_evaluator_gives_the_models_logits(
    tiny_model: Classifier, tiny_data: LabelledImages
) -> None:
    seen: list[torch.Tensor] = []
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=batches(tiny_data, 8),
        network=tiny_model,
        inferer=SimpleInferer(),
        prepare_batch=lambda batch, device, blocking, **kw: (
            batch["image"].double(),
            batch["label"],
        ),
    )
    evaluator.add_event_handler(
        Events.ITERATION_COMPLETED,
        lambda engine: seen.extend(item["pred"] for item in engine.state.output),
    )
    evaluator.run()
    images = torch.from_numpy(tiny_data.train.images[:8]).double()
    with torch.no_grad():
        assert torch.allclose(torch.stack(seen), tiny_model(images))


def test_a_sliding_window_maps_features_and_logits(tiny_model: Classifier) -> None:
    """Features have a place: their windows are joined; logits become a map of windows."""
    image = torch.randint(0, 256, (1, 1, 48, 32), generator=torch.Generator().manual_seed(0))
    image = image.double()
    inferer = SlidingWindowInferer(roi_size=(16, 16), sw_batch_size=2, overlap=0)
    with torch.no_grad():
        features = inferer(image, tiny_model.features)
        scores = inferer(image, lambda x: tiny_model(x)[..., None, None])
    assert features.shape == (1, 16, 12, 8) and scores.shape == (1, 2, 3, 2)
    for row in range(3):
        for column in range(2):
            window = image[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
            with torch.no_grad():
                assert torch.allclose(scores[..., row, column], tiny_model(window))
                found = features[..., 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                assert torch.allclose(found, tiny_model.features(window))
                back = tiny_model.invert(found)
            assert torch.equal(back.round(), window)

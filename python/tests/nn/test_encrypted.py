"""Networks of sotto.nn on encrypted images: from a module, from what was exported, and from both to the same scores."""
from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import sotto
import support
import torch
from sotto.nn.augment import normalise

TOLERANCE = 1e-2  # of the spread of the scores


def encrypted(model: sotto.Model, images: np.ndarray) -> np.ndarray:
    client = sotto.Client.create(model.client_spec)
    return client.decrypt(sotto.Server(model).infer(client.encrypt(images), client.evaluation_keys))


@pytest.mark.skipif(importlib.util.find_spec("sotto._server") is None, reason="needs the extension modules")
def test_a_trained_network_runs_encrypted(tmp_path: pathlib.Path):
    data = support.stripes_data()
    trainer = sotto.nn.Trainer(support.config(str(tmp_path), epochs=2), data, lambda text: None)
    trainer.run()
    trained, meta = sotto.nn.load(tmp_path / "model.pt"), data.meta
    images, many = (split.images.permute(0, 3, 1, 2).numpy() for split in (data.test, data.train))
    with torch.no_grad():
        exact = trained.net(normalise(data.test.images, meta)).numpy()

    models = [sotto.compile(trained.net, batch=32, calibrate=many, mean=meta.mean, std=meta.std, classes=meta.classes)]
    if importlib.util.find_spec("onnx"):
        sotto.nn.export(trained, tmp_path / "net.onnx")
        models.append(sotto.compile(tmp_path / "net.onnx", batch=32, calibrate=many))
    for model in models:
        assert model.client_spec.classes == ["top", "left"]
        assert np.abs(encrypted(model, images) - exact).max() < TOLERANCE * exact.std()

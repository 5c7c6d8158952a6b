"""What is refused, and how it is said."""
from __future__ import annotations

import pathlib
import warnings

import numpy as np
import pytest
import sotto
import torch
from torch_networks import MEAN, STD, Small, pixels, preprocessed


@pytest.mark.parametrize("images, message, hint", [
    (pixels(2).transpose(0, 2, 3, 1), "image, row, column, channel", "images.transpose(0, 3, 1, 2)"),
    (pixels(1)[0], "one image", "images[None]"),
    (pixels(2)[:, :2], "3x8x8", None),
    (pixels(2)[:, 0], "3x8x8", None),
    (pixels(2).reshape(2, -1), "3x8x8", None),
    (pixels(0), "no images", None),
    (pixels(2).astype(np.int64), "int64", None),
    (pixels(2) > 4, "bool", None),
    (np.full((1, 3, 8, 8), np.nan), "no preprocessed pixel", None)])
def test_images_that_do_not_fit(client, images, message, hint):
    with pytest.raises(sotto.BadInputError, match=message) as e:
        client.encrypt(images)
    assert isinstance(e.value, ValueError) and e.value.hint == hint and (hint or "") in str(e.value)


def test_floats_that_look_like_pixels(client):
    with pytest.warns(sotto.SottoWarning, match="0 to 255"):
        client.encrypt(pixels(1).astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.encrypt(preprocessed(pixels(1)))
        client.encrypt(pixels(1))


def test_keys_of_others(client, server):
    stranger = sotto.Client.create(client.spec)
    query = stranger.encrypt(pixels(1))
    with pytest.raises(sotto.WrongKeyError) as e:
        server.infer(query, client.evaluation_keys)
    assert e.value.code == sotto.ErrorCode.WRONG_KEY == 4 and isinstance(e.value, ValueError)
    reply = server.infer(client.encrypt(pixels(1)), client.evaluation_keys)
    with pytest.raises(sotto.WrongKeyError):
        stranger.decrypt(reply)


def test_damaged_contents(model, client, server):
    for attempt in (lambda: sotto.Model(b"nothing"), lambda: sotto.ClientSpec(b"nothing"),
                    lambda: client.decrypt(b"nothing"), lambda: server.infer(b"nothing", client.evaluation_keys)):
        with pytest.raises(sotto.BadInputError):
            attempt()
    with pytest.raises(TypeError, match="sotto.Reply"):
        client.decrypt(client.encrypt(pixels(1)))
    with pytest.raises(TypeError, match="sotto.Query"):
        server.infer(3, client.evaluation_keys)


def test_hints_are_arguments(network):
    with pytest.raises(sotto.UsageError) as e:
        sotto.compile(network, input_shape=(3, 8, 8), agreement=2)
    assert e.value.hint == "agreement=" and str(e.value).endswith("(agreement=)")
    with pytest.raises(sotto.NoResourcesError) as e:
        sotto.compile(network, input_shape=(3, 8, 8), memory=1000)
    assert e.value.hint == "memory=" and "Small.onnx" in str(e.value) and "/tmp" not in str(e.value)
    assert isinstance(e.value, RuntimeError)
    with pytest.raises(sotto.UsageError, match="shape of images") as e:
        sotto.compile(network)
    assert "input_shape=" in e.value.hint
    with pytest.raises(sotto.UsageError, match="batches"):
        sotto.compile(network, input_shape=(3, 8, 8), batch=0)


def test_a_module_is_left_as_it_was():
    network = Small()
    network.train()
    network.body[1].eval()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    sotto.compile(network, batch=4, input_shape=(3, 8, 8))
    assert network.training and network.body[0].training and not network.body[1].training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert next(network.parameters()).requires_grad


def test_calibration_in_another_order(network):
    for options in ({}, {"input_shape": (3, 8, 8)}):
        with pytest.raises(sotto.BadInputError) as e:
            sotto.compile(network, calibrate=pixels(4).transpose(0, 2, 3, 1), **options)
        assert "transpose" in e.value.hint


def test_onnx_files(network, folder: pathlib.Path):
    torch.onnx.export(network, (torch.zeros(1, 3, 8, 8),), str(folder / "net.onnx"), dynamo=False)
    contents = (folder / "net.onnx").read_bytes()
    with pytest.warns(sotto.SottoWarning, match="give mean= and std="):
        assert sotto.compile(folder / "net.onnx", batch=4).client_spec.mean == [0, 0, 0]
    model = sotto.compile(folder / "net.onnx", batch=4, mean=0.5, std=STD)
    assert model.client_spec.mean == [0.5] * 3 and model.client_spec.std == pytest.approx(STD)
    assert model.client_spec.network.startswith("net")
    assert (folder / "net.onnx").read_bytes() == contents
    with pytest.raises(sotto.BadInputError, match="divide") as e:
        sotto.compile(folder / "net.onnx", mean=[120, 110, 100], std=STD)
    assert "/tmp/sotto-" not in str(e.value)
    with pytest.raises(sotto.BadInputError) as e:
        sotto.compile(folder / "net.onnx", calibrate=pixels(4).transpose(0, 2, 3, 1), mean=MEAN, std=STD)
    assert "transpose" in e.value.hint
    (folder / "net.onnx").write_bytes(contents[:1000])
    with pytest.raises(sotto.BadInputError, match="net.onnx"):
        sotto.compile(folder / "net.onnx")
    with pytest.raises(TypeError, match="torch.nn.Module"):
        sotto.compile(3)


def test_weights_in_files_beside(network, folder):
    onnx = pytest.importorskip("onnx")
    torch.onnx.export(network, (torch.zeros(1, 3, 8, 8),), str(folder / "in.onnx"), dynamo=False)
    onnx.save(onnx.load(folder / "in.onnx"), folder / "net.onnx", save_as_external_data=True, location="net.data",
              size_threshold=0)
    model = sotto.compile(folder / "net.onnx", batch=4, mean=MEAN, std=STD, name="n")
    assert model.client_spec.mean == pytest.approx(MEAN) and model.client_spec.network.startswith("n.")

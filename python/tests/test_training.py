"""Training on encrypted images: a network of one dense layer, beside the same steps in numpy. Needs onnx, no PyTorch."""
from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import sotto  # noqa: E402

SPEC = "batch = 32\nsteps = {steps}\nrange = 2\n[optimiser]\nrate = 0.1\nmomentum = 0.9\n"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """(path, weights, biases) of a network from 4 x 4 pixels to three scores."""
    rng = np.random.default_rng(3)
    w, b = rng.normal(0, 0.3, (3, 16)).astype(np.float32), rng.normal(0, 0.1, 3).astype(np.float32)
    nodes = [helper.make_node("Flatten", ["x"], ["f"], "flatten", axis=1), helper.make_node("Gemm", ["f", "w", "b"], ["y"], "fc", transB=1)]
    graph = helper.make_graph(nodes, "dense", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 4, 4])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
                              [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path = tmp_path_factory.mktemp("training") / "net.onnx"
    onnx.save(model, path)
    return path, w.astype(float), b.astype(float)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 32)
    return (rng.normal(0, 0.2, (32, 1, 4, 4)) + labels[:, None, None, None] / 3).astype(np.float32), labels


def steps_in_numpy(network, data, steps):
    _, w, b = network
    x, wanted = data[0].reshape(32, 16).astype(float), np.eye(3)[data[1]]
    vw, vb, losses = 0, 0, []
    for _ in range(steps):
        error = x @ w.T + b - wanted
        losses.append((error**2).sum() / 2 / 32)
        vw, vb = 0.9 * vw + error.T @ x / 32, 0.9 * vb + error.mean(axis=0)
        w, b = w - 0.1 * vw, b - 0.1 * vb
    return w, b, losses


def test_simulation(network, data, tmp_path):
    plan = sotto.TrainingPlan.compile(network[0], SPEC.format(steps=5))
    assert (plan.steps, plan.batch) == (5, 32)
    assert plan.memory > plan.key_bytes > 1e9
    result = plan.simulate(*data)
    w, b, losses = steps_in_numpy(network, data, 5)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-9)
    np.testing.assert_allclose(result.weights["fc.weight"], w.ravel(), rtol=1e-9)
    np.testing.assert_allclose(result.weights["fc.bias"], b, rtol=1e-9)
    assert result.overflow is None and 0 < result.largest_weight < 2
    result.save(tmp_path / "trained.onnx")
    saved = {i.name: numpy_helper.to_array(i) for i in onnx.load(tmp_path / "trained.onnx").graph.initializer}
    np.testing.assert_allclose(saved["w"], w, rtol=1e-5)


def test_plans_are_files_and_bytes(network, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC.format(steps=1))
    plan = sotto.TrainingPlan.compile(network[0], spec)
    plan.save(tmp_path / "net.plan")
    plan.save_client(tmp_path / "net.client")
    for other in (sotto.TrainingPlan.load(tmp_path / "net.plan"), sotto.TrainingPlan.load(tmp_path / "net.client"),
                  sotto.TrainingPlan(plan.tobytes())):
        assert other.client_spec.plan_id == plan.client_spec.plan_id
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(plan)
    with pytest.raises(sotto.BadInputError, match="training"):
        sotto.Model.load(tmp_path / "net.plan")


def test_refusals(network, data):
    with pytest.raises(sotto.BadInputError, match="colour"):
        sotto.TrainingPlan.compile(network[0], SPEC.format(steps=1) + "colour = 1\n")
    plan = sotto.TrainingPlan.compile(network[0], SPEC.format(steps=1))
    with pytest.raises(sotto.BadInputError, match="label"):
        plan.simulate(data[0], data[1] + 1)
    with pytest.raises(sotto.BadInputError, match="32 images and 31 labels"):
        plan.simulate(data[0], data[1][:-1])
    with pytest.raises(sotto.BadInputError, match="whole numbers"):
        plan.simulate(data[0], data[1] / 2)


def test_encrypted(network, data, tmp_path):
    plan = sotto.TrainingPlan.compile(network[0], SPEC.format(steps=1))
    client = sotto.TrainingClient(plan)
    query = client.encrypt(*data)
    trainer = sotto.Trainer(plan)
    told = []
    reply = trainer.train(query, client.make_evaluation_keys(tmp_path / "eval.key"),
                          progress=lambda stage, done, what: told.append((stage, done)))
    result = client.decrypt(reply)
    w, b, losses = steps_in_numpy(network, data, 1)
    np.testing.assert_allclose(result.losses, losses, rtol=1e-3)
    np.testing.assert_allclose(result.weights["fc.weight"], w.ravel(), atol=1e-3)
    np.testing.assert_allclose(result.weights["fc.bias"], b, atol=1e-3)
    assert trainer.report.steps == len(trainer.report.step_seconds) == 1
    assert told and told[-1][0] == "training"
    with pytest.raises(sotto.WrongKeyError):
        sotto.TrainingClient(plan).decrypt(reply)


def test_the_trainer_never_loads_the_secret_half():
    code = "import sys, sotto.trainer; sys.exit('sotto._client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

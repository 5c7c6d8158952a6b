"""Training on encrypted images: the example runs, and what comes out is what numpy makes of the same steps. One encrypted
training takes a minute and 5 GB."""
from __future__ import annotations

import importlib.util
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sotto
import torch
from sotto._recipe import text_of, toml_of

SPEC = {"steps": 2, "batch": 64, "rate": 0.4, "momentum": 0.9}
EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "07_training.py"
SHAPE = {"input_shape": (1, 4, 4), "mean": 0, "std": 1}
STEP = 1e-3  # of a loss, relative


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def data(example):
    return example.made_up(64)


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))


@pytest.fixture
def plan(network):
    return sotto.compile_training(network, SPEC, **SHAPE, name="linear")


@pytest.fixture(scope="module")
def trained(example, data, tmp_path_factory):
    """What the example returns: the one encrypted training of these tests."""
    work = tmp_path_factory.mktemp("training")
    yield (*example.train(*data, SPEC, work), work)
    (work / "eval.key").unlink()


def by_pytorch(network: torch.nn.Module, images: np.ndarray, labels: np.ndarray, softmax: bool = False) -> list[float]:
    """Trains it with the optimiser of PyTorch; the squared errors."""
    optimiser, losses = torch.optim.SGD(network.parameters(), lr=SPEC["rate"], momentum=SPEC["momentum"]), []
    wanted = torch.nn.functional.one_hot(torch.from_numpy(labels), 3)
    for _ in range(SPEC["steps"]):
        optimiser.zero_grad()
        scores = network(torch.from_numpy(images / np.float32(255)))
        base = 3 ** -0.125 + scores / 8
        squares = (((base**8 if softmax else scores) - wanted) ** 2).sum() / 2 / len(images)
        losses.append(squares.item())
        (((base**9).sum() * 8 / 9 - (scores * wanted).sum()) / len(images) if softmax else squares).backward()
        optimiser.step()
    return losses


def test_the_twin_is_what_pytorch_does(network, plan, data):
    twin = plan.simulate(*data)
    assert twin.overflow is None and twin.summary == "" and twin.input_id == ""
    assert "2 steps" in repr(twin) and "2 steps of 64 images of 1x4x4" in repr(plan)
    assert twin.losses == pytest.approx(by_pytorch(network, *data), rel=1e-5)
    weights, biases = twin.weights, twin.biases
    assert list(weights) == list(biases) == ["/1/Gemm"]
    assert weights["/1/Gemm"].shape == (3, 16) and biases["/1/Gemm"].shape == (3,)
    assert np.abs(weights["/1/Gemm"] - network[1].weight.detach().numpy()).max() < 1e-5
    assert np.abs(biases["/1/Gemm"] - network[1].bias.detach().numpy()).max() < 1e-5
    assert twin.largest_weight >= max(np.abs(weights["/1/Gemm"]).max(), np.abs(biases["/1/Gemm"]).max())
    assert 0 < twin.largest_velocity < plan.range == 4
    assert twin.peaks["labels"] == 1 and twin.peaks["images"] == pytest.approx(data[0].max() / 255)


def test_softmax_is_what_pytorch_does(network, data):
    twin = sotto.simulate_training(network, {**SPEC, "loss": "softmax"}, *data, **SHAPE)
    assert twin.losses == pytest.approx(by_pytorch(network, *data, softmax=True), rel=1e-5)
    assert np.abs(twin.weights["/1/Gemm"] - network[1].weight.detach().numpy()).max() < 1e-5


def test_normal_equations_leave_no_gradient(network, data):
    spec = {"steps": 1, "batch": 64, "name": "normal-equations", "ridge": 0.01}
    twin = sotto.simulate_training(network, spec, *data, **SHAPE)
    twin.load_into(network)
    scores = network(torch.from_numpy(data[0] / np.float32(255)))
    ((scores - torch.nn.functional.one_hot(torch.from_numpy(data[1]), 3)) ** 2).sum().div(2 * 64).backward()
    assert network[1].weight.grad.numpy() == pytest.approx(-0.01 * network[1].weight.detach().numpy(), abs=1e-5)
    assert np.abs(network[1].bias.grad.numpy()).max() < 1e-5


def test_the_whole_way(network, data, trained):
    plan, client, reply, result, twin, _ = trained
    assert result.losses == pytest.approx(twin.losses, rel=STEP) and result.overflow is None
    for mine, clear in ((result.weights, twin.weights), (result.biases, twin.biases)):
        assert mine.keys() == clear.keys()
        assert all(np.abs(mine[name] - clear[name]).max() < 1e-3 for name in clear)
    assert len(result.input_id) == 32 and result.peaks == {}
    assert isinstance(reply, sotto.Reply) and client.key.id in repr(client)
    result.load_into(network)
    assert np.abs(network[1].weight.detach().numpy() - result.weights["/1/Gemm"]).max() < 1e-6
    # Encrypted inference with what was trained encrypted.
    (onnx_file := trained[-1] / "trained.onnx").write_bytes(result.tobytes())
    again = sotto.compile(onnx_file, batch=64, calibrate=data[0])
    scores = sotto.Client.create(again.client_spec, key=client.key)
    assert scores.spec.mean == [0] and again.predicted_agreement > 0.99
    stranger = sotto.TrainingClient.create(plan.client_spec)
    with pytest.raises(sotto.WrongKeyError):
        stranger.decrypt(reply)
    with pytest.raises(sotto.WrongKeyError):
        scores.decrypt(reply)


def test_an_interrupted_training_goes_on(data, trained):
    """A callback ends the work in the second step; the same call makes the same result of it."""
    plan, client, _, result, _, work = trained
    client.encrypt(*data, path=work / "in.sotto")
    trainer, out = sotto.Trainer(plan), work / "out.sotto"
    keys = sotto.EvaluationKeys.load(work / "eval.key")

    def enough(stage: str, done: float, what: str) -> None:
        assert stage == "training" and 0 <= done <= 1
        if what == "step 2 of 2":
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        trainer.train(work / "in.sotto", keys, out, progress=enough)
    assert not out.exists() and (work / "out.sotto.part").exists()
    reply = trainer.train(work / "in.sotto", keys, out)
    assert (trainer.report.steps, trainer.report.steps_of_an_earlier_run, len(trainer.report.step_seconds)) == (2, 1, 1)
    assert reply.path == out and trainer.report.images == 64
    assert client.decrypt(out).losses == pytest.approx(result.losses, rel=STEP)
    with pytest.raises(sotto.WrongKeyError):
        trainer.train(sotto.TrainingClient.create(plan).encrypt(*data), keys)


def test_files_and_bytes(plan, data, tmp_path):
    plan.save(tmp_path / "net.plan")
    plan.client_spec.save(tmp_path / "net.client")
    for again in (sotto.TrainingPlan.load(tmp_path / "net.plan"), sotto.TrainingPlan(plan.tobytes()), plan.client_spec,
                  sotto.TrainingClientSpec.load(tmp_path / "net.client"), sotto.TrainingClientSpec(plan.client_spec.tobytes())):
        assert again.plan_id == plan.plan_id and (again.steps, again.batch, again.scores) == (2, 64, 3)
        assert again.input_shape == (1, 4, 4) and again.mean == [0] and again.std == [1] and again.network == "linear.onnx"
        assert again.memory > again.key_bytes > 1e9 and again.classes == []
    client = sotto.TrainingClient.create(tmp_path / "net.client")
    client.save(tmp_path / "keys")
    loaded = sotto.TrainingClient.load(tmp_path / "keys")
    assert loaded.key.id == client.key.id and loaded.spec.plan_id == plan.plan_id
    query = loaded.encrypt(*data, path=tmp_path / "in.sotto")
    assert query.path == tmp_path / "in.sotto" and len(query) > 1e6
    twin = sotto.simulate_training(plan.client_spec, None, *data)
    twin.save(tmp_path / "twin.onnx")
    assert (tmp_path / "twin.onnx").read_bytes() == twin.tobytes()
    assert sotto.simulate_training(tmp_path / "twin.onnx", SPEC, *data).losses[0] < twin.losses[0]
    for secret in (plan, plan.client_spec, client, twin):
        with pytest.raises(TypeError, match="use"):
            pickle.dumps(secret)


def test_names_of_layers(network, data):
    """Those of the module do as well as those of its nodes; others are refused."""
    for layers in (["1"], ["/1/Gemm"]):
        with pytest.warns(sotto.SottoWarning, match="states no preprocessing.*give mean= and std=") as caught:
            plan = sotto.compile_training(network, {**SPEC, "layers": layers}, input_shape=(1, 4, 4))
        assert caught[0].filename == __file__
        assert "1x4x4" in plan.describe()
    with pytest.warns(sotto.SottoWarning) as caught:
        sotto.simulate_training(network, SPEC, *data, input_shape=(1, 4, 4))
    assert caught[0].filename == __file__
    with pytest.raises(sotto.BadInputError, match="'2', which is no convolution or dense layer"):
        sotto.compile_training(network, {**SPEC, "layers": ["2"]}, **SHAPE)


def test_the_shape_is_that_of_images_for_calibration(network, data):
    """As sotto.compile has it; with names of layers, too."""
    for spec in (SPEC, {**SPEC, "layers": ["1"]}):
        plan = sotto.compile_training(network, spec, calibrate=data[0], mean=0, std=1)
        assert plan.input_shape == (1, 4, 4)
    plan = sotto.compile_training(network[1], SPEC, calibrate=np.zeros((5, 16), np.float32), mean=0, std=1)
    assert plan.input_shape == (16, 1, 1)
    with pytest.raises(sotto.BadInputError, match="1x4x4"):
        sotto.compile_training(network, SPEC, calibrate=data[0][..., :3], **SHAPE)
    with pytest.raises(sotto.UsageError, match="shape of images"):
        sotto.compile_training(network, SPEC)


def test_a_new_head(network, data):
    images, labels = data
    plan = sotto.compile_training(network, {**SPEC, "new_head": 5}, **SHAPE)
    assert plan.scores == 5
    twin = plan.simulate(images, labels + 2)
    assert twin.weights["/1/Gemm"].shape == (5, 16) and twin.losses[0] == pytest.approx(0.5)
    with pytest.raises(sotto.BadInputError, match="shape .5, 16"):
        twin.load_into(network)


def test_weights_that_leave_their_range(network, data, tmp_path):
    plan = sotto.compile_training(network, {**SPEC, "rate": 100}, **SHAPE)
    with pytest.warns(sotto.SottoWarning, match="left their range in step 1") as caught:
        twin = plan.simulate(*data)
    assert caught[0].filename == __file__ and str(caught[0].message) == twin.summary
    assert twin.overflow == 0 and "step 1" in twin.summary and twin.largest_weight > plan.range
    for use in (lambda: twin.save(tmp_path / "x.onnx"), twin.tobytes, lambda: twin.load_into(network)):
        with pytest.raises(sotto.UsageError, match="left their range"):
            use()
    assert not (tmp_path / "x.onnx").exists()


def test_what_is_refused(network, plan, data):
    images, labels = data
    client = sotto.TrainingClient.create(plan.client_spec)
    for use in (client.encrypt, plan.simulate):
        for wrong, why in ((labels[:5], "64 images"), (labels + 0.0, "integers"), (labels - 1, "from 0"), (labels + 1, "label 3"),
                           (np.eye(3, dtype=int)[labels], "labels of shape")):
            with pytest.raises(sotto.BadInputError, match=why):
                use(images, wrong)
        with pytest.raises(sotto.BadInputError, match="1x4x4"):
            use(images[..., :3], labels)
        with pytest.raises(sotto.BadInputError, match="10 .*64|64.* 10"):
            use(images[:10], labels[:10])
        with pytest.warns(sotto.SottoWarning, match="1 image is left over") as caught:
            use(np.concatenate([images, images[:1]]), torch.from_numpy(np.append(labels, 0)))
        assert caught[0].filename == __file__
    for spec, why in (({"steps": 2}, "batch"), ({**SPEC, "rates": 1}, "rates"), ({**SPEC, "rate": -1}, "optimiser.rate"),
                      ({**SPEC, "range": "wide"}, "range"), ("steps = 1\nbatch =\n", "line 2")):
        with pytest.raises(sotto.BadInputError, match=why):
            sotto.compile_training(network, spec, **SHAPE)
    with pytest.raises(sotto.MissingFileError):
        sotto.compile_training(network, "none.toml", **SHAPE)
    with pytest.raises(sotto.BadInputError, match="cannot be trained through") as caught:
        sotto.compile_training(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU(), torch.nn.Linear(16, 3)), SPEC, **SHAPE)
    assert caught.value.module == "1"
    with pytest.raises(sotto.NoResourcesError, match="memory"):
        sotto.Trainer(plan, memory=10**9)
    for wrong in (5, network):
        with pytest.raises(TypeError):
            sotto.TrainingClient.create(wrong)


def test_plans_of_another_kind(plan, network, tmp_path):
    """Each kind of client takes plans of its kind; keys are made for both."""
    plan.client_spec.save(tmp_path / "net.client")
    for spec in (tmp_path / "net.client", plan.client_spec):
        with pytest.raises(sotto.UsageError, match="client for training"):
            sotto.Client.create(spec)
    model = sotto.compile(network, batch=4, **SHAPE)
    for wrong in (model.tobytes(), model.client_spec.tobytes()):
        with pytest.raises(sotto.BadInputError, match="not for training: sotto.Model, Server and Client take it"):
            sotto.TrainingClient.create(wrong)
    with pytest.raises(sotto.UsageError, match="sotto.TrainingClient"):
        sotto.Client.create(plan.client_spec)
    with pytest.raises(sotto.BadInputError, match="for training, .*: sotto.TrainingPlan, Trainer and TrainingClient take it"):
        sotto.Model(plan.tobytes())
    for use, why in ((lambda: sotto.Server(plan), "a sotto.Model.*not TrainingPlan; sotto.Trainer and TrainingClient take it"),
                     (lambda: sotto.Trainer(model), "a sotto.TrainingPlan.*not Model; sotto.Server takes it"),
                     (lambda: sotto.Trainer(plan.client_spec), "not TrainingClientSpec; sotto.TrainingClient takes it"),
                     (lambda: sotto.Client.create(model), "client_spec.*not Model"),
                     (lambda: sotto.TrainingClient.create(model.client_spec), "not ClientSpec; sotto.Client"),
                     (lambda: sotto.Server(5), "not int$")):
        with pytest.raises(TypeError, match=why):
            use()


def test_either_half_will_do(tmp_path, plan):
    plan.save(tmp_path / "net.plan")
    for missing in ("_client", "_server"):
        subprocess.run([sys.executable, "-c", f"""
import sys
sys.modules["sotto.{missing}"] = None
import numpy as np, sotto
plan = sotto.TrainingPlan.load({str(tmp_path / "net.plan")!r})
assert plan.simulate(np.zeros((64, 1, 4, 4), np.uint8), np.zeros(64, int)).overflow is None
assert "sotto.{missing}" not in sys.modules or sys.modules["sotto.{missing}"] is None
"""], check=True)


def test_recipes(tmp_path):
    assert toml_of({"steps": np.int64(3), "layers": ["a", 'b"'], "rate": 1, "nesterov": True, "momentum": 0.5, "new_head": None,
                    "schedule": {2: 0.5, 4: 0.1}}).splitlines() == [
        '"steps" = 3', '"layers" = ["a", "b\\""]', "[optimiser]", '"rate" = 1', '"momentum" = 0.5', '"nesterov" = true',
        "[[schedule]]", "step = 2", "factor = 0.5", "[[schedule]]", "step = 4", "factor = 0.1"]
    assert toml_of({"steps": 1, "adapter": {"conv": 4}}).splitlines() == ['"steps" = 1', "[[adapter]]", 'layer = "conv"', "rank = 4"]
    nested = {"steps": 1, "optimiser": {"name": "sgd", "rate": 2}, "schedule": [{"step": 1, "factor": 2}]}
    assert toml_of(nested) == toml_of({"steps": 1, "name": "sgd", "rate": 2, "schedule": [(1, 2)]})
    (tmp_path / "spec.toml").write_text("steps = 1\n")
    assert text_of(tmp_path / "spec.toml") == ("steps = 1\n", str(tmp_path / "spec.toml"))
    assert text_of("steps = 1\nbatch = 2") == ("steps = 1\nbatch = 2", "spec=")
    for wrong in ({"schedule": 5}, {"adapter": 5}, {"steps": object()}, {"optimiser": "sgd"}):
        with pytest.raises(sotto.UsageError):
            toml_of(wrong)
    with pytest.raises(sotto.UsageError, match="rate is there twice"):
        toml_of({"rate": 0.2, "optimiser": {"rate": 0.1}})
    with pytest.raises(TypeError):
        text_of(5)

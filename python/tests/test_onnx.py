"""The whole way from an ONNX file, with nothing but numpy and onnx at hand."""
from __future__ import annotations

import pathlib
import pickle
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import onnx
import pytest
import sotto
from onnx import TensorProto, helper, numpy_helper

TOLERANCE = 1e-3
RNG = np.random.default_rng(1)
KERNEL = RNG.normal(0, 0.3, (4, 3, 3, 3)).astype(np.float32)
DENSE = RNG.normal(0, 0.5, (4, 3)).astype(np.float32)


def write_network(path: pathlib.Path) -> str:
    """A convolution, a square, a mean, a dense layer; images of 3 x 8 x 8."""
    nodes = [helper.make_node("Conv", ["x", "kernel"], ["c"], name="conv"), helper.make_node("Mul", ["c", "c"], ["s"], name="square"),
             helper.make_node("GlobalAveragePool", ["s"], ["p"], name="mean"), helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
             helper.make_node("MatMul", ["f", "dense"], ["y"], name="dense")]
    graph = helper.make_graph(nodes, "small", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
                              [numpy_helper.from_array(KERNEL, "kernel"), numpy_helper.from_array(DENSE, "dense")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return str(path)


def exact(pixels: np.ndarray) -> np.ndarray:
    x = (pixels / 255 - 0.5) / 0.25
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    return (np.einsum("bihwyx,oiyx->bohw", windows, KERNEL) ** 2).mean(axis=(2, 3)) @ DENSE


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory) -> str:
    return write_network(tmp_path_factory.mktemp("onnx") / "small.onnx")


@pytest.fixture(scope="module")
def small(onnx_file):
    return sotto.compile(onnx_file, batch=4, calibrate=images(64, 0), mean=0.5, std=0.25, classes=["cat", "dog", "ship"])


def test_ten_lines(small):
    pixels = images(6, 1)
    client = sotto.Client.create(small.client_spec)
    reply = sotto.Server(small).infer(client.encrypt(pixels), client.evaluation_keys)
    scores = client.decrypt(reply)
    assert scores.shape == (6, 3)
    assert np.abs(scores - exact(pixels)).max() < TOLERANCE
    results = client.results(reply)
    assert np.array_equal(results.labels, exact(pixels).argmax(1))
    assert results.names[0] in ("cat", "dog", "ship") and results.summary == ""


def test_signed_replies(small, onnx_file, tmp_path):
    key = sotto.SigningKey.generate()
    key.save(tmp_path / "server.key")
    assert (tmp_path / "server.key").stat().st_mode & 0o777 == 0o600
    assert sotto.SigningKey.load(tmp_path / "server.key").verification_key == key.verification_key
    with pytest.raises(sotto.UsageError):
        key.save(tmp_path / "server.key")
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(key)
    assert small.client_spec.signer == ""
    model = sotto.compile(onnx_file, batch=4, calibrate=images(64, 0), mean=0.5, std=0.25, signer=key)
    assert model.client_spec.signer == key.verification_key and model.client_spec.plan_id != small.client_spec.plan_id
    with pytest.raises(sotto.UsageError, match="signing_key="):
        sotto.Server(model)
    with pytest.raises(sotto.WrongKeyError):
        sotto.Server(model, signing_key=sotto.SigningKey.generate())
    server, client, pixels = sotto.Server(model, signing_key=tmp_path / "server.key"), sotto.Client.create(model.client_spec), images(2, 4)
    first, second = client.encrypt(pixels), client.encrypt(pixels)
    reply = server.infer(first, client.evaluation_keys)
    assert np.abs(client.decrypt(reply, query=first) - exact(pixels)).max() < TOLERANCE
    assert len(client.results(reply, query=first.input_id, signer=key).input_signer) == 64
    for origin in (dict(query=second), dict(signer=sotto.SigningKey.generate()), dict(input_signer=key.verification_key)):
        with pytest.raises(sotto.WrongKeyError):
            client.results(reply, **origin)
    changed = bytearray(reply.tobytes())
    changed[-1] ^= 1
    with pytest.raises(sotto.WrongKeyError, match="signature"):
        client.results(bytes(changed))
    with pytest.raises(sotto.UsageError, match="input_id"):
        client.results(reply, query=sotto.Query(first.tobytes()))
    # What someone else encrypts is known by who signed it.
    camera = sotto.SigningKey.generate()
    query = sotto.Encryptor(model.client_spec, client.public_key, signing_key=camera).encrypt(pixels)
    assert client.results(server.infer(query, client.evaluation_keys), input_signer=camera).input_signer == camera.verification_key
    with pytest.raises(sotto.WrongKeyError, match="someone else"):
        sotto.Server(model, signing_key=key, owners_only=True).infer(query, client.evaluation_keys)


def test_keys_of_two_models_in_one(small, onnx_file, tmp_path):
    other = sotto.compile(onnx_file, batch=40000, calibrate=images(64, 0), mean=0.5, std=0.25)
    clients = [sotto.Client.create(small.client_spec)]
    clients.append(sotto.Client.create(other.client_spec, key=clients[0].key))
    specs = [c.spec for c in clients]
    keys = clients[0].key.make_evaluation_keys(specs)
    assert len(keys) < sum(len(c.evaluation_keys) for c in clients)
    for model, client in zip((small, other), clients):
        pixels = images(2, 3)
        for given in (keys, clients[0].key.make_evaluation_keys(specs, path=tmp_path / "eval.key")):
            scores = client.decrypt(sotto.Server(model).infer(client.encrypt(pixels), given))
            assert np.abs(scores - exact(pixels)).max() < TOLERANCE
    with pytest.raises(sotto.UsageError):
        clients[0].key.make_evaluation_keys([])


def test_one_key_for_two_models_and_none_for_strangers(small, onnx_file):
    client, stranger = (sotto.Client.create(small.client_spec) for _ in range(2))
    other = sotto.compile(onnx_file, batch=40000, calibrate=images(64, 0), mean=0.5, std=0.25)
    elsewhere = sotto.Client.create(other.client_spec, key=client.key)
    pixels, server = images(3, 2), sotto.Server(other)
    scores = elsewhere.decrypt(server.infer(elsewhere.encrypt(pixels), elsewhere.evaluation_keys))
    assert np.abs(scores - exact(pixels)).max() < TOLERANCE
    with pytest.raises(sotto.WrongKeyError):
        server.infer(client.encrypt(pixels), elsewhere.evaluation_keys)
    with pytest.raises(sotto.WrongKeyError) as caught:
        stranger.decrypt(sotto.Server(small).infer(client.encrypt(pixels), client.evaluation_keys))
    assert caught.value.code == sotto.ErrorCode.WRONG_KEY


def test_published_results(small, tmp_path):
    pixels = images(4, 9)
    client, server = sotto.Client.create(small.client_spec), sotto.Server(small)
    reply = server.infer(client.encrypt(pixels), client.evaluation_keys)
    made = client.publish(reply, tmp_path, "scores", key_bits=110)
    error = np.abs(made.scores - exact(pixels)).max()
    assert 0.1 * made.deviation < error < 7 * made.deviation
    assert (made.scores % made.step == 0).all()
    assert made.key_bits >= 110
    again = client.publish(reply, tmp_path, "scores", key_bits=110)
    assert again.again
    assert (again.scores == made.scores).all()
    with pytest.raises(sotto.UsageError, match="published before"):
        client.publish(reply, tmp_path)
    second = server.infer(client.encrypt(pixels), client.evaluation_keys)
    with pytest.raises(sotto.UsageError, match="bits to the key"):
        client.publish(second, tmp_path, key_bits=110)
    labels = client.publish(second, tmp_path, key_bits=80)
    assert labels.scores is None
    assert set(labels.labels) <= {-1, 0, 1, 2}
    with pytest.raises(ValueError, match="labels"):
        client.publish(reply, tmp_path, "everything")
    with pytest.raises(sotto.UsageError, match="above 0"):
        client.publish(reply, tmp_path, key_bits=0)


def test_levels_of_security(small, onnx_file):
    assert small.client_spec.security == "128"
    assert sotto.compile(onnx_file, batch=4, calibrate=images(64, 0), security=192).client_spec.security == "192"
    with pytest.raises(ValueError, match="quantum128"):
        sotto.compile(onnx_file, batch=4, security="256")


def test_images_in_numpy_files(small, tmp_path):
    client, server, pixels = sotto.Client.create(small.client_spec), sotto.Server(small), images(3, 4)
    np.save(tmp_path / "a.npy", pixels)
    np.savez(tmp_path / "named.npz", images=pixels, labels=np.zeros(3, int), more=pixels[:1])
    np.savez_compressed(tmp_path / "single.NPZ.npz", pixels=pixels, y=np.zeros(3, int))
    for path in (tmp_path / "a.npy", str(tmp_path / "named.npz"), tmp_path / "single.NPZ.npz"):
        scores = client.decrypt(server.infer(client.encrypt(path), client.evaluation_keys))
        assert np.abs(scores - exact(pixels)).max() < TOLERANCE
    np.savez(tmp_path / "two.npz", a=pixels, b=pixels)
    np.savez(tmp_path / "none.npz", labels=np.zeros(3, int))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:300])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "named.npz").read_bytes()[:-30])
    (tmp_path / "text.npy").write_text("nothing")
    (tmp_path / "a.png").write_bytes(b"")
    for name, why in (("two.npz", "2 arrays"), ("none.npz", "0 arrays"), ("objects.npy", "pickle"), ("cut.npy", "no NumPy file"),
                      ("cut.npz", "no NumPy file"), ("text.npy", "no NumPy file"), ("a.png", "program sotto"), ("", "program sotto")):
        with pytest.raises(sotto.BadInputError, match=why) as caught:
            client.encrypt(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(sotto.MissingFileError):
        client.encrypt("none.npy")
    with pytest.raises(sotto.BadInputError, match="list of paths"):
        client.encrypt([tmp_path / "a.npy"])
    assert sotto.compile(write_network(tmp_path / "a.onnx"), batch=4, calibrate=tmp_path / "a.npy", mean=0, std=1).batch >= 4


def test_what_is_no_image(small):
    client = sotto.Client.create(small.client_spec)
    for wrong, name in ((None, "NoneType"), ({}, "dict"), ([None], "list")):
        with pytest.raises(TypeError, match=f"images are an array or tensor.*not {name}"):
            client.encrypt(wrong)


def test_the_version():
    text = (pathlib.Path(__file__).parents[2] / "CMakeLists.txt").read_text(encoding="utf-8")
    assert f"VERSION {sotto.__version__} " in text and "__version__" in dir(sotto)


def test_what_is_refused(small, tmp_path):
    client = sotto.Client.create(small.client_spec)
    for wrong in (images(2, 1)[:, :2], images(2, 1)[0], images(2, 1).transpose(0, 2, 3, 1), np.full((1, 3, 8, 8), np.nan)):
        with pytest.raises(sotto.BadInputError):
            client.encrypt(wrong)
    for secret in (client, client.key):
        with pytest.raises(TypeError, match="secret"):
            pickle.dumps(secret)
    with pytest.raises(sotto.MissingFileError):
        sotto.compile(tmp_path / "none.onnx")
    with pytest.raises(sotto.NoResourcesError) as caught:
        sotto.compile(write_network(tmp_path / "a.onnx"), memory=1000)
    assert caught.value.hint == "memory="


def test_files(small, tmp_path):
    small.save(tmp_path / "net.plan")
    client = sotto.Client.create(sotto.Model.load(tmp_path / "net.plan").client_spec)
    client.save(tmp_path / "keys")
    assert (tmp_path / "keys/secret.key").stat().st_mode & 0o777 == 0o600
    again = sotto.Client.load(tmp_path / "keys")
    pixels = images(2, 3)
    again.encrypt(pixels, tmp_path / "in.sotto")
    again.make_evaluation_keys(tmp_path / "eval.key")
    sotto.Server(tmp_path / "net.plan").infer(tmp_path / "in.sotto", tmp_path / "eval.key", tmp_path / "out.sotto")
    assert np.abs(client.decrypt(tmp_path / "out.sotto") - exact(pixels)).max() < TOLERANCE


def test_a_callback_hears_of_the_work_and_can_end_it(small):
    client, heard = sotto.Client.create(small.client_spec), []
    client.make_evaluation_keys(progress=lambda *news: heard.append(news))
    assert heard and all(0 <= done <= 1 for _, done, _ in heard)

    def enough(*news: object) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        client.make_evaluation_keys(progress=enough)


def test_ctrl_c(tmp_path):
    write_network(tmp_path / "net.onnx")
    code = """
        import numpy, sotto
        model = sotto.compile("net.onnx", batch=40000)
        client = sotto.Client.create(model.client_spec)
        pixels = numpy.zeros((400000, 3, 8, 8), numpy.uint8)
        print("ready", flush=True)
        while True:
            client.encrypt(pixels)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as p:
        assert p.stdout is not None and p.stdout.readline() == "ready\n"
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        started = time.monotonic()
        _, errors = p.communicate(timeout=60)
        assert time.monotonic() - started < 10  # a second or two where nothing else runs
        assert "KeyboardInterrupt" in errors

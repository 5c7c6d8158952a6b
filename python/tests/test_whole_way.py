"""From a module to scores, in memory and in files, by Python and by the programs."""
from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import sotto
import torch
from torch_networks import CLASSES, MEAN, STD, Small, exact, pixels, preprocessed

TOLERANCE = 1e-3


def test_ten_lines(network, model, client, server):
    images = pixels(6)
    query = client.encrypt(images)
    reply = server.infer(query, client.evaluation_keys)
    scores = client.decrypt(reply)
    assert scores.shape == (6, 3) and scores.dtype == np.float64
    assert np.abs(scores - exact(network, images)).max() < TOLERANCE
    results = client.results(reply)
    assert np.array_equal(results.scores, scores)
    assert np.array_equal(results.labels, exact(network, images).argmax(1))
    assert results.names == [CLASSES[k] for k in results.labels]
    assert results.doubts == [sotto.Doubt.NONE] * 6 and len(results.doubtful) == 0
    assert results.input_id == query.input_id and results.summary == ""
    assert server.report.images == 6 and server.report.compute_seconds > 0
    assert model.client_spec.mean == pytest.approx(MEAN) and model.client_spec.std == pytest.approx(STD)
    assert model.client_spec.classes == CLASSES


def test_model_tells_of_itself(model, capsys):
    model.plan()
    text = capsys.readouterr().out
    assert text.startswith("small") and "3x8x8" in text and "labels agree" in text
    layers = model.layers()
    assert all(layer.name in text and layer.kind in text for layer in layers) and "\u2588" in text
    assert {layer.kind for layer in layers} <= {"sum", "square", "product", "polynomial", "bootstrap"}
    assert [layer.limbs for layer in layers] == sorted((layer.limbs for layer in layers), reverse=True)
    assert layers[-1].output == (model.client_spec.scores, 1, 1) and max(la.memory for la in layers) == model.memory
    assert sum(layer.seconds for layer in layers) == pytest.approx(model.seconds(), rel=0.5)
    assert 0.995 <= model.predicted_agreement <= 1 and model.seconds() > 0 and model.memory >= model.least_memory > 0


KINDS = {
    "torch": torch.from_numpy, "fortran": np.asfortranarray, "strided": lambda a: np.repeat(a, 2, 3)[..., ::2],
    "float32": preprocessed, "float64": lambda a: preprocessed(a).astype(np.float64),
    "big-endian": lambda a: preprocessed(a).astype(">f4"), "list": lambda a: preprocessed(a).tolist(),
    "grad": lambda a: torch.from_numpy(preprocessed(a)).requires_grad_(),
    "channels-last": lambda a: torch.from_numpy(a).contiguous(memory_format=torch.channels_last)}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_images(network, client, server, kind):
    images = pixels(2, 3)
    scores = client.decrypt(server.infer(client.encrypt(KINDS[kind](images)), client.evaluation_keys))
    assert np.abs(scores - exact(network, images)).max() < TOLERANCE


def test_everything_through_files(network, model, client, folder):
    model.save(folder / "m.plan")
    model.client_spec.save(folder / "m.client")
    client.save(folder / "keys")
    client.evaluation_keys.save(folder / "eval.key")
    assert (folder / "keys" / "secret.key").stat().st_mode & 0o077 == 0
    again = sotto.Client.load(folder / "keys")
    assert again.key.id == client.key.id and again.spec.plan_id == model.client_spec.plan_id
    images = pixels(3)
    query = again.encrypt(images, folder / "in.sotto")
    assert query.path == folder / "in.sotto"
    reply = sotto.Server(folder / "m.plan").infer(folder / "in.sotto", sotto.EvaluationKeys.load(folder / "eval.key"),
                                                  path=folder / "out.sotto")
    assert reply.path == folder / "out.sotto" and len(reply) == os.path.getsize(folder / "out.sotto")
    scores = sotto.Client.load(folder / "keys", folder / "m.client").decrypt(folder / "out.sotto")
    assert np.abs(scores - exact(network, images)).max() < TOLERANCE


def test_everything_through_bytes(network, model, client):
    images = pixels(3)
    server = sotto.Server(sotto.Model(model.tobytes()))
    client = sotto.Client.create(sotto.ClientSpec(model.client_spec.tobytes()), client.key)
    keys = sotto.EvaluationKeys(client.evaluation_keys.tobytes())
    reply = server.infer(sotto.Query(client.encrypt(images).tobytes()), keys)
    assert np.abs(client.decrypt(sotto.Reply(reply.tobytes())) - exact(network, images)).max() < TOLERANCE
    assert np.abs(client.decrypt(reply.tobytes()) - exact(network, images)).max() < TOLERANCE


def test_one_secret_key_for_two_models(network, client):
    other = Small().eval()
    model = sotto.compile(other, batch=40000, input_shape=(3, 8, 8), mean=MEAN, std=STD)
    second = sotto.Client.create(model.client_spec, key=client.key)
    assert second.key.id == client.key.id and second.spec.plan_id != client.spec.plan_id
    images = pixels(2)
    scores = second.decrypt(sotto.Server(model).infer(second.encrypt(images), second.evaluation_keys))
    assert np.abs(scores - exact(other, images)).max() < TOLERANCE


def test_someone_else_encrypts(network, model, client, server, folder):
    """Who has the public key only encrypts; the owner of the secret key decrypts."""
    images = pixels(6)
    client.public_key.save(folder / "public.key")
    for public_key in (client.public_key, folder / "public.key", (folder / "public.key").read_bytes(),
                       sotto.PublicKey.load(folder / "public.key")):
        encryptor = sotto.Encryptor(model.client_spec, public_key)
        assert encryptor.key_id == client.key.id and client.key.id in repr(encryptor)
        query = encryptor.encrypt(images)
        results = client.results(server.infer(query, client.evaluation_keys))
        assert np.abs(results.scores - exact(network, images)).max() < TOLERANCE
        assert results.input_id == query.input_id
    assert not hasattr(encryptor, "decrypt") and not hasattr(encryptor, "key")
    assert len(query) > 1.9 * len(client.encrypt(images))
    other = sotto.Client.create(model.client_spec)
    with pytest.raises(sotto.WrongKeyError):
        server.infer(sotto.Encryptor(model.client_spec, other.public_key).encrypt(images), client.evaluation_keys)
    with pytest.raises(sotto.BadInputError, match="public key"):
        sotto.Encryptor(model.client_spec, client.evaluation_keys.tobytes())
    with pytest.raises(TypeError, match="PublicKey"):
        sotto.Encryptor(model.client_spec, client.evaluation_keys)


def test_batches(network, client, server):
    images = pixels(client.spec.batch + 1)
    scores = client.decrypt(server.infer(client.encrypt(images), client.evaluation_keys))
    assert server.report.batches == 2
    assert np.abs(scores - exact(network, images)).max() < TOLERANCE


def test_flat_network():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(10, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2)).eval()
    rows = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    for options in ({"calibrate": rows}, {"input_shape": (10,)}):
        model = sotto.compile(network, batch=8, **options)
        client = sotto.Client.create(model.client_spec)
        scores = client.decrypt(sotto.Server(model).infer(client.encrypt(rows), client.evaluation_keys))
        with torch.no_grad():
            assert np.abs(scores - network(torch.from_numpy(rows)).numpy()).max() < TOLERANCE


def test_same_labels_as_the_programs(network, model, client, folder):
    """The same plan, keys and query: the programs and the package decrypt one reply to the same scores."""
    images = pixels(5, 7)
    model.save(folder / "m.plan")
    model.client_spec.save(folder / "m.client")
    client.save(folder / "keys")
    client.make_evaluation_keys(folder / "eval.key")
    np.save(folder / "images.npy", images)

    def sotto_program(*args):
        subprocess.run([sys.executable, "-m", "sotto", *map(str, args)], check=True, capture_output=True, cwd=folder)

    sotto_program("encrypt", "m.client", "--keys", "keys", "--data", "images.npy", "--out", "in.sotto")
    sotto_program("infer", "m.plan", "--eval-key", "eval.key", "--in", "in.sotto", "--out", "out.sotto")
    sotto_program("decrypt", "m.client", "--keys", "keys", "--in", "out.sotto", "--out", "scores.npy",
                  "--csv", "labels.csv")
    with open(folder / "labels.csv") as file:
        rows = list(csv.DictReader(file))
    of_their_reply = client.results(folder / "out.sotto")
    assert np.abs(np.load(folder / "scores.npy") - of_their_reply.scores).max() < 1e-6
    ours = client.results(sotto.Server(model).infer(folder / "in.sotto", client.evaluation_keys))
    wanted = exact(network, images)
    for results in (of_their_reply, ours):
        assert np.abs(results.scores - wanted).max() < TOLERANCE
        assert np.array_equal(results.labels, wanted.argmax(1))
    assert [int(row["label"]) for row in rows] == list(of_their_reply.labels)

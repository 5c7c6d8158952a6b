"""Objects that stand for files."""
from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sotto
from torch_networks import pixels


def test_pickle_is_refused_with_a_reason(model, client, server):
    query = client.encrypt(pixels(1))
    for secret in (client, client.key):
        with pytest.raises(TypeError, match="secret key.*use .save"):
            pickle.dumps(secret)
        with pytest.raises(TypeError, match="secret key"):
            copy.deepcopy(secret)
    for other in (model, model.client_spec, client.evaluation_keys, query, sotto.Reply(b"x")):
        with pytest.raises(TypeError, match="use .save"):
            pickle.dumps(other)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(server)


def test_contents_are_not_copied(client):
    keys = client.evaluation_keys
    assert keys is client.evaluation_keys

    def address(view: memoryview) -> int:
        return np.frombuffer(view, np.uint8).__array_interface__["data"][0]

    assert address(keys.view()) == address(keys.view())
    assert keys.view().readonly and len(keys.view()) == len(keys) > 1e6


MEMORY = """
import resource, sys
sys.path.insert(0, {here!r})
import numpy, torch, sotto, torch_networks
torch.manual_seed(1)
model = sotto.compile(torch_networks.Small().eval(), batch=40000, input_shape=(3, 8, 8))
client = sotto.Client.create(model.client_spec)
server = sotto.Server(model)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before = resident()
keys = client.evaluation_keys
made = resident()
opened = server._server.open_keys(keys._source)
assert client.evaluation_keys is keys
keys.view()
print(len(keys), made - before, resident() - made)
"""


def test_opening_keys_takes_no_memory(tmp_path):
    here = str(__file__).rsplit("/", 1)[0]
    out = subprocess.run([sys.executable, "-c", MEMORY.format(here=here)], check=True, capture_output=True, text=True)
    size, made, opened = map(int, out.stdout.split())
    assert opened < 0.3 * size, "opening the keys copied them"


def test_what_is_saved_is_what_is_there(client, folder):
    query = client.encrypt(pixels(1))
    query.save(folder / "q")
    loaded = sotto.Query.load(folder / "q")
    assert loaded.tobytes() == query.tobytes() == bytes(query.view()) == (folder / "q").read_bytes()
    loaded.save(folder / "q")  # onto itself
    loaded.save(str(folder / "copy"))
    assert (folder / "copy").read_bytes() == query.tobytes()
    assert loaded.path == folder / "q" and query.path is None
    assert [p.name for p in folder.iterdir() if p.name.endswith(".part")] == []
    with pytest.raises(ValueError, match="lies at"):
        loaded.view()


def test_missing_files(client, server, folder):
    for attempt in (lambda: sotto.Query.load(folder / "none"), lambda: sotto.Model.load(folder / "none"),
                    lambda: sotto.ClientSpec.load(folder / "none"), lambda: sotto.SecretKey.load(folder / "none"),
                    lambda: sotto.Client.load(folder / "none"), lambda: client.decrypt(folder / "none"),
                    lambda: sotto.compile(folder / "none.onnx")):
        with pytest.raises(FileNotFoundError, match="none") as e:
            attempt()
        assert isinstance(e.value, sotto.BadInputError) and e.value.code == sotto.ErrorCode.BAD_INPUT


def test_paths_and_bytes_are_not_mixed_up(folder):
    with pytest.raises(TypeError, match="load"):
        sotto.Query("in.sotto")
    with pytest.raises(TypeError, match="use SecretKey.generate"):
        sotto.SecretKey()


def test_a_folder_of_another_key_or_model(client, folder):
    client.save(folder)
    client.save(folder)  # again: the same
    stranger = sotto.Client.create(client.spec)
    with pytest.raises(sotto.UsageError, match="exists") as e:
        stranger.save(folder)
    assert e.value.hint == "replace=True"
    assert sotto.Client.load(folder).key.id == client.key.id
    stranger.save(folder, replace=True)
    assert sotto.Client.load(folder).key.id == stranger.key.id

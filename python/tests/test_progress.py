"""Progress, Ctrl-C and threads."""
from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import sotto
from torch_networks import pixels

HERE = str(pathlib.Path(__file__).parent)

LONG = """
import sys, time
sys.path.insert(0, {here!r})
import numpy, torch, sotto, torch_networks
from torch_networks import pixels
torch.manual_seed(1)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3, padding=1), *[
    m for k in range(4) for m in (torch.nn.Conv2d(32, 32, 3, padding=1), torch.nn.BatchNorm2d(32), torch_networks.Square())],
    torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(32, 3)).eval()
from sotto._export import write_onnx
write_onnx(network, torch.zeros(1, 3, 8, 8), "net.onnx")  # PyTorch's exporter prints its graph when it is interrupted
def compiled():
    return sotto.compile("net.onnx", batch=256, calibrate=pixels(512), agreement=0)
work = {work!r}
if work != "compile":
    model = compiled()
    client = sotto.Client.create(model.client_spec)
    server = sotto.Server(model)
if work == "infer":
    keys, query = client.evaluation_keys, client.encrypt(pixels(1))
if work == "encrypt":
    images = pixels(30 * client.spec.batch)
print("begin", flush=True)
try:
    if work == "compile":
        for k in range(100): compiled()
    elif work == "keys":
        for k in range(100): client.make_evaluation_keys()
    elif work == "encrypt":
        client.encrypt(images)
    else:
        for k in range(100): server.infer(query, keys)
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", flush=True)
# everything still works
assert len(sotto.Client.create(model.client_spec).encrypt(pixels(1))) > 0 if work != "compile" else True
"""


@pytest.mark.parametrize("work", ["compile", "keys", "encrypt", "infer"])
def test_control_c(work, tmp_path):
    code = LONG.format(here=HERE, work=work)
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "begin\n"
        time.sleep(0.5)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert child.stdout.readline() == "interrupted\n"
        assert time.monotonic() - start < 5  # a tenth of a second on an idle machine
        assert child.wait(60) == 0
    finally:
        child.kill()


def test_a_callback_hears_of_the_work_and_can_end_it(network):
    heard = []
    sotto.compile(network, batch=4, input_shape=(3, 8, 8), progress=lambda *news: heard.append(news))
    assert heard and all(isinstance(stage, str) and 0 <= done <= 1 + 1e-9 and isinstance(what, str)
                         for stage, done, what in heard)

    def enough(stage, done, what):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        sotto.compile(network, batch=4, input_shape=(3, 8, 8), progress=enough)


def test_bars(client, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    client.make_evaluation_keys(progress=True)
    client.encrypt(pixels(1))
    assert "encryption" not in capsys.readouterr().err  # nobody looks at it
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    client.encrypt(pixels(1))
    with pytest.raises(ImportError, match="tqdm"):
        client.encrypt(pixels(1), progress=True)


def test_other_threads_go_on(client, server):
    """The interpreter's lock is free during work; a server takes one query after another."""
    queries, counted = [client.encrypt(pixels(1, k)) for k in range(3)], 0
    keys = client.evaluation_keys
    replies: dict[int, sotto.Reply] = {}

    def answer(k: int) -> None:
        replies[k] = server.infer(queries[k], keys)

    threads = [threading.Thread(target=answer, args=(k,)) for k in range(3)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        counted += 1
        time.sleep(0.001)
    assert counted > 10 and len(replies) == 3
    assert all(np.isfinite(client.decrypt(r)).all() for r in replies.values())


def test_keys_are_opened_once(client, model):
    server = sotto.Server(model)
    query = client.encrypt(pixels(1))
    keys = sotto.EvaluationKeys(client.evaluation_keys.tobytes())
    server.infer(query, keys)
    opened = server._open[keys]
    server.infer(query, keys)
    assert server._open[keys] is opened and len(server._open) == 1
    del keys
    assert len(server._open) == 0

"""sotto.nn from outside: it is there for those who have PyTorch, and nobody else notices it. Its own tests are in nn."""
from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest
import sotto

NN = pathlib.Path(sotto.__file__).parent / "nn"


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True)


def test_sotto_loads_no_torch():
    done = run("-c", """
import sys, sotto
sotto.Client, sotto.Server, sotto.compile
assert "nn" in dir(sotto)
assert not {"torch", "sotto.nn"} & set(sys.modules)
""")
    assert done.returncode == 0, done.stderr


def test_without_torch_one_line_names_the_extra():
    done = run("-c", """
import sys
sys.modules["torch"] = None  # as if it were not there
import sotto
for attempt in ("import sotto.nn", "from sotto import nn", "sotto.nn", "from sotto.nn.models import build"):
    try:
        exec(attempt)
    except ImportError as e:
        assert "extra nn" in str(e) and "pip install" in str(e) and "\\n" not in str(e), e
    else:
        raise SystemExit(f"not refused: {attempt}")
""")
    assert done.returncode == 0, done.stderr


def test_the_command_line_without_torch(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text("raise ImportError('as if it were not there')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    done = run("-m", "sotto.nn", "--help")
    assert done.returncode == 1 and "extra nn" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
def test_the_command_line():
    done = run("-m", "sotto.nn", "--help")
    assert done.returncode == 0 and "python -m sotto.nn" in done.stdout and "resnet20-cifar10" not in done.stdout
    done = run("-m", "sotto.nn", "evaluate", "none.pt", "--data", ".")
    assert done.returncode == sotto.ErrorCode.BAD_INPUT and done.stderr == "sotto.nn: none.pt: there is no such checkpoint\n"


def test_what_comes_with_it():
    assert (NN / "quadratic.cpp").is_file() and (NN / "configs" / "resnet20-cifar10.toml").is_file()

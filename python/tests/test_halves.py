"""The two halves of the package."""
from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest
import sotto

FOLDER = pathlib.Path(sotto.__file__).parent


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_server_never_loads_the_client():
    print(python("""
import sys, sotto, sotto.server
sotto.Server, sotto.Model, sotto.compile, sotto.Query, sotto.Query(b"1"), sotto.EvaluationKeys(b"2").tobytes()
assert "sotto._server" in sys.modules
assert "sotto._client" not in sys.modules and "sotto.client" not in sys.modules
"""))


def test_either_half_may_come_first():
    for order in (("client", "server"), ("server", "client")):
        print(python(f"""
import sotto.{order[0]}, sotto.{order[1]}
from sotto import _client, _server
assert _client.Buffer is _server.Buffer and _client.ClientSpec is _server.ClientSpec
for attempt in (lambda: sotto.Model(b"1"), lambda: sotto.ClientSpec(b"1"), lambda: sotto.SecretKey.load("/dev/null")):
    try:
        attempt()
        raise SystemExit("not refused")
    except sotto.BadInputError:
        pass
"""))


def test_the_servers_code_knows_no_secret_key():
    """By a message that only code for secret keys has."""
    marker = b"it holds no secret key"
    client, server = (next(FOLDER.glob(f"_{half}.*.so")).read_bytes() for half in ("client", "server"))
    assert marker in client, "the test sees nothing at all"
    assert marker not in server and b"secret::" not in server and b"sotto6secret" not in server


@pytest.mark.parametrize("missing, there, gone", [("_client", "Server", "Client"), ("_server", "SecretKey", "compile")])
def test_a_missing_half(missing, there, gone):
    print(python(f"""
import sys
sys.modules["sotto.{missing}"] = None  # as if it were not there
import sotto
sotto.{there}
sotto.Query(b"1")
assert "{gone}" in dir(sotto)
for attempt in ("sotto.{gone}", "from sotto import {gone}"):
    try:
        exec(attempt)
    except ImportError as e:
        assert "lacks the half" in str(e), e
    else:
        raise SystemExit("not refused")
"""))


def test_the_command_line():
    def program(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "sotto", *args], capture_output=True, text=True)

    run = program("--help")
    assert run.returncode == 0 and "encrypt" in run.stdout
    run = program("compile", "none.onnx", "--out", "x")
    assert run.returncode == 3 and "none.onnx" in run.stderr


def test_no_attribute():
    with pytest.raises(AttributeError):
        sotto.nothing

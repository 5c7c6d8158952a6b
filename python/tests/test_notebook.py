"""The notebook of the examples runs from start to end, and what it shows is so."""
from __future__ import annotations

import base64
import json
import os
import pathlib

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "05_pictures.ipynb"

CHECKS = """
import json
print(json.dumps({"right": [int(k) for k in np.flatnonzero(results.labels == truth)], "shape": list(results.scores.shape),
                  "doubts": {int(k): results.doubts[k].name for k in results.doubtful}}))
"""


def test_it_is_stored_without_outputs():
    """They change with every run, as keys do."""
    nbformat.validate(nbformat.read(NOTEBOOK, 4))
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"] == [] and cell["execution_count"] is None)


def test_it_runs(tmp_path, monkeypatch):
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))  # nothing of the user's, and nothing left there
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    book = nbformat.read(NOTEBOOK, 4)
    book.cells.append(nbformat.v4.new_code_cell(CHECKS))
    before = sorted(os.listdir(EXAMPLES))
    nbclient.NotebookClient(book, timeout=500, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    assert sorted(os.listdir(EXAMPLES)) == before

    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    text = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4 and all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)
    assert text.startswith("shapes") and "labels agree" in text

    found = json.loads(text.splitlines()[-1])
    stripes, doubts = 13, {int(k): doubt for k, doubt in found["doubts"].items()}
    assert found["shape"] == [24, 5]
    assert set(found["right"]) >= set(range(24)) - {stripes}
    assert doubts.pop(stripes) == "SCORE" and doubts and set(doubts.values()) == {"NEIGHBOUR"}
    assert all(abs(k - stripes) <= 4 for k in doubts)

"""Messages speak of arguments, not of options and scripts of the command line."""
from __future__ import annotations

import pathlib
import re

import numpy as np
import onnx
import pytest
import sotto
from sotto._words import in_python
from onnx import helper, numpy_helper
from test_onnx import write_network

SOURCES = pathlib.Path(__file__).parents[2] / "src"
OF_THE_COMMAND_LINE = re.compile(r"(?<![\w-])--[a-z]|scripts/|this program|command\b|\bsotto (compile|plan|keygen|encrypt|infer|decrypt)\b")


def test_no_message_of_the_library_speaks_of_the_command_line():
    files = [f for f in sorted(SOURCES.rglob("*.cpp")) if "cli" not in f.parts and f.name != "sheet.cpp"]  # these are the programs'
    literals = [text for file in files for line in file.read_text(encoding="utf-8").splitlines()
                if not line.lstrip().startswith(("//", "#"))
                for text in re.findall(r'"((?:[^"\\]|\\.)*)"', line)]
    assert len(literals) > 500, "the test sees nothing at all"
    assert [text for text in map(in_python, literals) if OF_THE_COMMAND_LINE.search(text)] == []


def test_a_network_that_scales_its_pixels(tmp_path):
    model = onnx.load(write_network(tmp_path / "a.onnx"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1 / 255), "scale"))
    model.graph.node[0].input[0] = "scaled"
    model.graph.node.insert(0, helper.make_node("Mul", ["x", "scale"], ["scaled"], name="scaling"))
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.warns(sotto.SottoWarning) as notes:
        sotto.compile(tmp_path / "a.onnx", batch=4)
    text = " ".join(str(note.message) for note in notes)
    assert "give mean=0 and std=0.0039215686" in text and "give mean= and std=" in text and "scripts" not in text


@pytest.mark.parametrize("options, message", [
    ({"mean": 120, "std": 60}, "mean= holds 120"), ({"mean": 0.5, "std": 60}, "std= holds 60"), ({"std": 0}, "std= must be positive"),
    ({"mean": [0.5, 0.5]}, "mean= must have one number per input channel"), ({"classes": ["a"]}, "classes= names 1 classes")])
def test_arguments_are_called_so(tmp_path, options, message):
    with pytest.raises(sotto.BadInputError, match=message) as e:
        sotto.compile(write_network(tmp_path / "a.onnx"), batch=4, **options)
    assert "metadata" not in str(e.value)


def test_metadata_of_a_file_are_called_so(tmp_path):
    model = onnx.load(write_network(tmp_path / "a.onnx"))
    model.metadata_props.add(key="sotto.mean", value="120")
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(sotto.BadInputError, match="metadata sotto.mean holds 120"):
        sotto.compile(tmp_path / "a.onnx", batch=4, std=0.5)

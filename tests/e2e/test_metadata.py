"""Preprocessing: scripts/add_metadata.py, on models of any version, and what the programs say where nothing is stated."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from onnx.external_data_helper import convert_model_to_external_data

import harness
import models
from harness import Case

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "add_metadata.py"
GIVEN = ("--mean", "0.49,0.48,0.45", "--std", "0.25,0.24,0.26")


class Metadata(Case):
    def setUp(self):
        (self.dir / "out.onnx").unlink(missing_ok=True)
        nodes = [helper.make_node("Conv", ["image", "k"], ["c"], "conv"), helper.make_node("Mul", ["c", "c"], ["s"], "square"),
                 helper.make_node("GlobalAveragePool", ["s"], ["g"], "pool"), helper.make_node("Flatten", ["g"], ["scores"], "flat")]
        weights = np.random.default_rng(1).normal(size=(3, 3, 3, 3))
        models.save(self.dir / "plain.onnx", nodes, [models.tensor("k", weights)], (3, 8, 8), 3)

    def add(self, source, *args):
        command = [sys.executable, str(SCRIPT), source, "out.onnx", *args]
        return subprocess.run(command, cwd=self.dir, capture_output=True, text=True)

    def notes(self, model):
        shown = self.sotto("plan", model, "--batch", "1", "--agreement", "0")  # the scores of noise lie close together
        return [line for line in shown.err.splitlines() if line.startswith("note: ")]

    def test_what_is_missing_is_said(self):
        notes = self.notes("plain.onnx")
        self.assertEqual(len(notes), 1, notes)
        self.assertIn("states no preprocessing", notes[0])
        self.assertEqual(self.add("plain.onnx", *GIVEN).returncode, 0)
        self.assertEqual(self.notes("out.onnx"), [])

    def test_models_that_are_newer_than_the_script_knows(self):
        model = onnx.load(str(self.dir / "plain.onnx"))
        model.ir_version = 11
        model.opset_import[0].version = 23
        onnx.save(model, str(self.dir / "new.onnx"))
        done = self.add("new.onnx", *GIVEN)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        changed = onnx.load(str(self.dir / "out.onnx"))
        self.assertEqual({p.key: p.value for p in changed.metadata_props}, dict(zip(("sotto.mean", "sotto.std"), GIVEN[1::2])))
        del changed.metadata_props[:]
        self.assertEqual(changed.SerializeToString(), model.SerializeToString())
        self.assertEqual(self.notes("out.onnx"), [])

    def test_weights_in_another_file_are_put_into_the_model(self):
        model = onnx.load(str(self.dir / "plain.onnx"))
        convert_model_to_external_data(model, location="weights.data", size_threshold=0)
        onnx.save(model, str(self.dir / "outside.onnx"))
        self.assertTrue((self.dir / "weights.data").exists())
        plans = [json.loads(self.sotto("plan", name, "--batch", "1", "--agreement", "0", "--json").out)["plan_id"]
                 for name in ("plain.onnx", "outside.onnx")]
        self.assertEqual(plans[0], plans[1])
        self.assertEqual(self.add("outside.onnx", *GIVEN).returncode, 0)
        (self.dir / "weights.data").unlink()
        self.assertEqual(self.notes("out.onnx"), [])

    def test_what_is_not_given_stays(self):
        self.assertEqual(self.add("plain.onnx", *GIVEN, "--classes", "cat,dog,ship").returncode, 0)
        self.assertEqual(self.add("out.onnx", "--mean", "0.5").returncode, 0)
        changed = onnx.load(str(self.dir / "out.onnx"))
        self.assertEqual({p.key: p.value for p in changed.metadata_props},
                         {"sotto.mean": "0.5", "sotto.std": GIVEN[3], "sotto.classes": "cat,dog,ship"})

    def test_numbers_that_only_raw_pixels_can_have(self):
        for args in (("--mean", "125.3,123,113.9"), ("--std", "63,62.1,66.7"), ("--std", "0"), ("--std", "-1"), ("--mean", "nan"),
                     ("--mean", "x"), ("--mean", ""), ()):
            with self.subTest(args=args):
                done = self.add("plain.onnx", *args)
                self.assertEqual(done.returncode, 2, done)
                self.assertFalse((self.dir / "out.onnx").exists())
        self.assertIn("divide mean and std by 255", self.add("plain.onnx", "--mean", "125.3").stderr)

    def test_no_model(self):
        (self.dir / "text.onnx").write_text("hello")
        for name in ("text.onnx", "nowhere.onnx"):
            done = self.add(name, *GIVEN)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{name}: cannot read the model", done.stderr)
            self.assertNotIn("Traceback", done.stderr)


if __name__ == "__main__":
    harness.main()

"""Levels of security: plans say which they keep to, keys of one do not serve another, what does not fit is refused."""

import json
from pathlib import Path

import numpy as np

import harness
import models
from harness import NO_RESOURCES, USAGE, WRONG_KEY, PreparedCase

TRAINED = Path(__file__).parents[2] / "models/train"
LIMITS = {"128": 1747, "192": 1199, "quantum128": 1289}  # ePrint 2024/463, rank 2^16


class Security(PreparedCase):
    def test_the_whole_way_at_every_level(self):
        order, _ = harness.reading_order(self.images, self.network.classes)
        expected = self.network.scores(self.images[order])
        for level in ("192", "quantum128"):
            self.sotto("compile", "net.onnx", "--security", level, "--out", level)
            for name in (f"{level}.plan", f"{level}.client"):
                parameters = json.loads(self.sotto("plan", name, "--json").out)["parameters"]
                self.assertEqual((parameters["security"], parameters["security_bits"]), (level, 192 if level == "192" else 128))
                self.assertLessEqual(parameters["log2_qp"], LIMITS[level])
            # One secret key, with a secret of its own for each level.
            made = self.sotto("keygen", f"{level}.client", "--out", "keys", "--eval-key", f"{level}.key")
            self.assertIn("bits of security", made.out)
            self.encrypt(f"{level}.in", client=f"{level}.client")
            self.infer(f"{level}.in", f"{level}.out", f"{level}.plan", f"{level}.key")
            self.decrypt(f"{level}.out", "--out", "scores.npy", client=f"{level}.client")
            self.assertLess(np.abs(np.load(self.dir / "scores.npy") - expected).max(), 1e-2)
            self.assert_refused(WRONG_KEY, "infer", f"{level}.plan", "--eval-key", "keys/eval.key", "--in", f"{level}.in", "--out", "x")

    def test_usual_files_do_not_name_it(self):
        self.assertEqual(json.loads(self.sotto("plan", "net.plan", "--json").out)["parameters"]["security"], "128")
        self.assertNotIn(b'"security"', (self.dir / "net.client").read_bytes())
        for name in ("net.plan", "net.client"):
            self.assert_refused(USAGE, "plan", name, "--security", "192", words=[name, "is fixed"])

    def test_what_does_not_fit_is_refused(self):
        models.ReluNetwork(depth=3).save(self.dir / "deep.onnx")
        for level in ("192", "quantum128"):
            self.assert_refused(NO_RESOURCES, "compile", "deep.onnx", "--security", level, "--agreement", 1, "--out", "deep",
                                words=["does not fit", "security"])
            self.assert_refused(NO_RESOURCES, "compile", TRAINED / "lenet-mnist.onnx", "--train", TRAINED / "mnist.toml",
                                "--security", level, "--out", "trained", words=["bootstrapped", "security"])
        self.assert_refused(USAGE, "compile", "net.onnx", "--security", "256", "--out", "x", words=["--security", "quantum128"])


if __name__ == "__main__":
    harness.main()

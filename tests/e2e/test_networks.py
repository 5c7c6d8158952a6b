"""Networks of other kinds than the shipped ones, encrypted: LeNet-5 and a thin VGG-11, exported by PyTorch.

Their weights are random, so scores say little and lie close together: errors are compared with how much scores differ.
"""

import json
from pathlib import Path

import numpy as np

import harness
from harness import Case

GOLDEN = Path(__file__).resolve().parents[1] / "golden/graph"


class Networks(Case):
    def evaluate(self, name, shape, low, high, *more, error=0.3):
        images = np.random.default_rng(1).integers(low, high, (3, *shape)).astype(np.uint8)
        harness.write_pictures(self.dir / name, images)
        self.sotto("evaluate", GOLDEN / f"{name}.onnx", "--data", name, "--json", "report.json", "--out", "scores.npy", *more)
        report = json.loads((self.dir / "report.json").read_text())
        self.assertEqual(report["images"], 3)
        self.assertLess(report["rms_logit_error"], error * np.ptp(np.load(self.dir / "scores.npy")))
        return report

    def test_lenet5(self):
        self.evaluate("lenet5", (1, 20, 20), 0, 256)

    def test_vgg11(self):
        self.evaluate("vgg11", (3, 32, 32), 118, 138)

    def test_a_full_batch_packing(self):
        self.assertEqual(self.evaluate("lenet5", (1, 20, 20), 0, 256, "--batch", "1024", error=0.1)["group"], 1)


if __name__ == "__main__":
    harness.main()

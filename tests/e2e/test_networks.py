"""Networks of other kinds than the shipped ones, encrypted: LeNet-5 and a thin VGG-11, exported by PyTorch."""

import json
from pathlib import Path

import numpy as np

import harness
from harness import Case

GOLDEN = Path(__file__).resolve().parents[1] / "golden/graph"


class Networks(Case):
    def evaluate(self, name, shape, *more):
        images = np.random.default_rng(1).integers(0, 256, (3, *shape)).astype(np.uint8)
        harness.write_pictures(self.dir / name, images)
        self.sotto("evaluate", GOLDEN / f"{name}.onnx", "--data", name, "--json", "report.json", *more)
        report = json.loads((self.dir / "report.json").read_text())
        self.assertEqual(report["images"], 3)
        spread = np.ptp(json.loads((GOLDEN / f"{name}.json").read_text())["pytorch"])
        self.assertLess(report["max_abs_logit_error"], 0.02 * spread)
        return report

    def test_lenet5(self):
        self.assertGreater(self.evaluate("lenet5", (1, 20, 20))["group"], 1)

    def test_vgg11(self):
        self.assertGreater(self.evaluate("vgg11", (3, 32, 32))["group"], 1)

    def test_a_full_batch_packing(self):
        self.assertEqual(self.evaluate("lenet5", (1, 20, 20), "--batch", "1024")["group"], 1)


if __name__ == "__main__":
    harness.main()

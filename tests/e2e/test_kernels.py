"""All kernel sets and numbers of threads give the same ciphertexts, bit for bit."""

import numpy as np
from onnx import helper

import harness
import models
from harness import OK, USAGE, Case, PreparedCase


class Kernels(PreparedCase):
    network = models.Network(depth=2)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encrypt()

    def outputs(self, kernels, threads="2"):
        """OUT.sotto, or None if the processor lacks these kernels."""
        r = harness.run("infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto", "--threads", threads,
                        cwd=self.dir, env={**self.env, "SOTTO_KERNELS": kernels})
        if r.code == USAGE and kernels != "scalar":
            self.assert_one_line(r, "SOTTO_KERNELS")
            return None
        self.assertEqual(r.code, OK, r)
        return (self.dir / "out.sotto").read_bytes()

    def test_same_bits(self):
        scalar = self.outputs("scalar")
        tested = ["scalar"]
        for kernels in ("avx2", "avx512", "amx", ""):  # the last: whatever the program chooses
            out = self.outputs(kernels)
            if out is None:
                continue
            tested.append(kernels)
            self.assertEqual(len(out), len(scalar), kernels)
            different = [k for k in range(0, len(out), 4096) if out[k:k + 4096] != scalar[k:k + 4096]]
            self.assertEqual(different, [], f"{kernels} differs from scalar at these places")
        print("compared:", ", ".join(k or "default" for k in tested))

    def test_threads(self):
        self.assertEqual(self.outputs("", "1"), self.outputs("", "3"))

    def test_keys_and_inputs_of_one_set_work_with_another(self):
        self.sotto("keygen", "net.client", "--out", "scalar-keys", env={"SOTTO_KERNELS": "scalar"})
        self.encrypt("scalar.sotto", keys="scalar-keys")
        self.infer("scalar.sotto", "scalar-out.sotto", "net.plan", "scalar-keys/eval.key")
        self.decrypt("scalar-out.sotto", "--out", "scores.npy", keys="scalar-keys", env={"SOTTO_KERNELS": "scalar"})

    def test_unknown_set(self):
        for name in ("avx1024", "AVX2", " ", "scalar,avx2"):
            for verb in (["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "x.sotto"],
                         ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "x.sotto"], ["plan", "net.plan"],
                         ["evaluate", "net.onnx", "--data", "images"]):
                with self.subTest(name=name, verb=verb[0]):
                    self.assert_refused(USAGE, *verb, env={"SOTTO_KERNELS": name}, words=["SOTTO_KERNELS"])

class Padding(Case):
    """Ciphertexts that hold nothing but padding: their sums have no terms."""

    def test_same_bits(self):
        # One pixel, padded to 5x5: in a large batch the neighbours of the border lie in ciphertexts of their own.
        nodes = [helper.make_node("Conv", ["image", "k"], ["c"], "conv", kernel_shape=[3, 3], pads=[3] * 4),
                 helper.make_node("Mul", ["c", "c"], ["y"], "y"), helper.make_node("GlobalAveragePool", ["y"], ["pool"], "pool"),
                 helper.make_node("Flatten", ["pool"], ["flat"], "flat"), helper.make_node("Gemm", ["flat", "w"], ["scores"], "dense")]
        rng = np.random.default_rng(1)
        models.save(self.dir / "net.onnx", nodes, [models.tensor("k", rng.normal(0, 1, (2, 3, 3, 3))), models.tensor("w", rng.normal(0, 1, (2, 3)))],
                    (3, 1, 1), 3)
        harness.write_pictures(self.dir / "images", models.random_images(3, 1))
        self.sotto("compile", "net.onnx", "--batch", "16384", "--out", "net")
        self.sotto("keygen", "net.client", "--out", "keys")
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "in.sotto")
        infer = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto"]
        outputs = []
        for kernels in ("scalar", ""):
            self.sotto(*infer, env={"SOTTO_KERNELS": kernels})
            outputs.append((self.dir / "out.sotto").read_bytes())
        self.sotto("decrypt", "net.client", "--keys", "keys", "--in", "out.sotto")
        self.assertTrue(outputs[0] == outputs[1], "the processor's kernels differ from scalar")


if __name__ == "__main__":
    harness.main()

"""All kernel sets and numbers of threads give the same ciphertexts, bit for bit."""

import harness
import models
from harness import OK, USAGE, PreparedCase


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
        for kernels in ("avx2", "avx512", ""):  # the last: whatever the program chooses
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


if __name__ == "__main__":
    harness.main()

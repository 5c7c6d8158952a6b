"""`sotto bench`: machine-readable figures, each of which says what it measures."""

import json
import math

import harness
from harness import Case


class Bench(Case):
    def test_json(self):
        names = ("baseconv", "conv", "ntt")
        results = json.loads(self.sotto("bench", *names, "--json").out)
        self.assertIsInstance(results, list)
        self.assertEqual({r["benchmark"] for r in results}, set(names))
        for r in results:
            self.assertIn(r["kernels"], ("scalar", "avx2", "avx512", "amx"))
            numbers = {k: v for k, v in r.items() if isinstance(v, float)}
            self.assertTrue(numbers, r)
            for name, value in numbers.items():
                self.assertTrue(math.isfinite(value) and value >= 0, f"{name} in {r}")
        # The scalar kernels are the measure of all others.
        self.assertIn("scalar", {r["kernels"] for r in results if r["benchmark"] == "ntt"})

    def test_text(self):
        r = self.sotto("bench", "ntt", "--threads", "1")
        self.assertTrue(all(line.startswith("ntt ") for line in r.out.splitlines()), r)


if __name__ == "__main__":
    harness.main()

"""The server's program holds no code for secret keys, and inference touches none."""

import shutil
import subprocess

import numpy as np

import harness
from harness import PreparedCase

# Texts in src/secret that every program with this code contains.
DOMAINS = (b"Sotto owner's signing key", b"Sotto secret")


class Separation(PreparedCase):
    def symbols(self, program):
        return subprocess.run(["nm", "-C", str(program)], capture_output=True, text=True).stdout

    def test_server_has_no_secret_code(self):
        if shutil.which("nm") and self.symbols(harness.SERVER):
            self.assertIn("sotto::secret::", self.symbols(harness.SOTTO), "the test sees nothing at all")
            found = [line for line in self.symbols(harness.SERVER).splitlines() if "sotto::secret" in line]
            self.assertEqual(found, [])
        for text in DOMAINS:
            self.assertIn(text, harness.SOTTO.read_bytes())
            self.assertNotIn(text, harness.SERVER.read_bytes())

    def test_inference_without_the_secret_key(self):
        self.encrypt()
        server = self.dir / "server"
        server.mkdir()
        for file in ("net.plan", "keys/eval.key", "in.sotto"):
            shutil.copy(self.dir / file, server)
        self.sotto("infer", "net.plan", "--eval-key", "eval.key", "--in", "in.sotto", "--out", "out.sotto", cwd=server)
        self.assertEqual(sorted(p.name for p in server.iterdir()), ["eval.key", "in.sotto", "net.plan", "out.sotto"])
        self.decrypt("server/out.sotto", "--out", "scores.npy")
        self.assertEqual(np.load(self.dir / "scores.npy").shape, (len(self.images), 3))

    def test_inference_opens_no_secret_key(self):
        # All three files lie in one folder: what counts is what the program opens.
        self.encrypt("keys/in.sotto")
        trace = self.dir / "trace"
        command = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,execve", "-o", str(trace)]
        if shutil.which("strace") is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
            self.skipTest("no strace on this machine, or no right to trace")
        p = subprocess.run([*command, str(harness.SOTTO), "infer", "../net.plan", "--eval-key", "eval.key", "--in", "in.sotto", "--out",
                            "out.sotto"], cwd=self.dir / "keys", capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        opened = trace.read_text()
        self.assertIn('"eval.key"', opened)
        self.assertIn("sotto-server", opened)
        self.assertNotIn("secret", opened)
        self.assertNotIn("inputs", opened)


if __name__ == "__main__":
    harness.main()

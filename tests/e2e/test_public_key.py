"""Someone who has an owner's public key encrypts; the owner decrypts, and nobody else does."""

import json
import shutil
import subprocess

import numpy as np

import harness
import models
from harness import BAD_INPUT, USAGE, WRONG_KEY, PreparedCase


class PublicKey(PreparedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        before = (cls.dir / "keys/eval.key").stat()
        cls.made = cls.sotto("keygen", "net.client", "--out", "keys", "--public-key", "public.key", "--json", "keygen.json")
        cls.eval_key_stayed = (cls.dir / "keys/eval.key").stat() == before
        models.Network(side=16, depth=3).save(cls.dir / "deeper.onnx")
        cls.sotto("compile", "deeper.onnx", "--out", "deeper")

    def encrypt_for(self, out, *more, public_key="public.key", data="images", **kw):
        return self.sotto("encrypt", "net.client", "--public-key", public_key, "--data", data, "--out", out, *more, **kw)

    def scores(self, source):
        self.infer(source, "out.sotto")
        self.decrypt("out.sotto", "--out", "scores.npy", "--data", "images")
        return np.load(self.dir / "scores.npy")

    def test_three_parties(self):
        # Each has what it needs and nothing more.
        third, server = self.dir / "third", self.dir / "server"
        for folder, files in ((third, ("net.client", "public.key")), (server, ("net.plan", "keys/eval.key"))):
            folder.mkdir()
            for file in files:
                shutil.copy(self.dir / file, folder)
        self.encrypt_for("in.sotto", "--json", "report.json", data="../images", cwd=third)
        self.assertEqual(sorted(p.name for p in third.iterdir()), ["in.sotto", "net.client", "public.key", "report.json"])
        shutil.copy(third / "in.sotto", server)
        self.sotto("infer", "net.plan", "--eval-key", "eval.key", "--in", "in.sotto", "--out", "out.sotto", cwd=server)
        self.decrypt("server/out.sotto", "--out", "scores.npy", "--csv", "labels.csv", "--data", "images")
        theirs = np.load(self.dir / "scores.npy")
        self.encrypt("symmetric.sotto")
        ours = self.scores("symmetric.sotto")
        order, _ = harness.reading_order(self.images, self.network.classes)
        exact = self.network.scores(self.images[order])
        for scores in (theirs, ours):
            np.testing.assert_array_equal(scores.argmax(axis=1), exact.argmax(axis=1))
            self.assertLess(np.abs(scores - exact).max(), 1e-2)
        report = json.loads((third / "report.json").read_text())
        self.assertEqual(report["images"], len(self.images))
        self.assertGreater(report["input_bytes"], 1.9 * (self.dir / "symmetric.sotto").stat().st_size)
        self.assertIn("encrypt_seconds", report)

    def test_scores_are_encrypted_anew(self):
        self.encrypt("ours.sotto")
        run = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "ours.sotto"]
        scores, files = [], []
        for k, more in enumerate(([], [], ["--public-key", "public.key"], ["--public-key", "public.key"])):
            self.sotto(*run, "--out", f"answer{k}.sotto", *more)
            self.decrypt(f"answer{k}.sotto", "--out", "scores.npy")
            scores.append(np.load(self.dir / "scores.npy"))
            files.append((self.dir / f"answer{k}.sotto").read_bytes())
        self.assertEqual(files[0], files[1], "the same question has the same answer")
        self.assertEqual(len(set(files)), 3)
        for s in scores[1:]:
            np.testing.assert_allclose(s, scores[0], atol=1e-5)
        # Of somebody else, and no public key at all.
        self.sotto("keygen", "net.client", "--out", "theirs", "--public-key", "their.key")
        before = harness.tree(self.dir)
        self.assert_refused(WRONG_KEY, *run, "--out", "no.sotto", "--public-key", "their.key", words=["their.key", "eval.key"])
        self.assert_refused(BAD_INPUT, *run, "--out", "no.sotto", "--public-key", "net.client", words=["public key"])
        self.assertEqual(harness.tree(self.dir), before)

    def test_keys_that_are_there_stay(self):
        self.assertTrue(self.eval_key_stayed)
        self.assertIn("public.key", self.made.out)
        self.assertNotIn("eval.key", self.made.out)
        report = json.loads((self.dir / "keygen.json").read_text())
        self.assertEqual((report["keys"], report["new_secret_key"]), (0, False))
        self.assertEqual(report["public_key_bytes"], (self.dir / "public.key").stat().st_size)
        self.assertLess(report["public_key_bytes"], report["eval_key_bytes"])
        before = harness.tree(self.dir)
        again = self.sotto("keygen", "net.client", "--out", "keys", "--public-key", "public.key")
        self.assertIn("public.key serves this plan", again.out)
        self.assertEqual(harness.tree(self.dir), before)

    def test_all_keys_at_once(self):
        self.sotto("keygen", "net.client", "--out", "new", "--public-key", "new/public.key")
        self.assertEqual(sorted(p.name for p in (self.dir / "new").iterdir()), ["eval.key", "plans", "public.key", "secret.key"])
        self.encrypt_for("new-in.sotto", public_key="new/public.key")
        self.infer("new-in.sotto", "new-out.sotto", "net.plan", "new/eval.key")
        self.decrypt("new-out.sotto", keys="new")

    def test_a_public_key_is_not_replaced_by_anothers(self):
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "stranger", "--public-key", "public.key", words=["another owner"])
        for name in ("keys/secret.key", "keys/eval.key"):
            self.assert_refused(USAGE, "keygen", "net.client", "--out", "keys", "--public-key", name, words=[name, "two outputs"])
        self.sotto("keygen", "net.client", "--out", "others")
        for name in ("others/secret.key", "others/eval.key"):
            self.assert_refused(BAD_INPUT, "keygen", "net.client", "--out", "keys", "--public-key", name, words=[name])
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "keys")

    def test_encrypting_opens_no_secret_key(self):
        # All files lie beside the key: what counts is what the program opens.
        shutil.copy(self.dir / "public.key", self.dir / "keys/public.key")
        trace = self.dir / "trace"
        command = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2,execve", "-o", str(trace)]
        if shutil.which("strace") is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
            self.skipTest("no strace on this machine, or no right to trace")
        p = subprocess.run([*command, str(harness.SOTTO), "encrypt", "../net.client", "--public-key", "public.key", "--data", "../images",
                            "--out", "traced.sotto"], cwd=self.dir / "keys", capture_output=True, text=True)
        self.assertEqual(p.returncode, 0, p.stderr)
        opened = trace.read_text()
        self.assertIn('"public.key"', opened)
        self.assertNotIn("secret", opened)
        self.assertNotIn("inputs", opened)

    def test_which_key(self):
        common = ("--data", "images", "--out", "x.sotto")
        self.assert_refused(USAGE, "encrypt", "net.client", *common, words=["--keys", "--public-key"])
        self.assert_refused(USAGE, "encrypt", "net.client", "--keys", "keys", "--public-key", "public.key", *common)
        for file in ("keys/secret.key", "keys/eval.key", "net.client", "net.plan"):
            self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--public-key", file, *common, words=[file, "public key"])
        self.assert_refused(BAD_INPUT, "encrypt", "net.client", "--keys", "public.key", *common, words=["public.key", "secret key"])
        # Of another ring or with too few levels.
        self.assert_refused(WRONG_KEY, "encrypt", "deeper.client", "--public-key", "public.key", "--data", "images", "--resize", "stretch",
                            "--out", "x.sotto", words=["public.key", "this plan"])

    def test_another_owners(self):
        self.sotto("keygen", "net.client", "--out", "other", "--public-key", "other.key")
        self.encrypt_for("other-in.sotto", public_key="other.key")
        self.assert_refused(WRONG_KEY, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "other-in.sotto", "--out", "x.sotto",
                            words=["another key"])
        self.infer("other-in.sotto", "other-out.sotto", "net.plan", "other/eval.key")
        self.assert_refused(WRONG_KEY, "decrypt", "net.client", "--keys", "keys", "--in", "other-out.sotto", words=["another key"])


if __name__ == "__main__":
    harness.main()

"""Inputs, keys and results in the hands of someone who changes, swaps or replays them, with right checksums throughout. Each
attack is also tried on a plan that promises no signatures, where it passes: that is what the signature is for."""

import json
import os
import shutil
import signal
import stat

import numpy as np

import ed25519
import harness
import models
from harness import BAD_INPUT, OK, USAGE, WRONG_KEY, Case, Container

IMAGES, BATCH = 258, 128  # three batches


class SignedCase(Case):
    """A plan `net` whose results a server must sign with server.key, one without signatures, `open`, and two inputs of three batches."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network = models.Network(side=32)
        cls.network.save(cls.dir / "net.onnx")
        made = cls.sotto("signing-key", "server.key", "--json", "signing.json")
        cls.signer = json.loads((cls.dir / "signing.json").read_text())["verification_key"]
        assert cls.signer in made.out
        cls.sotto("compile", "net.onnx", "--batch", str(BATCH), "--out", "open")
        cls.compiled = cls.sotto("compile", "net.onnx", "--batch", str(BATCH), "--signer", "server.key", "--out", "net", "--json", "compile.json")
        cls.sotto("keygen", "net.client", "open.client", "--out", "keys", "--public-key", "public.key", "--json", "keygen.json")
        cls.key_id = json.loads((cls.dir / "keygen.json").read_text())["key_id"]
        cls.seed = harness.owner_seed((cls.dir / "keys/secret.key").read_bytes())
        harness.write_cifar(cls.dir / "data", 2 * IMAGES, 3)
        cls.ids = {}
        for plan in ("net", "open"):
            for k, name in enumerate("ab"):
                cls.sotto("encrypt", f"{plan}.client", "--keys", "keys", "--data", "cifar10:data", "--start", str(k * IMAGES), "--count",
                          str(IMAGES), "--out", f"{plan}-{name}.sotto", "--json", "encrypt.json")
                cls.ids[plan, name] = json.loads((cls.dir / "encrypt.json").read_text())["input_id"]
                cls.infer(f"{plan}-{name}.sotto", f"{plan}-{name}.out", plan)

    @classmethod
    def infer_args(cls, source, out, plan="net", *more):
        sign = ["--signing-key", "server.key"] if plan == "net" else []
        return ["infer", f"{plan}.plan", "--eval-key", "keys/eval.key", "--in", source, "--out", out, *sign, *more]

    @classmethod
    def infer(cls, source, out, plan="net", *more, **kw):
        return cls.sotto(*cls.infer_args(source, out, plan, *more), **kw)

    @staticmethod
    def decrypt_args(source, plan="net", *more):
        return ["decrypt", f"{plan}.client", "--keys", "keys", "--in", source, *more]

    def scores(self, source, plan="net", *more):
        r = self.sotto(*self.decrypt_args(source, plan, "--out", "scores.npy", *more))
        return r, np.load(self.dir / "scores.npy")

    def container(self, name):
        return Container((self.dir / name).read_bytes())

    def put(self, name, data):
        (self.dir / name).write_bytes(data)
        return name


class Results(SignedCase):
    def test_whole_way(self):
        for text in (self.compiled.out, self.sotto("plan", "net.client").out, self.sotto("plan", "net.plan").out):
            self.assertIn(self.signer, text)
        self.assertEqual(json.loads((self.dir / "compile.json").read_text())["signer"], self.signer)
        for file in ("net.plan", "net.client"):
            self.assertEqual(json.loads(self.sotto("plan", file, "--json").out)["signer"], self.signer)
        self.assertIsNone(json.loads(self.sotto("plan", "open.client", "--json").out)["signer"])
        _, scores = self.scores("net-a.out", "net", "--for", "net-a.sotto", "--json", "decrypt.json")
        report = json.loads((self.dir / "decrypt.json").read_text())
        self.assertEqual((report["signer"], report["input_id"]), (self.signer, self.ids["net", "a"]))
        images, _ = harness.write_cifar(self.dir / "data", 2 * IMAGES, 3)
        expected = self.network.scores(images[:IMAGES])
        self.assertLess(np.abs(scores - expected).max(), 0.02)
        self.infer("net-a.sotto", "again.out")
        self.assertEqual((self.dir / "again.out").read_bytes(), (self.dir / "net-a.out").read_bytes())

    def test_changed_results(self):
        c = self.container("net-a.out")
        c.sections[0] = bytes([c.sections[0][0] ^ 1]) + c.sections[0][1:]
        self.put("changed.out", c.bytes())
        self.assert_refused(WRONG_KEY, *self.decrypt_args("changed.out"), words=["changed.out", "signature"])
        c = self.container("net-a.out")
        c.header["images"] -= 1
        self.put("changed.out", c.bytes())
        self.assert_refused(WRONG_KEY, *self.decrypt_args("changed.out"), words=["changed.out", "signature"])

    def test_results_for_more_or_fewer_images(self):
        """Nobody signs them, but the client knows how many it encrypted."""
        for more in (-1, 1):
            c = self.container("open-a.out")
            c.header["images"] += more
            self.put("changed.out", c.bytes())
            self.assert_refused(WRONG_KEY, *self.decrypt_args("changed.out", "open"), words=[str(IMAGES), str(IMAGES + more)])

    def test_batches_in_another_order(self):
        for plan in ("net", "open"):
            c = self.container(f"{plan}-a.out")
            each = len(c.sections) // 3
            c.sections = c.sections[each:2 * each] + c.sections[:each] + c.sections[2 * each:]
            self.put(f"{plan}-mixed.out", c.bytes())
        self.assert_refused(WRONG_KEY, *self.decrypt_args("net-mixed.out"), words=["signature"])
        (_, right), (_, mixed) = (self.scores(name, "open") for name in ("open-a.out", "open-mixed.out"))
        np.testing.assert_array_equal(mixed[:BATCH], right[BATCH:2 * BATCH], "without a signature the scores of one batch pass for another's")

    def test_results_of_another_input(self):
        for plan in ("net", "open"):
            # The ciphertexts of b in the name of a.
            c, other = self.container(f"{plan}-a.out"), self.container(f"{plan}-b.out")
            c.sections = other.sections
            self.put("swapped.out", c.bytes())
            if plan == "net":
                self.assert_refused(WRONG_KEY, *self.decrypt_args("swapped.out"), words=["signature"])
            else:
                self.sotto(*self.decrypt_args("swapped.out", plan))
            # The whole file of b where that of a is expected.
            swapped = self.decrypt_args(f"{plan}-b.out", plan, "--for", f"{plan}-a.sotto")
            self.assert_refused(WRONG_KEY, *swapped, words=["another input", self.ids[plan, "a"], self.ids[plan, "b"]])
            self.sotto(*self.decrypt_args(f"{plan}-b.out", plan, "--for", f"{plan}-b.sotto"))

    def test_stripped_and_signed_by_others(self):
        c = self.container("net-a.out")
        del c.header["signer"]
        self.put("stripped.out", c.bytes())
        self.assert_refused(WRONG_KEY, *self.decrypt_args("stripped.out"), words=["not signed", self.signer])
        self.put("others.out", self.container("net-a.out").bytes(seed=os.urandom(32)))
        self.assert_refused(WRONG_KEY, *self.decrypt_args("others.out"), words=["signed with", self.signer])
        c = self.container("net-a.out")
        c.signature = bytes(64)
        self.put("empty.out", c.bytes())
        self.assert_refused(WRONG_KEY, *self.decrypt_args("empty.out"), words=["signature"])
        # A client description without the promise has another identity.
        c = self.container("net.client")
        c.header["result_signer"] = None
        self.put("net-free.client", c.bytes())
        self.assert_refused(BAD_INPUT, *self.decrypt_args("stripped.out", "net-free"), words=["identity"])

    def test_a_server_that_was_named(self):
        # A plan that promises nothing: whoever knows the server's key can still ask for it.
        self.infer("open-a.sotto", "signed.out", "open", "--signing-key", "server.key")
        for key in (self.signer, "server.key"):
            self.sotto(*self.decrypt_args("signed.out", "open", "--signer", key))
        self.assert_refused(WRONG_KEY, *self.decrypt_args("open-a.out", "open", "--signer", self.signer), words=["not signed"])
        self.assert_refused(BAD_INPUT, *self.decrypt_args("open-a.out", "open", "--signer", "ab" * 31), words=["ab" * 31])

    def test_damage_loses_its_batch_only(self):
        data = bytearray((self.dir / "net-a.out").read_bytes())
        data[-64 - 32 - 1] ^= 1
        self.put("damaged.out", bytes(data))
        r, scores = self.scores("damaged.out")
        self.assertEqual(len(r.errors()), 1)
        self.assertEqual(np.isnan(scores).all(axis=1).tolist(), [False] * 2 * BATCH + [True] * (IMAGES - 2 * BATCH))

    def test_replays(self):
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--count", "3", "--out", "few.sotto")
        self.infer("few.sotto", "few.out")
        first = self.sotto(*self.decrypt_args("few.out"))
        self.assertNotIn("note:", first.err)
        self.assertIn("were decrypted before", self.sotto(*self.decrypt_args("few.out")).err)
        # An old result, validly signed, in answer to a new input.
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--count", "3", "--out", "new.sotto")
        self.assert_refused(WRONG_KEY, *self.decrypt_args("few.out", "net", "--for", "new.sotto"), words=["another input"])
        # The same input computed a second time, with other evaluation keys: not the same results.
        self.sotto("keygen", "net.client", "--out", "keys", "--eval-key", "fresh.key")
        self.sotto("infer", "net.plan", "--eval-key", "fresh.key", "--in", "few.sotto", "--out", "second.out", "--signing-key", "server.key")
        self.assertIn("other results", self.sotto(*self.decrypt_args("second.out")).err)

    def test_a_bad_note_of_the_input_is_told(self):
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--count", "3", "--out", "noted.sotto", "--json", "encrypt.json")
        self.infer("noted.sotto", "noted.out")
        path = self.dir / "keys/inputs" / f"{json.loads((self.dir / 'encrypt.json').read_text())['input_id']}.json"
        good = path.read_text()
        digest = json.loads(good)["input_digest"]
        for bad in (good[:-3], good.replace(digest, "g" + digest[1:]), good.replace(digest, digest[1:]), ""):
            with self.subTest(bad=bad):
                path.write_text(bad)
                self.assertIn(f"{path.name}, cannot be read", self.sotto(*self.decrypt_args("noted.out")).err)
                self.assertNotIn("is not known", self.sotto(*self.decrypt_args("noted.out", "net", "--for", "noted.sotto")).err)
        path.unlink()
        self.assertIn("is not noted beside the key", self.sotto(*self.decrypt_args("noted.out")).err)
        self.assertNotIn("note:", self.sotto(*self.decrypt_args("noted.out", "net", "--for", "noted.sotto")).err)

    def test_a_server_without_its_key(self):
        infer = self.infer_args("net-a.sotto", "new.out")
        self.assert_refused(USAGE, *infer[:-2], words=["--signing-key", self.signer])
        self.sotto("signing-key", "second.key")
        self.assert_refused(WRONG_KEY, *infer[:-1], "second.key", words=[self.signer])
        self.assert_refused(BAD_INPUT, *infer[:-1], "keys/eval.key", words=["signing key"])
        self.assert_refused(BAD_INPUT, *infer[:-1], "no.key", words=["no.key"])

    def test_interrupted_runs_are_signed_in_the_end(self):
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--out", "long.sotto")
        self.infer("long.sotto", "whole.out")
        part, whole = self.dir / "long.out.part", (self.dir / "whole.out").read_bytes()
        r, _ = harness.run_and_signal(*self.infer_args("long.sotto", "long.out", "net", "--batches-at-once", "1"), number=signal.SIGKILL, cwd=self.dir, env=self.env,
                                      when=lambda: part.exists() and part.stat().st_size > 0.3 * len(whole))
        self.assertIsNotNone(r, "it ended before the signal")
        self.assert_refused(WRONG_KEY, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "net-b.sotto", "--out", "long.out",
                            "--signing-key", "server.key", words=["other work"])
        self.infer("long.sotto", "long.out", "net", "--json", "stats.json")
        self.assertGreater(json.loads((self.dir / "stats.json").read_text())["batches_of_an_earlier_run"], 0)
        self.assertEqual((self.dir / "long.out").read_bytes(), whole)


class Inputs(SignedCase):
    def refused(self, data, *words, more=()):
        self.put("forged.sotto", data)
        self.assert_refused(WRONG_KEY, *self.infer_args("forged.sotto", "new.out", "net", *more), words=["forged.sotto", *words])

    def test_changed_inputs(self):
        c = self.container("net-a.sotto")
        c.sections[0] = bytes([c.sections[0][0] ^ 1]) + c.sections[0][1:]
        self.refused(c.bytes(), "signature")
        self.refused(c.bytes(seed=os.urandom(32)), "did not sign")
        del c.header["signer"]
        self.refused(c.bytes(), "did not sign")
        c = self.container("net-a.sotto")
        c.sections[0], c.sections[1] = c.sections[1], c.sections[0]
        self.refused(c.bytes(), "signature")
        c = self.container("net-a.sotto")
        c.header["input_id"] = self.ids["net", "b"]
        self.refused(c.bytes(), "signature")
        self.put("fine.sotto", self.container("net-a.sotto").bytes(seed=self.seed))
        self.infer("fine.sotto", "fine.out")

    def test_changed_evaluation_keys(self):
        infer = self.infer_args("net-a.sotto", "new.out")
        at = infer.index("keys/eval.key")
        c = self.container("keys/eval.key")
        c.sections[3] = c.sections[3][:32] + bytes([c.sections[3][32] ^ 1]) + c.sections[3][33:]
        infer[at] = self.put("forged.key", c.bytes())
        self.assert_refused(WRONG_KEY, *infer, words=["forged.key", "signature"])
        self.put("forged.key", c.bytes(seed=os.urandom(32)))
        self.assert_refused(WRONG_KEY, *infer, words=["forged.key", "did not sign"])

    def test_changed_public_keys(self):
        c = self.container("public.key")
        c.sections[0] = bytes([c.sections[0][0] ^ 1]) + c.sections[0][1:]
        for data, word in ((c.bytes(), "signature"), (c.bytes(seed=os.urandom(32)), "did not sign")):
            self.put("forged.key", data)
            self.assert_refused(WRONG_KEY, "encrypt", "net.client", "--public-key", "forged.key", "--data", "cifar10:data", "--count", "1",
                                "--out", "new.sotto", words=["forged.key", word])

    def test_clients_that_the_server_serves(self):
        self.infer("net-a.sotto", "served.out", "net", "--client", self.key_id)
        self.assert_refused(WRONG_KEY, *self.infer_args("net-a.sotto", "new.out", "net", "--client", "0" * 32), words=["0" * 32, self.key_id])
        self.assert_refused(USAGE, *self.infer_args("net-a.sotto", "new.out", "net", "--client", "me"), words=["key id"])
        # Someone puts keys and input of their own in the place of the client's.
        self.sotto("keygen", "net.client", "--out", "other")
        self.sotto("encrypt", "net.client", "--keys", "other", "--data", "cifar10:data", "--count", "3", "--out", "other.sotto")
        infer = ["infer", "net.plan", "--eval-key", "other/eval.key", "--in", "other.sotto", "--signing-key", "server.key", "--out"]
        self.sotto(*infer, "other.out")
        self.assert_refused(WRONG_KEY, *infer, "new.out", "--client", self.key_id, words=["other/eval.key"])

    def test_what_others_encrypt(self):
        def encrypted(name, *more):
            self.sotto("encrypt", "net.client", "--public-key", "public.key", "--data", "cifar10:data", "--count", "3", "--out", name, *more)
        encrypted("public.sotto")
        self.infer("public.sotto", "public.out")
        self.assert_refused(WRONG_KEY, *self.infer_args("public.sotto", "new.out", "net", "--client", self.key_id), words=["someone else"])
        self.assertIn("is not signed", self.sotto(*self.decrypt_args("public.out")).err)
        self.sotto("signing-key", "camera.key", "--json", "camera.json")
        camera = json.loads((self.dir / "camera.json").read_text())["verification_key"]
        self.assert_refused(WRONG_KEY, *self.decrypt_args("public.out", "net", "--from", camera), words=["nobody signed"])
        encrypted("camera.sotto", "--signing-key", "camera.key")
        self.infer("camera.sotto", "camera.out")
        self.assertIn(camera, self.sotto(*self.decrypt_args("camera.out")).err)
        self.sotto(*self.decrypt_args("camera.out", "net", "--from", camera))
        self.assert_refused(WRONG_KEY, *self.decrypt_args("camera.out", "net", "--from", self.signer), words=[camera])
        self.assert_refused(USAGE, "encrypt", "net.client", "--keys", "keys", "--signing-key", "camera.key", "--data", "cifar10:data",
                            "--out", "new.sotto")

    def test_somebody_elses_images_in_the_owners_name(self):
        # With the public key anyone makes an input, and can call it as an input of the owner is called.
        self.sotto("encrypt", "net.client", "--public-key", "public.key", "--data", "cifar10:data", "--start", "9", "--count", str(IMAGES),
                   "--out", "mine.sotto")
        c = self.container("mine.sotto")
        c.header["input_id"] = self.ids["net", "a"]
        self.put("named.sotto", c.bytes())
        self.infer("named.sotto", "named.out")
        self.assert_refused(WRONG_KEY, *self.decrypt_args("named.out"), words=["another file", self.ids["net", "a"]])


class SigningKeys(Case):
    def test_made_once(self):
        made = self.sotto("signing-key", "server.key")
        self.assertEqual(stat.S_IMODE((self.dir / "server.key").stat().st_mode), 0o600)
        key = made.out.split()[-1]
        self.assertRegex(key, "^[0-9a-f]{64}$")
        before = harness.tree(self.dir)
        self.assertEqual(self.sotto("signing-key", "server.key").out, f"verification key {key}\n")
        self.assertEqual(self.sotto("signing-key", "server.key", program=harness.SERVER).out, f"verification key {key}\n")
        self.assertEqual(harness.tree(self.dir), before)
        c = Container((self.dir / "server.key").read_bytes())
        self.assertEqual(ed25519.public(c.sections[0]).hex(), key)
        for wrong in (b"", b"hello", c.bytes()[:-1]):
            (self.dir / "bad.key").write_bytes(wrong)
            self.assert_refused(BAD_INPUT, "signing-key", "bad.key", words=["bad.key"])

    def test_outputs_do_not_replace_it(self):
        models.Network().save(self.dir / "net.onnx")
        self.sotto("signing-key", "mine.key")
        self.assert_refused(BAD_INPUT, "plan", "mine.key", words=["signing key"])
        shutil.copy(self.dir / "mine.key", self.dir / "net.plan")
        self.assert_refused(BAD_INPUT, "compile", "net.onnx", "--out", "net", words=["signing key"])
        self.assert_refused(BAD_INPUT, "compile", "net.onnx", "--signer", "0" * 64, "--out", "other", words=["nobody can sign"])
        self.assert_refused(USAGE, "signing-key")
        self.assertEqual(harness.run("signing-key", "--help", cwd=self.dir, env=self.env).code, OK)


if __name__ == "__main__":
    harness.main()

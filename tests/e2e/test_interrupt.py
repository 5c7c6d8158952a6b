"""Ctrl-C and SIGTERM: exit code 130, one line, nothing half done, nothing of old lost."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
from onnx import helper

import harness
import models
from harness import INTERRUPTED, Case

# Enough for many batches: the work outlasts the signal's way on every machine.
IMAGES = 6000
OLD = b"what an earlier run wrote"


def size(path):
    """In bytes; 0 for a file that has got its final name in the meantime."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class InterruptCase(Case):
    def interrupt(self, number, *args, when, group=False):
        before = harness.tree(self.dir)
        r, left_over = harness.run_and_signal(*args, number=number, when=when, group=group, cwd=self.dir, env=self.env)
        self.assertIsNotNone(r, "it ended before the signal")
        self.assertEqual(r.code, INTERRUPTED, r)
        self.assert_one_line(r, "interrupted")
        self.assertFalse(left_over, "a process of its went on")
        after = harness.tree(self.dir)
        after.pop("new.sotto.part", None)  # finished batches may stay
        self.assertEqual(after, before, r)
        (self.dir / "new.sotto.part").unlink(missing_ok=True)
        self.assertEqual(r.out, "")
        return r

    def begun(self, pattern):
        """Holds once a temporary file of this pattern is being written."""
        return lambda: any(size(p) > 1000 for suffix in (".*.tmp", ".part") for p in self.dir.glob(pattern + suffix))


class Verbs(InterruptCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        models.Network(side=32).save(cls.dir / "net.onnx")
        harness.write_cifar(cls.dir / "data", IMAGES, 3)
        cls.sotto("compile", "net.onnx", "--batch", "64", "--out", "net")
        cls.sotto("keygen", "net.client", "--out", "keys")
        cls.sotto("encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--count", "600", "--out", "in.sotto")
        cls.encrypt = ["encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--out", "new.sotto"]
        cls.infer = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "new.sotto"]

    def setUp(self):
        (self.dir / "new.sotto").unlink(missing_ok=True)

    def test_encrypt(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            self.interrupt(number, *self.encrypt, when=self.begun("new.sotto"))

    def test_infer(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            for threads in ("1", "2"):
                self.interrupt(number, *self.infer, "--threads", threads, when=self.begun("new.sotto"))

    def test_old_output_stays(self):
        for verb in (self.encrypt, self.infer):
            (self.dir / "new.sotto").write_bytes(OLD)
            self.interrupt(signal.SIGINT, *verb, when=self.begun("new.sotto"))
            self.assertEqual((self.dir / "new.sotto").read_bytes(), OLD)

    def test_keygen_keeps_the_old_keys(self):
        self.interrupt(signal.SIGINT, "keygen", "net.client", "--out", "keys", "--force", when=self.begun("keys/eval.key"))

    def test_any_moment(self):
        # Whatever the moment: either all is there and the exit code is 0, or nothing and 130.
        self.sotto(*self.encrypt[:-1], "one.sotto", "--count", "64")
        infer = ["one.sotto" if w == "in.sotto" else w for w in self.infer]
        self.sotto(*infer[:-1], "done.sotto")
        for verb, out in ((infer, "new.sotto"), ([*self.encrypt[:-1], "again.sotto", "--count", "64"], "again.sotto"),
                          (["decrypt", "net.client", "--keys", "keys", "--in", "done.sotto", "--csv", "new.csv"], "new.csv"),
                          (["keygen", "net.client", "--out", "new-keys"], "new-keys/secret.key")):
            start = time.monotonic()
            self.sotto(*verb)
            whole = time.monotonic() - start
            for step in range(6):
                shutil.rmtree(self.dir / "new-keys", ignore_errors=True)
                (self.dir / out).unlink(missing_ok=True)
                until = time.monotonic() + whole * (0.2 + step / 6)
                r, left_over = harness.run_and_signal(*verb, number=signal.SIGINT, when=lambda: time.monotonic() > until, cwd=self.dir,
                                                      env=self.env)
                if r is None:
                    break  # it was faster this time
                with self.subTest(verb=verb[0], step=step):
                    # Before its first instructions a program has no handlers yet.
                    self.assertIn(r.code, (INTERRUPTED, -signal.SIGINT, 0), r)
                    self.assertEqual((self.dir / out).exists(), r.code == 0, r)
                    self.assertEqual([*self.dir.rglob("*.tmp"), *self.dir.rglob("*.part")], [])
                    self.assertFalse(left_over)

    def test_nohup(self):
        # Signals that the caller chose to ignore stay ignored: work in the background goes on when its terminal closes.
        r, _ = harness.run_and_signal(*self.infer, number=signal.SIGHUP, when=self.begun("new.sotto"), cwd=self.dir, env=self.env,
                                      prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual(r.code, 0, r)
        self.assertTrue((self.dir / "new.sotto").exists())

    def test_signal_while_the_output_gets_its_name(self):
        # Bringing a large file to the disk takes long; a signal in that time must not make a failure of a success.
        trace = self.dir / "trace"
        tracer = ["strace", "-f", "-qq", "-o", str(trace), "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=1000000"]
        if shutil.which("strace") is None or subprocess.run([*tracer, "true"], capture_output=True).returncode != 0:
            self.skipTest("no strace on this machine, or no right to trace")
        self.sotto(*self.encrypt[:-1], "few.sotto", "--count", "64")
        for verb, out in (([*self.encrypt[:-1], "again.sotto", "--count", "64"], "again.sotto"),
                          (["few.sotto" if w == "in.sotto" else w for w in self.infer], "new.sotto"),
                          (["keygen", "net.client", "--out", "slow-keys"], "slow-keys/secret.key")):
            (self.dir / out).unlink(missing_ok=True)
            for skipped in range(4 if verb[0] == "keygen" else 1):  # its files and their folder one after the other
                trace.unlink(missing_ok=True)
                shutil.rmtree(self.dir / "slow-keys", ignore_errors=True)
                with self.subTest(verb=verb[0], file=skipped):
                    r, left_over = harness.run_and_signal(
                        *verb, number=signal.SIGINT, when=lambda: trace.exists() and trace.read_text().count("fsync(") > skipped,
                        cwd=self.dir, env=self.env, tracer=tracer)
                    self.assertIn(r.code, (INTERRUPTED, 0), r)
                    self.assertEqual((self.dir / out).exists(), r.code == 0, r)
                    self.assertFalse(left_over)
        trace.unlink()


class Pictures(harness.PreparedCase):
    """Decoding one picture can take long; here another program stands in the decoder's place and never answers."""

    def test_in_the_middle_of_a_picture(self):
        folder = self.dir / "programs"
        folder.mkdir()
        shutil.copy(harness.SOTTO, folder)
        self.encrypt()
        self.infer()
        decoder, begun = folder / "sotto-decode", self.dir / "begun"
        decoder.write_text(f"#!/usr/bin/python3\nimport os, time\nos.write(1, {harness.DECODER_HELLO})\nos.read(0, 1)\n"
                           f"open('{begun}.new', 'w').write(str(os.getpid()))\nos.rename('{begun}.new', '{begun}')\ntime.sleep(600)\n")
        decoder.chmod(0o755)
        before = harness.tree(self.dir)
        for verb in (["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "new.sotto"],
                     ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--csv", "new.csv"]):
            with self.subTest(verb[0]):
                r, left_over = harness.run_and_signal(*verb, number=signal.SIGINT, when=begun.exists, cwd=self.dir, env=self.env,
                                                      program=folder / "sotto")
                self.assertIsNotNone(r, "it ended before the signal")
                self.assertEqual(r.code, INTERRUPTED, r)
                self.assert_one_line(r, "interrupted")
                self.assertLess(r.seconds_after_signal, 2)
                self.assertFalse(left_over)
                process = int(begun.read_text())
                begun.unlink()
                with self.assertRaises(ProcessLookupError, msg="the decoder lives on"):
                    os.kill(process, 0)
                self.assertEqual(harness.tree(self.dir), before)


class Planning(InterruptCase):
    """A plan of a large network is made in minutes, of which single layers take seconds."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        rng = np.random.default_rng(5)
        nodes = [helper.make_node("Conv", ["image", "w1"], ["a"], pads=[1] * 4), helper.make_node("Mul", ["a", "a"], ["b"]),
                 helper.make_node("Conv", ["b", "w2"], ["c"], pads=[3] * 4), helper.make_node("GlobalAveragePool", ["c"], ["d"]),
                 helper.make_node("Flatten", ["d"], ["scores"])]
        constants = [models.tensor("w1", rng.normal(0, 0.2, (64, 3, 3, 3))), models.tensor("w2", rng.normal(0, 0.02, (512, 64, 7, 7)))]
        models.save(cls.dir / "large.onnx", nodes, constants, (3, 128, 128), 512)

    def test_ends_within_a_layer(self):
        for verb in (["plan", "large.onnx"], ["compile", "large.onnx", "--out", "large"]):
            until = time.monotonic() + 4
            r = self.interrupt(signal.SIGINT, *verb, when=lambda: time.monotonic() > until)
            self.assertLess(r.seconds_after_signal, 2)


class Resume(Case):
    """Finished batches of an interrupted run are kept, and the same command goes on behind them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        models.Network(side=32).save(cls.dir / "net.onnx")
        harness.write_cifar(cls.dir / "data", 1300, 3)
        cls.sotto("compile", "net.onnx", "--batch", "128", "--out", "net")
        cls.sotto("keygen", "net.client", "--out", "keys")
        for name in ("in", "other"):
            cls.sotto("encrypt", "net.client", "--keys", "keys", "--data", "cifar10:data", "--count", "1200", "--out", name + ".sotto")
        cls.infer = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto"]
        cls.sotto(*cls.infer, "--out", "whole.sotto")
        cls.whole = (cls.dir / "whole.sotto").read_bytes()
        cls.out, cls.part = cls.dir / "new.sotto", cls.dir / "new.sotto.part"

    def setUp(self):
        self.out.unlink(missing_ok=True)
        self.part.unlink(missing_ok=True)

    def interrupt(self, number=signal.SIGINT):
        """Leaves between 2 and 9 of 10 batches."""
        r, _ = harness.run_and_signal(*self.infer, "--out", "new.sotto", number=number, cwd=self.dir, env=self.env,
                                      when=lambda: self.part.exists() and self.part.stat().st_size > 0.3 * len(self.whole))
        self.assertIsNotNone(r, "it ended before the signal")
        self.assertFalse(self.out.exists())
        return r

    def goes_on(self, batches):
        r = self.sotto(*self.infer, "--out", "new.sotto", "--stats", "stats.json")
        stats = json.loads((self.dir / "stats.json").read_text())
        self.assertIn(stats["batches_of_an_earlier_run"], batches, r)
        self.assertEqual(self.out.read_bytes(), self.whole)
        self.assertFalse(self.part.exists())

    def test_after_ctrl_c(self):
        r = self.interrupt()
        self.assertEqual(r.code, INTERRUPTED)
        self.assert_one_line(r, "new.sotto.part")
        self.goes_on(range(2, 10))

    def test_batches_in_flight_give_the_same_results(self):
        for threads, at_once in (("2", "3"), ("4", "10")):
            with self.subTest(at_once=at_once):
                self.sotto(*self.infer, "--out", "new.sotto", "--threads", threads, "--batches-at-once", at_once, "--stats", "stats.json")
                self.assertEqual(json.loads((self.dir / "stats.json").read_text())["batches_at_once"], int(at_once))
                self.assertEqual(self.out.read_bytes(), self.whole)
        self.assert_refused(2, *self.infer, "--out", "new.sotto", "--batches-at-once", "0", words=["batches-at-once"])

    def test_after_a_kill(self):
        self.interrupt(signal.SIGKILL)
        self.goes_on(range(2, 10))

    def test_damaged_results_are_computed_again(self):
        self.interrupt()
        data = bytearray(self.part.read_bytes())
        data[int(0.15 * len(self.whole))] ^= 1  # in the second of ten batches
        self.part.write_bytes(data)
        self.goes_on([1])

    def test_half_a_batch_is_computed_again(self):
        self.interrupt()
        self.part.write_bytes(self.part.read_bytes()[:int(0.25 * len(self.whole))])
        self.goes_on([2])

    def test_an_empty_file(self):
        self.part.write_bytes(b"")
        self.goes_on([0])

    def test_results_of_another_input(self):
        self.interrupt()
        kept = self.part.read_bytes()
        other = ["other.sotto" if w == "in.sotto" else w for w in self.infer]
        self.assert_refused(4, *other, "--out", "new.sotto", words=["new.sotto.part", "other work"])
        self.assertEqual(self.part.read_bytes(), kept)
        self.goes_on(range(2, 10))

    def test_something_else_by_that_name(self):
        self.part.write_bytes(b"my notes")
        self.assert_refused(4, *self.infer, "--out", "new.sotto", words=["new.sotto.part"])
        self.assertEqual(self.part.read_bytes(), b"my notes")

    def test_links_and_folders_by_that_name(self):
        self.part.symlink_to("in.sotto")
        self.assert_refused(3, *self.infer, "--out", "new.sotto", words=["not a regular file"])
        self.part.unlink()
        self.part.mkdir()
        self.assert_refused(3, *self.infer, "--out", "new.sotto", words=["not a regular file"])
        self.part.rmdir()

    def test_places_are_checked_before_the_work(self):
        for more, word in ((["--stats", "no/such/s.json"], "no/such"), (["--scratch", "no/such"], "no/such")):
            self.assert_refused(3, *self.infer, "--out", "new.sotto", *more, words=[word])
        self.assert_refused(2, *self.infer, "--out", "new.sotto", "--stats", "new.sotto", words=["two outputs"])

    def test_two_runs_at_once(self):
        with self.part.open("wb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.assert_refused(3, *self.infer, "--out", "new.sotto", words=["another run"])


class Evaluate(InterruptCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        models.Network(side=32, depth=2).save(cls.dir / "net.onnx")
        harness.write_cifar(cls.dir / "data", 1000, 3)
        (cls.dir / "report.json").write_bytes(OLD)
        cls.evaluate = ["evaluate", "net.onnx", "--data", "cifar10:data", "--batch", "64", "--json", "report.json", "--csv", "labels.csv"]

    def test_while_keys_are_made(self):
        self.interrupt(signal.SIGINT, *self.evaluate, when=self.begun("tmp/*/eval.key"), group=True)

    def test_while_images_are_encrypted(self):
        self.interrupt(signal.SIGTERM, *self.evaluate, when=self.begun("tmp/*/in.sotto"))

    def test_ctrl_c_while_inference_runs(self):
        # A terminal sends SIGINT to both processes.
        self.interrupt(signal.SIGINT, *self.evaluate, when=self.begun("tmp/*/out.sotto"), group=True)

    def test_signal_to_the_parent_while_inference_runs(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                r = self.interrupt(number, *self.evaluate, when=self.begun("tmp/*/out.sotto"))
                self.assertLess(r.seconds_after_signal, 3, "it waited for the end of the inference")

    def test_hang_up_leaves_no_secret_key_behind(self):
        # The terminal was closed.
        before = harness.tree(self.dir)
        r, left_over = harness.run_and_signal(*self.evaluate, number=signal.SIGHUP, group=True, when=self.begun("tmp/*/in.sotto"),
                                              cwd=self.dir, env=self.env)
        self.assertIsNotNone(r, "the program ended before the signal")
        self.assertNotEqual(r.code, 0, r)
        self.assertFalse(left_over)
        try:
            self.assertEqual(harness.tree(self.dir).keys(), before.keys())
        finally:
            for path in (self.dir / "tmp").iterdir():
                shutil.rmtree(path)


if __name__ == "__main__":
    harness.main()

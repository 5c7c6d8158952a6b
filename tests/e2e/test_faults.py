"""Calls that fail, one in each run, and kills between changes of files: the short form of tests/faults/run_faults.py."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import harness

LIBRARY = os.environ.get("SOTTO_FAULTS_LIBRARY", "")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "faults"))

import run_faults  # noqa: E402
from run_faults import Fault  # noqa: E402


@unittest.skipUnless(LIBRARY, "sanitizers replace the allocator themselves")
class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="sotto-faults-")
        cls.addClassCleanup(holder.cleanup)
        cls.lines = []
        cls.faults = run_faults.Faults(Path(holder.name), Path(LIBRARY).resolve(), tell=cls.lines.append)

    def try_verb(self, name, *kinds, stride=1):
        failed = self.faults.try_verb(name, kinds, stride)
        report = self.faults.report[name]
        self.assertEqual(failed, 0, "\n".join(self.lines))
        for kind in kinds:
            self.assertGreater(report["struck"][kind], 0, f"no {kind} call was struck: nothing was tested")
            if kind != "memory":  # whose number varies a little
                self.assertEqual(report["struck"][kind], report["faults"][kind], "a fault missed its call")

    def test_every_call_is_known(self):
        self.assertEqual(run_faults.missing_calls(LIBRARY, [harness.SOTTO, harness.SERVER]), [])

    def test_keygen(self):
        self.try_verb("keygen", "name", "sync", "folder", "change")

    def test_new_keys_replace_old_ones(self):
        self.try_verb("keygen --force", "name", "sync")

    def test_decrypt(self):
        self.try_verb("decrypt", "write", "name", "sync", "change")

    def test_infer(self):
        self.try_verb("infer", "name", "change")

    def test_training(self):
        self.try_verb("compile --train", "name", "change")
        self.try_verb("decrypt, a trained network", "name", "sync")

    def test_memory(self):
        self.try_verb("compile", "memory", stride=400)
        self.try_verb("decrypt", "memory", stride=200)

    def test_what_is_wrong_is_found(self):
        # The judge of all these runs, on results that are wrong.
        verb = self.faults.chain.verbs["encrypt"]

        def problems(change, code, err="sotto: cannot write in.sotto: No space left on device\n", what=28):
            def work(place):
                place.reset(verb)
                change(place.folder / "work")
                return place.problems(verb, Fault("write", 1, what), harness.Result(code, "", err), 1)
            return self.faults.with_place(work)

        def nothing(_):
            pass

        whole = (self.faults.chain.base / "in.sotto").read_bytes()
        self.assertEqual(problems(nothing, 5), [])
        self.assertEqual(problems(lambda d: (d / "in.sotto").write_bytes(whole), 0, err=""), [])
        for change, code, err, words in (
                (nothing, -11, "", "exit code -11"), (nothing, 5, "", "0 lines"), (nothing, 4, "sotto: no\n", "exit code 4"),
                (nothing, 5, "sotto: internal error: x\n", "internal error"), (nothing, 0, "", "not right"),
                (lambda d: (d / "in.sotto").write_bytes(whole[:-1]), 5, "sotto: full\n", "neither the old one nor whole"),
                (lambda d: (d / "in.sotto").unlink(), 5, "sotto: full\n", "lost"),
                (lambda d: (d / "keys/secret.key").write_bytes(b"x"), 5, "sotto: full\n", "secret.key changed"),
                (lambda d: (d / "in.sotto.1-0.tmp").write_bytes(b"x"), 5, "sotto: full\n", "leaves in.sotto.1-0.tmp")):
            with self.subTest(words):
                self.assertIn(words, "; ".join(problems(change, code, err)))
        self.assertIn("exit code 5", "; ".join(problems(nothing, 5, what="short")), "what is shortened is tried again")

    def test_unknown_classes_are_refused(self):
        p = subprocess.run([sys.executable, "-B", run_faults.__file__, "nowhere.so", "--classes", "nothing"], capture_output=True, text=True)
        self.assertEqual(p.returncode, 2, p.stderr)


if __name__ == "__main__":
    harness.main()

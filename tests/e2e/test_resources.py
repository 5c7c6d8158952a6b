"""Full disks, broken pipes and too little memory: exit code 5, one line, no partial output, never a crash."""

import json
import os
import resource
import shutil
import subprocess
import unittest

import numpy as np

import harness
import models
from harness import BAD_INPUT, NO_RESOURCES, OK, PreparedCase


class FullDisk(PreparedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encrypt()
        cls.infer()

    def remove_temporary_files(self):
        for path in [*self.dir.rglob("*.tmp"), *(self.dir / "tmp").iterdir()]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def test_every_verb(self):
        # A limit on the size of files stands for the full disk. The system also sends SIGXFSZ, which ends a program that does
        # not ignore it; some parents ignore it on their children's behalf.
        decrypt = ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto"]
        verbs = {
            "compile": (["compile", "net.onnx", "--out", "new"], 2000),
            "compile, second file": (["compile", "net.onnx", "--out", "new"], 500),
            "keygen": (["keygen", "net.client", "--out", "keys", "--force"], 1 << 20),
            "encrypt": (["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "new.sotto"], 1 << 20),
            "infer": (["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "new.sotto"], 1 << 20),
            "scores": ([*decrypt, "--out", "new.npy"], 100), "csv": ([*decrypt, "--csv", "new.csv"], 100),
            "png": ([*decrypt, "--sheet", "new.png"], 1000), "html": ([*decrypt, "--sheet", "new.html"], 1000),
            "evaluate": (["evaluate", "net.onnx", "--data", "images", "--json", "new.json"], 1 << 20),
            "evaluate, report": (["evaluate", "net.onnx", "--data", "images", "--json", "new.json"], 1),
        }
        for name, (verb, limit) in verbs.items():
            for ignored in (True, False):
                self.remove_temporary_files()  # of a subtest that failed
                with self.subTest(name, signal_ignored=ignored):
                    r = self.assert_refused(NO_RESOURCES, *verb, prepare=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
                                            restore_signals=not ignored)
                    self.assertIn("space", r.err, "it does not say what to do")
                    self.assert_no_temporary_files()


class FullLog(PreparedCase):
    """Standard error on a full disk, or a pipe whose reader went away."""

    network = models.Network(side=16, depth=2)
    pictures = 2

    def quiet(self, *args, **kw):
        """Exit codes with either kind of standard error."""
        reader, writer = os.pipe()
        os.close(reader)
        codes = []
        with open("/dev/full", "wb") as full, os.fdopen(writer, "wb") as broken:
            for err in (full, broken):
                codes.append(subprocess.run([str(harness.SOTTO), *args], cwd=self.dir, env={**os.environ, **self.env, **kw}, stdout=subprocess.DEVNULL,
                                            stderr=err, timeout=harness.TIMEOUT).returncode)
        return codes

    def test_error_that_nobody_can_read(self):
        self.assertEqual(self.quiet("plan", "nowhere.plan"), [BAD_INPUT] * 2)
        self.assertEqual(self.quiet("encrypt", "nowhere.client", "--keys", "keys", "--data", "images", "--out", "x"), [BAD_INPUT] * 2)

    def test_progress_that_nobody_can_read(self):
        # Hours of work must not be lost for a line of progress.
        self.encrypt()
        infer = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto", "--threads", "1"]
        slow = {"SOTTO_KERNELS": "scalar"}
        if "%" not in self.sotto(*infer, env=slow).err:
            self.skipTest("this machine is too fast for a line of progress")
        self.assertEqual(self.quiet(*infer, **slow), [OK] * 2)
        self.assertTrue((self.dir / "out.sotto").exists())


class LittleMemory(PreparedCase):
    """A network whose batch needs some 600 MB, on machines that seem to have less."""

    network = models.Network(side=16, channels=24)
    pictures = 2

    @classmethod
    def setUpClass(cls):
        if harness.SANITIZED:
            raise unittest.SkipTest("address space means nothing to a sanitized build")
        super().setUpClass()
        cls.encrypt()

    def limited(self, megabytes, *args):
        limit = megabytes << 20
        return harness.run(*args, cwd=self.dir, env=self.env, prepare=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))

    def test_infer(self):
        verb = ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "new.sotto"]
        codes = []
        for megabytes in (100, 130, 160, 200, 240, 280, 320, 360, 400, 480, 560, 640, 800, 4000):
            before = harness.tree(self.dir)
            with self.subTest(megabytes):
                r = self.limited(megabytes, *verb)
                codes.append(r.code)
                self.assertIn(r.code, (OK, NO_RESOURCES), r)
                if r.code != OK:
                    self.assert_one_line(r, "memory")
                    self.assertEqual(harness.tree(self.dir), before, r)
                else:
                    (self.dir / "new.sotto").unlink()
        self.assertEqual((codes[0], codes[-1]), (NO_RESOURCES, OK), codes)

    def test_client_verbs(self):
        for verb in (["keygen", "net.client", "--out", "keys", "--force"],
                     ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "in.sotto"]):
            for megabytes in (40, 60, 80, 120):
                with self.subTest(verb=verb[0], megabytes=megabytes):
                    before = harness.tree(self.dir)
                    r = self.limited(megabytes, *verb)
                    if r.code == OK:
                        break  # more will do, too
                    self.assertEqual(r.code, NO_RESOURCES, r)
                    self.assert_one_line(r, "memory")
                    self.assertEqual(harness.tree(self.dir), before, r)

    def test_large_picture(self):
        # It is the machine that has too little, not the picture that takes too much.
        (self.dir / "large.png").write_bytes(harness.png_bytes(np.zeros((3, 2600, 8000), np.uint8)))
        limit = 120 << 20
        self.assert_refused(NO_RESOURCES, "encrypt", "net.client", "--keys", "keys", "--data", "large.png", "--resize", "stretch", "--out", "new.sotto",
                            words=["large.png", "not enough memory to decode"], prepare=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        (self.dir / "large.png").unlink()

    def test_memory_option_is_kept(self):
        # What `plan` predicts is enough, and the process stays near it.
        predicted = json.loads(self.sotto("plan", "net.plan", "--json").out)["predicted_peak_bytes"]
        report = self.dir / "report.json"
        self.sotto("evaluate", "net.onnx", "--data", "images", "--memory", str(int(predicted * 1.02)), "--json", "report.json")
        j = json.loads(report.read_text())
        report.unlink()
        self.assertLess(j["peak_rss_bytes"], 1.25 * predicted)


class FewProcesses(PreparedCase):
    """The system starts no more threads or processes, or opens no more files: no defect, and no fault of a file."""

    pictures = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.encrypt()
        cls.infer()
        cls.decrypt()
        cls.verbs = {
            "compile": ["compile", "net.onnx", "--out", "new"],
            "keygen": ["keygen", "net.client", "--out", "new-keys"],
            "encrypt": ["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "new.sotto"],
            "infer": ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "new.sotto"],
            "decrypt": ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto"],
        }
        for path in (cls.dir, *cls.dir.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)  # for the other user below

    def test_no_threads(self):
        def prepare():
            if os.geteuid() == 0:  # whom no such limit holds
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        try:
            harness.run("--help", prepare=prepare)
        except (PermissionError, subprocess.SubprocessError):
            self.skipTest("another user cannot run the programs")
        for name, verb in self.verbs.items():
            with self.subTest(name):
                self.assert_refused(NO_RESOURCES, *verb, prepare=prepare, words=["sotto-decode"] if name == "encrypt" else ["no more threads"])

    def test_no_memory_for_threads(self):
        if harness.SANITIZED:
            self.skipTest("address space means nothing to a sanitized build")
        for name, verb in self.verbs.items():
            with self.subTest(name):
                self.assert_refused(NO_RESOURCES, *verb, words=["memory"], prepare=lambda: resource.setrlimit(resource.RLIMIT_AS, (22 << 20, 22 << 20)))

    def test_no_descriptors(self):
        codes = {name: [] for name in self.verbs}
        for name, verb in self.verbs.items():
            for count in (4, 5, 6, 7, 8, 12):
                with self.subTest(name, count=count):
                    before = harness.tree(self.dir)
                    r = harness.run(*verb, cwd=self.dir, env=self.env, prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (count, count)))
                    codes[name].append(r.code)
                    self.assertIn(r.code, (OK, NO_RESOURCES), r)
                    if r.code == OK:
                        for path in self.dir.glob("new*"):
                            shutil.rmtree(path) if path.is_dir() else path.unlink()
                        continue
                    self.assert_one_line(r, "too many open files")
                    self.assertNotRegex(r.err, "filesystem error|damaged")
                    self.assertEqual(harness.tree(self.dir), before, r)
            self.assertEqual(codes[name][-1], OK, codes)
        self.assertEqual([codes[name][0] for name in ("keygen", "encrypt", "infer")], [NO_RESOURCES] * 3, codes)


if __name__ == "__main__":
    harness.main()

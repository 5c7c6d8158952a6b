"""bench/fhe-suite: the stages in the suite's folders, here and on another machine, and alone with checks and a table."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx

import harness
import models
from harness import BAD_INPUT, INTERRUPTED, USAGE, WRONG_KEY, Case

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "bench/fhe-suite"
CLIENT = ("client_preprocess_input", "client_encode_encrypt_input")
AFTER = ("client_decrypt_decode", "client_postprocess")


class FheSuite(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network = models.Network(side=32, stride=2, classes=[f"class{k}" for k in range(10)])
        cls.network.save(cls.dir / "net.onnx")
        cls.images = cls.network.clear_images(120)
        cls.labels = cls.network.scores(cls.images).argmax(axis=1).astype(np.uint8)
        cls.write_data("data", cls.labels)
        # The folder of Sotto: its programs where they are in this build.
        cls.home = cls.dir / "home"
        (cls.home / "build/release").mkdir(parents=True)
        (cls.home / "build/release/bin").symlink_to(harness.BIN)
        cls.suite_env = {**os.environ, **cls.env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # for python3
                         "SOTTO_HOME": str(cls.home), "SOTTO_MODEL": str(cls.dir / "net.onnx")}
        cls.suite_env.pop("SOTTO_SERVER", None)

    @classmethod
    def write_data(cls, name, labels):
        (cls.dir / name).mkdir()
        np.hstack([labels[:, None], cls.images.reshape(len(labels), -1)]).tofile(cls.dir / name / "test_batch.bin")

    def start(self, command, cwd, env=None, code=0, timeout=5 * harness.TIMEOUT):
        p = subprocess.run([str(c) for c in command], cwd=cwd, env={**self.suite_env, **(env or {})}, capture_output=True, text=True,
                           stdin=subprocess.DEVNULL, timeout=timeout)
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        self.assertNotIn("Traceback", p.stderr)
        return p

    # As the harness does: a checkout with its folders, and a text file of pixels.

    def checkout(self, name, size=0, images=1):
        suite = self.dir / name
        (suite / "harness").mkdir(parents=True)
        self.start([SUITE / "install.sh", suite], self.dir)
        data = suite / "datasets" / ("single", "small")[size] / "intermediate"
        data.mkdir(parents=True)
        (data / "test_pixels.txt").write_text("".join(" ".join(f"{v / 255:.6f}" for v in image.reshape(-1)) + "\n"
                                                      for image in self.images[:images]))
        return suite

    def stage(self, suite, name, *words, folder="submissions", **kw):
        return self.start([sys.executable, "-B", f"{folder}/cifar10/{name}.py", *words], suite, **kw)

    def assert_fails(self, suite, code, name, *words, text, env=None):
        p = self.stage(suite, name, "0", env=env, code=code) if not words else self.stage(suite, name, *words, env=env, code=code)
        lines = [line for line in p.stderr.splitlines() if not harness.PROGRESS.match(line)]
        self.assertEqual(len(lines), 1, p.stderr)
        self.assertIn(text, lines[0])

    def predictions(self, suite):
        return (suite / "io/single/encrypted_model_predictions.txt").read_text().split()

    def test_in_the_suite(self):
        suite = self.checkout("suite")
        self.start(["scripts/get_openfhe.sh"], suite)
        self.start(["scripts/build_task.sh", "./submissions/cifar10"], suite)
        self.assertEqual(len(list((suite / "io/server").glob("*.plan"))), 4)
        shutil.rmtree(suite / "io/single")
        self.stage(suite, "client_key_generation", "0")
        self.stage(suite, "server_preprocess_model")
        for name in CLIENT:
            self.stage(suite, name, "0")
        # The server has no use for what the client keeps.
        (suite / "io/client").rename(self.dir / "hidden")
        (suite / "io/single/intermediate").rename(self.dir / "hidden-too")
        self.stage(suite, "server_encrypted_compute", "0")
        (suite / "io/client").rmdir()
        (suite / "io/single/intermediate").rmdir()
        (self.dir / "hidden").rename(suite / "io/client")
        (self.dir / "hidden-too").rename(suite / "io/single/intermediate")
        for name in AFTER:
            self.stage(suite, name, "0")
        self.assertEqual(self.predictions(suite), [str(self.labels[0])])
        self.assertEqual(stat.S_IMODE((suite / "io/client/secret.key").stat().st_mode), 0o600)
        for shared in ("public_keys", "ciphertexts_upload", "ciphertexts_download"):
            self.assertEqual(len(list((suite / "io/single" / shared).iterdir())), 1)
        reported = json.loads((suite / "io/single/server_reported_steps.json").read_text())
        self.assertGreater(reported["Encrypted computation"], 0)
        self.assertIn("Model compilation (once)", reported)

        # Another run: the suite empties io/SIZE; plan and secret key stay, evaluation keys are new.
        plan, secret = (suite / "io/server/single.plan"), (suite / "io/client/secret.key")
        before = (plan.stat().st_mtime_ns, secret.read_bytes())
        shutil.rmtree(suite / "io/single")
        self.stage(suite, "client_key_generation", "0")
        self.assertEqual((plan.stat().st_mtime_ns, secret.read_bytes()), before)
        self.assertTrue((suite / "io/single/public_keys/eval.key").exists())

        # Failures: one line, the exit code of sotto.
        self.assert_fails(suite, BAD_INPUT, "client_encode_encrypt_input", text="client_preprocess_input first")
        for name in CLIENT:
            self.stage(suite, name, "0")
        self.stage(suite, "server_encrypted_compute", "0")
        shutil.move(suite / "io/client", self.dir / "right")
        self.assert_fails(suite, BAD_INPUT, "client_decrypt_decode", text="secret.key")
        (suite / "io/client").rmdir()
        self.sotto("keygen", suite / "io/single/client_data/sotto.client", "--out", suite / "io/client")
        self.assert_fails(suite, WRONG_KEY, "client_decrypt_decode", text="key")
        shutil.move(suite / "io/client/eval.key", suite / "io/single/public_keys/eval.key")
        self.assert_fails(suite, WRONG_KEY, "server_encrypted_compute", text="another key")
        pixels = suite / "datasets/single/intermediate/test_pixels.txt"
        line = pixels.read_text()
        for wrong, text in (("0.5 " + line, "3073 values"), (line + line, "line 2"), ("", "0"), (line[:-9] + " nan\n", "bytes divided"),
                            (line.replace(" ", " x", 1), "not a line of numbers")):
            pixels.write_text(wrong)
            self.assert_fails(suite, BAD_INPUT, "client_preprocess_input", text=text)
        pixels.unlink()
        self.assert_fails(suite, BAD_INPUT, "client_preprocess_input", text="test_pixels.txt is missing")
        self.assert_fails(suite, USAGE, "client_preprocess_input", "7", text="0 to 3")
        self.assert_fails(suite, USAGE, "client_preprocess_input", "many", text="one size")
        self.assert_fails(suite, USAGE, "client_key_generation", env={"SOTTO_HOME": ""}, text="SOTTO_HOME")
        self.assert_fails(suite, USAGE, "client_key_generation", env={"SOTTO_HOME": str(suite)}, text="no program")

    def test_on_another_machine(self):
        # ssh and scp that reach this one.
        tools, there = self.dir / "tools", self.dir / "there"
        tools.mkdir()
        there.mkdir()
        (there / "build").mkdir()
        shutil.copytree(self.home / "build/release", there / "build/release", symlinks=True)
        (tools / "ssh").write_text('#!/bin/sh\nshift 3\nexec sh -c "$*"\n')
        (tools / "scp").write_text('#!/bin/sh\nshift 3\nexec cp "${1#far:}" "${2#far:}"\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        env = {"PATH": f"{tools}:{self.suite_env['PATH']}", "SOTTO_SERVER": f"far:{there}"}
        suite = self.checkout("remote")
        for name in ("server_get_params", "client_key_generation", "server_upload_ek", None, *CLIENT, "server_encrypted_compute", *AFTER):
            if name:
                self.stage(suite, name, "0", folder="submission_remote", env=env)
            else:
                self.stage(suite, "server_preprocess_model", folder="submission_remote", env=env)
        self.assertEqual(self.predictions(suite), [str(self.labels[0])])
        self.assertEqual([p.name for p in suite.rglob("*.plan")], [], "the weights stay on the server")
        self.assertEqual([p.name for p in there.rglob("secret.key")], [])
        self.assertIn("Upload time", json.loads((suite / "io/single/server_reported_steps.json").read_text()))
        self.assert_fails(suite, USAGE, "server_get_params", env={"SOTTO_SERVER": "far"}, text="HOST:FOLDER")

    # Alone.

    def run_py(self, *args, data="data", out="out", code=0):
        return self.start([sys.executable, "-B", SUITE / "run.py", "--data", f"cifar10:{data}", "--model", "net.onnx", "--out", out, *args],
                          self.dir, code=code)

    def test_alone(self):
        first = self.run_py("--sizes", "0,1")
        self.assertIn("100 of 100 labels are right", first.stdout)
        single, small = (json.loads((self.dir / "out/measurements" / name / "results-1.json").read_text()) for name in ("single", "small"))
        self.assertEqual(set(single), {"model_name", "dataset_name", "Timing", "Bandwidth", "Server Reported"})
        self.assertEqual(set(small), set(single) | {"Quality"})
        self.assertEqual((small["model_name"], small["dataset_name"]), ("net", "cifar10"))
        self.assertEqual(list(small["Timing"]), ["Test dataset generation", "Key Generation", "Encrypted model preprocessing",
                                                 "Input generation", "Input preprocessing", "Input encryption",
                                                 "Encrypted computation", "Result decryption", "Result postprocessing", "Total"])
        for value in (*small["Timing"].values(), *small["Server Reported"].values()):
            self.assertRegex(value, r"^\d+\.\d+s$")
        self.assertEqual(list(small["Bandwidth"]), ["Public and evaluation keys", "Encrypted input", "Encrypted results"])
        for value in small["Bandwidth"].values():
            self.assertRegex(value, r"^\d+\.\d[BKMG]$")
        self.assertEqual(small["Quality"]["Encrypted model quality"], {"correct_predictions": 100, "total_samples": 100, "accuracy": 1.0})
        table = (self.dir / "out/board.md").read_text()
        self.assertIn("| single, 1 | small, 100 |", table)
        self.assertIn("| labels that are right | 1 of 1 (100.00 %) | 100 of 100 (100.00 %) |", table)
        self.assertIn("| marked as doubtful | 0 | 0 |", table)
        secrets = [str(p.relative_to(self.dir / "out")) for p in (self.dir / "out").rglob("secret.key")]
        self.assertEqual(secrets, ["io/client/secret.key"], "one secret key serves all sizes")

        # What is done stays; another setup is not mixed in.
        before = harness.tree(self.dir / "out/io")
        again = self.run_py("--sizes", "0,1")
        self.assertEqual(again.stdout.count("kept"), 2)
        self.assertEqual(harness.tree(self.dir / "out/io"), before)
        self.assertIn("another", self.run_py("--sizes", "0", "--seed", "1", code=USAGE).stderr)
        self.assertIn("1000 images are asked for", self.run_py("--sizes", "0,2", code=BAD_INPUT).stderr)

    def test_networks_that_come_along_take_the_images_of_their_data(self):
        sys.path.insert(0, str(SUITE / "submission"))
        self.addCleanup(sys.path.remove, str(SUITE / "submission"))
        import layout
        self.assertLessEqual({"cifar10", "mnist"}, set(layout.NETWORKS))
        for name, file in layout.NETWORKS.items():
            with self.subTest(name):
                shape = tuple(d.dim_value for d in onnx.load(ROOT / file).graph.input[0].type.tensor_type.shape.dim[1:])
                self.assertEqual(shape, (1, 28, 28) if name == "mnist" else (3, 32, 32))
                self.assertIn(shape, layout.SHAPES.values())

    def test_interrupted(self):
        p = subprocess.Popen([sys.executable, "-B", str(SUITE / "run.py"), "--data", "cifar10:data", "--model", "net.onnx", "--sizes", "1",
                              "--out", "cut"], cwd=self.dir, env=self.suite_env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + harness.TIMEOUT
        while not (self.dir / "cut/io/server").exists() and p.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        p.send_signal(signal.SIGTERM)
        _, err = p.communicate(timeout=harness.TIMEOUT)
        self.assertEqual(p.returncode, INTERRUPTED, err)
        self.assertIn("run.py: interrupted; finished sizes are kept", err)
        self.assertFalse((self.dir / "cut/board.json").exists())

    def test_labels_that_are_not_enough(self):
        self.write_data("false", (self.labels + 1) % 10)
        p = self.run_py("--sizes", "0", data="false", out="false-out", code=1)
        self.assertIn("0 of 1 labels are right, which is too few", p.stdout)
        self.assertIn("no |", (self.dir / "false-out/board.md").read_text())
        self.run_py("--sizes", "0", data="nowhere", out="x", code=BAD_INPUT)
        self.run_py("--sizes", "4", out="x", code=USAGE)


if __name__ == "__main__":
    harness.main()

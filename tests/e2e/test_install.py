"""The library as others build on it: installed to a prefix, found by CMake and pkg-config, without anything of this tree."""

import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np

import harness

SOURCE = Path(__file__).resolve().parents[2]
BUILD = harness.BIN.parent

CONSUMER = """
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_subdirectory({source} sotto)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE Sotto::server)
"""


class Install(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prefix = cls.dir / "prefix"
        cls.command("cmake", "--install", BUILD, "--prefix", cls.prefix)
        shutil.copytree(SOURCE / "examples", cls.dir / "examples")  # away from the tree

    @classmethod
    def command(cls, *args, env=None, cwd=None):
        p = subprocess.run([str(a) for a in args], cwd=cwd or cls.dir, capture_output=True, text=True, timeout=280,
                           env={**os.environ, **(env or {})})
        if p.returncode != 0:
            raise AssertionError(f"{args}: exit code {p.returncode}\n{p.stdout[-3000:]}\n{p.stderr[-3000:]}")
        return p.stdout

    def test_no_part_of_the_python_package(self):
        """Its modules are of use with its other files only, which pip installs."""
        self.assertEqual(sorted(self.prefix.rglob("*.so")), [])
        self.assertFalse((self.prefix / "sotto").exists())

    def test_examples(self):
        self.command("cmake", "-S", "examples", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}",
                     "-DCMAKE_BUILD_TYPE=Release")
        self.command("cmake", "--build", "build")
        self.command(sys.executable, "examples/make_model.py", "small.onnx")
        out = self.command("build/01_one_machine", "small.onnx")
        labels = [line.rsplit(" ", 1)[1] for line in out.splitlines() if line.startswith("image ")]
        self.assertEqual(len(labels), 10)
        out = self.command("build/02_client", "small.onnx", "build/02_server")
        self.assertEqual([line.split(":")[0] for line in out.splitlines()], ["server", "client", "server", "client"])
        # The first five images of both programs are the same, whoever encrypts them.
        self.assertEqual(out.splitlines()[1].split()[2:], labels[:5])
        symbols = subprocess.run(["nm", "-C", "build/02_server"], cwd=self.dir, capture_output=True, text=True).stdout
        self.assertIn("sotto::runtime", symbols)
        self.assertNotIn("sotto::secret", symbols)
        self.assertNotIn("sotto::client", symbols)

    def test_training(self):
        if not (self.dir / "build/06_training").exists():
            self.test_examples()
        out = self.command("build/06_training", "small.onnx", "dense", "trained.onnx").splitlines()
        losses = [(float(line.split()[3].rstrip(",")), float(line.split()[-1])) for line in out if line.startswith("step ")]
        self.assertEqual(len(losses), 2)
        for encrypted, clear in losses:
            self.assertLess(abs(encrypted - clear), 1e-3 * clear)
        self.assertLess(losses[1][0], losses[0][0])
        self.assertLess(float(out[-1].split()[-1]), 1e-2)
        self.sotto("compile", "trained.onnx", "--batch", "8", "--out", "trained")

    def test_encryptor(self):
        if not (self.dir / "build/04_encryptor").exists():
            self.test_examples()
        self.sotto("compile", "small.onnx", "--out", "small")
        self.sotto("keygen", "small.client", "--out", "keys", "--public-key", "public.key")
        self.command("build/04_encryptor", "small.client", "public.key", "in.sotto")
        self.sotto("infer", "small.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto")
        self.sotto("decrypt", "small.client", "--keys", "keys", "--in", "out.sotto", "--out", "scores.npy")
        labels = np.load(self.dir / "scores.npy").argmax(axis=1)
        out = self.command("build/01_one_machine", "small.onnx")  # the same first five images
        self.assertEqual([line.rsplit(" ", 1)[1] for line in out.splitlines() if line.startswith("image ")][:5], [str(k) for k in labels])
        symbols = subprocess.run(["nm", "-C", "build/04_encryptor"], cwd=self.dir, capture_output=True, text=True).stdout
        self.assertIn("sotto::encrypt", symbols)
        for folder in ("secret", "client", "runtime", "compiler"):
            self.assertNotIn(f"sotto::{folder}::", symbols)

    def test_custom_tensor_against_the_float_model(self):
        if not (self.dir / "build/03_custom_tensor").exists():
            self.test_examples()
        self.command(sys.executable, "examples/make_model.py", "deep.onnx", "5", "12")
        out = self.command("build/03_custom_tensor", "deep.onnx", "5", "12", "12")
        scores = np.array([[float(v) for v in line.split()] for line in out.splitlines()])
        self.assertEqual(scores.shape, (20, 3))
        k = np.arange(20 * 5 * 12 * 12, dtype=np.float32)
        residue = np.array([n * n % 997 for n in range(k.size)], dtype=np.float32)
        x = np.sin(np.float32(0.7) * k + np.float32(1) + np.float32(0.001) * residue).reshape(20, 5, 12, 12).astype(np.float64)
        rng = np.random.default_rng(1)
        kernel = rng.normal(0, 1 / np.sqrt(45), (6, 5, 3, 3)).astype(np.float32)
        dense = rng.normal(0, 0.5, (6, 3)).astype(np.float32)
        import models
        exact = (models.conv2d(x, kernel, np.zeros(6)) ** 2).mean(axis=(2, 3)) @ dense
        self.assertLess(np.abs(scores - exact).max(), 0.01 * exact.std())

    def test_pkg_config(self):
        env = {"PKG_CONFIG_PATH": str(next(self.prefix.glob("lib*/**/pkgconfig")))}
        for half, program in (("client", "02_client"), ("server", "02_server"), ("encryptor", "04_encryptor")):
            flags = self.command("pkg-config", "--cflags", "--libs", f"sotto-{half}", env=env).split()
            self.assertFalse([flag for flag in flags if flag.startswith("-D")], "definitions of others' headers")
            self.command("g++", "-std=c++20", f"examples/{program}.cpp", "-o", program, *flags)

    def test_components_that_do_not_exist(self):
        (self.dir / "wrong").mkdir()
        (self.dir / "wrong/CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(wrong LANGUAGES CXX)\nfind_package(Sotto REQUIRED COMPONENTS magic)\n")
        p = subprocess.run(["cmake", "-S", "wrong", "-B", "wrong/build", f"-DCMAKE_PREFIX_PATH={self.prefix}"], cwd=self.dir,
                           capture_output=True, text=True)
        self.assertNotEqual(p.returncode, 0)
        self.assertIn("no component magic", p.stderr)

    def test_as_a_part_of_another_project(self):
        project = self.dir / "consumer"
        project.mkdir()
        (project / "CMakeLists.txt").write_text(CONSUMER.format(source=SOURCE))
        (project / "main.cpp").write_text("#include <sotto/server.h>\nint main() {}\n")
        self.command("cmake", "-S", project, "-B", project / "build", "-G", "Ninja")
        import json
        commands = json.loads((project / "build/compile_commands.json").read_text())
        mine = next(c["command"] for c in commands if c["file"].endswith("consumer/main.cpp"))
        self.assertNotIn("-Wall", mine)
        self.assertNotIn(f"{SOURCE}/src", mine)
        self.assertIn(f"{SOURCE}/include", mine)
        self.assertFalse(any("/tests/" in c["file"] or "/cli/" in c["file"] for c in commands))
        ours = next(c["command"] for c in commands if c["file"].endswith("src/wire/reader.cpp"))
        self.assertIn("-Wall", ours)
        self.assertIn("-fPIC", ours)


if __name__ == "__main__":
    harness.main()

"""Training by softmax and by normal equations, beside a computation in numpy."""

import json

import numpy as np
from onnx import helper

import harness
import models
import test_training as training
from harness import BAD_INPUT, USAGE, Case
from test_training import BATCH, CLASSES, DOUBTFUL, RATE, SIDE, dense_network, distance, spec, weights_of


class NormalEquations(training.TrainingCase):
    """The server adds up, the owner solves."""

    SPEC = f'batch = {BATCH}\nsteps = 2\n[optimiser]\nname = "normal-equations"\nridge = 0.01\n'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.dir / "ridge.toml").write_text(cls.SPEC)

    def in_closed_form(self):
        """The one batch counts twice, which changes nothing."""
        x, wanted = self.images.reshape(BATCH, -1) / 255, np.eye(CLASSES)[self.labels]
        with_one = np.hstack([x, np.ones((BATCH, 1))])
        ridge = np.diag([0.01] * SIDE * SIDE + [0])
        both = np.linalg.solve(with_one.T @ with_one / BATCH + ridge, with_one.T @ wanted / BATCH)
        losses = [((x @ w + b - wanted) ** 2).sum() / 2 / BATCH
                  for w, b in ((self.before["w"].T, self.before["b"]), (both[:-1], both[-1]))]
        return {"w": both[:-1].T, "b": both[-1]}, losses

    def test_both_sides_apart(self):
        self.sotto("compile", "net.onnx", "--train", "ridge.toml", "--out", "net")
        self.sotto("keygen", "net.client", "--out", "keys")
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "in.sotto")
        self.sotto("train", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto", program=harness.SERVER, timeout=300)
        self.sotto("decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "trained.onnx", "--csv", "losses.csv")
        wanted, losses = self.in_closed_form()
        self.assertLess(distance(weights_of(self.dir / "trained.onnx"), wanted), 0.02)
        np.testing.assert_allclose(np.loadtxt(self.dir / "losses.csv", delimiter=",", skiprows=1)[:, 1], losses, rtol=5e-3, atol=1e-4)
        told = json.loads(self.sotto("plan", "net.plan", "--json").out)
        self.assertEqual(told["bootstraps_per_step"], 0)
        for file, member in (("keys/eval.key", "eval_key_bytes"), ("in.sotto", "input_bytes"), ("out.sotto", "output_bytes")):
            size = (self.dir / file).stat().st_size
            self.assertLess(abs(size - told[member]), 0.01 * size, member)

    def test_values_too_large_are_foreseen_and_no_wrong_key(self):
        for name, size in (("large", 3e4), ("huge", 1e8)):
            values = (self.images / 255).astype(np.float32)
            values[:, 0, 0, 0] *= np.float32(size)
            np.savez(self.dir / f"{name}.npz", images=values, labels=self.labels)
            command = ["train", "net.onnx", "--spec", "ridge.toml", "--data", f"{name}.npz", "--out", "lost.onnx"]
            for more, said in ((["--simulate"], "about the size 1"), (["--work", "lost"], "nothing was encrypted")):
                r = harness.run(*command, *more, cwd=self.dir, env=self.env, timeout=300)
                self.assertEqual(r.code, DOUBTFUL, r)
                self.assert_one_line(r, "normal equations of step 2", said)
                self.assertFalse((self.dir / "lost").exists())
        self.sotto("compile", "net.onnx", "--train", "ridge.toml", "--out", "lost")
        self.sotto("keygen", "lost.client", "--out", "keys-lost")
        self.assert_refused(USAGE, "keygen", "lost.client", "--out", "other", "--public-key", "public.key", words=["--public-key"])
        for name in ("large", "huge"):
            self.sotto("encrypt", "lost.client", "--keys", "keys-lost", "--data", f"{name}.npz", "--labels", "--out", "in.sotto")
            self.sotto("train", "lost.plan", "--eval-key", "keys-lost/eval.key", "--in", "in.sotto", "--out", "out.sotto", program=harness.SERVER,
                       timeout=300)
            decrypt = ["decrypt", "lost.client", "--keys", "keys-lost", "--in", "out.sotto", "--out"]
            r = harness.run(*decrypt, "lost.onnx", cwd=self.dir, env=self.env)
            self.assertEqual(r.code, DOUBTFUL, r)
            self.assert_one_line(r, "size 1", "no network was written")
        self.assert_refused(USAGE, *decrypt, "scores.npy", words=["--out", ".onnx"])

    def test_on_one_machine_beside_the_twin(self):
        self.sotto("train", "net.onnx", "--spec", "ridge.toml", "--data", "data.npz", "--test", "data.npz", "--out", "here.onnx", "--json", "here.json",
                   "--report", "here.html", timeout=300)
        wanted, losses = self.in_closed_form()
        result = json.loads((self.dir / "here.json").read_text())
        self.assertLess(result["weight_relative_error"], 0.02)
        self.assertIsNone(result["range"])
        self.assertLess(distance(weights_of(self.dir / "here.onnx"), wanted), 0.02)
        self.sotto("train", "net.onnx", "--spec", "ridge.toml", "--data", "data.npz", "--simulate", "--out", "twin.onnx", "--json", "twin.json")
        self.assertLess(distance(weights_of(self.dir / "twin.onnx"), wanted), 1e-6)
        np.testing.assert_allclose(json.loads((self.dir / "twin.json").read_text())["float_loss"], losses, rtol=1e-9)

    def test_sums_that_do_not_tell_the_weights(self):
        """Found by the owner, who gets no network: features far too large, features that are all alike."""
        weights = np.random.default_rng(2).normal(size=(CLASSES, 5))
        models.save(self.dir / "rows.onnx", [helper.make_node("Gemm", ["image", "w", "b"], ["scores"], "fc", transB=1)],
                    [models.tensor("w", weights), models.tensor("b", np.zeros(CLASSES))], (5,), CLASSES)
        (self.dir / "rows.toml").write_text(self.SPEC.replace("0.01", "0.001"))
        rows = np.random.default_rng(1).normal(size=(BATCH, 5)).astype(np.float32)
        for name, change in (("large", 1000 * rows), ("alike", np.repeat(rows[:, :1], 5, axis=1))):
            np.savez(self.dir / f"{name}.npz", images=change, labels=self.labels)
            r = harness.run("train", "rows.onnx", "--spec", "rows.toml", "--data", f"{name}.npz", "--out", f"{name}.onnx", cwd=self.dir,
                            env=self.env, timeout=300)
            self.assertEqual(r.code, DOUBTFUL, r)
            self.assertIn("about the size 1", r.err)
            self.assertFalse((self.dir / f"{name}.onnx").exists())

    def test_refusals(self):
        models.Network(side=8).save(self.dir / "deep.onnx")
        data = ["--data", "data.npz", "--out", "x.onnx"]
        self.assert_refused(BAD_INPUT, "train", "deep.onnx", "--spec", "ridge.toml", *data, words=["normal equations", "one dense layer"])
        dense_network(self.dir / "relu.onnx", "Relu")
        self.assert_refused(BAD_INPUT, "train", "relu.onnx", "--spec", "ridge.toml", *data, words=["act"])
        (self.dir / "bad.toml").write_text(self.SPEC.replace("batch", 'loss = "softmax"\nbatch'))
        self.assert_refused(BAD_INPUT, "train", "net.onnx", "--spec", "bad.toml", *data, words=["squared-error"])


class Softmax(training.TrainingCase):
    def test_a_step_is_that_of_the_clear_computation(self):
        (self.dir / "softmax.toml").write_text(spec(1, extra='loss = "softmax"'))
        self.sotto("train", "net.onnx", "--spec", "softmax.toml", "--data", "data.npz", "--out", "trained.onnx", "--json", "r.json", timeout=300)
        w, b, x = self.before["w"].astype(float), self.before["b"].astype(float), self.images.reshape(BATCH, -1) / 255
        error = (CLASSES ** -0.125 + (x @ w.T + b) / 8) ** 8 - np.eye(CLASSES)[self.labels]
        wanted = {"w": w - RATE * error.T @ x / BATCH, "b": b - RATE * error.mean(axis=0)}
        self.assertLess(distance(weights_of(self.dir / "trained.onnx"), wanted), 0.01)
        loss = (error**2).sum() / 2 / BATCH
        result = json.loads((self.dir / "r.json").read_text())
        self.assertAlmostEqual(result["loss"][0], loss, delta=1e-3 * loss)
        self.assertAlmostEqual(result["float_loss"][0], loss, delta=1e-9)

    def test_scores_that_leave_their_range_are_found(self):
        (self.dir / "far.toml").write_text(spec(5, rate=30, scale=1000, extra='loss = "softmax"'))
        r = harness.run("train", "net.onnx", "--spec", "far.toml", "--data", "data.npz", "--simulate", "--out", "far.onnx", cwd=self.dir,
                        env=self.env)
        self.assertEqual(r.code, DOUBTFUL, r)
        self.assert_one_line(r, "scores of an image", "left their range", "step 2")
        self.assertFalse((self.dir / "far.onnx").exists())


class Head(Case):
    """Behind layers that run once for every image."""

    def test_normal_equations_of_features(self):
        before = training.cubic_network(self.dir / "net.onnx")
        rng = np.random.default_rng(5)
        labels = rng.integers(0, CLASSES, 2 * BATCH)
        images = rng.integers(0, 200, (CLASSES, 1, SIDE, SIDE))[labels] + rng.integers(-30, 30, (2 * BATCH, 1, SIDE, SIDE))
        np.savez(self.dir / "data.npz", images=np.clip(images, 0, 255).astype(np.uint8), labels=labels)
        (self.dir / "ridge.toml").write_text(f'batch = {BATCH}\nsteps = 2\nlayers = ["fc"]\n[optimiser]\nname = "normal-equations"\nridge = 0.05\n')
        self.sotto("train", "net.onnx", "--spec", "ridge.toml", "--data", "data.npz", "--calibrate", "data.npz", "--out", "ridge.onnx",
                   "--json", "ridge.json", "--report", "ridge.html", "--test", "data.npz", timeout=600)
        result = json.loads((self.dir / "ridge.json").read_text())
        self.assertEqual((result["bootstraps_per_step"], result["images_out_of_range"]), (0, 0))
        self.assertLess(result["weight_relative_error"], 0.05)  # solving enlarges the errors of the features
        np.testing.assert_allclose(result["loss"], result["float_loss"], rtol=0.02)
        self.assertLess(result["loss"][1], result["loss"][0])
        np.testing.assert_array_equal(weights_of(self.dir / "ridge.onnx")["k"], before["k"])


if __name__ == "__main__":
    harness.main()

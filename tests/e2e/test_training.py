"""Training on encrypted images: both sides apart, interrupted and resumed, beside a float step computed here, and refusals."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import harness
import models
from harness import BAD_INPUT, INTERRUPTED, NO_RESOURCES, OK, USAGE, WRONG_KEY, Case

SIDE, CLASSES, BATCH, RATE, MOMENTUM = 4, 3, 64, 0.1, 0.9
DOUBTFUL = 6


def saved(path, nodes, weights):
    """Writes a model from images x to scores y; returns its weights."""
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
                              [numpy_helper.from_array(a, name) for name, a in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    for key, value in (("sotto.mean", "0"), ("sotto.std", "1")):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return weights


def dense_network(path, activation=None):
    """Images of 4 x 4 to three scores."""
    rng = np.random.default_rng(3)
    weights = {"w": rng.normal(0, 0.3, (CLASSES, SIDE * SIDE)).astype(np.float32), "b": rng.normal(0, 0.1, CLASSES).astype(np.float32)}
    nodes = [helper.make_node("Flatten", ["x"], ["f"], "flatten", axis=1)]
    if activation:
        nodes.append(helper.make_node(activation, ["f"], ["a"], "act"))
    nodes.append(helper.make_node("Gemm", ["a" if activation else "f", "w", "b"], ["y"], "fc", transB=1))
    return saved(path, nodes, weights)


def examples(path, count, seed):
    """Saves and returns images, one shape with noise for each class, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    shapes = rng.integers(0, 200, (CLASSES, 1, SIDE, SIDE))
    images = np.clip(shapes[labels] + rng.integers(-30, 30, (count, 1, SIDE, SIDE)), 0, 255).astype(np.uint8)
    np.savez(path, images=images, labels=labels)
    return images, labels


def weights_of(path):
    return {i.name: numpy_helper.to_array(i).astype(float) for i in onnx.load(path).graph.initializer}


def spec(steps, rate=RATE, extra="", scale=2):
    return f"batch = {BATCH}\nsteps = {steps}\nrange = {scale}\n{extra}\n[optimiser]\nrate = {rate}\nmomentum = {MOMENTUM}\n"


def without_times(told):
    """What a plan says beside predictions, which follow from the speed of the machine at that moment."""
    self_made = ("predicted_seconds_per_step", "predicted_feature_seconds_per_batch")
    return {name: value for name, value in told.items() if name not in self_made}


def distance(a, b):
    return max(np.linalg.norm(a[k] - b[k]) / np.linalg.norm(b[k]) for k in b)


class TrainingCase(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = dense_network(cls.dir / "net.onnx")
        cls.images, cls.labels = examples(cls.dir / "data.npz", BATCH, 4)
        (cls.dir / "spec.toml").write_text(spec(2))

    def float_steps(self, steps):
        """Gradient descent with momentum on half the squared error: all images are one batch."""
        w, b = self.before["w"].astype(float), self.before["b"].astype(float)
        x = self.images.reshape(BATCH, -1) / 255
        wanted = np.eye(CLASSES)[self.labels]
        velocity_w, velocity_b, losses = 0, 0, []
        for _ in range(steps):
            error = x @ w.T + b - wanted
            losses.append((error**2).sum() / 2 / BATCH)
            velocity_w = MOMENTUM * velocity_w + error.T @ x / BATCH
            velocity_b = MOMENTUM * velocity_b + error.mean(axis=0)
            w, b = w - RATE * velocity_w, b - RATE * velocity_b
        return {"w": w, "b": b}, losses


class Apart(TrainingCase):
    """The verbs of both sides; the server's part is killed and goes on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sotto("signing-key", "server.key")
        cls.sotto("compile", "net.onnx", "--train", "spec.toml", "--signer", "server.key", "--out", "net")
        cls.sotto("keygen", "net.client", "--out", "keys")
        cls.sotto("encrypt", "net.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "in.sotto")
        cls.train = ["train", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--signing-key", "server.key"]
        cls.sotto(*cls.train, "--out", "out.sotto", "--json", "stats.json", program=harness.SERVER, timeout=300)

    def test_results_are_signed(self):
        signer = self.sotto("signing-key", "server.key").out.split()[-1]
        self.assertEqual(json.loads(self.sotto("plan", "net.client", "--json").out)["signer"], signer)
        decrypt = ["decrypt", "net.client", "--keys", "keys", "--out", "x.onnx", "--in"]
        whole = (self.dir / "out.sotto").read_bytes()
        steps, stripped, inputs = (harness.Container(data) for data in (whole, whole, (self.dir / "in.sotto").read_bytes()))
        each = len(steps.sections) // 2
        steps.sections = steps.sections[each:] + steps.sections[:each]
        del stripped.header["signer"]
        inputs.sections[0] = bytes([inputs.sections[0][0] ^ 1]) + inputs.sections[0][1:]
        for container, verb, word in ((steps, [*decrypt, "forged"], "signature"), (stripped, [*decrypt, "forged"], "not signed"),
                                      (inputs, ["forged" if a == "in.sotto" else a for a in [*self.train, "--out", "x"]], "signature")):
            (self.dir / "forged").write_bytes(container.bytes())
            self.assert_refused(WRONG_KEY, *verb, words=["forged", word])
        (self.dir / "forged").unlink()
        self.assert_refused(USAGE, *self.train[:-2], "--out", "x.sotto", words=["--signing-key", signer])
        self.assert_refused(WRONG_KEY, *self.train, "--client", "0" * 32, "--out", "x.sotto", words=["keys/eval.key"])
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "other.sotto")
        self.assert_refused(WRONG_KEY, *decrypt, "out.sotto", "--for", "other.sotto", words=["another input"])
        self.sotto(*decrypt, "out.sotto", "--for", "in.sotto")

    def test_weights_are_those_of_the_clear_computation(self):
        r = self.sotto("decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "trained.onnx", "--csv", "losses.csv")
        self.assertIn("2 steps", r.out)
        wanted, losses = self.float_steps(2)
        onnx.checker.check_model(onnx.load(self.dir / "trained.onnx"))
        self.assertLess(distance(weights_of(self.dir / "trained.onnx"), wanted), 0.01)
        table = np.loadtxt(self.dir / "losses.csv", delimiter=",", skiprows=1)
        np.testing.assert_allclose(table[:, 1], losses, rtol=1e-3)
        self.sotto("compile", "trained.onnx", "--batch", "16", "--out", "trained")  # and it runs encrypted in turn

        self.sotto("train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz", "--simulate", "--out", "twin.onnx", "--json", "twin.json")
        self.assertLess(distance(weights_of(self.dir / "twin.onnx"), wanted), 1e-6)
        np.testing.assert_allclose(json.loads((self.dir / "twin.json").read_text())["float_loss"], losses, rtol=1e-9)

    def test_errors_of_encryption_are_simulated(self):
        command = ["train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz"]
        self.assert_refused(USAGE, *command, "--noise", "1e-4", "--out", "x.onnx", words=["--simulate"])
        r = self.sotto(*command, "--simulate", "--noise", "1e-4", "--json", "noisy.json")
        self.assertIn("errors of 0.0001 of the range", r.out)
        distances = json.loads((self.dir / "noisy.json").read_text())["weight_relative_errors"]
        self.assertTrue(0 < distances[0] < 0.01, distances)

    def test_plan_tells_what_it_costs(self):
        told = [json.loads(self.sotto("plan", name, "--json").out) for name in ("net.plan", "net.client")]
        self.assertEqual(*map(without_times, told))
        self.assertEqual((told[0]["training"], told[0]["weights"], told[0]["steps"], told[0]["batch"]), (True, SIDE * SIDE * CLASSES + CLASSES, 2, BATCH))
        for file, member in (("keys/eval.key", "eval_key_bytes"), ("in.sotto", "input_bytes"), ("out.sotto", "output_bytes")):
            size = (self.dir / file).stat().st_size
            self.assertLess(abs(size - told[0][member]), 0.01 * size, member)
        self.assertIn("2 steps", self.sotto("plan", "net.plan").out)
        self.assert_refused(NO_RESOURCES, "plan", "net.plan", "--memory", "100M", words=["memory", "needs"])

    def test_stats(self):
        stats = json.loads((self.dir / "stats.json").read_text())
        self.assertEqual((stats["steps"], stats["images"], len(stats["step_seconds"])), (2, BATCH, 2))
        self.assertLess(stats["peak_rss_bytes"], 1.15 * stats["predicted_peak_bytes"])

    def test_killed_and_resumed(self):
        part = self.dir / "again.sotto.part"
        p = subprocess.Popen([harness.SERVER, *self.train, "--out", "again.sotto"], cwd=self.dir, env=None, stderr=subprocess.DEVNULL)
        whole = (self.dir / "out.sotto").stat().st_size
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > whole * 0.45):
            self.assertIsNone(p.poll(), "it ended before the signal")
            time.sleep(0.05)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertFalse((self.dir / "again.sotto").exists())
        self.sotto(*self.train, "--out", "again.sotto", "--json", "again.json", program=harness.SERVER, timeout=300)
        self.assertEqual(json.loads((self.dir / "again.json").read_text())["steps_of_an_earlier_run"], 1)
        self.assertEqual((self.dir / "again.sotto").read_bytes(), (self.dir / "out.sotto").read_bytes())

    def test_interrupted_before_the_first_step(self):
        before = harness.tree(self.dir)
        r, _ = harness.run_and_signal(*self.train, "--out", "new.sotto", number=signal.SIGINT, cwd=self.dir, env=self.env,
                                      when=lambda: (self.dir / "new.sotto.part").exists())
        self.assertEqual(r.code, INTERRUPTED, r)
        self.assert_one_line(r, "interrupted")
        (self.dir / "new.sotto.part").unlink(missing_ok=True)
        self.assertEqual(harness.tree(self.dir), before)

    def test_refusals(self):
        self.sotto("compile", "net.onnx", "--batch", "16", "--out", "infer")
        self.sotto("keygen", "infer.client", "--out", "other")
        encrypt = ["encrypt", "net.client", "--keys", "keys", "--out", "x.sotto"]
        self.assert_refused(USAGE, *encrypt, "--data", "data.npz", words=["--labels"])
        self.assert_refused(USAGE, "encrypt", "infer.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "x.sotto",
                            words=["not for training"])
        np.savez(self.dir / "few.npz", images=self.images[:9], labels=self.labels[:9])
        self.assert_refused(BAD_INPUT, *encrypt, "--labels", "--data", "few.npz", words=["batch"])
        np.savez(self.dir / "unlabelled.npz", images=self.images)
        self.assert_refused(BAD_INPUT, *encrypt, "--labels", "--data", "unlabelled.npz", words=["label"])
        np.savez(self.dir / "beyond.npz", images=self.images, labels=self.labels + 1)
        self.assert_refused(BAD_INPUT, *encrypt, "--labels", "--data", "beyond.npz", words=["label"])
        self.assert_refused(BAD_INPUT, "infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "x.sotto",
                            words=["training"])
        self.assert_refused(BAD_INPUT, "train", "infer.plan", *self.train[2:], "--out", "x.sotto", words=["not for training"])
        self.assert_refused(WRONG_KEY, *["other/eval.key" if a == "keys/eval.key" else a for a in self.train], "--out", "x.sotto")
        self.assert_refused(WRONG_KEY, "decrypt", "net.client", "--keys", "other", "--in", "out.sotto", "--out", "x.onnx", words=["key"])
        self.assert_refused(NO_RESOURCES, *self.train, "--out", "x.sotto", "--memory", "1G", words=["memory"])

    def test_damaged_files(self):
        for name, command in (("net.plan", [*self.train, "--out", "x.sotto"]), ("in.sotto", [*self.train, "--out", "x.sotto"]),
                              ("net.client", ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "x.onnx"]),
                              ("out.sotto", ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "x.onnx"])):
            whole = (self.dir / name).read_bytes()
            for kind, damaged in (("cut", whole[: len(whole) * 2 // 3]),
                                  ("flipped", whole[:-1000] + bytes([whole[-1000] ^ 1]) + whole[-999:])):
                with self.subTest(file=name, damage=kind):
                    (self.dir / f"bad-{name}").write_bytes(damaged)
                    self.assert_refused(BAD_INPUT, *[f"bad-{name}" if a == name else a for a in command])
            (self.dir / f"bad-{name}").unlink()


class Killed(TrainingCase):
    """A work folder whose training was killed keeps what is finished until the same command takes it up again."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images, cls.labels = examples(cls.dir / "data.npz", 4 * BATCH, 4)
        cls.spec("spec.toml", 4, 0.01)
        cls.spec("other.toml", 4, 0.02)
        cls.command = ["train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz", "--work", "work", "--out", "trained.onnx"]
        cls.part = cls.dir / "work" / "out.sotto.part"
        p = subprocess.Popen([harness.SOTTO, *cls.command, "--threads", "1"], cwd=cls.dir, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (cls.part.exists() and cls.part.stat().st_size > 2**20):
            if p.poll() is not None:
                raise AssertionError("it ended before the signal")
            time.sleep(0.01)
        cls.server = int(Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text())
        p.send_signal(signal.SIGKILL)
        p.wait()

    @classmethod
    def spec(cls, name, steps, ridge):
        (cls.dir / name).write_text(f'batch = {BATCH}\nsteps = {steps}\n[optimiser]\nname = "normal-equations"\nridge = {ridge}\n')

    def test_1_the_server_ends_with_its_parent(self):
        deadline = time.monotonic() + 10
        stat = Path(f"/proc/{self.server}/stat")
        try:
            while stat.read_text().rpartition(")")[2].split()[0] != "Z":
                self.assertLess(time.monotonic(), deadline, "the server's process lives on")
                time.sleep(0.01)
        except (FileNotFoundError, ProcessLookupError):
            pass
        self.assertFalse((self.dir / "work" / "out.sotto").exists(), "it went on to its end")

    def test_2_only_the_owner_may_look(self):
        self.assertEqual((self.dir / "work").stat().st_mode & 0o777, 0o700)

    def test_3_other_work_leaves_it_alone(self):
        other = ["other.toml" if word == "spec.toml" else word for word in self.command]
        for command in ([*self.command, "--count", str(2 * BATCH)], [*self.command, "--steps", "3"], other):
            self.assert_refused(WRONG_KEY, *command, words=["work/out.sotto.part", "another training", "--work", "remove"])

    def test_4_damage_is_not_called_other_work(self):
        whole = self.part.read_bytes()
        self.part.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        self.assert_refused(BAD_INPUT, *self.command, words=["work/out.sotto.part", "corrupted", "remove"])
        self.part.write_bytes(whole)

    def test_5_the_same_command_goes_on(self):
        r = self.sotto(*self.command, "--json", "r.json", timeout=300)
        self.assertLess(json.loads((self.dir / "r.json").read_text())["weight_relative_error"], 0.02)
        stats = json.loads((self.dir / "work" / "stats.json").read_text())
        self.assertGreater(stats["steps_of_an_earlier_run"], 0)
        self.assertIn(f"4 encrypted steps of {BATCH} images, the last {4 - stats['steps_of_an_earlier_run']} of them in", r.out)


class OnOneMachine(TrainingCase):
    def test_train_with_a_work_folder(self):
        (self.dir / "one.toml").write_text(spec(1))
        command = ["train", "net.onnx", "--spec", "one.toml", "--data", "data.npz", "--test", "data.npz", "--work", "work"]
        r = self.sotto(*command, "--out", "trained.onnx", "--json", "r.json", "--report", "r.html", timeout=300)
        self.assertIn("encrypted steps", r.out)
        result = json.loads((self.dir / "r.json").read_text())
        for key in ("steps", "batch", "seconds_per_step", "feature_seconds", "training_seconds", "peak_rss_bytes",
                    "bootstraps_per_step", "security_bits", "log2_qp", "accuracy_before", "accuracy", "float_accuracy",
                    "weight_relative_error", "loss", "eval_key_bytes", "input_bytes"):
            self.assertIsNotNone(result[key], key)
        self.assertEqual((result["steps"], result["batch"], result["security_bits"]), (1, BATCH, 128))
        self.assertLess(result["weight_relative_error"], 0.01)
        wanted, losses = self.float_steps(1)
        self.assertLess(distance(weights_of(self.dir / "trained.onnx"), wanted), 0.01)
        self.assertAlmostEqual(result["loss"][0], losses[0], delta=1e-3 * losses[0])
        self.assertIn("<svg", (self.dir / "r.html").read_text())
        # What is finished is not done again.
        (self.dir / "work" / "net.plan").unlink()  # made anew each time
        before = harness.tree(self.dir / "work")
        self.sotto(*command, "--out", "again.onnx")
        self.assertLess(distance(weights_of(self.dir / "again.onnx"), weights_of(self.dir / "trained.onnx")), 1e-7)
        (self.dir / "work" / "net.plan").unlink()
        self.assertEqual(harness.tree(self.dir / "work"), before)
        shutil.rmtree(self.dir / "work")

    def test_nothing_is_encrypted_where_the_twin_leaves_its_range(self):
        (self.dir / "far.toml").write_text(spec(1, rate=60))
        r = harness.run("train", "net.onnx", "--spec", "far.toml", "--data", "data.npz", "--out", "far.onnx", "--work", "far", "--json", "far.json",
                        cwd=self.dir, env=self.env)
        self.assertEqual(r.code, DOUBTFUL, r)
        self.assert_one_line(r, "left their range", "step 1", "nothing was encrypted")
        told = json.loads((self.dir / "far.json").read_text())
        self.assertEqual((told["overflow_step"], told["simulated"]), (0, True))
        self.assertFalse((self.dir / "far").exists())
        self.assertFalse((self.dir / "far.onnx").exists())

    def test_the_owner_finds_weights_that_left_their_range_or_outgrew_the_modulus(self):
        for name, steps, rate in (("far", 1, 60), ("farther", 3, 1000)):
            (self.dir / f"{name}.toml").write_text(spec(steps, rate=rate))
            self.sotto("compile", "net.onnx", "--train", f"{name}.toml", "--out", name)
        self.sotto("keygen", "far.client", "farther.client", "--out", "keys", timeout=300)
        for name in ("far", "farther"):
            self.sotto("encrypt", f"{name}.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "in.sotto")
            self.sotto("train", f"{name}.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto", program=harness.SERVER,
                       timeout=300)
            r = harness.run("decrypt", f"{name}.client", "--keys", "keys", "--in", "out.sotto", "--out", "lost.onnx", cwd=self.dir, env=self.env)
            self.assertEqual(r.code, DOUBTFUL, r)
            self.assert_one_line(r, "left their range", "step 1")
            self.assertFalse((self.dir / "lost.onnx").exists())

    def test_notes(self):
        rng = np.random.default_rng(3)
        saved(self.dir / "bare.onnx", [helper.make_node("Flatten", ["x"], ["f"], "flatten", axis=1),
                                       helper.make_node("Gemm", ["f", "w"], ["y"], "fc", transB=1)],
              {"w": rng.normal(0, 0.3, (CLASSES, SIDE * SIDE)).astype(np.float32)})
        (self.dir / "idle.toml").write_text(spec(2) + "[[schedule]]\nstep = 2\nfactor = 0.5\n")
        r = self.sotto("train", "bare.onnx", "--spec", "idle.toml", "--data", "data.npz", "--calibrate", "data.npz", "--simulate")
        for words in ("'fc' has no biases", "[[schedule]] begins at step 2", "--calibrate changes nothing"):
            self.assertIn(words, r.err)
        r = self.sotto("train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz", "--simulate")
        self.assertNotIn("note:", r.err)

    def test_places_are_checked_before_the_work(self):
        command = ["train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz"]
        self.assert_refused(USAGE, *command, "--json", "r.json", words=["--out", "--work"])
        self.assert_refused(BAD_INPUT, *command, "--work", "data.npz/work", words=["cannot make the folder data.npz/work"])
        self.assert_refused(BAD_INPUT, *command, "--work", "data.npz", words=["cannot make the folder data.npz"])
        self.assert_refused(NO_RESOURCES, *command, "--work", "new", "--memory", "100M", words=["needs about"])

    def test_refusals(self):
        dense_network(self.dir / "relu.onnx", "Relu")
        data = ["--data", "data.npz", "--out", "x.onnx"]
        np.savez(self.dir / "unlabelled.npz", images=self.images)
        self.assert_refused(BAD_INPUT, "train", "net.onnx", "--spec", "spec.toml", *data, "--test", "unlabelled.npz", words=["--test", "label"])
        self.assert_refused(BAD_INPUT, "train", "relu.onnx", "--spec", "spec.toml", *data, words=["act"])
        (self.dir / "bad.toml").write_text(spec(1, extra='layers = ["nowhere"]'))
        self.assert_refused(BAD_INPUT, "train", "net.onnx", "--spec", "bad.toml", *data, words=["nowhere"])
        (self.dir / "bad.toml").write_text(spec(1, extra="colour = 1"))
        self.assert_refused(BAD_INPUT, "train", "net.onnx", "--spec", "bad.toml", *data, words=["colour"])
        self.assert_refused(BAD_INPUT, "train", "net.onnx", "--spec", "none.toml", *data, words=["none.toml"])
        (self.dir / "sums.toml").write_text(f'batch = {BATCH}\nsteps = 1\n[optimiser]\nname = "normal-equations"\n')
        self.assert_refused(BAD_INPUT, "train", "net.onnx", "--spec", "sums.toml", "--steps", "1000000", *data, words=["lower batch or steps"])
        models.Network(side=8).save(self.dir / "means.onnx")  # squares and means: it can be trained, not on these images
        self.assert_refused(BAD_INPUT, "train", "means.onnx", "--spec", "spec.toml", *data)


def cubic_network(path):
    """A convolution, cubes, which no step can train through, and a dense layer."""
    rng = np.random.default_rng(6)
    weights = {"k": rng.normal(0, 0.4, (3, 1, 3, 3)).astype(np.float32), "w": rng.normal(0, 0.1, (CLASSES, 3 * SIDE * SIDE)).astype(np.float32),
               "b": np.zeros(CLASSES, np.float32)}
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"], "conv", pads=[1, 1, 1, 1]),
             helper.make_node("Mul", ["c", "c"], ["s"], "square"), helper.make_node("Mul", ["s", "c"], ["a"], "cube"),
             helper.make_node("Flatten", ["a"], ["f"], "flatten", axis=1), helper.make_node("Gemm", ["f", "w", "b"], ["y"], "fc", transB=1)]
    return saved(path, nodes, weights)


class Head(Case):
    """The last layer alone, behind layers that run once for every image."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = cubic_network(cls.dir / "net.onnx")
        cls.images, cls.labels = examples(cls.dir / "data.npz", 2 * BATCH, 5)
        (cls.dir / "spec.toml").write_text(spec(2, rate=0.01, extra='layers = ["fc"]'))
        cls.sotto("compile", "net.onnx", "--train", "spec.toml", "--calibrate", "data.npz", "--out", "net")
        cls.sotto("keygen", "net.client", "--out", "keys")
        cls.sotto("encrypt", "net.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "in.sotto")
        cls.train = ["train", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto"]
        cls.sotto(*cls.train, "--out", "out.sotto", "--json", "stats.json", program=harness.SERVER, timeout=300)

    def test_the_head_is_the_twins_and_the_body_stays(self):
        self.sotto("decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "trained.onnx")
        self.sotto("train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz", "--calibrate", "data.npz", "--simulate", "--out", "twin.onnx",
                   "--json", "twin.json")
        trained, twin = weights_of(self.dir / "trained.onnx"), weights_of(self.dir / "twin.onnx")
        np.testing.assert_array_equal(trained["k"], self.before["k"])
        for name in ("w", "b"):
            change = np.linalg.norm(twin[name] - self.before[name])
            self.assertGreater(change, 0)
            self.assertLess(np.linalg.norm(trained[name] - twin[name]), 0.02 * change, name)
        # The twin's loss is that of the network itself on the images of the first batch, whichever they are.
        loss = json.loads((self.dir / "twin.json").read_text())["float_loss"][0]
        pad = np.pad(self.images[:, 0] / 255, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(pad, (3, 3), axis=(1, 2))
        features = np.einsum("nyxij,cij->ncyx", windows, self.before["k"][:, 0].astype(float)) ** 3
        scores = features.reshape(len(features), -1) @ self.before["w"].T.astype(float)
        losses = ((scores - np.eye(CLASSES)[self.labels]) ** 2).sum(1) / 2
        self.assertLess(losses.min(), loss)
        self.assertLess(abs(loss - losses.mean()), 3 * losses.std() / BATCH**0.5)
        stats = json.loads((self.dir / "stats.json").read_text())
        self.assertGreater(stats["feature_seconds"], 0)

    def test_both_files_tell_the_same(self):
        told = [json.loads(self.sotto("plan", name, "--json").out) for name in ("net.plan", "net.client")]
        self.assertEqual(*map(without_times, told))
        for file, member in (("keys/eval.key", "eval_key_bytes"), ("in.sotto", "input_bytes")):
            size = (self.dir / file).stat().st_size / (2 if member == "input_bytes" else 1)
            self.assertLess(abs(size - told[0][member]), 0.01 * size, member)

    def test_killed_between_two_runs_and_resumed(self):
        part = self.dir / "again.sotto.part"
        p = subprocess.Popen([harness.SERVER, *self.train, "--out", "again.sotto"], cwd=self.dir, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > 2**20):
            self.assertIsNone(p.poll(), "it ended before the signal")
            time.sleep(0.02)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.sotto(*self.train, "--out", "again.sotto", program=harness.SERVER, timeout=300)
        self.assertEqual((self.dir / "again.sotto").read_bytes(), (self.dir / "out.sotto").read_bytes())

    def test_images_that_leave_the_range_are_counted(self):
        bright = self.images.copy()
        bright[7] = 255 * (np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE) % 2)
        np.savez(self.dir / "bright.npz", images=bright, labels=self.labels)
        np.savez(self.dir / "faint.npz", images=self.images // 8, labels=self.labels)
        (self.dir / "one.toml").write_text(spec(1, rate=0.01, extra='layers = ["fc"]'))
        r = harness.run("train", "net.onnx", "--spec", "one.toml", "--data", "bright.npz", "--calibrate", "faint.npz", "--json", "r.json",
                        "--out", "x.onnx", cwd=self.dir, env=self.env, timeout=300)
        self.assertEqual(r.code, DOUBTFUL, r)
        self.assert_one_line(r, "left their range", "float twin shows it")
        self.assertIn("left the range of the layers in front", r.err)
        self.assertGreater(json.loads((self.dir / "r.json").read_text())["images_out_of_range"], 0)

    def test_nothing_is_encrypted_for_images_that_leave_the_range(self):
        (self.dir / "slow.toml").write_text(spec(1, rate=1e-9, extra='layers = ["fc"]'))
        np.savez(self.dir / "faint.npz", images=self.images // 8, labels=self.labels)
        command = ["train", "net.onnx", "--spec", "slow.toml", "--data", "data.npz", "--calibrate", "faint.npz"]
        command += ["--count", str(2 * BATCH - 1), "--json", "r.json", "--out"]
        r = harness.run(*command, "x.onnx", "--work", "lit", cwd=self.dir, env=self.env, timeout=300)
        self.assertEqual(r.code, DOUBTFUL, r)
        self.assert_one_line(r, "left the range of the layers in front", "nothing was encrypted")
        self.assertFalse((self.dir / "lit").exists())
        self.assertFalse((self.dir / "x.onnx").exists())
        told = json.loads((self.dir / "r.json").read_text())
        self.assertTrue(told["simulated"])
        self.assertGreater(told["images_out_of_range"], BATCH // 2)
        self.assertLessEqual(told["images_out_of_range"], BATCH, "what is left over does not count")
        r = harness.run(*command, "twin.onnx", "--simulate", cwd=self.dir, env=self.env, timeout=300)
        self.assertEqual(r.code, DOUBTFUL, r)
        self.assertTrue((self.dir / "twin.onnx").exists())


def residual_network(path):
    """A convolution, cubes, and a residual block whose second value is normalised, squared and averaged for a dense layer."""
    rng = np.random.default_rng(8)
    one = np.ones(3, np.float32)
    weights = {"k": rng.normal(0, 0.4, (3, 1, 3, 3)).astype(np.float32), "l": rng.normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32),
               "scale": (one * [0.7, 1.1, 1.6]).astype(np.float32), "shift": rng.normal(0, 0.1, 3).astype(np.float32), "mean": 0 * one, "var": one,
               "w": rng.normal(0, 0.1, (CLASSES, 3)).astype(np.float32), "b": np.zeros(CLASSES, np.float32)}
    nodes = [helper.make_node("Conv", ["x", "k"], ["c"], "conv1", pads=[1, 1, 1, 1]),
             helper.make_node("Mul", ["c", "c"], ["s"], "square"), helper.make_node("Mul", ["s", "c"], ["a"], "cube"),
             helper.make_node("Conv", ["a", "l"], ["d"], "conv2", pads=[1, 1, 1, 1]), helper.make_node("Add", ["d", "a"], ["e"], "sum"),
             helper.make_node("BatchNormalization", ["e", "scale", "shift", "mean", "var"], ["g"], "norm"),
             helper.make_node("Mul", ["g", "g"], ["h"], "act"), helper.make_node("GlobalAveragePool", ["h"], ["m"], "pool"),
             helper.make_node("Flatten", ["m"], ["f"], "flatten", axis=1), helper.make_node("Gemm", ["f", "w", "b"], ["y"], "fc", transB=1)]
    return saved(path, nodes, weights)


class Adapter(Case):
    """An adapter of a convolution with the last layer, behind layers that run once for every image."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.before = residual_network(cls.dir / "net.onnx")
        cls.images, cls.labels = examples(cls.dir / "data.npz", BATCH, 5)
        (cls.dir / "spec.toml").write_text(spec(2, rate=0.01, extra='layers = ["fc"]') + '[[adapter]]\nlayer = "conv2"\nrank = 1\n')

    def test_trained_weights_are_the_twins_and_go_into_the_middle_tap(self):
        self.assertIn("a step", self.sotto("compile", "net.onnx", "--train", "spec.toml", "--calibrate", "data.npz", "--out", "net").out)
        told = json.loads(self.sotto("plan", "net.plan", "--json").out)
        self.assertEqual(told["layers"], ["conv2.down", "conv2.up", "fc"])
        self.assertGreater(told["predicted_seconds_per_step"], 0)
        self.assertGreater(told["predicted_feature_seconds_per_batch"], 0)
        self.sotto("keygen", "net.client", "--out", "keys")
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", "data.npz", "--labels", "--out", "in.sotto")
        train = ["train", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "out.sotto"]
        # Killed behind the features, and resumed.
        part = self.dir / "out.sotto.part"
        p = subprocess.Popen([harness.SERVER, *train], cwd=self.dir, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not (part.exists() and part.stat().st_size > 2**20):
            self.assertIsNone(p.poll(), "it ended before the signal")
            time.sleep(0.02)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.sotto(*train, "--json", "stats.json", program=harness.SERVER, timeout=300)
        self.assertGreater(json.loads((self.dir / "stats.json").read_text())["predicted_seconds_per_step"], 0)
        self.sotto("decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "trained.onnx")
        self.sotto("train", "net.onnx", "--spec", "spec.toml", "--data", "data.npz", "--calibrate", "data.npz", "--simulate", "--out", "twin.onnx")
        trained, twin = weights_of(self.dir / "trained.onnx"), weights_of(self.dir / "twin.onnx")
        for name in ("k", "scale", "shift"):
            np.testing.assert_array_equal(trained[name], self.before[name])
        for name in ("l", "w", "b"):
            change = np.linalg.norm(twin[name] - self.before[name])
            self.assertGreater(change, 0)
            self.assertLess(np.linalg.norm(trained[name] - twin[name]), 0.02 * change, name)
        beside = np.ones((3, 3), bool)
        beside[1, 1] = False
        np.testing.assert_array_equal(trained["l"][:, :, beside], self.before["l"][:, :, beside])

    def test_what_cannot_have_an_adapter(self):
        (self.dir / "wrong.toml").write_text(spec(2) + '[[adapter]]\nlayer = "fc"\nrank = 1\n')
        self.assert_refused(BAD_INPUT, "compile", "net.onnx", "--train", "wrong.toml", "--out", "wrong", words=["'fc'", "no convolution"])


if __name__ == "__main__":
    harness.main()

"""Networks with Relu and other activations as they are: by polynomials over ranges that the model states or images show."""

import json

import numpy as np

import harness
import models
from harness import BAD_INPUT, USAGE, Case, PreparedCase

DEGREE, ERROR = 62, 0.0051  # of the polynomial that is the default


class Chain(PreparedCase):
    """Ranges in the metadata of net.onnx."""

    network = models.ReluNetwork()

    @classmethod
    def setUpClass(cls):
        cls.ranges = {name: 1.5 * largest for name, largest in cls.network.ranges(models.random_images(64, 8, seed=3)).items()}
        save = cls.network.save
        cls.network.save = lambda path: save(path, {**models.metadata_of(cls.network), "sotto.relu_ranges": json.dumps(cls.ranges)})
        super().setUpClass()
        cls.order, _ = harness.reading_order(cls.images, cls.network.classes)
        cls.encrypt()
        cls.infer()
        cls.decrypt("out.sotto", "--out", "scores.npy")
        cls.scores = np.load(cls.dir / "scores.npy")

    def test_scores_are_those_of_the_polynomial(self):
        expected = self.network.polynomial_scores(self.images[self.order], self.ranges, DEGREE)
        self.assertLess(np.abs(self.scores - expected).max(), 1e-2)

    def test_scores_are_near_the_float_model(self):
        expected = self.network.scores(self.images[self.order])
        budget = ERROR * self.ranges["relu0"] * np.abs(self.network.dense).sum(axis=1).max()
        self.assertLess(np.abs(self.scores - expected).max(), budget + 1e-2)
        self.assertEqual(self.scores.argmax(axis=1).tolist(), expected.argmax(axis=1).tolist())

    def test_predicted_file_sizes_are_right(self):
        j = json.loads(self.sotto("plan", "net.client", "--json").out)
        for name, file in (("eval_key_bytes", "keys/eval.key"), ("input_bytes", "in.sotto"), ("output_bytes", "out.sotto")):
            self.assertLess(abs((self.dir / file).stat().st_size - j[name]), 8192, file)


class Calibrated(Case):
    """A model without ranges: images give them."""

    network = models.ReluNetwork(seed=5)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network.save(cls.dir / "net.onnx")
        cls.images = cls.network.clear_images(6)
        harness.write_pictures(cls.dir / "images", cls.images)

    def test_evaluate(self):
        self.sotto("evaluate", "net.onnx", "--data", "images", "--calibrate", "images", "--json", "report.json")
        report = json.loads((self.dir / "report.json").read_text())
        self.assertEqual(report["label_agreement"], 1)

    def test_ranges_come_from_the_images(self):
        self.sotto("compile", "net.onnx", "--out", "net", "--calibrate", "images")
        header = harness.Container((self.dir / "net.plan").read_bytes()).header
        found = [step["activation"] for step in header["steps"] if step["kind"] == "activate"]
        largest = self.network.ranges(self.images)["relu0"]
        self.assertEqual(len(found), 1)
        self.assertAlmostEqual(found[0]["range"] / (1.5 * largest), 1, places=6)
        self.assertEqual([len(factor) for factor in found[0]["factors"]], [DEGREE + 1])

    def test_the_error_decides_the_degree(self):
        for error, degree in (("0.25", 2), ("0.022", 14), ("0.003", 126)):
            with self.subTest(error):
                j = json.loads(self.sotto("plan", "net.onnx", "--calibrate", "images", "--relu-error", error, "--agreement", "0", "--json").out)
                levels = (degree + 1).bit_length() - (degree + 1 & degree == 0)
                self.assertEqual(j["steps"][0]["limbs"], 1 + levels + 2)

    def test_deep_networks_bootstrap(self):
        deep = models.ReluNetwork(depth=6)
        deep.save(self.dir / "deep.onnx")
        options = ("--calibrate", "images", "--relu-error", "0.0051", "--agreement", "0")
        j = json.loads(self.sotto("plan", "deep.onnx", *options, "--json").out)
        self.assertGreater(j["bootstraps"], 0)
        self.assertEqual(j["parameters"]["security_bits"], 128)
        self.sotto("evaluate", "deep.onnx", "--data", "images", *options, "--json", "deep.json", "--out", "deep.npy")
        report = json.loads((self.dir / "deep.json").read_text())
        self.assertGreater(report["bootstraps"], 0)
        ranges = {name: 1.5 * largest for name, largest in deep.ranges(self.images).items()}
        expected = deep.polynomial_scores(self.images, ranges, DEGREE)
        self.assertLess(np.abs(np.load(self.dir / "deep.npy") - expected).max(), 0.01)


class OtherActivations(Case):
    """Elu by polynomials, third powers by squares, which need no ranges."""

    def evaluate(self, network, *more):
        network.save(self.dir / "net.onnx")
        images = network.clear_images(6)
        harness.write_pictures(self.dir / "images", images)
        self.sotto("evaluate", "net.onnx", "--data", "images", *more, "--json", "report.json", "--out", "scores.npy")
        self.assertEqual(json.loads((self.dir / "report.json").read_text())["label_agreement"], 1)
        return np.abs(np.load(self.dir / "scores.npy") - network.scores(images)).max()

    def test_elu(self):
        network = models.EluNetwork()
        self.assertLess(self.evaluate(network, "--calibrate", "images"), 0.05)

    def test_third_powers(self):
        network = models.CubicNetwork()
        self.assertLess(self.evaluate(network), 0.02)


class Refused(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network = models.ReluNetwork()
        cls.network.save(cls.dir / "net.onnx")
        harness.write_pictures(cls.dir / "images", models.random_images(2, 8))

    def refuse(self, code, *more, words=(), model="net.onnx"):
        for verb in (["compile", model, "--out", "x"], ["plan", model], ["evaluate", model, "--data", "images"]):
            self.assert_refused(code, *verb, *more, words=words)

    def test_ranges_that_nobody_knows_are_measured_on_made_up_images(self):
        said = self.sotto("compile", "net.onnx", "--agreement", "0", "--out", "x").out
        self.assertIn("made-up", said)
        self.assertIn("--calibrate", said)

    def test_folders_to_calibrate_with(self):
        (self.dir / "empty").mkdir()
        harness.write_pictures(self.dir / "large", models.random_images(1, 16))
        (self.dir / "text.png").write_text("no picture")
        for data, words in (("nowhere", ["nowhere"]), ("empty", ["no images"]), ("large", ["16x16", "8x8"]), ("text.png", ["text.png"])):
            with self.subTest(data):
                self.refuse(BAD_INPUT, "--calibrate", data, words=words)

    def test_errors_out_of_range(self):
        for error in ("0", "-1", "0.3", "1e-7", "nan", "many"):
            with self.subTest(error):
                self.refuse(USAGE, "--calibrate", "images", "--relu-error", error, words=["--relu-error"])
        self.refuse(USAGE, "--calibrate")

    def test_metadata(self):
        for value, words in (("[1]", ["relu_ranges"]), ('{"relu0": 0}', ["relu0", "positive"]), ('{"relu0": -1}', ["relu0", "positive"]),
                             ('{"relu0": "1"}', ["relu0"]), ('{"relu0": 1e999}', ["relu_ranges"]), ('{"relu7": 1}', ["relu7"]), ("{", ["relu_ranges"])):
            with self.subTest(value):
                self.network.save(self.dir / "bad.onnx", {**models.metadata_of(self.network), "sotto.relu_ranges": value})
                self.refuse(BAD_INPUT, words=["bad.onnx", *words], model="bad.onnx")

    def test_polynomials_too_deep_to_bootstrap(self):
        models.ReluNetwork(depth=3).save(self.dir / "deep.onnx")
        self.refuse(harness.NO_RESOURCES, "--calibrate", "images", "--relu-error", "0.000001", words=["--relu-error"], model="deep.onnx")


if __name__ == "__main__":
    harness.main()

"""Pictures that leave the range of a network: marked, never silent; what is beside them comes out, or is marked, too."""

import csv
import json

import numpy as np

import harness
import models
from harness import OK, PreparedCase

DOUBTFUL = 6
# Of degree 62, whatever labels it keeps: finer polynomials explode so fast that little beyond their range loses the batch.
POLYNOMIAL = ("--relu-error", "0.0051", "--agreement", "10")


class Doubt(PreparedCase):
    """A Relu whose range ordinary pictures fill to two thirds."""

    network = models.ReluNetwork(seed=3)
    pictures = 6

    @classmethod
    def setUpClass(cls):
        save = cls.network.save
        cls.ranges = {name: 1.5 * largest for name, largest in cls.network.ranges(models.random_images(64, 8, seed=3)).items()}
        cls.network.save = lambda path: save(path, {**models.metadata_of(cls.network), "sotto.relu_ranges": json.dumps(cls.ranges)})
        super().setUpClass()
        cls.sotto("compile", "net.onnx", "--out", "net", *POLYNOMIAL)
        cls.sotto("keygen", "net.client", "--out", "keys", "--force")
        cls.order, _ = harness.reading_order(cls.images, cls.network.classes)
        for name, image in (("mild", cls.extreme(1.02)), ("far", cls.extreme(2.0))):
            pictures = cls.images.copy()
            pictures[cls.order[2]] = image
            harness.write_pictures(cls.dir / name, pictures, cls.network.classes)
        for name in ("images", "mild", "far"):
            cls.encrypt(f"{name}.in", name)
            cls.infer(f"{name}.in", f"{name}.out")

    @classmethod
    def extreme(cls, times):
        """A picture that drives the first Relu's input so many times beyond its range, or as far as one can."""
        weights = cls.network.layers[0][0]
        y, x = np.mgrid[:8, :8]
        best = max((np.where(sign * weights[o][:, y % 3, x % 3] > 0, 255, 0) for o in range(len(weights)) for sign in (1, -1)),
                   key=cls.ratio)
        for share in np.linspace(0, 1, 513):
            image = np.round(share * best + (1 - share) * 127).astype(np.uint8)
            if cls.ratio(image) >= times:
                break
        return image

    @classmethod
    def ratio(cls, image):
        found = cls.network.ranges(np.asarray(image, np.float64)[None])
        return max(found[name] / cls.ranges[name] for name in found)

    def rows(self, name, *more):
        r = harness.run("decrypt", "net.client", "--keys", "keys", "--in", f"{name}.out", "--csv", f"{name}.csv", "--out", f"{name}.npy",
                        "--sheet", f"{name}.html", *more, cwd=self.dir, env=self.env)
        with open(self.dir / f"{name}.csv", newline="") as file:
            return r, list(csv.DictReader(file)), np.load(self.dir / f"{name}.npy")

    def expected(self, k):
        return int(self.network.scores(self.images[self.order[k]][None]).argmax())

    def test_the_pictures_leave_the_range(self):
        self.assertLess(max(map(self.ratio, self.images)), 0.9)
        self.assertAlmostEqual(self.ratio(self.extreme(1.02)), 1.02, delta=0.008)
        self.assertGreater(self.ratio(self.extreme(2.0)), 1.1)

    def test_ordinary_pictures_have_no_mark(self):
        r, rows, scores = self.rows("images", "--strict")
        self.assertEqual((r.code, r.errors()), (OK, []), r)
        self.assertEqual([row["doubtful"] for row in rows], [""] * 6)
        self.assertTrue(np.isfinite(scores).all())

    def test_a_little_beyond_marks_the_picture_and_its_neighbours(self):
        for more, code in (((), OK), (("--strict",), DOUBTFUL)):
            r, rows, scores = self.rows("mild", *more)
            self.assertEqual(r.code, code, r)
            self.assert_one_line(r, "doubtful", "left the range")
            self.assertEqual(rows[2]["doubtful"], "left the range")
            self.assertIn("doubtful: left the range", r.out)
            self.assertIn("doubtful: left the range", (self.dir / "mild.html").read_text())
            self.assertTrue(np.isfinite(scores).all())
            for k, row in enumerate(rows):
                if k != 2:
                    self.assertIn(row["doubtful"], ("", "a neighbour left the range"))
                    self.assertEqual(int(row["label"]), self.expected(k), "what is beside it is right here")

    def test_far_beyond_no_label_is_wrong_without_a_mark(self):
        r, rows, scores = self.rows("far")
        self.assertEqual(r.code, OK, r)
        self.assert_one_line(r, "doubtful")
        self.assertNotEqual(rows[2]["doubtful"], "")
        for k, row in enumerate(rows):
            if not row["doubtful"]:
                self.assertEqual(int(row["label"]), self.expected(k))
            self.assertEqual(row["label"] == "", bool(np.isnan(scores[k]).all()))

    def test_evaluate_reports_them(self):
        self.sotto("evaluate", "net.onnx", "--data", "mild", "--json", "report.json", "--csv", "labels.csv", "--report", "report.html", *POLYNOMIAL)
        report = json.loads((self.dir / "report.json").read_text())
        self.assertIn(2, report["doubtful"])
        self.assertEqual(report["certain_label_agreement"] if len(report["doubtful"]) < 6 else 1, 1)
        self.assertIn("doubtful: left the range", (self.dir / "report.html").read_text())
        report = json.loads(self.evaluate_ordinary())
        self.assertEqual(report["doubtful"], [])
        self.assertEqual(report["certain_label_agreement"], report["label_agreement"])

    def evaluate_ordinary(self):
        self.sotto("evaluate", "net.onnx", "--data", "images", "--json", "report.json", *POLYNOMIAL)
        return (self.dir / "report.json").read_text()


if __name__ == "__main__":
    harness.main()

"""Results for others: what is written says its bound and nothing else, and there is one release of each result."""

import csv
import json
import os
import shutil
import stat

import numpy as np

import harness
from harness import USAGE, PreparedCase

DECRYPT = ("decrypt", "net.client", "--keys", "keys", "--in")


class Publish(PreparedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        order, _ = harness.reading_order(cls.images, cls.network.classes)
        cls.expected = cls.network.scores(cls.images[order])
        cls.encrypt()
        cls.infer()

    def rows(self, name):
        with open(self.dir / name, newline="") as file:
            return list(csv.DictReader(file))

    def keys(self, name):
        """The same keys, under which nothing is published yet."""
        shutil.copytree(self.dir / "keys", self.dir / name, ignore=shutil.ignore_patterns("eval.key", "releases"))
        return name

    def again(self, name):
        """A result of its own: encryption is fresh."""
        self.encrypt(f"{name}.in")
        self.infer(f"{name}.in", f"{name}.out")
        return f"{name}.out"

    def test_labels_with_a_margin(self):
        r = self.decrypt("out.sotto", "--publish", "labels", "--csv", "labels.csv", "--json", "labels.json", keys=self.keys("a"))
        report, rows = json.loads((self.dir / "labels.json").read_text()), self.rows("labels.csv")
        self.assertEqual(list(rows[0]), ["index", "label", "class", "noise_deviation", "margin", "key_bits", "statistical_bits"])
        self.assertEqual(len(rows), len(self.images))
        for row, scores in zip(rows, self.expected):
            lead = scores.max() - np.sort(scores)[-2]
            if lead > 3 * report["margin"]:  # eight deviations beyond it
                self.assertEqual(row["label"], str(scores.argmax()))
            if row["label"]:
                self.assertEqual(row["class"], self.network.classes[int(row["label"])])
            self.assertEqual(float(row["noise_deviation"]), report["noise_deviation"])
        self.assertEqual(report["withheld"], sum(row["label"] == "" for row in rows))
        self.assertLess(report["withheld"], len(rows), "nothing at all is published")
        self.assertGreaterEqual(report["key_bits"], 100)
        self.assertNotIn("doubtful", report)
        self.assertIn("recovering it costs", r.out)
        self.assertNotIn("%", r.out, "confidences are no labels")

    def test_scores_with_statistical_security(self):
        out, keys = self.again("scores"), self.keys("b")
        request = (out, "--publish", "scores", "--statistical-bits", 30)
        self.decrypt(*request, "--out", "a.npy", "--json", "scores.json", keys=keys)
        report, scores = json.loads((self.dir / "scores.json").read_text()), np.load(self.dir / "a.npy")
        self.assertGreaterEqual(report["statistical_bits"], 30)
        self.assertTrue((scores % report["step"] == 0).all(), "not rounded")
        error = scores - self.expected
        self.assertLess(np.abs(error).max(), 7 * report["noise_deviation"])
        self.assertGreater(np.abs(error).max(), 0.2 * report["noise_deviation"])
        self.decrypt(*request, "--out", "b.npy", "--json", "scores.json", keys=keys)
        np.testing.assert_array_equal(scores, np.load(self.dir / "b.npy"))
        self.assertTrue(json.loads((self.dir / "scores.json").read_text())["again"])
        decrypt = ("decrypt", "net.client", "--keys", keys, "--in")
        self.assert_refused(USAGE, *decrypt, out, "--publish", "labels", "--csv", "x.csv", words=["published before"])
        self.assert_refused(USAGE, *decrypt, self.again("more"), "--publish", "scores", "--statistical-bits", 30, "--out", "x.npy",
                            words=["under this key"])

    def test_the_record_is_private(self):
        self.decrypt("out.sotto", "--publish", "labels", keys=self.keys("c"), prepare=lambda: os.umask(0))
        folder = self.dir / "c/releases"
        self.assertEqual(len(list(folder.iterdir())), 1)
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        for path in folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)
        self.assert_no_temporary_files()

    def test_what_is_not_for_others_is_refused(self):
        for more, words in ((("--sheet", "x.png"), ["--sheet"]), (("--data", "images"), ["--data"]), (("--out", "x.npy"), ["scores"]),
                            (("--flood", 1), ["--flood"]), (("--key-bits", "nan"), ["--key-bits"]), (("--key-bits", 127), ["127"]),
                            (("--key-bits", 90, "--statistical-bits", 30), ["--statistical-bits"]),
                            (("--statistical-bits", 0), ["--statistical-bits", "range"]),
                            (("--statistical-bits", -20), ["--statistical-bits", "range"]),
                            (("--statistical-bits", "nan"), ["--statistical-bits"])):
            self.assert_refused(USAGE, *DECRYPT, "out.sotto", "--publish", "labels", *more, words=words)
        for option in ("--key-bits", "--statistical-bits", "--releases"):
            self.assert_refused(USAGE, *DECRYPT, "out.sotto", option, 10, words=["--publish"])
        self.assert_refused(USAGE, *DECRYPT, "out.sotto", "--publish", "everything", words=["labels", "scores"])


if __name__ == "__main__":
    harness.main()

"""The whole way of the data, verb by verb, against a float64 computation of the same network."""

import base64
import csv
import html
import json
import os
import re
import stat
import unittest

import numpy as np

import harness
import models
from harness import BAD_INPUT, USAGE, PreparedCase


class Chain(PreparedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order, cls.truth = harness.reading_order(cls.images, cls.network.classes)
        cls.expected = cls.network.scores(cls.images[cls.order])
        cls.encrypt()
        cls.infer()
        cls.decrypted = cls.decrypt("out.sotto", "--out", "scores.npy", "--csv", "labels.csv", "--sheet", "sheet.png")
        cls.decrypt("out.sotto", "--sheet", "sheet.html")

    def test_scores_equal_float64(self):
        scores = np.load(self.dir / "scores.npy")
        self.assertEqual((scores.dtype, scores.shape), (np.float64, self.expected.shape))
        error = scores - self.expected
        self.assertLess(np.abs(error).max(), 1e-2)
        self.assertLess(error.std(), 0.05 * self.expected.std())

    def test_labels_csv(self):
        with open(self.dir / "labels.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), len(self.images))
        scores, classes = np.load(self.dir / "scores.npy"), self.network.classes
        for k, row in enumerate(rows):
            label = int(scores[k].argmax())
            sure = np.exp(scores[k] - scores[k].max())
            self.assertEqual(int(row["index"]), k)
            self.assertEqual(row["name"], f"{classes[self.truth[k]]}/{self.order[k]:04}.png")
            self.assertEqual((int(row["label"]), row["class"]), (label, classes[label]))
            self.assertEqual((int(row["true_label"]), row["true_class"]), (self.truth[k], classes[self.truth[k]]))
            self.assertAlmostEqual(float(row["score"]), scores[k, label], places=5)
            self.assertAlmostEqual(float(row["confidence"]), 1 / sure.sum(), places=3)

    def test_decrypt_prints_labels(self):
        right = sum(int(s.argmax()) == t for s, t in zip(self.expected, self.truth))
        self.assertIn(f"{right} of {len(self.images)} labels are right", self.decrypted.out)

    def test_sheet_png_shows_every_image(self):
        sheet = harness.read_png((self.dir / "sheet.png").read_bytes())
        shown = {tuple(c) for c in sheet.reshape(3, -1).T}
        for image in self.images:
            self.assertLessEqual({tuple(c) for c in image.reshape(3, -1).T}, shown)

    def test_sheet_html_shows_every_image(self):
        page = (self.dir / "sheet.html").read_text()
        pictures = [harness.read_png(base64.b64decode(b)) for b in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
        np.testing.assert_array_equal(pictures, self.images[self.order])
        for scores in self.expected:
            self.assertIn(self.network.classes[int(scores.argmax())], page)
        self.assertIsNone(re.search(r'(src|href)="(?!data:)', page), "the page needs other files")

    def test_secret_is_private(self):
        # Even where the user's umask would allow everything.
        self.sotto("keygen", "net.client", "--out", "open", prepare=lambda: os.umask(0))
        self.sotto("encrypt", "net.client", "--keys", "open", "--data", "images", "--out", "open.sotto", prepare=lambda: os.umask(0))
        private = [self.dir / "open/secret.key", *(self.dir / "open/inputs").iterdir()]
        self.assertEqual(len(private), 2)
        for path in private:
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path)

    def test_no_temporary_files(self):
        self.assert_no_temporary_files()

    def test_plan_of_model_plan_and_client(self):
        for file in ("net.onnx", "net.plan", "net.client"):
            table = self.sotto("plan", file)
            self.assertIn("net.onnx", table.out)
            self.assertIn("128 bits", table.out)
            self.assertEqual(table.err, "")
            j = json.loads(self.sotto("plan", file, "--json").out)
            for name in ("eval_key_bytes", "input_bytes", "output_bytes", "batch", "keys"):
                self.assertGreater(j[name], 0, f"{name} of {file}")
            self.assertEqual(j["parameters"]["security_bits"], 128)
            if file == "net.client":
                self.assertEqual(j["classes"], list(self.network.classes))
                continue
            self.assertGreater(j["predicted_seconds"], 0)
            self.assertGreater(j["predicted_peak_bytes"], 1 << 20)
            self.assertTrue(j["steps"])
            for step in j["steps"]:
                self.assertGreater(step["predicted_seconds"], 0)
                self.assertGreater(step["predicted_peak_bytes"], 0)
            one = json.loads(self.sotto("plan", file, "--json", "--threads", "1").out)
            self.assertEqual(one["threads"], 1)
            by_threads = [j["predicted_seconds_by_threads"][t] for t in ("1", "2", "8", "32", "96")]
            self.assertEqual(by_threads, sorted(by_threads, reverse=True))
            self.assertGreater(by_threads[0], 1.3 * by_threads[1])

    def test_predicted_file_sizes_are_right(self):
        j = json.loads(self.sotto("plan", "net.client", "--json").out)
        for name, file in (("eval_key_bytes", "keys/eval.key"), ("input_bytes", "in.sotto"), ("output_bytes", "out.sotto")):
            self.assertLess(abs((self.dir / file).stat().st_size - j[name]), 8192, file)

    def test_plan_is_reproducible(self):
        # The id names keys, inputs and outputs: compiling again must not make old ones useless.
        (self.dir / "again").mkdir(exist_ok=True)
        self.sotto("compile", "net.onnx", "--out", "again/net")
        for ending in (".plan", ".client"):
            self.assertEqual((self.dir / "again" / ("net" + ending)).read_bytes(), (self.dir / ("net" + ending)).read_bytes())

    def test_client_file_holds_no_weights(self):
        plan = harness.Container((self.dir / "net.plan").read_bytes())
        client = (self.dir / "net.client").read_bytes()
        weights = plan.sections[0]
        self.assertGreater(len(weights), 0)
        for at in range(0, len(weights) - 7, 8):
            if weights[at:at + 8] != bytes(8):
                self.assertNotIn(weights[at:at + 8], client)

    def test_encryption_is_fresh(self):
        self.encrypt("a.sotto")
        self.encrypt("b.sotto")
        a, b = ((self.dir / f).read_bytes() for f in ("a.sotto", "b.sotto"))
        self.assertEqual(len(a), len(b))
        same = sum(a[k:k + 64] == b[k:k + 64] for k in range(4096, len(a), 64))
        self.assertEqual(same, 0, "ciphertexts of the same images repeat")

    def test_files_list_start_and_count(self):
        names = [f"images/{self.network.classes[k % 3]}/{k:04}.png" for k in (4, 0, 2)]
        self.sotto("encrypt", "net.client", "--keys", "keys", "--data", *names, "--start", "1", "--count", "2", "--out", "part.sotto")
        self.infer("part.sotto", "part-out.sotto")
        self.decrypt("part-out.sotto", "--out", "part.npy", "--csv", "part.csv")
        scores = np.load(self.dir / "part.npy")
        self.assertLess(np.abs(scores - self.network.scores(self.images[[0, 2]])).max(), 1e-2)
        with open(self.dir / "part.csv", newline="") as file:
            self.assertEqual([row["name"] for row in csv.DictReader(file)], ["0000.png", "0002.png"])

    def test_strange_names(self):
        folder = self.dir / "a folder, with 'strange' names: ü"
        folder.mkdir()
        self.sotto("compile", "../net.onnx", "--out", "n é t", cwd=folder)
        self.sotto("keygen", "n é t.client", "--out", "k e y s", cwd=folder)
        self.sotto("encrypt", "n é t.client", "--keys", "k e y s", "--data", "../images", "--out", "-in", cwd=folder)
        self.sotto("infer", "n é t.plan", "--eval-key", "k e y s/eval.key", "--in=-in", "--out", "out", cwd=folder)
        self.sotto("decrypt", "n é t.client", "--keys", "k e y s/secret.key", "--in", "out", "--out", "s.npy", "--sheet", "s.html", cwd=folder)
        self.assertLess(np.abs(np.load(folder / "s.npy") - self.expected).max(), 1e-2)

    def test_relative_data_is_found_from_another_folder(self):
        other = self.dir / "elsewhere"
        other.mkdir()
        self.sotto("decrypt", "../net.client", "--keys", "../keys", "--in", "../out.sotto", "--sheet", "s.png", cwd=other)
        self.assertTrue((other / "s.png").exists())

    def test_images_that_moved(self):
        images = self.dir / "moving"
        harness.write_pictures(images, self.images)
        self.encrypt("moving.sotto", "moving")
        self.infer("moving.sotto", "moving-out.sotto")
        images.rename(self.dir / "moved")
        self.decrypt("moving-out.sotto", "--out", "moving.npy", "--csv", "moving.csv")
        self.assertEqual(np.load(self.dir / "moving.npy").shape, (len(self.images), 3))
        self.assert_refused(USAGE, "decrypt", "net.client", "--keys", "keys", "--in", "moving-out.sotto", "--sheet", "moving.png",
                            words=["--data"])
        self.decrypt("moving-out.sotto", "--sheet", "moving.png", "--data", "moved")

    def test_images_that_changed_get_no_wrong_labels(self):
        # A picture that came later must not be shown with the scores of another one.
        images = self.dir / "growing"
        harness.write_pictures(images, self.images)
        self.encrypt("growing.sotto", "growing")
        self.infer("growing.sotto", "growing-out.sotto")
        (images / "0000-earlier.png").write_bytes(harness.png_bytes(self.images[-1]))
        self.decrypt("growing-out.sotto", "--csv", "growing.csv")
        expected = self.network.scores(self.images).argmax(axis=1)
        with open(self.dir / "growing.csv", newline="") as file:
            for k, row in enumerate(csv.DictReader(file)):
                self.assertIn(row["name"], ("", f"{k:04}.png"), "a label stands beside another picture")
                self.assertEqual(int(row["label"]), expected[k])

    def test_sheet_of_another_kind_is_refused_before_any_output(self):
        self.assert_refused(USAGE, "decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "x.npy", "--csv", "x.csv",
                            "--sheet", "x.gif", words=[".png", ".html"])

    def test_flooding_hides_the_noise(self):
        for sigma, least in (("0.5", 0.05), ("0", 0)):
            self.decrypt("out.sotto", "--out", "flooded.npy", "--flood", sigma)
            error = np.abs(np.load(self.dir / "flooded.npy") - self.expected).max()
            self.assertGreaterEqual(error, least)
            self.assertLess(error, 10 * float(sigma) + 1e-2)
        # A value that adds no noise must not pass for one that does.
        self.assert_refused(USAGE, "decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--flood", "nan")

    def test_pipes_are_not_replaced(self):
        # Writing to a temporary file and renaming it would destroy the pipe or device.
        os.mkfifo(self.dir / "pipe")
        r = harness.run("decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--csv", "pipe", cwd=self.dir, env=self.env)
        self.assertEqual(r.code, BAD_INPUT, r)
        self.assertTrue(stat.S_ISFIFO((self.dir / "pipe").stat().st_mode))

    def test_no_verb_overwrites_the_secret_key(self):
        key = self.dir / "keys/secret.key"
        before = key.read_bytes()
        self.assert_refused(USAGE, "keygen", "net.client", "--out", "keys", words=["--force"])
        for verb in (["encrypt", "net.client", "--keys", "keys", "--data", "images", "--out", "keys/secret.key"],
                     ["infer", "net.plan", "--eval-key", "keys/eval.key", "--in", "in.sotto", "--out", "keys/secret.key"],
                     ["decrypt", "net.client", "--keys", "keys", "--in", "out.sotto", "--out", "keys/secret.key"]):
            with self.subTest(verb[0]):
                try:
                    r = harness.run(*verb, cwd=self.dir, env=self.env)
                    self.assertNotEqual(r.code, 0, r)
                    self.assertEqual(key.read_bytes(), before)
                finally:
                    key.write_bytes(before)

    def test_every_verb_reports_what_it_took(self):
        steps = {
            "compile": ["compile", "net.onnx", "--batch", "1", "--out", "r"],
            "keygen": ["keygen", "r.client", "--out", "report-keys"],
            "encrypt": ["encrypt", "r.client", "--keys", "report-keys", "--data", "images", "--out", "r-in.sotto"],
            "infer": ["infer", "r.plan", "--eval-key", "report-keys/eval.key", "--in", "r-in.sotto", "--out", "r-out.sotto"],
            "decrypt": ["decrypt", "r.client", "--keys", "report-keys", "--in", "r-out.sotto"],
        }
        files = {"compile": {"plan_bytes": "r.plan", "client_bytes": "r.client"}, "keygen": {"eval_key_bytes": "report-keys/eval.key"},
                 "encrypt": {"input_bytes": "r-in.sotto"}, "decrypt": {"output_bytes": "r-out.sotto"},
                 "infer": {"input_bytes": "r-in.sotto", "output_bytes": "r-out.sotto", "eval_key_bytes": "report-keys/eval.key"}}
        parts = {"encrypt": ["read_seconds", "encrypt_seconds"], "infer": ["read_seconds", "compute_seconds", "write_seconds"]}
        for verb, command in steps.items():
            with self.subTest(verb):
                self.sotto(*command, "--json", "step.json")
                r = json.loads((self.dir / "step.json").read_text())
                self.assertGreater(r["seconds"], 0)
                self.assertGreater(r["peak_rss_bytes"], 1 << 20)
                for name, file in files[verb].items():
                    self.assertEqual(r[name], (self.dir / file).stat().st_size, name)
                self.assertLessEqual(sum(r[p] for p in parts.get(verb, [])), r["seconds"])
        streamed = self.sotto(*steps["decrypt"], "--json", "-")
        self.assertEqual(json.loads(streamed.out)["images"], len(self.images))
        self.assert_refused(USAGE, *steps["decrypt"], "--json", "-", "--csv", "-")
        picture = next((self.dir / "images").rglob("*.png")).relative_to(self.dir)
        for verb, own in (("compile", "net.onnx"), ("encrypt", picture)):
            before = (self.dir / own).read_bytes()
            self.assert_refused(USAGE, *steps[verb], "--json", own)
            self.assertEqual((self.dir / own).read_bytes(), before)

    def test_keygen_force_makes_a_new_key(self):
        self.sotto("keygen", "net.client", "--out", "forced")
        before = (self.dir / "forced/secret.key").read_bytes()
        self.sotto("keygen", "net.client", "--out", "forced", "--force")
        self.assertNotEqual((self.dir / "forced/secret.key").read_bytes(), before)
        self.assertEqual(stat.S_IMODE((self.dir / "forced/secret.key").stat().st_mode), 0o600)


class ClassNames(PreparedCase):
    """Names of classes are data: they come from the owner of the model and end up in pages and tables."""

    network = models.Network(classes=('<b>"x" & \'y\'', 'Zürich 日本', '=cmd|"/c calc"!A1'), seed=4)
    pictures = 1

    @classmethod
    def setUpClass(cls):
        super(PreparedCase, cls).setUpClass()
        cls.network.save(cls.dir / "net.onnx")
        cls.images = cls.network.clear_images(12)
        harness.write_pictures(cls.dir / "images", cls.images)
        cls.sotto("compile", "net.onnx", "--out", "net")
        cls.sotto("keygen", "net.client", "--out", "keys")
        cls.encrypt()
        cls.infer()

    def test_html_is_escaped(self):
        self.decrypt("out.sotto", "--sheet", "sheet.html")
        page = (self.dir / "sheet.html").read_text()
        self.assertNotIn("<b>", page)
        text = html.unescape(page)
        for k in self.network.scores(self.images).argmax(axis=1):
            self.assertIn(self.network.classes[k], text)

    def test_csv_reads_back(self):
        self.decrypt("out.sotto", "--csv", "labels.csv")
        with open(self.dir / "labels.csv", newline="") as file:
            names = [row["class"] for row in csv.DictReader(file)]
        # What begins like a formula gets an apostrophe.
        expected = ["'" + c if c.startswith("=") else c for c in self.network.classes]
        self.assertEqual(names, [expected[k] for k in self.network.scores(self.images).argmax(axis=1)])

    def test_png_with_names_beyond_ascii(self):
        self.decrypt("out.sotto", "--sheet", "sheet.png")
        harness.read_png((self.dir / "sheet.png").read_bytes())


if __name__ == "__main__":
    harness.main()

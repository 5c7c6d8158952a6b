"""`sotto evaluate`: its report, batches that are not full, and more images than one batch holds."""

import csv
import json
import math
import os
import re
import signal
import stat
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np

import harness
import models
from harness import NO_RESOURCES, Case

# Every field that the command-line contract promises, with its type.
FIELDS = {
    "images": int, "correct": int, "accuracy": float, "plain_correct": int, "plain_accuracy": float, "label_agreement": float,
    "max_abs_logit_error": float, "rms_logit_error": float, "amortized_seconds_per_image": float, "wall_seconds": float,
    "peak_rss_bytes": int, "eval_key_bytes": int, "input_bytes": int, "output_bytes": int, "ring_dimension": int, "log2_qp": float,
    "security_bits": int, "bootstraps": int, "threads": int, "cpu_kernels": str, "labels": list,
}
# Uniform ternary secret, 128 bits, classical (ia.cr/2024/463).
MOST_LOG2_QP = {1 << 14: 430, 1 << 15: 868, 1 << 16: 1747, 1 << 17: 3523}


VOID = {"meta", "img", "br"}  # elements of HTML that have no end


class Page(HTMLParser):
    """A report: checks on the way that elements are closed in order and that nothing comes from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.problems = [], "", []
        self.elements = []  # (tag, attributes)
        self.feed(text)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")
        # The plots again, as what they are.
        self.plots = [ElementTree.fromstring(plot) for plot in re.findall(r"<svg.*?</svg>", text, re.S)]

    def handle_starttag(self, tag, attributes):
        self.handle_startendtag(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag in ("script", "link", "iframe", "object") or any(name.startswith("on") for name in attributes):
            self.problems.append(f"<{tag}> {attributes}")
        for name in ("src", "href", "data"):
            if not attributes.get(name, "data:").startswith("data:"):
                self.problems.append(f"{name}={attributes[name]}")

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data

    def count(self, tag, kind=None):
        return sum(t == tag and (kind is None or a.get("class") == kind) for t, a in self.elements)


def titles(plot):
    return [element.text for element in plot.iter("title")]


class EvaluateCase(Case):
    def page(self, name="report.html"):
        page = Page((self.dir / name).read_text(encoding="utf-8"))
        self.assertEqual(page.problems, [])
        self.assertNotRegex(page.text, r"\b(nan|inf|null)\b")
        return page

    def evaluate(self, model, data, *more, **kw):
        r = self.sotto("evaluate", model, "--data", data, "--json", "report.json", *more, **kw)
        report = json.loads((self.dir / "report.json").read_text())
        (self.dir / "report.json").unlink()
        self.assert_no_temporary_files()
        return r, report

    def check_report(self, j, images, labels, scores):
        """images: how many; labels: true ones; scores: in float64, computed here."""
        for name, kind in FIELDS.items():
            self.assertIn(name, j)
            self.assertIsInstance(j[name], (int, float) if kind is float else kind, name)
        plain = scores.argmax(axis=1)
        self.assertEqual(j["images"], images)
        self.assertEqual(len(j["labels"]), images)
        self.assertEqual(j["correct"], sum(a == b for a, b in zip(j["labels"], labels)))
        self.assertEqual(j["plain_correct"], sum(int(a) == b for a, b in zip(plain, labels)))
        self.assertAlmostEqual(j["accuracy"], j["correct"] / images)
        self.assertAlmostEqual(j["plain_accuracy"], j["plain_correct"] / images)
        self.assertAlmostEqual(j["label_agreement"], np.mean(plain == j["labels"]))
        self.assertGreater(j["max_abs_logit_error"], 0)
        self.assertLessEqual(j["rms_logit_error"], j["max_abs_logit_error"])
        self.assertAlmostEqual(j["amortized_seconds_per_image"], j["wall_seconds"] / images)
        self.assertGreater(j["wall_seconds"], 0)
        self.assertGreater(j["peak_rss_bytes"], 1 << 20)
        self.assertLessEqual(j["log2_qp"], MOST_LOG2_QP[j["ring_dimension"]])
        self.assertGreaterEqual(j["security_bits"], 128)
        self.assertIn(j["cpu_kernels"], ("scalar", "avx2", "avx512", "amx"))
        for value in j.values():
            if isinstance(value, float):
                self.assertTrue(math.isfinite(value))


class SmallImages(EvaluateCase):
    """8x8 pixels: one batch holds 1024 images."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network = models.Network()
        cls.network.save(cls.dir / "net.onnx")
        cls.images = cls.network.clear_images(3)
        harness.write_pictures(cls.dir / "images", cls.images, cls.network.classes)
        cls.order, cls.labels = harness.reading_order(cls.images, cls.network.classes)
        cls.scores = cls.network.scores(cls.images[cls.order])

    def test_three_images(self):
        r, j = self.evaluate("net.onnx", "images", "--report", "report.html", "--sheet", "sheet.png", "--out", "scores.npy",
                             "--csv", "labels.csv")
        self.check_report(j, 3, self.labels, self.scores)
        self.assertEqual(j["label_agreement"], 1.0)
        self.assertEqual(j["bootstraps"], 0)
        scores = np.load(self.dir / "scores.npy")
        error = np.abs(scores - self.scores)
        self.assertLess(error.max(), 1e-2)
        self.assertAlmostEqual(error.max(), j["max_abs_logit_error"], places=6)
        self.assertAlmostEqual(np.sqrt((error ** 2).mean()), j["rms_logit_error"], places=6)
        with open(self.dir / "labels.csv", newline="") as file:
            self.assertEqual([int(row["label"]) for row in csv.DictReader(file)], j["labels"])
        harness.read_png((self.dir / "sheet.png").read_bytes())
        page = self.page()
        self.assertEqual(page.count("img"), 3)
        self.assertEqual(len(page.plots), 5)
        time, memory, packing, errors, labels = page.plots
        steps = j["steps"]
        for step in steps:
            for plot in (time, memory):
                self.assertTrue(any(step["name"] in t for t in titles(plot)), f"{step['name']} in {titles(plot)}")
        self.assertEqual(sum(e.get("class") == "mark" for e in time.iter("line")), len(steps) + 1, "and one in the legend")
        self.assertEqual(sum(e.get("class") == "line0" for e in memory.iter("line")), 2)
        self.assertIn(f"images in a ciphertext: {j['batch']}", [e.text for e in packing.iter("text")])
        self.assertTrue(any(t.startswith("error of a score: ") for t in titles(errors)))
        for k, truth in enumerate(self.network.classes):
            shown = [int(t.rsplit(": ", 1)[1]) for t in titles(labels) if t.startswith(f"{truth} as ")]
            self.assertEqual(sum(shown), self.labels.count(k))
        self.assertIn("100.00 %", page.text)
        self.assertIn(f"{j['ring_dimension']:,}", page.text)
        self.assertIn("3 encrypted images", r.out)
        # The sizes are those of one whole batch, however few images there are.
        p = json.loads(self.sotto("plan", "net.onnx", "--batch", "3", "--json").out)
        for name in ("eval_key_bytes", "input_bytes", "output_bytes"):
            self.assertLess(abs(j[name] - p[name]), 8192, name)

    def test_threads_do_not_change_labels(self):
        reports = [self.evaluate("net.onnx", "images", "--threads", t, "--out", f"scores{t}.npy")[1] for t in ("1", "2")]
        self.assertEqual([j["threads"] for j in reports], [1, 2])
        self.assertEqual(reports[0]["labels"], reports[1]["labels"])

    def test_its_folder_is_private(self):
        seen = set()

        def look():
            for path in (self.dir / "tmp").iterdir():
                try:
                    seen.add((stat.S_IMODE(path.stat().st_mode), any(path.iterdir())))
                except OSError:  # gone meanwhile
                    pass
            return False

        harness.run_and_signal("evaluate", "net.onnx", "--data", "images", number=signal.SIGINT, when=look, cwd=self.dir, env=self.env,
                               prepare=lambda: os.umask(0))
        self.assertIn((0o700, True), seen, "files were in it")
        self.assertEqual({mode for mode, _ in seen}, {0o700})
        self.assertEqual(list((self.dir / "tmp").iterdir()), [])

    def test_one_image_without_label(self):
        harness.write_pictures(self.dir / "unknown", self.images[:1])
        _, j = self.evaluate("net.onnx", "unknown", "--report", "unknown.html")
        self.assertEqual(j["labels"], [int(self.network.scores(self.images[:1]).argmax())])
        self.assertIsNone(j["accuracy"])  # not zero: nothing is known
        page = self.page("unknown.html")
        self.assertEqual(len(page.plots), 4, "no true labels, no table of them")
        self.assertIn("the images have no true labels", page.text)

    def test_names_cannot_break_out_of_the_report(self):
        evil = "</svg><script>alert('1')</script>"
        classes = ("a<b>", evil, "c&amp;\"d'")
        models.Network(classes=classes).save(self.dir / "a<b>&amp;'.onnx")
        _, j = self.evaluate("a<b>&amp;'.onnx", "images", "--report", "evil.html")
        page = self.page("evil.html")
        for name in ("a<b>&amp;'.onnx", *(classes[label] for label in j["labels"])):
            self.assertIn(name, page.text)

    def test_memory_too_small_says_how_much(self):
        r = self.assert_refused(NO_RESOURCES, "evaluate", "net.onnx", "--data", "images", "--batch", "1024", "--memory", "20M",
                                "--json", "no.json")
        self.assertRegex(r.err, r"needs? about [0-9.]+ [MG]iB")

    def test_report_that_cannot_be_written_is_refused_at_once(self):
        # Not after hours of inference.
        r = self.assert_refused(harness.BAD_INPUT, "evaluate", "net.onnx", "--data", "images", "--json", "nowhere/report.json")
        self.assertNotIn("encrypted images", r.out)
        r = harness.run("evaluate", "net.onnx", "--data", "images", "--json", "first.json", "--report", "nowhere/report.html",
                        cwd=self.dir, env=self.env)
        self.assertEqual(r.code, harness.BAD_INPUT, r)
        self.assertFalse((self.dir / "first.json").exists(), "a report was left behind though the verb failed")


class SeveralBatches(EvaluateCase):
    """CIFAR-sized images: the smallest batch holds 64."""

    COUNT = 150

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.network = models.Network(side=32)
        cls.network.save(cls.dir / "net.onnx")
        clear = cls.network.clear_images(cls.COUNT, margin=0.1)
        cls.images, cls.labels = harness.write_cifar(cls.dir / "data", cls.COUNT, 3, images=clear)
        cls.scores = cls.network.scores(cls.images)

    def test_every_image_of_every_batch(self):
        _, j = self.evaluate("net.onnx", "cifar10:data", "--batch", "64", "--out", "scores.npy")
        self.check_report(j, self.COUNT, self.labels, self.scores)
        self.assertEqual(j["labels"], self.scores.argmax(axis=1).tolist())
        self.assertEqual(j["label_agreement"], 1.0)
        error = np.abs(np.load(self.dir / "scores.npy") - self.scores).max(axis=1)
        self.assertLess(error.max(), 0.1, f"image {error.argmax()}")

    def test_start_and_count(self):
        _, j = self.evaluate("net.onnx", "cifar10:data", "--batch", "64", "--start", "60", "--count", "70")
        self.check_report(j, 70, self.labels[60:130], self.scores[60:130])
        self.assertEqual(j["labels"], self.scores[60:130].argmax(axis=1).tolist())

    def test_default_batch(self):
        # Another packing (tiles of 8x8): same labels.
        _, j = self.evaluate("net.onnx", "cifar10:data", "--count", "5")
        self.check_report(j, 5, self.labels[:5], self.scores[:5])
        self.assertEqual(j["labels"], self.scores[:5].argmax(axis=1).tolist())

    def test_small_memory_without_batch_is_refused(self):
        # There is no smaller batch to fall back to.
        for verb in (["plan", "net.onnx"], ["compile", "net.onnx", "--out", "small"],
                     ["evaluate", "net.onnx", "--data", "cifar10:data"]):
            r = self.assert_refused(NO_RESOURCES, *verb, "--memory", "10M", timeout=20)
            self.assertRegex(r.err, r"needs? about [0-9.]+ [MG]iB")


if __name__ == "__main__":
    harness.main()

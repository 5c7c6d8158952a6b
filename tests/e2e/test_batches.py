"""bench/batches.py: rows, checks, going on after an interruption; with a program that only pretends, and once with Sotto."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import harness
import models
from harness import Case

SCRIPT = Path(__file__).resolve().parents[2] / "bench/batches.py"

# Answers as `sotto evaluate` does; some numbers of images go wrong in a way of their own.
PRETENDER = '''#!{python}
import json, pathlib, sys, time
def option(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
here, n, threads, memory = pathlib.Path(__file__).parent, int(option("--count")), int(option("--threads")), option("--memory")
with open(here / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if n == 5:
    print("sotto: even a batch of 64 needs about 2 GiB", file=sys.stderr)
    sys.exit(5)
if n > 10000:
    print("sotto: test_batch.bin holds 10000 images; 20000 from number 0 on are asked for", file=sys.stderr)
    sys.exit(3)
if n == 99:
    print("inference:  10 %", file=sys.stderr, flush=True)
    (here / "started").touch()
    time.sleep(60)
seconds = 40 * n / threads
report = dict(images=n - (n == 7), labels=[0] * n, batch=n, batches=1, tile=[8, 8], group=2, amortized_seconds_per_image=seconds / n,
              wall_seconds=seconds, total_seconds=seconds + 1, predicted_seconds=seconds / 2, peak_rss_bytes=4e9,
              predicted_peak_bytes=5e9, eval_key_bytes=6e8, input_bytes=3e8, output_bytes=8e6, label_agreement=0.5 if n == 9 else 1.0,
              accuracy=None if n == 11 else 0.9, plain_accuracy=0.91, max_abs_logit_error=float("nan") if n == 8 else 0.25,
              rms_logit_error=0.05, threads=threads, cpu_kernels="scalar")
pathlib.Path(option("--json")).write_text("no JSON" if n == 10 else json.dumps(report))
'''


class Batches(Case):
    def setUp(self):
        self.home = self.dir / self._testMethodName
        self.home.mkdir()
        self.program, self.out = self.home / "sotto", self.home / "out"
        self.program.write_text(PRETENDER.replace("{python}", sys.executable))
        self.program.chmod(self.program.stat().st_mode | stat.S_IXUSR)

    def command(self, *args, program=None):
        return [sys.executable, "-B", str(SCRIPT), "--data", "cifar10:somewhere", "--sotto", str(program or self.program),
                "--out", str(self.out), *args]

    def batches(self, *args, code=0, **kw):
        p = subprocess.run(self.command(*args, **kw), capture_output=True, text=True, cwd=self.dir, timeout=harness.TIMEOUT,
                           env={**os.environ, **self.env})
        self.assertEqual(p.returncode, code, p.stdout + p.stderr)
        self.assertNotIn("Traceback", p.stderr)
        return p

    def calls(self):
        path = self.home / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def runs(self):
        page = json.loads((self.out / "batches.json").read_text())
        return {(r["count"], r["memory"], r["threads"]): r for r in page["runs"]}, page["setup"]

    def test_all_kinds_of_rows(self):
        self.batches("--batches", "1,16", "--memory", "5G", "--memory-batch", "16", "--threads", "1,4", "--threads-batch", "16")
        runs, setup = self.runs()
        cores = setup["cores"]
        self.assertEqual(set(runs), {(1, None, cores), (16, None, cores), (16, "5G", cores), (16, None, 1), (16, None, 4)})
        self.assertEqual(len(self.calls()), len(runs))
        one = runs[1, None, cores]
        self.assertEqual(one["state"], "done")
        self.assertEqual(one["measured_over_predicted"], 2)
        self.assertEqual(one["group"], 2)
        self.assertTrue(0 <= one["other_work"] <= 1)
        for name in ("cpu", "memory_bytes", "commit", "program", "model"):
            self.assertIn(name, setup)
        self.assertTrue(any("--memory 5G" in call and "--batch 16" in call for call in self.calls()))
        text = (self.out / "batches.md").read_text()
        self.assertRegex(text, r"\| 16 \| - \| 4 \| 160\.0 s \| 4\.00 \|")  # four threads, four times as fast
        tables = [line for line in text.splitlines() if line.startswith("|")]
        for block in text.split("\n\n"):
            if block.startswith("|"):
                self.assertEqual(len({line.count("|") for line in block.splitlines()}), 1, block)
        self.assertGreater(len(tables), 8)
        self.assertIn("600 MB / 300 MB / 8 MB", text)

    def test_wrong_results_are_failures(self):
        self.batches("--batches", "5,7,8,9,10,11", "--threads", "1", "--threads-batch", "1", code=1)
        runs, setup = self.runs()
        reasons = {count: r.get("reason", "") for (count, _, _), r in runs.items()}
        for count, word in ((5, "needs about 2 GiB"), (7, "6 of 7 images"), (8, "max_abs_logit_error is nan"), (9, "labels differ"),
                            (10, "no readable report")):
            self.assertEqual(runs[count, None, setup["cores"]]["state"], "failed")
            self.assertIn(word, reasons[count])
            self.assertIn(word, (self.out / "batches.md").read_text())
        self.assertEqual(runs[11, None, setup["cores"]]["state"], "done", "images need no true labels")

    def test_too_few_images_are_skipped(self):
        p = self.batches("--batches", "1,20000")
        self.assertIn("skipped: the data source holds fewer images", p.stdout)
        self.assertEqual(sorted(r["state"] for r in self.runs()[0].values()), ["done", "skipped"])

    def test_goes_on_where_it_was(self):
        self.batches("--batches", "1,5", code=1)
        self.batches("--batches", "1,5,16", code=1)
        self.assertEqual([call.split("--count ")[1].split()[0] for call in self.calls()], ["1", "5", "5", "16"])
        self.batches("--batches", "16")
        self.assertEqual(sorted(r["state"] for r in self.runs()[0].values()), ["done", "done", "failed"], "earlier rows stay")
        self.batches("--batches", "16", "--fresh")
        self.assertEqual(len(self.calls()), 5)
        # Rows of another program have no place in this table.
        self.program.write_text(self.program.read_text() + "# changed\n")
        p = self.batches("--batches", "16", code=2)
        self.assertIn("--fresh", p.stderr)

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            (self.home / "started").unlink(missing_ok=True)
            p = subprocess.Popen(self.command("--batches", "1,99"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, **self.env}, start_new_session=True)
            deadline = time.monotonic() + 30
            while not (self.home / "started").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            p.send_signal(number)
            _, err = p.communicate(timeout=20)
            self.assertEqual(p.returncode, harness.INTERRUPTED, err)
            self.assertEqual(len(err.splitlines()), 1, err)
            self.assertEqual([r["count"] for r in self.runs()[0].values()], [1])
        self.assertEqual(list((self.dir / "tmp").iterdir()), [])

    def test_usage(self):
        for args in (["--batches", "0"], ["--batches", "1,x"], ["--sotto", "nowhere/sotto"]):
            self.batches(*args, code=2)

    def test_with_sotto(self):
        network = models.Network()
        network.save(self.dir / "net.onnx")
        harness.write_pictures(self.dir / "images", network.clear_images(3), network.classes)
        self.batches("--data", "images", "--model", "net.onnx", "--batches", "1,3,9", program=harness.SOTTO)
        runs, setup = self.runs()
        self.assertEqual([runs[n, None, setup["cores"]]["state"] for n in (1, 3, 9)], ["done", "done", "skipped"])
        self.assertEqual(setup["model"], "net.onnx")


if __name__ == "__main__":
    harness.main()

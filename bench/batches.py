#!/usr/bin/env python3
"""Measures encrypted inference over batch sizes, memory limits and threads, and writes one table.

    bench/batches.py --data cifar10:DIR --out build/bench/batches

Every row is one `sotto evaluate`, whose result is checked: all images done, finite errors, labels that agree with the
float model. OUT/batches.json and OUT/batches.md hold all rows. A second call with the same setup keeps the rows that
are done, so an interrupted measurement goes on where it was. Exit codes: 0, 1 if a row failed, 2 usage, 130 interrupted.
"""
import argparse
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from batches_table import markdown
from machine import ROOT, processor_seconds, setup

TAKEN = ("images", "batch", "batches", "tile", "group", "amortized_seconds_per_image", "wall_seconds", "total_seconds",
         "predicted_seconds", "peak_rss_bytes", "predicted_peak_bytes", "eval_key_bytes", "input_bytes", "output_bytes",
         "label_agreement", "accuracy", "plain_accuracy", "max_abs_logit_error", "rms_logit_error", "threads", "cpu_kernels")
TOO_FEW = re.compile(r"holds \d+ images; .* are asked for")


def numbers(text):
    values = [int(word) for word in text.split(",")]
    if not all(1 <= v <= 65536 for v in values):
        raise argparse.ArgumentTypeError("numbers from 1 to 65536, with commas between them")
    return values


def arguments():
    p = argparse.ArgumentParser(description="Measures sotto evaluate over batch sizes; writes batches.json and batches.md.")
    p.add_argument("--data", required=True, nargs="+", help="as for sotto evaluate, e.g. cifar10:DIR")
    p.add_argument("--model", default=str(ROOT / "models/resnet20-cifar10.onnx"))
    p.add_argument("--batches", type=numbers, default=[1, 16, 128, 512, 1024], help="numbers of images, e.g. 1,16,10000")
    p.add_argument("--memory", nargs="*", default=[], metavar="SIZE", help="further rows with this memory limit, e.g. 5G")
    p.add_argument("--memory-batch", type=int, default=1024, help="number of images of those rows (default 1024)")
    p.add_argument("--threads", type=numbers, default=[], help="further rows with so many threads, e.g. 1,2")
    p.add_argument("--threads-batch", type=int, default=128, help="number of images of those rows (default 128)")
    p.add_argument("--least-agreement", type=float, default=0.98, help="share of labels that must agree (default 0.98)")
    p.add_argument("--out", type=pathlib.Path, default=ROOT / "build/bench/batches")
    p.add_argument("--sotto", type=pathlib.Path, default=ROOT / "build/release/bin/sotto", help="the program to measure")
    p.add_argument("--fresh", action="store_true", help="forget the rows of earlier calls")
    return p.parse_args()


def planned_rows(o):
    """What to measure, each row once."""
    rows = [(n, None, None) for n in o.batches]
    rows += [(o.memory_batch, limit, None) for limit in o.memory]
    rows += [(o.threads_batch, None, t) for t in o.threads]
    cores = len(os.sched_getaffinity(0))
    rows = [{"count": n, "memory": memory, "threads": threads or cores} for n, memory, threads in rows]
    return [row for i, row in enumerate(rows) if row not in rows[:i]]


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


def run(command, prefix):
    """Exit code and the last line on stderr. On a terminal the program's progress shows behind `prefix`."""
    last, child = "", None
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                 errors="replace", start_new_session=True)
        for line in child.stderr:
            last = line.strip() or last
            if sys.stderr.isatty():
                print(f"\r\033[K{prefix}: {last}"[:150], end="", file=sys.stderr, flush=True)
        child.wait()
    except Stopped:
        if child is not None:
            end(child)
        raise
    finally:
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
    return child.returncode, last


def end(child):
    """Asks the program to end, so that it removes its files; ends it if it does not or if the user insists."""
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.communicate(timeout=30)
    except (subprocess.TimeoutExpired, Stopped):
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def problem_of(report, count, least_agreement):
    """What is wrong with a report, or None."""
    if report.get("images") != count or len(report.get("labels", [])) != count:
        return f"{report.get('images')} of {count} images were done"
    for name in ("max_abs_logit_error", "rms_logit_error", "label_agreement", "wall_seconds", "predicted_seconds"):
        value = report.get(name)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return f"{name} is {value}"
    # One borderline image is no fault, where there are some.
    wrong = round(count * (1 - report["label_agreement"]))
    if wrong > max(count * (1 - least_agreement), 1 if count > 8 else 0):
        return f"{wrong} of {count} labels differ from the float model"
    if min(report["wall_seconds"], report["predicted_seconds"]) <= 0:
        return "times that are not positive"
    return None


def measure(o, row, prefix):
    """The row with `state` done, skipped or failed, and what belongs to that."""
    with tempfile.TemporaryDirectory(prefix="sotto-batches-") as folder:
        result = pathlib.Path(folder) / "report.json"
        n = str(row["count"])
        command = [str(o.sotto), "evaluate", o.model, "--data", *o.data, "--count", n, "--batch", n, "--threads",
                   str(row["threads"]), "--json", str(result)]
        if row["memory"]:
            command += ["--memory", row["memory"]]
        start, (busy, own) = time.monotonic(), processor_seconds()
        code, message = run(command, prefix)
        seconds, (busy_now, own_now) = time.monotonic() - start, processor_seconds()
        if code == 3 and TOO_FEW.search(message):
            return {**row, "state": "skipped", "reason": "the data source holds fewer images"}
        if code != 0:
            return {**row, "state": "failed", "reason": f"exit code {code}: {message}"}
        try:
            report = json.loads(result.read_text())
        except (OSError, ValueError) as e:
            return {**row, "state": "failed", "reason": f"no readable report: {e}"}
    problem = problem_of(report, row["count"], o.least_agreement)
    if problem:
        return {**row, "state": "failed", "reason": problem}
    taken = {name: report.get(name) for name in TAKEN}
    others = (busy_now - busy - (own_now - own)) / (seconds * os.cpu_count())
    return {**row, "state": "done", **taken, "measured_over_predicted": report["wall_seconds"] / report["predicted_seconds"],
            "other_work": min(max(others, 0.0), 1.0)}


def write(path, text):
    """Whole or not at all."""
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)


def save(folder, machine, runs):
    page = {"setup": machine, "runs": sorted(runs.values(), key=lambda r: (r["memory"] or "", r["count"], r["threads"]))}
    write(folder / "batches.json", json.dumps(page, indent=2) + "\n")
    write(folder / "batches.md", markdown(page))


def kept_rows(o, machine):
    """The rows of an earlier call, or None if they are of another setup."""
    path = o.out / "batches.json"
    if o.fresh or not path.exists():
        return []
    try:
        earlier = json.loads(path.read_text())
    except ValueError:
        return None
    return earlier["runs"] if earlier["setup"] == machine else None


def summary(row):
    if row["state"] != "done":
        return f"{row['state']}: {row['reason']}"
    return (f"{row['wall_seconds']:.1f} s, {row['amortized_seconds_per_image']:.3g} s per image, "
            f"{row['peak_rss_bytes'] / 1e9:.1f} GB, {100 * row['label_agreement']:.2f} % of labels agree"
            + (f"; other programs took {100 * row['other_work']:.0f} % of the machine" if row["other_work"] > 0.1 else ""))


def main():
    o = arguments()
    if not o.sotto.exists():
        print(f"batches.py: {o.sotto} is missing; run scripts/build.sh or give --sotto", file=sys.stderr)
        return 2
    machine = setup(o.sotto, o.model, o.data)
    kept = kept_rows(o, machine)
    if kept is None:
        print(f"batches.py: {o.out} holds rows of another machine, program, model or source; give --fresh or another --out",
              file=sys.stderr)
        return 2

    def stop(number, frame):
        raise Stopped

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    o.out.mkdir(parents=True, exist_ok=True)
    identity = ("count", "memory", "threads")
    plan = planned_rows(o)
    # Earlier rows that this call does not ask for stay in the table.
    runs = {tuple(row[k] for k in identity): row for row in kept}
    failed = 0
    try:
        for i, row in enumerate(plan):
            key = tuple(row[k] for k in identity)
            name = f"[{i + 1}/{len(plan)}] images {row['count']}, threads {row['threads']}" + \
                (f", memory {row['memory']}" if row["memory"] else "")
            if runs.get(key, {}).get("state") == "done":
                print(f"{name}: kept: {summary(runs[key])}", flush=True)
                continue
            runs[key] = measure(o, row, name)
            failed += runs[key]["state"] == "failed"
            print(f"{name}: {summary(runs[key])}", flush=True)
            save(o.out, machine, runs)
        save(o.out, machine, runs)
    except Stopped:
        print("batches.py: interrupted; finished rows are kept", file=sys.stderr)
        return 130
    print(f"wrote {o.out / 'batches.md'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

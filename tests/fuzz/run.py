#!/usr/bin/env python3
"""Runs fuzz targets one after the other: run.py BUILD_FOLDER [SECONDS [TARGET...]]. See CONTRIBUTING.md."""
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Inputs that lie elsewhere.
MORE = {"onnx": HERE.parent / "golden/graph", "spec": HERE.parents[1] / "models/train"}
# Longest inputs: toys say as much as large files, and are varied far more often.
LENGTH = {"kernels": 512, "json": 4096, "spec": 4096, "input_record": 4096, "release": 4096}
STATISTICS = {"stat::number_of_executed_units": "runs", "stat::average_exec_per_sec": "runs_per_second", "stat::new_units_added": "new_inputs",
              "stat::peak_rss_mb": "peak_megabytes"}


def all_targets():
    return sorted(p.name for p in (HERE / "corpus").iterdir() if p.is_dir())


def run(build, target, seconds):
    """Fuzzes one target and returns its figures."""
    corpus, found = build / "corpus" / target, build / "found" / target
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    folders = [corpus, HERE / "corpus" / target, *([MORE[target]] if target in MORE else [])]
    command = [build / "bin/sotto-fuzz", *folders, f"-max_total_time={seconds}", f"-max_len={LENGTH.get(target, 65536)}", "-timeout=60",
               "-rss_limit_mb=4096", "-print_final_stats=1", f"-artifact_prefix={found}/"]
    p = subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace",
                       env={**os.environ, "SOTTO_FUZZ_TARGET": target})
    log = p.stderr + p.stdout
    (build / "found" / f"{target}.log").write_text(log)
    figures = {name: int(value) for key, name in STATISTICS.items() for value in re.findall(rf"{key}:\s+(\d+)", log)}
    for key, name in (("cov", "edges"), ("ft", "features")):
        values = re.findall(rf"\b{key}: (\d+)", log)
        figures[name] = int(values[-1]) if values else 0
    figures["found"] = sorted(str(path) for path in set(found.iterdir()) - before)
    if p.returncode != 0 and not figures["found"]:
        figures["found"] = [str(build / "found" / f"{target}.log")]
    return figures


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    targets = sys.argv[3:] or all_targets()
    if unknown := sorted(set(targets) - set(all_targets())):
        sys.exit(f"no such target: {', '.join(unknown)}; there are {', '.join(all_targets())}")
    report = {}
    for target in targets:
        report[target] = figures = run(build, target, seconds)
        print(f"{target:18} {figures.get('runs', 0):>9} runs  {figures['edges']:>6} edges  {figures.get('new_inputs', 0):>5} new inputs  "
              f"{len(figures['found'])} found", flush=True)
        (build / "report.json").write_text(json.dumps({"seconds": seconds, "targets": report}, indent=1) + "\n")
    return 1 if any(figures["found"] for figures in report.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

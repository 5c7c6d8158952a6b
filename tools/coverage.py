#!/usr/bin/env python3
"""Runs tests of build/coverage and prints which lines and branches of src/ they ran; called by scripts/coverage.sh.

Clang counts in the sources (-fcoverage-mapping), whatever the optimiser does later: a branch is a condition of the source that
was true or false, and exceptions that pass through a line are none. Counters are atomic, so threads are counted right. What ends
by _exit or a signal writes no counts: the process of sotto-decode, and tests that die on purpose.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/coverage"
COUNTED = ("lines", "branches")


def folder_of(path):
    """The folder below src/ of a file."""
    return Path(path).relative_to(ROOT / "src").parts[0]


def add(a, b):
    return {k: {n: a.get(k, {}).get(n, 0) + b[k][n] for n in ("covered", "count")} for k in COUNTED}


def figures(export):
    """What llvm-cov exports, by file, by folder and in all: of lines and branches, how many there are and how many ran."""
    files, folders, total = {}, {}, {}
    for f in export["data"][0]["files"]:
        counts = {k: {n: f["summary"][k][n] for n in ("covered", "count")} for k in COUNTED}
        folder = folder_of(f["filename"])
        files[str(Path(f["filename"]).relative_to(ROOT))] = counts
        folders[folder] = add(folders.get(folder, {}), counts)
        total = add(total, counts)
    return {"total": total, "folders": folders, "files": files}


def table(found):
    """The figures of folders as lines of text."""
    rows = [f"{'folder':<14}" + "".join(f"{k:>18}{'':>7}" for k in COUNTED)]
    for name, counts in [*sorted(found["folders"].items()), ("total", found["total"])]:
        row = f"{name:<14}"
        for k in COUNTED:
            covered, count = counts[k]["covered"], counts[k]["count"]
            part = f"{covered} of {count}"
            row += f"{part:>18}" + (f"{100 * covered / count:>6.1f}%" if count else f"{'':>7}")
        rows.append(row.rstrip())
    return "\n".join(rows)


def call(*command):
    """The output of a command, and its errors only if it fails: llvm-cov warns of functions of equal name in different tests."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"coverage.py: {command[0]}: {done.stderr.strip()}")
    return done.stdout


def main():
    arguments = sys.argv[1:] or ["-L", "fast"]
    profiles = BUILD / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    # Programs of one file (%m) add their counts to one profile, of four so that they seldom wait for each other.
    env = {**os.environ, "LLVM_PROFILE_FILE": str(profiles / "%4m.profraw")}
    tests = subprocess.run(["ctest", "--preset", "coverage", *arguments], cwd=ROOT, env=env).returncode
    if not (raw := sorted(profiles.glob("*.profraw"))):
        print("coverage.py: the tests wrote no counts", file=sys.stderr)
        return 1
    merged = BUILD / "coverage.profdata"
    call("llvm-profdata-16", "merge", "-sparse", "-o", merged, *raw)
    programs = sorted(p for p in (BUILD / "bin").iterdir() if p.is_file() and os.access(p, os.X_OK))
    common = [f"-instr-profile={merged}", programs[0], *(f"-object={p}" for p in programs[1:]), "-sources", ROOT / "src"]
    found = figures(json.loads(call("llvm-cov-16", "export", "-summary-only", *common)))
    (BUILD / "coverage.json").write_text(json.dumps({"tests": arguments, "passed": tests == 0, **found}, indent=1) + "\n")
    call("llvm-cov-16", "show", "-format=html", f"-output-dir={BUILD / 'html'}", "-show-branches=count", *common)
    print(table(found))
    return int(tests != 0)


if __name__ == "__main__":
    sys.exit(main())

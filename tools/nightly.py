#!/usr/bin/env python3
"""Runs the parts of the nightly test one after the other, whatever becomes of them, and says how long each took.

Writes OUT/summary.json after every part, and the output of each part to OUT/PART.log. Exit code: 0 if all parts passed or
were left out for a reason that is named, 1 if one failed, 130 if it was interrupted.
"""

import argparse
import dataclasses
import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # the one with numpy and onnx, as for the tests
PASSED, FAILED, LEFT_OUT = "passed", "failed", "left out"


@dataclasses.dataclass
class Part:
    """Commands that are run until one fails. `without`: why it cannot run here, or nothing."""

    name: str
    commands: list  # of words
    env: dict = dataclasses.field(default_factory=dict)
    without: str = ""


def needs(*programs):
    """Why programs cannot be called: which are missing."""
    missing = [p for p in programs if shutil.which(p) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def preset(name, *programs):
    """Configures, builds and tests a preset, which needs these programs."""
    return Part(name, [["cmake", "--preset", name], ["cmake", "--build", "--preset", name], ["ctest", "--preset", name]],
                without=needs(*programs))


def processor_flags():
    lines = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")]
    return set(lines[0].split()) if lines else set()


def fresh_debian(out):
    """README's two commands on a minimal Debian, of which nothing but its package mirror is known."""
    root = out / "debian"
    inside = "mount -t proc proc /proc && cd /sotto && scripts/demo.sh && scripts/test.sh"
    return Part("fresh-debian", [
        ["rm", "-rf", "--one-file-system", str(root)],
        ["mmdebstrap", "--variant=minbase", "bookworm", str(root)],
        ["mkdir", str(root / "sotto")],
        ["sh", "-c", f"git archive HEAD | tar -x -C '{root}/sotto'"],
        ["unshare", "--mount", "--pid", "--fork", "chroot", str(root), "sh", "-c", inside],
        ["rm", "-rf", "--one-file-system", str(root)],
    ], without=needs("mmdebstrap", "unshare", "git") or ("" if os.geteuid() == 0 else "not run as root"))


def faults(out, name, *options):
    """Runs tests/faults with these options; what it tried and found goes to OUT/NAME.json."""
    library = ROOT / "build/release/tests/faults/libsotto_faults.so"
    command = [PYTHON, "-B", "tests/faults/run_faults.py", str(library), "--json", str(out / f"{name}.json"), *options]
    return Part(name, [command], {"SOTTO_BIN_DIR": str(ROOT / "build/release/bin")})


def parts(out):
    """All parts, in the order in which they are run."""
    steps = ["compile", "keygen", "encrypt", "infer", "decrypt"]
    jobs = ["--jobs", str(os.cpu_count() or 1)]
    return [
        preset("release"),
        Part("avx2", [["ctest", "--preset", "release-avx2"]], without="" if "avx2" in processor_flags() else "this processor has no AVX2"),
        Part("scalar", [["ctest", "--preset", "release-scalar"]]),
        preset("scalar-only"),
        preset("asan-ubsan", "clang++-16"),
        preset("tsan", "clang++-16"),
        Part("coverage", [["scripts/coverage.sh"]], without=needs("clang++-16", "llvm-cov-16", "llvm-profdata-16")),
        Part("lint", [["scripts/lint.sh"]], without=needs("clang-format", "clang-tidy", "run-clang-tidy")),
        faults(out, "faults", *jobs, "--verbs", *steps),
        faults(out, "faults-whole", *jobs, "--stride", "7", "--verbs", "plan", "keygen --force", "keygen, more keys", "evaluate",
               "train --simulate"),
        faults(out, "faults-threads", "--all-processors", "--classes", "memory", "--stride", "11", "--verbs", *steps),
        faults(out, "faults-every-call", "--every-call", "--classes", "memory", *jobs, "--verbs", *steps),
        Part("fuzz", [["scripts/fuzz.sh"]], without=needs("clang++-16")),
        Part("release-archive", [["scripts/release.sh", "--check"]]),
        fresh_debian(out),
    ]


def commit():
    """The commit and whether files differ from it."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "HEAD") + ("-changed" if git("status", "--porcelain", "--untracked-files=no") else "")


def run_part(part, out):
    """Returns an entry of the summary."""
    if part.without:
        return {"part": part.name, "state": LEFT_OUT, "reason": part.without, "seconds": 0.0}
    start, state, reason = time.monotonic(), PASSED, ""
    with (out / f"{part.name}.log").open("wb") as log:
        for command in part.commands:
            log.write(f"$ {shlex.join(command)}\n".encode())
            log.flush()
            try:
                code = subprocess.run(command, cwd=ROOT, env={**os.environ, **part.env}, stdin=subprocess.DEVNULL, stdout=log,
                                      stderr=subprocess.STDOUT).returncode
            except OSError as e:
                code = str(e)
            if code != 0:
                state, reason = FAILED, f"{shlex.join(command)}: {code if isinstance(code, str) else f'exit code {code}'}"
                break
    return {"part": part.name, "state": state, "reason": reason, "seconds": round(time.monotonic() - start, 1)}


def table(entries):
    """The entries as lines of text."""
    wide = max([len(e["part"]) for e in entries] + [4])
    rows = [f"{'part':<{wide}}  {'state':<8}  {'time':>8}"]
    for e in entries:
        hours, minutes = divmod(round(e["seconds"]) // 60, 60)
        passed = f"{hours}:{minutes:02}:{round(e['seconds']) % 60:02}"
        rows.append(f"{e['part']:<{wide}}  {e['state']:<8}  {passed:>8}  {e['reason']}".rstrip())
    return "\n".join(rows)


def earlier(path, version):
    """Entries of an earlier run of the same version, by part."""
    try:
        summary = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    same = summary.get("commit") == version and not version.endswith("-changed")
    return {e["part"]: e for e in summary.get("parts", [])} if same else {}


def run_parts(chosen, out, version, resume=False, tell=print):
    """Runs parts and returns the exit code; those that passed before are not run again with `resume`."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "summary.json"
    before = earlier(path, version)
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    entries, interrupted = [], False
    for part in chosen:
        old = before.get(part.name) if resume else None
        try:
            entry = old if old and old["state"] == PASSED else run_part(part, out)
        except KeyboardInterrupt:
            interrupted = True
            break
        entries.append(entry)
        here = {e["part"] for e in entries}
        kept = [e for name, e in before.items() if name not in here]  # of the earlier run: not reached yet, or not asked for
        whole = entries + kept
        summary = {"commit": version, "started": started, "passed": all(e["state"] != FAILED for e in whole), "parts": whole}
        new = path.with_suffix(".json.new")
        new.write_text(json.dumps(summary, indent=1) + "\n")
        new.replace(path)
        tell(f"{entry['part']}: {entry['state']}{', as before' if entry is old else ''}"
             f"{' (' + entry['reason'] + ')' if entry['reason'] else ''}")
    tell(table(entries))
    return 130 if interrupted else int(any(e["state"] == FAILED for e in entries))


def main():
    parser = argparse.ArgumentParser(prog="nightly.sh", description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="PART", help="run only these parts")
    parser.add_argument("--skip", nargs="+", metavar="PART", default=[], help="leave these parts out")
    parser.add_argument("--resume", action="store_true", help="do not run again what passed for this commit")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run")
    parser.add_argument("--out", type=Path, default=ROOT / "build/nightly", help="where logs and summary go (default: build/nightly)")
    o = parser.parse_args()
    out = o.out.resolve()
    everything = parts(out)
    names = [p.name for p in everything]
    if unknown := [n for n in [*(o.only or []), *o.skip] if n not in names]:
        parser.error(f"there is no part {unknown[0]}; parts: {' '.join(names)}")
    chosen = [p for p in everything if p.name in (o.only or names) and p.name not in o.skip]
    if o.dry_run:
        for p in chosen:
            print(f"{p.name}:" + (f" left out: {p.without}" if p.without else ""))
            for command in p.commands:
                print("  " + " ".join([*(f"{k}={v}" for k, v in p.env.items()), shlex.join(command)]))
        return 0
    return run_parts(chosen, out, commit(), o.resume, lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Lets every call of the programs fail that can fail, one in each run, and kills them before every change of a file.

For each verb, on a tiny network: counts its calls of every class (memory, open, read, write, ...), then runs it again for
every one of them with that call failing, shortened or interrupted (strike.cpp says how). After each run:

- it succeeded, and all outputs are right, or ended with an exit code that fits and one clear line;
- every output is what was there before, or new and whole; no temporary file is left; inputs and secret keys are as they were;
- of a process that was killed: the same, temporary files aside, and the same command works afterwards.

    SOTTO_BIN_DIR=build/release/bin tests/faults/run_faults.py build/release/tests/faults/libsotto_faults.so --json faults.json

Exit code: 0 if every run went well, 1 otherwise.
"""

import argparse
import concurrent.futures
import dataclasses
import errno
import functools
import json
import os
import queue
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from verbs import Chain, harness  # noqa: I001

CLASSES = ("memory", "open", "read", "write", "name", "remove", "sync", "truncate", "folder", "close", "change")
STATE_BYTES = 1024

# What can happen to a call of each class. A call that is shortened or interrupted (EINTR) is no failure: the program tries again.
WHAT = {
    "memory": (errno.ENOMEM,), "open": (errno.EIO, errno.EMFILE), "read": (errno.EIO, errno.EINTR, "short"),
    "write": (errno.ENOSPC, errno.EIO, errno.EINTR, "short"), "name": (errno.EIO, errno.ENOSPC), "sync": (errno.EIO, errno.ENOSPC),
    "truncate": (errno.EIO,), "folder": (errno.EIO, errno.ENOSPC), "close": (errno.EIO,), "change": ("kill",),
}
HARMLESS = (errno.EINTR, "short")
# Where memory runs out in a destructor of a library, a program cannot clean up; the next run does. Where the C library cannot note
# that a thread's data are to be freed, it ends the program itself.
AT_ONCE = "not enough memory to end properly"
ENDED_BY_LIBC = "Fatal glibc error: failed to register TLS destructor: out of memory"
# A file that cannot be read or written, and too little memory or room.
FAILURES = {errno.ENOMEM: (harness.NO_RESOURCES,), errno.ENOSPC: (harness.NO_RESOURCES, harness.BAD_INPUT)}
NOTES = ("keys/plans/", "keys/inputs/", "keys/releases/")  # what is remembered beside the keys
ANY_FAILURE = (harness.BAD_INPUT, harness.NO_RESOURCES)


@dataclasses.dataclass(frozen=True)
class Fault:
    kind: str  # of CLASSES
    number: int
    what: object  # an errno, "short" or "kill"

    def setting(self):
        return f"{self.kind}:{self.number}:{self.what}"

    def __str__(self):
        return f"{self.kind} {self.number} {errno.errorcode.get(self.what, self.what)}"


class State:
    """What the preloaded library and this program share: calls by class, how often one was struck, and where."""

    def __init__(self, data):
        *counts, self.struck = struct.unpack("<12Q", data[:96])
        self.counts = dict(zip(CLASSES, counts))
        self.where = data[96:].split(b"\0")[0].decode(errors="replace").strip()

    def callers(self):
        """Where a memory call came from: names of functions, innermost first, as far as the programs' symbols tell."""
        found = []
        for file, at in re.findall(r"(\S+)\+0x([0-9a-f]+)", self.where):
            below = [(a, name) for a, name in symbols(file) if a <= int(at, 16)]
            found.append(max(below)[1] if below else Path(file).name)
        return found


@functools.cache
def symbols(file):
    """(address, name) of the functions in a file."""
    out = subprocess.run(["nm", "-C", "--defined-only", file], capture_output=True, text=True).stdout
    parts = [line.split(" ", 2) for line in out.splitlines()]
    return [(int(p[0], 16), p[2]) for p in parts if len(p) == 3 and p[1] in "tTwW"]


class Place:
    """A folder in which one run after the other takes place, on one processor: calls keep their order."""

    def __init__(self, folder, base, library, processors):
        self.folder, self.library, self.processors = folder, library, processors
        (folder / "work").mkdir(parents=True)
        (folder / "tmp").mkdir()
        (folder / "work" / "base").symlink_to(base)

    def run(self, args, fault=None, places=None, program=harness.SOTTO):
        """Returns the result and the state of the library."""
        state = self.folder / "state"
        state.write_bytes(bytes(STATE_BYTES))
        env = {"LD_PRELOAD": str(self.library), "SOTTO_FAULTS_STATE": str(state), "TMPDIR": str(self.folder / "tmp"), "SOTTO_KERNELS": ""}
        if fault:
            env["SOTTO_FAULT"] = fault.setting()
        if places:
            env["SOTTO_FAULTS_PLACES"] = str(places)
        result = harness.run(*args, cwd=self.folder / "work", env=env, program=program,
                             prepare=lambda: os.sched_setaffinity(0, self.processors))
        return result, State(state.read_bytes())

    def reset(self, verb):
        """The work folder holds what the verb finds, and nothing else."""
        for path in [*(self.folder / "work").iterdir(), *(self.folder / "tmp").iterdir()]:
            if path.name != "base":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, data in verb.before.items():
            path = self.folder / "work" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)

    def files(self):
        """Of the work folder, and of the one for temporary files."""
        work = self.folder / "work"
        return {str(p.relative_to(work)) for p in work.rglob("*") if not p.is_symlink() and p.is_file()} | {
            f"tmp/{p.name}" for p in (self.folder / "tmp").iterdir()}

    def problems(self, verb, fault, result, struck, second=False):
        """Sentences about what should not be, after a run. `second`: the one before was killed. Of what that left, this one
        removes what has the name of an output; a folder for temporary files, and notes with names of their own, stay."""
        work, found = self.folder / "work", []
        killed = fault is not None and fault.what == "kill" and result.code == -signal.SIGKILL
        errors = result.errors()
        if result.code == 0:
            if errors:
                found.append("it succeeds, with an error line")
        elif not killed and ENDED_BY_LIBC not in errors:
            wanted = () if fault is None or not struck or fault.what in HARMLESS else (
                *FAILURES.get(fault.what, ANY_FAILURE), *verb.codes)
            if "memory" in result.err.lower() and fault is not None and fault.what == errno.ENOMEM:
                wanted = (*wanted, harness.BAD_INPUT)  # of the libraries that read pictures and models
            if result.code not in wanted:
                found.append(f"exit code {result.code}")
            if len(errors) != 1:
                found.append(f"{len(errors)} lines on stderr")
            if "internal error" in result.err:
                found.append("it calls this an internal error")
        for name in verb.outputs:
            path = work / name
            data = path.read_bytes() if path.exists() else None
            if result.code == 0 and (data is None or not verb.is_whole(name, data)):
                found.append(f"it succeeds, and {name} is " + ("missing" if data is None else "not right"))
            elif data != verb.before.get(name) and (data is None or not verb.is_whole(name, data)):
                found.append(f"{name} is " + ("lost" if data is None else "neither the old one nor whole"))
        found += [f"{name} changed" for name in verb.kept if (work / name).read_bytes() != verb.before[name]]
        if not killed:
            known = {*verb.outputs, *verb.before}
            left = {f for f in self.files() - known if not f.startswith(NOTES) or f.endswith(".tmp")}
            if AT_ONCE in result.err or ENDED_BY_LIBC in result.err:
                left = {f for f in left if not f.startswith("tmp/") and not f.endswith(".tmp")}
            if second:
                left = {f for f in left if not f.startswith(("tmp/", "keys/inputs/"))}
            if verb.resumes and result.code != 0:
                left -= {f + ".part" for f in verb.outputs}
            if left:
                found.append("it leaves " + ", ".join(sorted(left)))
        return found

    def attempt(self, verb, fault):
        """One run with a fault, and for killed ones another without. Returns (state, problems, result)."""
        self.reset(verb)
        result, state = self.run(verb.args, fault, program=verb.program)
        found = self.problems(verb, fault, result, state.struck)
        if fault.what == "kill" and state.struck:
            again, _ = self.run(verb.args, program=verb.program)
            if again.code != 0 and not (again.code == harness.USAGE and set(verb.outputs) <= self.files()):
                found.append(f"the next run ends with exit code {again.code}: {again.err.strip()}")
            elif again.code == 0:
                found += [f"then: {p}" for p in self.problems(verb, None, again, 0, second=True)]
        return state, found, result


def first_calls(path):
    """Numbers of the memory calls from new places, in order."""
    return sorted(n for (n,) in struct.iter_unpack("<Q", path.read_bytes()))


def faults_of(counts, places, kinds, stride, every_call):
    """What to try of a verb."""
    for kind in kinds:
        numbers = range(1, counts[kind] + 1)
        if kind == "memory":
            numbers = (numbers if every_call else places)[stride // 2::stride]
        for number in numbers:
            yield from (Fault(kind, number, what) for what in WHAT[kind])


class Faults:
    """All runs: `tell` gets a line for each verb and for each problem."""

    def __init__(self, folder, library, jobs=1, all_processors=False, tell=print):
        self.tell, self.library, self.report = tell, library, {}
        processors = sorted(os.sched_getaffinity(0))
        base = folder / "base"
        first = Place(folder / "first", base, library, processors)
        self.chain = Chain(base, lambda *args: self.must_succeed(first, *args))
        self.before = harness.tree(base)
        self.places = queue.SimpleQueue()
        for k in range(jobs):
            own = processors if all_processors else {processors[k % len(processors)]}
            self.places.put(Place(folder / f"place{k}", base, library, own))
        self.pool = concurrent.futures.ThreadPoolExecutor(jobs)

    @staticmethod
    def must_succeed(place, args, program=harness.SOTTO):
        result, _ = place.run(args, program=program)
        if result.code != 0:
            raise SystemExit(f"without any fault: {program.name} {' '.join(args)}: {result}")

    def with_place(self, work):
        place = self.places.get()
        try:
            return work(place)
        finally:
            self.places.put(place)

    def count(self, name):
        """Calls by class of a run without faults, and the first memory call from every place."""
        verb = self.chain.verbs[name]

        def work(place):
            place.reset(verb)
            (place.folder / "places").unlink(missing_ok=True)
            result, state = place.run(verb.args, places=place.folder / "places", program=verb.program)
            found = place.problems(verb, None, result, 0)
            if found or result.code != 0:
                raise SystemExit(f"without any fault: {name}: {found}: {result}")
            return state.counts, first_calls(place.folder / "places")

        return self.with_place(work)

    def try_verb(self, name, kinds=tuple(WHAT), stride=1, every_call=False):
        """Returns the number of runs in which something was wrong."""
        start, verb = time.monotonic(), self.chain.verbs[name]
        counts, places = self.count(name)
        faults = list(faults_of(counts, places, kinds, max(stride, verb.stride), every_call))
        struck, failures = dict.fromkeys(kinds, 0), []
        for fault, (state, found, result) in zip(faults, self.pool.map(
                lambda f: self.with_place(lambda place: place.attempt(verb, f)), faults)):
            struck[fault.kind] += state.struck > 0
            if found:
                where = " < ".join(state.callers()) if fault.kind == "memory" else state.where
                failures.append({"fault": str(fault), "where": where, "problems": found, "stderr": result.err[-500:]})
                self.tell(f"  {name}: {fault} ({where}): {'; '.join(found)}: {result.err.strip()[-200:]}")
        if harness.tree(self.chain.base) != self.before:
            failures.append({"problems": ["an input changed"]})
        tried = {kind: sum(f.kind == kind for f in faults) for kind in kinds}
        seconds = time.monotonic() - start
        self.report[name] = {"calls": {k: counts[k] for k in kinds}, "memory_places": len(places), "faults": tried, "struck": struck,
                             "failures": failures, "seconds": round(seconds, 1)}
        self.tell(f"{name}: {sum(tried.values())} faults, {sum(struck.values())} met a call, {len(failures)} went wrong; {seconds:.0f} s")
        return len(failures)


def missing_calls(library, programs):
    """Calls of the programs that change or read files or take memory, and that the library does not replace."""
    def symbols(file, kind):
        out = subprocess.run(["nm", "-D", f"--{kind}", str(file)], capture_output=True, text=True, check=True).stdout
        return {line.split()[-1].split("@")[0] for line in out.splitlines()}

    stems = ("open", "open64", "openat", "fopen", "fopen64", "mkstemp", "mkostemp", "mkdtemp", "read", "readv", "pread", "preadv", "write",
             "writev", "pwrite", "pwritev", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "unlink", "unlinkat", "rmdir",
             "fsync", "fdatasync", "sync", "truncate", "ftruncate", "fallocate", "posix_fallocate", "mkdir", "mkdirat", "close", "malloc",
             "calloc", "realloc", "reallocarray", "aligned_alloc", "posix_memalign", "memalign", "valloc", "mmap", "mremap", "sendfile",
             "copy_file_range")
    names = {f"{a}{s}{b}" for s in stems for a, b in (("", ""), ("", "64"), ("__", "_chk"), ("__", "64_chk"), ("__", "_2"), ("__", "64_2"))}
    there = symbols(library, "defined-only")
    return sorted(set().union(*(symbols(p, "undefined-only") for p in programs)) & names - there)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=Path, help="libsotto_faults.so")
    parser.add_argument("--verbs", nargs="+", help="only these (default: all)")
    parser.add_argument("--classes", nargs="+", choices=sorted(WHAT), default=list(WHAT))
    parser.add_argument("--stride", type=int, default=1, help="try every K-th memory call")
    parser.add_argument("--every-call", action="store_true", help="memory: every call, not only the first from each place")
    parser.add_argument("--all-processors", action="store_true", help="with threads, whose order differs from run to run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--json", type=Path, help="write what was tried and found here")
    o = parser.parse_args()
    o.library = o.library.resolve()
    failed = 0
    if missing := missing_calls(o.library, [harness.SOTTO, harness.SERVER]):
        print("the programs call what strike.cpp does not replace:", *missing)
        failed = 1
    with tempfile.TemporaryDirectory(prefix="sotto-faults-") as folder:
        faults = Faults(Path(folder), o.library, o.jobs, o.all_processors, lambda line: print(line, flush=True))
        if unknown := set(o.verbs or ()) - faults.chain.verbs.keys():
            parser.error(f"there is no verb {min(unknown)}; verbs: {', '.join(faults.chain.verbs)}")
        for name in o.verbs or faults.chain.verbs:
            failed += faults.try_verb(name, o.classes, o.stride, o.every_call)
    total = {k: sum(sum(v[k].values()) for v in faults.report.values()) for k in ("faults", "struck")}
    total["failures"] = failed
    if o.json:
        o.json.write_text(json.dumps({**total, "verbs": faults.report}, indent=1) + "\n")
    print(f"{total['faults']} faults, {total['struck']} met a call, {failed} went wrong")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())

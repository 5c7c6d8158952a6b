"""What measurements need to know of the machine and the program."""

import hashlib
import os
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def first_match(path, pattern):
    """Group 1 of a pattern in a file of the system, or None."""
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.M)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def git(*command):
    """What git prints, or None."""
    try:
        return subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def digest(*paths):
    """A hash of the files together."""
    state = hashlib.sha256()
    for path in paths:
        state.update(path.read_bytes() if path.exists() else b"")
    return state.hexdigest()[:16]


def setup(program, model, data):
    """What all rows of a table have in common: machine, program, model and source of images."""
    commit = git("rev-parse", "--short=12", "HEAD")
    if commit and git("status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    memory = first_match("/proc/meminfo", r"^MemTotal:\s*(\d+) kB")
    return {
        "cpu": first_match("/proc/cpuinfo", r"^model name\s*:(.*)") or os.uname().machine,
        "program": digest(program, program.with_name("sotto-server")),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": int(memory) * 1024 if memory else None,
        "forced_kernels": os.environ.get("SOTTO_KERNELS") or None,
        "commit": commit,
        "model": pathlib.Path(model).name,
        "data": [re.sub(r"[^:]*/", "", source.rstrip("/")) for source in data],
    }


def processor_seconds():
    """Of the whole machine (time that its host took away counts, too) and of the programs that this one has run."""
    words = (first_match("/proc/stat", r"^cpu\s+(.*)") or "").split()
    busy = sum(int(w) for i, w in enumerate(words[:8]) if i not in (3, 4)) / os.sysconf("SC_CLK_TCK")  # not idle, iowait
    own = os.times()
    return busy, own.children_user + own.children_system

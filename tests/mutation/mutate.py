#!/usr/bin/env python3
"""Mutation testing of the crypto core: changes one place at a time and sees whether a unit test notices.

    scripts/build.sh release
    tests/mutation/mutate.py --count 300 --seed 1          # continues where it was interrupted
    tests/mutation/mutate.py --report                      # tables and survivors of what was run
    tests/mutation/mutate.py --again ID ...                # those mutants once more, for example after a new test

Sources and build are only read: a mutant is compiled from a copy, at -O1, and linked before the libraries of the build, whose
own object of that source is then not used. The build must be up to date. Results go to build/mutation/results.jsonl.
"""
import argparse
import collections
import dataclasses
import json
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KILLED, SURVIVED, INVALID, SAME = "killed", "survived", "invalid", "same code"
STATES = (KILLED, SURVIVED, SAME, INVALID)
MEMORY = 6 << 30  # bytes of addresses that a test may take
PATTERNS = ["src/ring/*.cpp", *(f"src/ckks/{name}.cpp" for name in (
    "evaluator", "key_switch", "encoder", "sampler", "parameters", "security", "eval_key", "ciphertext")),
    "src/secret/*.cpp", "src/encrypt/small.cpp", "src/encrypt/public_key.cpp", "src/signing/*.cpp", "src/client/disclosure.cpp",
    "src/simd/scalar.cpp", "src/simd/tables.cpp"]


@dataclasses.dataclass(frozen=True)
class Run:
    """A test program with a filter of GoogleTest and a kernel set."""

    program: str
    filter: str = "*"
    kernels: str = ""

    def name(self):
        return self.program + (f" {self.filter}" if self.filter != "*" else "") + (f" ({self.kernels})" if self.kernels else "")


def runs(*words):
    return [Run(*word.split()) for word in words]


# Tests that can kill a mutant of a folder; the quickest come first.
CORE = runs("ckks_test", "secret_test", "encrypt_test", "ckks_files_test", "bootstrap_test")
TESTS = {
    "src/simd": runs("simd_test *Transform*:*Kernels*", "simd_test", "ckks_test * scalar", "secret_test * scalar") + CORE,
    "src/ring": runs("ring_test") + CORE,
    "src/ckks": CORE,
    "src/secret": CORE,
    "src/encrypt": CORE,
    "src/signing": runs("signing_test", "secret_test"),
    "src/client": runs("client_test *Disclosure*"),
}


# --- mutants

TOKEN = re.compile(r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
    |(?P<raw>(?:u8|[uUL])?R"(?P<d>[^()\\\s]*)\(.*?\)(?P=d)")
    |(?P<string>(?:u8|[uUL])?"(?:[^"\\\n]|\\.)*")
    |(?P<char>(?:u8|[uUL])?'(?:[^'\\\n]|\\.)+')
    |(?P<number>0[xX][0-9a-fA-F']*\.?[0-9a-fA-F']*(?:[pP][+-]?\d+)?[uUlLzZfF]*|\.?\d[\d']*\.?[\d']*(?:[eE][+-]?\d+)?[uUlLzZfF]*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<operator><<=|>>=|<=>|\.\.\.|->\*|::|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||\+=|-=|\*=|/=|%=|&=|\|=|\^=|.)""",
                   re.VERBOSE | re.DOTALL | re.MULTILINE)
SWAPS = {"+": "-", "-": "+", "*": "/", "/": "*", "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||",
         "||": "&&", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "+=": "-=", "-=": "+="}
INTEGER = re.compile(r"(0[xX][0-9a-fA-F']+|[\d']+)([uUlLzZ]*)$")
NO_STATEMENT = {"return", "using", "namespace", "if", "for", "while", "do", "switch", "case", "default", "else", "template", "struct", "class",
                "enum", "const", "constexpr", "static", "auto", "throw", "try", "catch", "break", "continue", "static_assert", "public",
                "private", "typedef", "friend", "extern", "inline", "__extension__", "goto"}
ENDS = {"(": ")", "[": "]", "{": "}"}


@dataclasses.dataclass(frozen=True)
class Token:
    kind: str
    text: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: str  # from the root
    line: int
    column: int
    operator: str
    start: int
    end: int
    texts: tuple  # tried in this order until one compiles

    @property
    def id(self):
        return f"{self.path}:{self.line}:{self.column}:{self.operator}"


def tokens_of(text):
    """Tokens without comments and preprocessor lines."""
    out = []
    for m in TOKEN.finditer(text):
        kind = m.lastgroup if m.lastgroup != "d" else "raw"
        if kind != "skip":
            out.append(Token(kind, m.group(), m.start(), m.end()))
    return out


def partners(tokens):
    """Index of the bracket that closes each opening one, and the other way around."""
    out, open_ = {}, []
    for i, t in enumerate(tokens):
        if t.kind != "operator":
            continue
        if t.text in ENDS:
            open_.append(i)
        elif t.text in ENDS.values() and open_:
            out[i] = open_.pop()
            out[out[i]] = i
    return out


def end_of_statement(tokens, partner, at):
    """Index of the semicolon that ends what starts here, or None."""
    while at < len(tokens):
        if tokens[at].text == ";":
            return at
        if tokens[at].text in ENDS:
            at = partner.get(at, len(tokens))
        elif tokens[at].text in ENDS.values():
            return None
        at += 1
    return None


def is_removable(words):
    """Whether these tokens are a call, an assignment or a step, and no declaration."""
    if not words:
        return False
    if words[0].text in ("++", "--"):
        return True
    if words[0].kind != "word" or words[0].text in NO_STATEMENT:
        return False
    i = 1
    while i < len(words):  # a.b->c::d, then what is done with it
        if words[i].text in (".", "->", "::") and i + 1 < len(words):
            i += 2
        elif words[i].text == "[":
            depth = 0
            while i < len(words):
                depth += (words[i].text == "[") - (words[i].text == "]")
                i += 1
                if depth == 0:
                    break
        else:
            break
    return i < len(words) and words[i].text in ("(", "=", "+=", "-=", "*=", "/=", "|=", "&=", "^=", "%=", "<<=", ">>=", "++", "--")


def integer(text, step):
    """An integer literal with a step added, or None."""
    m = INTEGER.match(text)
    if not m:
        return None
    value = int(m.group(1).replace("'", ""), 0 if m.group(1)[:2].lower() == "0x" else 10) + step
    return f"{value}{m.group(2)}" if value >= 0 else f"-{-value}" if not m.group(2) else None


def mutants_of(path, text):
    """All mutants of a source, in the order of places."""
    tokens = tokens_of(text)
    partner = partners(tokens)
    out = []

    def make(operator, start, end, *texts):
        line = text.count("\n", 0, start) + 1
        out.append(Mutant(path, line, start - text.rfind("\n", 0, start), operator, start, end, texts))

    skipped = -1  # static_assert: it would not compile
    for i, t in enumerate(tokens):
        if t.text == "static_assert":
            skipped = end_of_statement(tokens, partner, i) or i
        if i <= skipped:
            continue
        before = tokens[i - 1] if i else t
        spaced = text[t.start - 1:t.start].isspace() and text[t.end:t.end + 1].isspace()  # binary, and no template
        if t.kind == "operator" and t.text in SWAPS and spaced and before.text not in ("operator", "(", "return"):
            make(f"{t.text} to {SWAPS[t.text]}", t.start, t.end, SWAPS[t.text])
        if t.kind == "number":
            for step, name in ((1, "constant + 1"), (-1, "constant - 1")):
                if new := integer(t.text, step):
                    make(name, t.start, t.end, new)
            if not INTEGER.match(t.text):
                make("constant * 1.5", t.start, t.end, f"({t.text} * 1.5)")
        if t.text in ("if", "while") and i + 1 < len(tokens) and tokens[i + 1].text == "(":
            close = partner[i + 1]
            if ";" not in [u.text for u in tokens[i + 2:close]]:
                start, end = tokens[i + 1].end, tokens[close].start
                make("condition negated", start, end, f"!({text[start:end]})")
        if t.text == "return" and i + 1 < len(tokens) and tokens[i + 1].text != ";":
            if (end := end_of_statement(tokens, partner, i + 1)) is not None:
                start, stop = tokens[i + 1].start, tokens[end].start
                value, inside, depth = text[start:stop], [], 0
                for u in tokens[i + 1:end]:
                    depth += (u.text in ENDS) - (u.text in ENDS.values())
                    inside += [u.text] if depth == 0 else []
                truth = {"==", "!=", "<", ">", "<=", ">=", "&&", "||", "true", "false", "!"} & set(inside) and "?" not in inside
                make("value returned", start, stop, *((f"!({value})",) if truth else (f"({value}) + 1", "{}")))
        controlled = before.text == "else" or before.text == ")" and (head := partner.get(i - 1)) and tokens[head - 1].text in ("if", "for", "while")
        if i and (before.text in (";", "{", "}") or controlled):
            end = end_of_statement(tokens, partner, i)
            if end is not None and is_removable(tokens[i:end]):
                make("statement removed", t.start, tokens[end].start, "")
    return out


def applied(mutant, text, which=0):
    return text[:mutant.start] + mutant.texts[which] + text[mutant.end:]


# --- building and running


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def call(command, cwd, timeout, env=None, limited=False):
    """Exit code (None: it ran too long) and output. Whatever it started ends with it."""
    with subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=limits if limited else None) as p:
        try:
            output, _ = p.communicate(timeout=timeout)
            return p.returncode, output
        except subprocess.TimeoutExpired:
            return None, ""
        finally:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Build:
    """An ordinary build, which is only read."""

    def __init__(self, folder, out):
        self.folder, self.out, self.links, self.objects, self.seconds = folder, out, {}, {}, {}
        entries = json.loads((folder / "compile_commands.json").read_text())
        self.compiles = {os.path.relpath(e["file"], ROOT): e for e in entries if "/src/" in e["file"]}

    def compile(self, path, text, folder):
        """The object of a text in place of a source, or None."""
        entry = self.compiles[path]
        source, target = folder / Path(path).name, folder / "mutant.o"
        source.write_text(f'#line 1 "{entry["file"]}"\n{text}')  # so that equal code gives equal objects
        target.unlink(missing_ok=True)
        words = shlex.split(entry["command"])
        words[words.index("-o") + 1] = str(target)
        words[words.index("-c") + 1] = str(source)
        code, _ = call([*words, "-O1", "-w"], entry["directory"], 300)
        return target if code == 0 else None

    def object_of(self, path, folder):
        """Bytes of the object of the source as it is."""
        if path not in self.objects:
            target = self.compile(path, (ROOT / path).read_text(), folder)
            if target is None:
                sys.exit(f"{path} does not compile as {self.folder} has it")
            self.objects[path] = target.read_bytes()
        return self.objects[path]

    def link(self, program, target, folder):
        """The test program with an object in place of its own, or None."""
        if program not in self.links:
            text = subprocess.run(["ninja", "-t", "commands", "-s", f"bin/{program}"], cwd=self.folder, check=True, capture_output=True, text=True).stdout
            words = shlex.split(text.strip().splitlines()[-1])
            at = words.index("-o")
            first = at - words[at::-1].index("&&") + 1
            self.links[program] = words[first:words.index("&&", at)]
        words = list(self.links[program])
        words[words.index("-o") + 1] = str(folder / program)
        libraries = next(i for i, w in enumerate(words) if w.endswith(".a"))
        code, _ = call([*words[:libraries], str(target), *words[libraries:]], self.folder, 300)
        return folder / program if code == 0 else None

    def test(self, run, program, folder):
        """Exit code (None: too long), seconds and the test that failed."""
        env = {"SOTTO_KERNELS": run.kernels} if run.kernels else {}
        timeout = max(30, 10 * self.seconds[run]) if run in self.seconds else 600
        start = time.monotonic()
        code, output = call([program, f"--gtest_filter={run.filter}", "--gtest_fail_fast", "--gtest_brief=1"], folder, timeout, env, True)
        failed = re.search(r"\[  FAILED  \] (\S+?),? ", output)
        return code, time.monotonic() - start, failed.group(1) if failed else "ran too long" if code is None else f"exit code {code}"

    def measure(self, wanted, folder):
        """Runs what is to notice mutants without one; it must pass."""
        for run in wanted:
            if run not in self.seconds:
                code, seconds, failed = self.test(run, self.folder / "bin" / run.program, folder)
                if code != 0:
                    sys.exit(f"{run.name()} fails without a mutant: {failed}")
                self.seconds[run] = seconds


def tests_for(path):
    return TESTS[str(Path(path).parent)]


def try_mutant(build, mutant, folder):
    """An entry of the results."""
    start, text = time.monotonic(), (ROOT / mutant.path).read_text()
    line = text.splitlines()[mutant.line - 1].strip()
    entry = {"id": mutant.id, "file": mutant.path, "operator": mutant.operator, "line": line, "state": INVALID, "by": ""}
    original = build.object_of(mutant.path, folder)
    for which, new in enumerate(mutant.texts):
        target = build.compile(mutant.path, applied(mutant, text, which), folder)
        if target is not None:
            break
    if target is not None:
        entry["new"] = new
        entry["state"] = SAME if target.read_bytes() == original else SURVIVED
    if entry["state"] == SURVIVED:
        linked = {}
        for run in sorted(tests_for(mutant.path), key=lambda r: build.seconds[r]):
            if run.program not in linked:
                linked[run.program] = build.link(run.program, target, folder)
            if linked[run.program] is None:
                entry["state"] = INVALID
                break
            code, _, failed = build.test(run, linked[run.program], folder)
            if code != 0:
                entry.update(state=KILLED, by=f"{run.name()}: {failed}")
                break
        for program in linked.values():
            if program:
                program.unlink(missing_ok=True)
    entry["seconds"] = round(time.monotonic() - start, 1)
    return entry


# --- results


def read_results(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return {e["id"]: e for e in map(json.loads, lines)}  # the last of each


def table(entries, key, title):
    counts = collections.defaultdict(collections.Counter)
    for e in entries:
        counts[e[key]][e["state"]] += 1
    total = sum(counts.values(), collections.Counter())
    wide = max(len(title), *(len(k) for k in counts), 5)
    rows = [f"{title:<{wide}}  " + "  ".join(f"{s:>9}" for s in ("made", *STATES))]
    for name, c in [*sorted(counts.items()), ("total", total)]:
        rows.append(f"{name:<{wide}}  " + "  ".join(f"{n:>9}" for n in (sum(c.values()), *(c[s] for s in STATES))))
    return "\n".join(rows)


def report(entries, tell=print):
    if not entries:
        tell("nothing was run")
        return
    tell(table(entries, "file", "file") + "\n\n" + table(entries, "operator", "operator"))
    for e in entries:
        if e["state"] == SURVIVED:
            tell(f"\n{e['id']}\n    {e['line']}\n    with: {e['new'] or 'nothing'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=300, help="how many mutants, of all that there are (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="which ones; a larger count has those of a smaller one (default: 1)")
    parser.add_argument("--files", nargs="+", metavar="FILE", help="only of these sources")
    parser.add_argument("--operators", nargs="+", metavar="OPERATOR", help="only of these kinds, as the report names them")
    parser.add_argument("--again", nargs="+", metavar="ID", help="only these, whatever became of them before")
    parser.add_argument("--minutes", type=float, help="begin no mutant after that time")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", help="default: build/release")
    parser.add_argument("--out", type=Path, default=ROOT / "build/mutation", help="default: build/mutation")
    parser.add_argument("--list", action="store_true", help="print the chosen mutants and run none")
    parser.add_argument("--report", action="store_true", help="print what became of mutants and run none")
    o = parser.parse_args()

    results = o.out.resolve() / "results.jsonl"
    done = read_results(results)
    if o.report:
        return report(list(done.values()))
    files = o.files or sorted({str(p.relative_to(ROOT)) for pattern in PATTERNS for p in ROOT.glob(pattern)})
    everything = [m for f in files for m in mutants_of(f, (ROOT / f).read_text())]
    if o.operators:
        everything = [m for m in everything if m.operator in o.operators]
    if o.again:
        chosen = [m for m in everything if m.id in o.again]
        if missing := set(o.again) - {m.id for m in chosen}:
            parser.error(f"there is no mutant {sorted(missing)[0]}")
    else:
        # By a number of its own for each, so that other sources do not change which of a file are chosen.
        order = {m.id: random.Random(f"{o.seed} {m.id}").random() for m in everything}
        chosen = sorted(everything, key=lambda m: order[m.id])[:o.count]
    print(f"{len(everything)} mutants, {len(chosen)} chosen", flush=True)
    if o.list:
        for m in sorted(chosen, key=lambda m: m.id):
            print(f"{m.id}  {' '.join(m.texts[0].split()) or 'nothing'}")
        return 0
    if not o.again:
        chosen = [m for m in chosen if m.id not in done]

    folders = [o.out.resolve() / f"job{k}" for k in range(o.jobs)]
    for f in folders:
        f.mkdir(parents=True, exist_ok=True)
    build = Build(o.build.resolve(), o.out.resolve())
    build.measure([r for m in chosen for r in tests_for(m.path)], folders[0])
    for m in chosen:
        build.object_of(m.path, folders[0])
    until = time.monotonic() + o.minutes * 60 if o.minutes else float("inf")
    left = iter(chosen)
    with results.open("a") as log, ThreadPoolExecutor(o.jobs) as pool:
        def work(folder):
            for m in left:
                if time.monotonic() > until:
                    break
                entry = try_mutant(build, m, folder)
                log.write(json.dumps(entry) + "\n")
                log.flush()
                print(f"{entry['state']:<9}  {entry['seconds']:>6}  {entry['id']}  {entry['by']}", flush=True)

        list(pool.map(work, folders))
    print()
    now = read_results(results)
    report([now[m.id] for m in chosen if m.id in now] if o.again else list(now.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The scripts around a build: nightly test, bill of materials, release archives, versions that CMake asks for."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

import harness

SOURCE = Path(__file__).resolve().parents[2]
BUILD = harness.BIN.parent

sys.path[:0] = [str(SOURCE / "tools"), str(SOURCE / "tests/mutation")]

import coverage  # noqa: E402
import mutate  # noqa: E402
import nightly  # noqa: E402


class ScriptCase(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="sotto-scripts-")
        self.addCleanup(holder.cleanup)
        self.dir = Path(holder.name)

    def command(self, *args, code=0, **kw):
        p = subprocess.run([str(a) for a in args], cwd=SOURCE, capture_output=True, text=True, timeout=harness.TIMEOUT, **kw)
        self.assertEqual(p.returncode, code, f"{args}\n{p.stdout[-2000:]}\n{p.stderr[-2000:]}")
        return p.stdout + p.stderr


class Nightly(ScriptCase):
    def run_parts(self, *parts, **kw):
        told = []
        code = nightly.run_parts(parts, self.dir, "0123", tell=told.append, **kw)
        return code, json.loads((self.dir / "summary.json").read_text()), "\n".join(told)

    def test_goes_on_behind_what_fails(self):
        code, summary, told = self.run_parts(
            nightly.Part("first", [["true"], ["false"], ["touch", str(self.dir / "too far")]]),
            nightly.Part("second", [["sh", "-c", "echo said $WORD"]], {"WORD": "this"}),
            nightly.Part("third", [["true"]], without="no machine for it"), nightly.Part("fourth", [[str(self.dir / "nowhere")]]))
        self.assertEqual(code, 1)
        self.assertFalse(summary["passed"])
        self.assertEqual([(e["part"], e["state"]) for e in summary["parts"]],
                         [("first", "failed"), ("second", "passed"), ("third", "left out"), ("fourth", "failed")])
        self.assertEqual(summary["parts"][0]["reason"], "false: exit code 1")
        self.assertFalse((self.dir / "too far").exists(), "a part ends with its first command that fails")
        self.assertIn("said this", (self.dir / "second.log").read_text())
        self.assertRegex(told, r"(?m)^third +left out +0:00:00  no machine for it$")

    def test_all_is_well(self):
        code, summary, _ = self.run_parts(nightly.Part("one", [["true"]]), nightly.Part("two", [["false"]], without="not here"))
        self.assertEqual((code, summary["passed"]), (0, True))

    def test_resumes(self):
        mark = self.dir / "ran"
        parts = nightly.Part("counts", [["sh", "-c", f"echo x >> {mark}"]]), nightly.Part("fails", [["test", "-e", str(self.dir / "fixed")]])
        self.assertEqual(self.run_parts(*parts)[0], 1)
        (self.dir / "fixed").touch()
        self.assertEqual(self.run_parts(*parts, resume=True)[0], 0)
        self.assertEqual(mark.read_text(), "x\n", "what passed is not run again")
        self.assertEqual(self.run_parts(*parts)[0], 0)
        self.assertEqual(mark.read_text(), "x\nx\n")

    def test_parts_name_what_is_there(self):
        told = self.command("scripts/nightly.sh", "--dry-run")
        for word in ("asan-ubsan", "tsan", "scalar-only", "--preset release-avx2", "scripts/coverage.sh", "scripts/lint.sh", "run_faults.py", "mmdebstrap"):
            self.assertIn(word, told)
        presets = json.loads((SOURCE / "CMakePresets.json").read_text())
        for kind, option in (("configurePresets", "cmake --preset"), ("buildPresets", "cmake --build --preset"), ("testPresets", "ctest --preset")):
            named = set(re.findall(rf"{option} (\S+)", told))
            self.assertTrue(named)
            self.assertLessEqual(named, {p["name"] for p in presets[kind]})
        self.assertIn("there is no part", self.command("scripts/nightly.sh", "--only", "nothing", code=2))


class Coverage(unittest.TestCase):
    def test_sums_by_folder(self):
        def file(name, *counts):
            lines, branches = [dict(zip(("covered", "count"), c)) for c in counts]
            return {"filename": str(SOURCE / "src" / name), "summary": {"lines": lines, "branches": branches}}

        files = [file("ring/a.cpp", (3, 4), (1, 2)), file("ring/b.h", (5, 5), (0, 0)), file("wire/c.cpp", (0, 2), (0, 2))]
        found = coverage.figures({"data": [{"files": files}]})
        self.assertEqual(found["folders"]["ring"], {"lines": {"covered": 8, "count": 9}, "branches": {"covered": 1, "count": 2}})
        self.assertEqual(found["total"], {"lines": {"covered": 8, "count": 11}, "branches": {"covered": 1, "count": 4}})
        self.assertEqual(len(found["files"]), 3)
        self.assertRegex(coverage.table(found), r"total +8 of 11 +72\.7% +1 of 4 +25\.0%")


class Mutation(unittest.TestCase):
    TEXT = """#include <a+b>
// a + b
/* if (a == 1) */
static_assert(1 + 1 == 2);
const char* s = "a + 1", *r = R"x(1 + "2")x";
std::vector<std::vector<int>> f(int&& a) {
  if (a < 3) check(a != 0);
  Limb moved = limb();
  k.add(a >> 1);
  return a * 0.5;
}
"""

    def test_changes_code_and_nothing_else(self):
        changed = {mutate.applied(m, self.TEXT).splitlines()[m.line - 1].strip() for m in mutate.mutants_of("f.cpp", self.TEXT)}
        self.assertEqual(changed, {
            "if (!(a < 3)) check(a != 0);", "if (a <= 3) check(a != 0);", "if (a < 4) check(a != 0);", "if (a < 2) check(a != 0);",
            "if (a < 3) ;", "if (a < 3) check(a == 0);", "if (a < 3) check(a != 1);", "if (a < 3) check(a != -1);",
            ";", "k.add(a << 1);", "k.add(a >> 2);", "k.add(a >> 0);",
            "return a / 0.5;", "return a * (0.5 * 1.5);", "return (a * 0.5) + 1;"})

    def test_every_source_has_tests(self):
        for pattern in mutate.PATTERNS:
            for path in SOURCE.glob(pattern):
                self.assertTrue(mutate.tests_for(path.relative_to(SOURCE)))
        found = mutate.mutants_of("f.cpp", self.TEXT)
        self.assertEqual(len({m.id for m in found}), len(found))


class Materials(ScriptCase):
    def needed(self, program):
        return set(re.findall(r"\(NEEDED\).*\[(.*)\]", self.command("readelf", "-d", program)))

    def test_every_library_is_listed(self):
        if shutil.which("dpkg-query") is None or shutil.which("readelf") is None:
            self.skipTest("no Debian")
        outs = [self.dir / "one.json", self.dir / "two.json"]
        for out in outs:
            self.command("scripts/sbom.sh", BUILD, "--out", out)
        self.assertEqual(*(out.read_bytes() for out in outs))
        bill = json.loads(outs[0].read_text())
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.5"))
        listed, refs = {}, set()
        for c in bill["components"]:
            self.assertTrue({"type", "name", "bom-ref"} <= c.keys(), c)
            self.assertNotIn(c["bom-ref"], refs)
            refs.add(c["bom-ref"])
            for p in c.get("properties", []):
                if p["name"] == "sotto:library":
                    listed[p["value"]] = c
            if c["bom-ref"].startswith("deb:"):
                version = subprocess.run(["dpkg-query", "-W", "-f=${Version} ", c["name"]], capture_output=True, text=True).stdout.split()
                self.assertIn(c["version"], version)
                self.assertTrue(c["purl"].startswith(f"pkg:deb/debian/{c['name']}@"), c["purl"])
        for program, library in ((harness.SOTTO, "libsodium.so.23"), (harness.SERVER, "libsodium.so.23"), (harness.SOTTO.parent / "sotto-decode", "libpng16.so.16")):
            needed = self.needed(program)
            self.assertIn(library, needed)
            self.assertLessEqual(needed, listed.keys())
            own = next(c for c in bill["components"] if c["name"] == program.name)
            self.assertEqual(own["hashes"][0]["content"], hashlib.sha256(program.read_bytes()).hexdigest())
        names = {c["name"] for c in bill["components"]}
        self.assertLessEqual({"nlohmann-json3-dev", "libcli11-dev", "libstb-dev", "numpy"}, names, "headers are compiled in")
        for d in bill["dependencies"]:
            self.assertLessEqual({*d["dependsOn"]} - {"sotto", "sotto-server", "sotto-decode"}, refs)


class Release(ScriptCase):
    def test_two_archives_of_a_build_are_the_same(self):
        if subprocess.run(["git", "rev-parse", "HEAD"], cwd=SOURCE, capture_output=True).returncode != 0:
            self.skipTest("no git repository")
        for name in ("one", "two"):
            self.command("scripts/release.sh", "--build", BUILD, "--out", self.dir / name)
        sums = [(self.dir / name / "SHA256SUMS").read_text() for name in ("one", "two")]
        self.assertEqual(*sums)
        self.assertEqual(len(sums[0].splitlines()), 3)
        archives = sorted((self.dir / "one").glob("*.tar.gz"))
        self.assertEqual(len(archives), 2)
        for archive in archives:
            with tarfile.open(archive) as tar:
                members = tar.getmembers()
            self.assertEqual({(m.uid, m.gid) for m in members}, {(0, 0)})
            self.assertEqual(len({m.mtime for m in members}), 1, "all times are the commit's")
            self.assertEqual({m.name.split("/")[0] for m in members}, {archive.name.split("-linux")[0].removesuffix(".tar.gz")})
        with tarfile.open(next(a for a in archives if "linux" in a.name)) as tar:
            names = [m.name for m in tar.getmembers()]
            self.assertEqual(names, sorted(names, key=lambda n: n.split("/")))
            tar.extractall(self.dir)
        unpacked = self.dir / names[0].split("/")[0]
        self.assertIn("sotto", self.command(unpacked / "bin/sotto", "--version"))
        bill = json.loads(next((self.dir / "one").glob("*.cdx.json")).read_text())
        for name in ("sotto", "sotto-server", "sotto-decode"):
            shipped = hashlib.sha256((unpacked / "bin" / name).read_bytes()).hexdigest()
            self.assertIn(shipped, [h["content"] for c in bill["components"] if c["name"] == name for h in c["hashes"]])
        for path in unpacked.rglob("*"):
            if path.is_file():
                self.assertNotIn(str(BUILD).encode(), path.read_bytes(), path)


class Versions(ScriptCase):
    def check(self, name, version, code):
        script = self.dir / "check.cmake"
        script.write_text(f'include({SOURCE}/cmake/SottoDependencies.cmake)\nsotto_require_version({name} "{version}")\n')
        return self.command("cmake", "-P", script, code=code)

    def test_old_libraries_are_refused(self):
        told = self.check("TBB", "2020.3", 1)
        self.assertIn("TBB", told)
        self.assertIn("2020.3", told)
        self.check("TBB", "", 1)
        for version in ("2021.8.0", "2022.1.0"):
            self.check("TBB", version, 0)
        self.check("nothing", "1.0", 1)


if __name__ == "__main__":
    harness.main()

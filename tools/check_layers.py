#!/usr/bin/env python3
"""Checks the structure of src/: includes point only to lower folders and never in a circle, the server's folders never reach
src/secret, files stay short. Prints what is wrong and exits with 1."""
import pathlib
import re
import sys

# Lowest first: the order of src/CMakeLists.txt.
ORDER = ["base", "signing", "simd", "wire", "graph", "ring", "ckks", "bootstrap", "encrypt", "secret", "circuit", "packing", "program", "plan", "decode", "images", "training", "compiler", "lowering", "runtime", "engine", "inputs", "client", "api", "report", "cli"]
WITHOUT_SECRET = {"base", "signing", "simd", "wire", "graph", "ring", "ckks", "bootstrap", "encrypt", "circuit", "packing", "program", "plan", "decode", "images", "training", "compiler", "lowering", "runtime", "engine",
                  "inputs"}
SERVER_FILES = {"server_main.cpp", "compile_verb.cpp", "plan_verb.cpp", "infer_verb.cpp", "planning.cpp", "planning.h", "console.cpp",
                "console.h", "last_words.cpp", "last_words.h", "planning_lines.cpp", "planning_lines.h", "security.h", "signing.h", "signing_options.cpp", "signing_options.h", "signing_key_verb.cpp", "signing.cpp", "step_report.cpp", "step_report.h", "data_options.cpp", "data_options.h", "parse.cpp", "verbs.h", "server.cpp", "spec.cpp", "plan.cpp", "values.cpp", "values.h", "progress.h",
                "encryptor.cpp", "training.cpp", "training.h", "training_server_verb.cpp", "trainer.cpp", "training_plan.cpp", "keys.h"}
MOST_LINES = 500
HEADER = re.compile(r'^\s*#include "([a-z]+/[a-z_0-9]+)', re.M)
INCLUDE = re.compile(r'^\s*#include "([a-z]+)/([a-z_]+)', re.M)
# Headers of include/sotto that everything may use; the others stand on top of src/.
PUBLIC_BASE = {"doubt", "error", "io"}


def cycles(root):
    """Groups of files (a header and its source count as one) that include each other in a circle."""
    units = {}
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in {".h", ".cpp"}:
            unit = str(path.relative_to(root / "src")).split(".")[0]
            units.setdefault(unit, set()).update(set(HEADER.findall(path.read_text())) - {unit})
    # Files that include nothing more leave one after the other; those of circles, and what leads into them, stay.
    while free := [u for u, targets in units.items() if not any(t in units for t in targets)]:
        for u in free:
            del units[u]
    return sorted(units)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    listed = re.findall(r"add_subdirectory\((\w+)\)", (root / "src/CMakeLists.txt").read_text())
    problems = [] if listed == ORDER else [f"src/CMakeLists.txt lists {listed}, this script {ORDER}"]
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in {".h", ".cpp"}:
            continue
        name, text = path.relative_to(root), path.read_text()
        folder = path.relative_to(root / "src").parts[0]
        if text.count("\n") > MOST_LINES:
            problems.append(f"{name}: more than {MOST_LINES} lines")
        for target, header in INCLUDE.findall(text):
            if target == "sotto":
                if header not in PUBLIC_BASE and folder != "api":
                    problems.append(f"{name}: includes sotto/{header}.h, which is above {folder}/")
                continue
            if target not in ORDER or ORDER.index(target) > ORDER.index(folder):
                problems.append(f"{name}: includes {target}/, which is not below {folder}/")
            server = folder in WITHOUT_SECRET or (folder in {"api", "report", "cli"} and path.name in SERVER_FILES)
            if server and target in {"secret", "client"}:
                problems.append(f"{name}: part of the server, includes {target}/")
    if circle := cycles(root):
        problems.append(f"files that include each other in a circle, or lead into one: {', '.join(circle)}")
    for p in problems:
        print(p, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

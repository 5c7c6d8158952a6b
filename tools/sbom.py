#!/usr/bin/env python3
"""A bill of materials of a build, as CycloneDX 1.5: the programs, the shared libraries that they load (ldd), the packages whose
headers are compiled into them (ninja -t deps), with the versions that dpkg knows, and the Python package with what it needs.

Two runs on the same build and machine give the same bytes. Exits with 1 if a library belongs to no package.
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("sotto", "sotto-server", "sotto-decode")


class NoPackage(Exception):
    """A file that no installed package has."""


def output(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=True).stdout


def version_of_sotto():
    return re.search(r"project\(sotto VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


def loaded(program):
    """Paths of all shared libraries that a program loads, by the names by which they are asked for."""
    found = {}
    for line in output("ldd", program).splitlines():
        words = line.split()
        if "=>" in words and words[2:3] == ["not"]:
            raise NoPackage(f"{program}: {words[0]} is not there")
        if "=>" in words:
            found[words[0]] = words[2]
        elif words[0].startswith("/"):  # the loader
            found[Path(words[0]).name] = words[0]
    return found


def compiled_in(build):
    """Headers outside this tree from which the build's own sources are made."""
    headers = set()
    target = ""
    for line in output("ninja", "-C", build, "-t", "deps").splitlines():
        if line and not line.startswith(" "):
            target = line.split(":")[0]
        elif target.startswith("src/") and line.strip().startswith("/usr/"):
            headers.add(os.path.normpath(line.strip()))
    return headers


def packages_of(paths):
    """The Debian package of each file, with its architecture if dpkg names it: {path: package}."""
    found, names = {}, {}
    for path in paths:  # dpkg knows merged folders (/lib) by either name
        real = os.path.realpath(path)
        for name in {path, real, real.removeprefix("/usr"), "/usr" + path if not path.startswith("/usr") else path}:
            names[name] = path
    listing = subprocess.run(["dpkg-query", "-S", *sorted(names)], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        owners, _, name = line.rpartition(": ")
        if name in names and not line.startswith("diversion"):
            found[names[name]] = owners.split(", ")[0]
    if missing := sorted(set(paths) - found.keys()):
        raise NoPackage(f"no package has {missing[0]}")
    return found


def describe(package):
    """(name, version, source package, architecture) of an installed package."""
    text = output("dpkg-query", "-W", "-f=${Package}\t${Version}\t${source:Package}\t${Architecture}", package)
    return tuple(text.split("\t"))


def distribution():
    lines = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return f"{lines.get('ID', 'linux')}-{lines.get('VERSION_ID', '')}".replace('"', "")


def sha256(path):
    return {"alg": "SHA-256", "content": hashlib.sha256(Path(path).read_bytes()).hexdigest()}


def debian_component(package, libraries, header_only):
    name, version, source, architecture = describe(package)
    purl = f"pkg:deb/debian/{name}@{version.replace(':', '%3A').replace('+', '%2B')}?arch={architecture}&distro={distribution()}"
    properties = [{"name": "sotto:source-package", "value": source}, {"name": "sotto:use", "value": "compiled in" if header_only else "loaded"}]
    properties += [{"name": "sotto:library", "value": soname} for soname in sorted(libraries)]
    out = {"type": "library", "bom-ref": f"deb:{name}", "name": name, "version": version, "purl": purl, "properties": properties}
    if libraries:
        out["hashes"] = [sha256(os.path.realpath(path)) for _, path in sorted(libraries.items())]
    return out


def python_components():
    """What the Python package always needs, with the version that is installed here, if any."""
    out = []
    for requirement in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name = re.match(r"[A-Za-z0-9_.-]+", requirement).group(0)
        try:
            version = {"version": importlib.metadata.version(name)}
        except importlib.metadata.PackageNotFoundError:
            version = {}
        out.append({"type": "library", "bom-ref": f"pypi:{name}", "name": name, **version,
                    "purl": f"pkg:pypi/{name}" + (f"@{version['version']}" if version else ""),
                    "properties": [{"name": "sotto:use", "value": "Python package"}, {"name": "sotto:requirement", "value": requirement}]})
    return out


def bill(build, folder):
    """The bill of a build folder, with the programs that lie in `folder`."""
    programs = [folder / name for name in PROGRAMS]
    by_program = {p.name: loaded(p) for p in programs}
    libraries = {soname: path for found in by_program.values() for soname, path in found.items()}
    owners = packages_of(libraries.values())
    by_package = {}
    for soname, path in libraries.items():
        by_package.setdefault(owners[path], {})[soname] = path
    compiled = set(packages_of(compiled_in(build)).values()) - by_package.keys()
    python = python_components()
    components = [debian_component(p, by_package[p], False) for p in sorted(by_package)]
    components += [debian_component(p, {}, True) for p in sorted(compiled)] + python
    version = version_of_sotto()
    own = [{"type": "application", "bom-ref": p.name, "name": p.name, "version": version, "hashes": [sha256(p)]} for p in programs]
    refs = {p: f"deb:{p.split(':')[0]}" for p in [*by_package, *compiled]}
    depends = [{"ref": name, "dependsOn": sorted({refs[owners[path]] for path in found.values()} | {refs[p] for p in compiled})}
               for name, found in by_program.items()]
    depends.append({"ref": "sotto-package", "dependsOn": [*PROGRAMS, *(c["bom-ref"] for c in python)]})
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
            "metadata": {"component": {"type": "application", "bom-ref": "sotto-package", "name": "sotto", "version": version,
                                       "licenses": [{"license": {"id": "Apache-2.0"}}]}},
            "components": own + components, "dependencies": depends}


def main():
    parser = argparse.ArgumentParser(prog="sbom.sh", description=__doc__.split("\n")[0])
    parser.add_argument("build", nargs="?", type=Path, default=ROOT / "build/release")
    parser.add_argument("--bin", type=Path, help="where its programs are, if they were installed (default: BUILD/bin)")
    parser.add_argument("--out", type=Path, help="default: BUILD/sotto.cdx.json")
    o = parser.parse_args()
    try:
        text = json.dumps(bill(o.build.resolve(), (o.bin or o.build / "bin").resolve()), indent=1) + "\n"
    except NoPackage as e:
        print(f"sbom.sh: {e}", file=sys.stderr)
        return 1
    out = o.out or o.build / "sotto.cdx.json"
    new = out.with_name(out.name + ".new")
    new.write_text(text)
    new.replace(out)
    print(f"{out}: {len(json.loads(text)['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main())

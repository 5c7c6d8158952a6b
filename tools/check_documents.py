#!/usr/bin/env python3
"""Checks the documents: relative links in Markdown lead somewhere, every ADR has a heading, a status and a line in the index,
the picture of a packing is what its script draws, and every public name of the Python package has a description. Prints what
is wrong and exits with 1."""
import ast
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SOURCE_FOLDERS = ["bench", "docs", "examples", "models", "python", "tests"]
PACKAGE = ROOT / "python/sotto"


def documents():
    return sorted(p for folder in SOURCE_FOLDERS for p in (ROOT / folder).rglob("*.md")) + sorted(ROOT.glob("*.md"))


def anchors(text):
    """Names of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*?)\s*$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def broken_links():
    for path in documents():
        text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
        for target in LINK.findall(text):
            if "://" in target or target.startswith("mailto:"):
                continue
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            if not there.exists():
                yield f"{path.relative_to(ROOT)}: there is no {target}"
            elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text()):
                yield f"{path.relative_to(ROOT)}: {name or 'this page'} has no heading #{anchor}"


def decisions():
    folder = ROOT / "docs/adr"
    index = (folder / "README.md").read_text()
    pages = sorted(folder.glob("[0-9]*.md"))
    for expected, path in enumerate(pages, 1):
        number, text = path.name[:4], path.read_text()
        if number != f"{expected:04}":
            yield f"docs/adr/{path.name}: {expected:04} is the next number"
        if not text.startswith(f"# {number}: "):
            yield f"docs/adr/{path.name}: must begin with '# {number}: '"
        if not re.search(r"^Status: \w", text, re.M):
            yield f"docs/adr/{path.name}: lacks a line 'Status: '"
        if len(re.findall(rf"^\| \[{number}\]\({re.escape(path.name)}\) \| .+ \| .+ \|$", index, re.M)) != 1:
            yield f"docs/adr/README.md: needs one line for {path.name}"


def pictures():
    drawn = subprocess.run([sys.executable, ROOT / "docs/draw_packing.py", "-"], capture_output=True, text=True, check=True).stdout
    if (ROOT / "docs/packing.svg").read_text() != drawn:
        yield "docs/packing.svg: run docs/draw_packing.py"


def undescribed(name, body):
    """Public names of a class or module without a docstring, or for values without a string behind them."""
    for k, node in enumerate(body):
        after = body[k + 1] if k + 1 < len(body) else None
        described = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            if node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"{name}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from undescribed(f"{name}.{node.name}", node.body)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and "." in name:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            names = [t.id for t in targets if isinstance(t, ast.Name) and not t.id.startswith("_")]
            overrides = isinstance(node, ast.Assign) and names == ["code"] and name != "sotto.Error"  # of Error.code
            yield from (f"{name}.{n}" for n in names if not described and not overrides)


def docstrings():
    public = set()
    for path in [PACKAGE / f"{name}.py" for name in ("__init__", "client", "server")]:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
                public |= set(ast.literal_eval(node.value))
    for path in sorted(PACKAGE.glob("*.py")):
        tree = ast.parse(path.read_text())
        if not ast.get_docstring(tree):
            yield f"{path.relative_to(ROOT)}: the module has no description"
        body = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name in public]
        yield from (f"{path.relative_to(ROOT)}: {n} has no description" for n in undescribed("sotto", body))


def main():
    problems = [p for check in (broken_links, decisions, pictures, docstrings) for p in check()]
    for p in problems:
        print(p, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

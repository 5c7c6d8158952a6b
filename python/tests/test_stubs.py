"""The stubs of the extension modules say what is in them. mypy.stubtest cannot look into nanobind's functions, but nanobind
can: it writes stubs, coarser in types than ours, which must otherwise be the same."""
from __future__ import annotations

import ast
import importlib
import pathlib
import re

import pytest
import sotto

stubgen = pytest.importorskip("nanobind.stubgen")

FOLDER = pathlib.Path(sotto.__file__).parent
COARSE = {"object", "tuple", "list", "dict", "Annotated"}  # where ours says more


def generated(name: str) -> str:
    made = stubgen.StubGen(importlib.import_module(f"sotto.{name}"))
    made.put(importlib.import_module(f"sotto.{name}"))
    return str(made.get())


def kind(annotation: ast.expr | None) -> tuple[str, bool]:
    """A type without None, and whether None is one, too. Paths are text in ours, as the package sees to."""
    parts = ast.unparse(annotation).split(" | ") if annotation is not None else []
    named = [re.sub(r"\w+\.", "", p) for p in parts if p not in ("None", "os.PathLike")]
    return " | ".join("Annotated" if "NDArray" in p else p for p in named), "None" in parts


def members(text: str) -> dict[str, object]:
    """Of every class: decorators, arguments and result of every function; and what is imported to be exported."""
    found: dict[str, object] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.module in ("_server", "sotto._server"):
            found |= {name.name: "imported" for name in node.names if name.asname}
        if isinstance(node, ast.ClassDef):
            for f in node.body:
                if isinstance(f, ast.FunctionDef) and f.name != "__buffer__":  # a slot, of which nanobind does not know
                    by_position = [("", kind(a.annotation)) for a in f.args.posonlyargs if a.arg != "self"]
                    by_name = [(a.arg, kind(a.annotation)) for a in f.args.args if a.arg != "self"]
                    decorators = [ast.unparse(d) for d in f.decorator_list]
                    found[f"{node.name}.{f.name}"] = (decorators, by_position + by_name, kind(f.returns))
    return found


def without_coarse(theirs: object, ours: object) -> object:
    """Theirs, with our types where they only say `object` or the like."""
    if isinstance(theirs, tuple) and isinstance(ours, tuple) and len(theirs) == len(ours) == 2 and isinstance(theirs[1], bool):
        return ours if theirs[0] == "object" and not theirs[1] else (ours[0], theirs[1]) if theirs[0] in COARSE else theirs
    if isinstance(theirs, (list, tuple)) and isinstance(ours, (list, tuple)) and len(theirs) == len(ours):
        return type(theirs)(without_coarse(t, o) for t, o in zip(theirs, ours))
    return theirs


@pytest.mark.parametrize("name", ["_server", "_client"])
def test_stubs_are_what_nanobind_sees(name):
    importlib.import_module("sotto._server")  # makes the types that both have
    theirs, ours = members(generated(name)), members((FOLDER / f"{name}.pyi").read_text(encoding="utf-8"))
    assert ours.keys() == theirs.keys() and len(ours) > 8
    for member in ours:
        assert ours[member] == without_coarse(theirs[member], ours[member]), member


def test_a_wrong_stub_is_noticed():
    ours = (FOLDER / "_server.pyi").read_text(encoding="utf-8")
    theirs = members(generated("_server"))
    for right, wrong in (("threads: int", "threads: str"), ("def batch", "def batches"), ("keys: EvaluationKeys", "key: EvaluationKeys"),
                         ("path: str | None", "path: str"), ("    @property\n    def key_id", "    def key_id")):
        assert right in ours
        changed = members(ours.replace(right, wrong))
        assert changed.keys() != theirs.keys() or any(
            changed[m] != without_coarse(theirs[m], changed[m]) for m in changed), wrong

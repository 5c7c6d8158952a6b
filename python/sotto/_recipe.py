"""What is trained and how, as the C++ library reads it: the text of SPEC.toml (docs/formats/training-spec.md)."""
from __future__ import annotations

import json
import numbers
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Union

from ._errors import BadInputError, UsageError
from ._files import Path, existing

Recipe = Union[Path, Mapping[str, Any]]
_OPTIMISER = ("name", "rate", "momentum", "nesterov", "weight_decay", "ridge")


def _value(key: str, value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, numbers.Integral):
        return str(int(value))
    if isinstance(value, numbers.Real):
        return repr(float(value))
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(key, v) for v in value) + "]"
    raise UsageError(f"{key} is a {type(value).__name__}; numbers, texts and lists of these can be written", "spec=")


def _schedule(given: object) -> list[tuple[object, object]]:
    """Pairs of a step and a factor."""
    try:
        if isinstance(given, Mapping):
            return list(given.items())
        return [(e["step"], e["factor"]) if isinstance(e, Mapping) else tuple(e) for e in given]  # type: ignore[attr-defined]
    except (KeyError, TypeError) as e:
        raise UsageError("schedule is a dict of steps and factors, {60: 0.25}, or a list of pairs", "spec=") from e


def adapters_of(recipe: Mapping[str, Any]) -> list[tuple[object, object]]:
    """Pairs of a layer and a rank."""
    given = recipe.get("adapter") or []
    try:
        if isinstance(given, Mapping):
            return list(given.items())
        return [(e["layer"], e["rank"]) if isinstance(e, Mapping) else tuple(e) for e in given]
    except (KeyError, TypeError) as e:
        raise UsageError('adapter is a dict of layers and ranks, {"conv2": 4}, or a list of pairs', "spec=") from e


def toml_of(recipe: Mapping[str, Any]) -> str:
    """TOML of a dict. Keys of the optimiser may stand among the others; one that is there twice raises UsageError."""
    table = dict(recipe)
    nested = table.pop("optimiser", None) or {}
    if not isinstance(nested, Mapping):
        raise UsageError('optimiser is a dict, {"name": "sgd", "rate": 0.1}', "spec=")
    beside = {key: table.pop(key) for key in _OPTIMISER if key in table}
    for key in beside:
        if key in nested:
            raise UsageError(f"{key} is there twice, by itself and in optimiser; keep one", "spec=")
    optimiser = {**nested, **beside}
    schedule = _schedule(table.pop("schedule", []))
    adapters = adapters_of(table)
    table.pop("adapter", None)
    lines = [f"{json.dumps(key)} = {_value(key, value)}" for key, value in table.items() if value is not None]
    if optimiser:
        lines += ["[optimiser]", *(f"{json.dumps(key)} = {_value(key, value)}" for key, value in optimiser.items())]
    for step, factor in schedule:
        lines += ["[[schedule]]", f"step = {_value('schedule', step)}", f"factor = {_value('schedule', factor)}"]
    for layer, rank in adapters:
        lines += ["[[adapter]]", f"layer = {_value('adapter', layer)}", f"rank = {_value('adapter', rank)}"]
    return "\n".join(lines) + "\n"


def text_of(recipe: Recipe) -> tuple[str, str]:
    """The text of a recipe (a dict, the path of a file, or text of several lines), and what messages call it."""
    if isinstance(recipe, Mapping):
        return toml_of(recipe), "spec="
    if isinstance(recipe, str) and "\n" in recipe:
        return recipe, "spec="
    if not isinstance(recipe, (str, os.PathLike)):
        raise TypeError(f"a spec is a dict, the path of a file or the text of one, not {type(recipe).__name__}")
    try:
        return pathlib.Path(existing(recipe)).read_text(encoding="utf-8"), os.fspath(recipe)
    except (UnicodeDecodeError, OSError) as e:
        if isinstance(e, BadInputError):
            raise
        raise BadInputError(f"{os.fspath(recipe)} is no file of TOML: {e}") from e

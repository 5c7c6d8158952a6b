"""Model cards: NAME.json beside an exported model, and the table of all cards in the folder's README.md."""
from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import pathlib
import shlex
from typing import Any

import torch
from torch import nn

from .checkpoint import Trained
from .config import FREE, Config
from .data import Meta
from .errors import TrainError
from .hooks import attached
from .noise import Prediction
from .ranges import Ranges

BEGIN, END = "<!-- begin: table of models -->", "<!-- end: table of models -->"


def make_card(trained: Trained, model: pathlib.Path, accuracy: float, images: int, ranges: list[Ranges],
              prediction: Prediction | None, teacher: str | None, init: str | None) -> dict[str, Any]:
    """All that a user of the model should know, ready for JSON. accuracy is float32, on `images` test images."""
    try:
        data = model.read_bytes()
    except OSError as e:
        raise TrainError(f"{model}: cannot read: {e.strerror}") from None
    meta, config = trained.meta, dataclasses.asdict(trained.config)
    parameters, multiply_adds = network_size(trained.net, meta)
    return {
        "name": model.stem,
        "file": model.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "dataset": trained.config.dataset,
        "architecture": trained.config.arch,
        "activation": trained.config.activation,
        "parameters": parameters,
        "multiply_adds": multiply_adds,
        "input": {"name": "image", "shape": ["batch", meta.channels, meta.height, meta.width]},
        "output": {"name": "logits", "shape": ["batch", len(meta.classes)]},
        "preprocessing": {"mean": list(meta.mean), "std": list(meta.std), "formula": "(pixel / 255 - mean) / std"},
        "classes": meta.classes,
        "accuracy": {"float32": round(accuracy, 4), "test_images": images},
        "ranges": {r.name: {"images": r.images, "largest_pre_activation": _finite(r.largest),
                            "largest_score": _finite(r.largest_score), "images_beyond_limits": r.beyond}
                   for r in ranges},
        "simulated_noise": None if prediction is None else {
            "images": prediction.images, "label_agreement": round(prediction.label_agreement, 4),
            "accuracy": round(prediction.noisy_accuracy, 4), "rms_logit_error": round(prediction.rms_logit_error, 4),
            "overflows": prediction.overflows},
        "training": {k: v for k, v in config.items() if k not in FREE} | {
            "init": init, "teacher": teacher, "epochs_done": len(trained.history),
            "command": training_command(trained.config, init, teacher)},
    }


def network_size(net: nn.Module, meta: Meta) -> tuple[int, int]:
    """Trainable parameters, and multiply-adds of convolutions and fully connected layers for one image."""
    total = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() // module.weight.shape[0] * module.weight.numel()

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    device = next(net.parameters()).device
    with torch.no_grad(), attached(hooks):
        net(torch.zeros(1, meta.channels, meta.height, meta.width, device=device))
    return sum(p.numel() for p in net.parameters()), total


def training_command(config: Config, init: str | None, teacher: str | None) -> str:
    """The command that trains as `config` says, with every setting that is not the default; DIR holds the dataset.

    init and teacher are names of models, the latter separated by commas.
    """
    words = ["python3 -m sotto.nn --data DIR --out OUT"]
    for f in dataclasses.fields(Config):
        value, option = getattr(config, f.name), f.name.replace("_", "-")
        if f.name in FREE or value == f.default:
            continue
        words.append(f"--{'' if value else 'no-'}{option}" if f.type == "bool"
                     else f"--{option} {shlex.quote(str(value))}")
    for option, names in (("init", init), ("teacher", teacher)):
        if names:
            words.append(f"--{option} " + shlex.quote(",".join(f"{n.strip()}.onnx" for n in names.split(","))))
    return " ".join(words)


def _finite(value: float) -> float | None:
    """A value for JSON, None for infinity."""
    return round(value, 2) if math.isfinite(value) else None


def _relu_twin(card: dict[str, Any], cards: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Name and accuracy of the same network with ReLU, for a quadratic one."""
    def kind(c: dict[str, Any]) -> list[Any]:
        return [c[k] for k in ("dataset", "architecture", "classes", "input")]
    twins = [c for c in cards if c["activation"] == "relu" and kind(c) == kind(card)]
    if card["activation"] == "relu" or not twins:
        return None
    return {"name": twins[0]["name"], "float32": twins[0]["accuracy"]["float32"]}


def _row(card: dict[str, Any], cards: list[dict[str, Any]]) -> str:
    natural = [card["ranges"][name] for name in ("training", "test")]
    largest = [r["largest_pre_activation"] for r in natural]
    cells = [f"[{card['name']}]({card['file']})", card["dataset"], card["architecture"], card["activation"],
             f"{card['accuracy']['float32']:.2%} of {card['accuracy']['test_images']:,}",
             f"{twin['float32']:.2%}" if (twin := _relu_twin(card, cards)) else "",
             *(f"{card[k] / 1e6:.{digits}f} M" if k in card else "" for k, digits in
               (("parameters", 2), ("multiply_adds", 1))),
             "infinite" if None in largest else f"{max(largest):.1f}",
             f"{sum(r['images_beyond_limits'] for r in natural)} of {sum(r['images'] for r in natural):,}",
             f"{card['simulated_noise']['label_agreement']:.2%}" if card["simulated_noise"] else "",
             f"{card['training']['epochs']}", card["training"]["teacher"] or ""]
    return "| " + " | ".join(cell.replace("%", " %") for cell in cells) + " |"


def write_card(card: dict[str, Any], folder: pathlib.Path) -> None:
    """Writes NAME.json, and renews the table in the folder's README.md and what other cards say of their ReLU twins."""
    others = [_read(path) for path in sorted(folder.glob("*.json")) if path.stem != card["name"]]
    cards = sorted([c for c in others if c is not None] + [card], key=lambda c: c["name"])
    for c in cards:
        twin = _relu_twin(c, cards)
        if c is card or c.get("relu_twin") != twin:
            text = json.dumps(c | {"relu_twin": twin}, indent=2) + "\n"
            (folder / f"{c['name']}.json").write_text(text, encoding="utf-8")
    table = "\n".join(
        [BEGIN, "| model | data | network | activation | accuracy, float32 | ReLU twin | parameters | "
         "multiply-adds | largest pre-activation | images beyond limits | agreement under simulated noise | epochs | "
         "teacher |", "|" + "---|" * 13, *(_row(c, cards) for c in cards), END])
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else "# Models\n"
    if BEGIN in text and END in text:
        text = text[:text.index(BEGIN)] + table + text[text.index(END) + len(END):]
    else:
        text = text.rstrip("\n") + "\n\n" + table + "\n"
    readme.write_text(text, encoding="utf-8")


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    """A card, or None for other JSON."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return card if isinstance(card, dict) and {"name", "sha256", "training"} <= card.keys() else None

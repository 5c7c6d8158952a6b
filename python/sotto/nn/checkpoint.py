"""Checkpoints: one file with settings, data description, weights and, for continuing, the state of training."""
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Any

import torch
from torch import nn

from . import models
from .config import Config, from_dict
from .data import Meta
from .errors import TrainError

VERSION = 1


def save(path: pathlib.Path, config: Config, meta: Meta, history: list[dict[str, Any]], model: dict[str, torch.Tensor],
         **state: Any) -> None:
    """Writes the file in full or not at all. `state` holds tensors and lists of tensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"config": dataclasses.asdict(config), "meta": dataclasses.asdict(meta), "history": history}
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as f:
        torch.save({"version": VERSION, "about": json.dumps(about), "model": model, **state}, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what `save` wrote, with config, meta and history as themselves; runs no code that the file may hold.

    TrainError if it is missing, damaged or of another kind.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["version"] != VERSION:
            raise TrainError(f"{path}: a checkpoint of version {content['version']}; this program reads {VERSION}")
        about = json.loads(content["about"])
        meta = about["meta"] | {"mean": tuple(about["meta"]["mean"]), "std": tuple(about["meta"]["std"])}
        return content | {"config": from_dict(about["config"]), "meta": Meta(**meta), "history": about["history"]}
    except FileNotFoundError:
        raise TrainError(f"{path}: there is no such checkpoint") from None
    except TrainError:
        raise
    except Exception:  # the unpickler raises whatever damaged bytes lead to
        raise TrainError(f"{path}: not a checkpoint, or damaged") from None


@dataclasses.dataclass
class Trained:
    """A network out of a checkpoint, in evaluation mode, with what belongs to it."""

    net: nn.Module
    config: Config
    meta: Meta
    history: list[dict[str, Any]]


def load_network(path: str | os.PathLike[str]) -> Trained:
    """Rebuilds the network of a checkpoint."""
    content = load(path)
    config, meta = content["config"], content["meta"]
    net = models.build(config.arch, config.activation, meta.channels, len(meta.classes), (meta.height, meta.width))
    try:
        net.load_state_dict(content["model"])
    except RuntimeError:
        raise TrainError(f"{path}: its weights do not fit its architecture {config.arch}") from None
    return Trained(net.eval(), config, meta, content["history"])

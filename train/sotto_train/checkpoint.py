"""Checkpoints: one file with settings, data description, weights and, for continuing, the state of training."""
from __future__ import annotations

import dataclasses
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


def save(path: pathlib.Path, content: dict[str, Any]) -> None:
    """Writes the file in full or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as f:
        torch.save({"version": VERSION, **content}, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(temporary, path)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint; TrainError if it is missing, damaged or of another kind."""
    try:
        content = torch.load(path, map_location="cpu")
    except FileNotFoundError:
        raise TrainError(f"{path}: there is no such checkpoint") from None
    except Exception:  # the unpickler raises whatever damaged bytes lead to
        raise TrainError(f"{path}: not a checkpoint, or damaged") from None
    if not isinstance(content, dict) or content.get("version") != VERSION or "model" not in content:
        raise TrainError(f"{path}: not a checkpoint of this version")
    return content


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
    config, meta = from_dict(content["config"]), Meta(**content["meta"])
    net = models.build(config.arch, config.activation, meta.channels, len(meta.classes), (meta.height, meta.width))
    net.load_state_dict(content["model"])
    return Trained(net.eval(), config, meta, content["history"])

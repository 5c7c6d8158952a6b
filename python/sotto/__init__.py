"""Sotto: neural networks on batches of encrypted images.

    model  = sotto.compile(module_or_onnx_path, batch=1024, calibrate=images)   # the side that computes
    client = sotto.Client.create(model.client_spec)                             # the side that owns images and key
    query  = client.encrypt(images)
    reply  = sotto.Server(model).infer(query, client.evaluation_keys)
    scores = client.decrypt(reply)

Networks are trained on encrypted images, too (`sotto.training`):

    plan   = sotto.compile_training(module_or_onnx_path, dict(steps=20, batch=256, rate=0.1))
    client = sotto.TrainingClient.create(plan.client_spec)
    reply  = sotto.Trainer(plan).train(client.encrypt(images, labels), client.evaluation_keys)
    client.decrypt(reply).save("trained.onnx")

`sotto.client` and `sotto.server` are the two sides. Each has an extension module of its own, which is loaded when
something of it is used; `import sotto.server` never loads code that knows of secret keys. An installation may lack one.
`sotto.nn` trains networks that run encrypted; it needs PyTorch (the extra `nn`), which nothing else here imports.
"""
from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._errors import (BadInputError, DoubtfulResults, Error, ErrorCode, InternalError, InterruptedWork,
                      MissingFileError, NoResourcesError, SottoWarning, UsageError, WrongKeyError)
from ._files import EvaluationKeys, PublicKey, Query, Reply, _native
from ._spec import ClientSpec

if TYPE_CHECKING:
    __version__: str
    from . import client, nn, server, signing, training
    from .client import Client, Doubt, Encryptor, Publication, Results, SecretKey, TrainingClient
    from .server import InferenceReport, Layer, Model, Server, Trainer, TrainingReport, compile
    from .signing import SigningKey
    from .training import TrainingClientSpec, TrainingPlan, TrainingResult, compile_training, simulate_training

__all__ = ["BadInputError", "Client", "ClientSpec", "Doubt", "DoubtfulResults", "Encryptor", "Error", "ErrorCode",
           "EvaluationKeys", "InferenceReport", "InternalError", "InterruptedWork", "Layer", "MissingFileError", "Model",
           "NoResourcesError", "PublicKey", "Publication", "Query", "Reply", "Results", "SecretKey", "Server", "SigningKey",
           "SottoWarning", "Trainer", "TrainingClient", "TrainingClientSpec", "TrainingPlan", "TrainingReport",
           "TrainingResult", "UsageError", "WrongKeyError", "client", "compile", "compile_training", "server", "signing",
           "simulate_training", "training"]

_HOMES = {"Client": "client", "Doubt": "client", "Encryptor": "client", "Publication": "client", "Results": "client",
          "SecretKey": "client", "TrainingClient": "client", "InferenceReport": "server", "Layer": "server", "Model": "server",
          "Server": "server", "Trainer": "server", "TrainingReport": "server", "compile": "server",
          "TrainingClientSpec": "training", "TrainingPlan": "training", "TrainingResult": "training",
          "compile_training": "training", "simulate_training": "training", "SigningKey": "signing"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _native().__version__
    if name in ("client", "nn", "server", "signing", "training"):
        return importlib.import_module("." + name, __name__)
    if name in _HOMES:
        value = getattr(importlib.import_module("." + _HOMES[name], __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'sotto' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__", "nn"})

"""What the C++ library says, in the words of this package."""
from __future__ import annotations

import re
from collections.abc import Collection

_WORDS = [(re.compile(theirs), ours) for theirs, ours in (
    (r"write its mean and std with scripts/add_metadata\.py", "give mean= and std="),
    (r"write --mean (\S+) --std (\S+) with scripts/add_metadata\.py", r"give mean=\1 and std=\2"),
    (r"the same command\b", "the same call"),
    (r"\bthis program reads\b", "this version of sotto reads"),
    (r"it is for training, not for inference: sotto-server train runs it",
     "it is for training, not for inference: sotto.TrainingPlan, Trainer and TrainingClient take it"),
    (r"it is not for training; compile a network with a training spec",
     "it is for inference, not for training: sotto.Model, Server and Client take it; sotto.compile_training makes plans "
     "for training"),
    (r"it takes a client for training", "it takes a sotto.TrainingClient, the client for training"))]

# Which classes take what another one is asked to take.
_TAKERS = {"Model": "sotto.Server takes it, sotto.Client its client_spec",
           "ClientSpec": "sotto.Client and Encryptor take it",
           "TrainingPlan": "sotto.Trainer and TrainingClient take it",
           "TrainingClientSpec": "sotto.TrainingClient takes it"}


def in_python(text: str, by_argument: Collection[str] = ()) -> str:
    """A message or note. by_argument: what of mean, std and classes the caller gave instead of metadata of the file."""
    for theirs, ours in _WORDS:
        text = theirs.sub(ours, text)
    for name in by_argument:
        text = re.sub(rf"\b(metadata )?sotto\.{name}\b", f"{name}=", text)
    return text


def wrong_type(expected: str, given: object) -> TypeError:
    """expected: such as "a model is expected (a sotto.Model, a path or bytes)". Names who takes what was given."""
    name = type(given).__name__
    taken = type(given).__module__.startswith("sotto.") and name in _TAKERS
    return TypeError(f"{expected}, not {name}" + (f"; {_TAKERS[name]}" if taken else ""))

"""The exceptions of Sotto."""
from __future__ import annotations

import enum
import re

from ._words import in_python


class ErrorCode(enum.IntEnum):
    """What went wrong. The values are the exit codes of the `sotto` program."""
    INTERNAL = 1
    """a defect in Sotto, or the operating system failed"""
    USAGE = 2
    """the caller asks for something that does not make sense"""
    BAD_INPUT = 3
    """a file, a model or images cannot be used"""
    WRONG_KEY = 4
    """key, model and what was encrypted do not belong together"""
    NO_RESOURCES = 5
    """not enough memory, disk or levels"""
    INTERRUPTED = 130
    """work was stopped"""


class Error(Exception):
    """Base of all errors of Sotto.

    code: what kind of error it is.
    message: one line that says what is wrong and, where possible, what to do.
    hint: the argument to set to another value, such as "calibrate=", or None.
    module: the part of a PyTorch module that the message is about, such as "layer2.0.act", or None.
    """
    code = ErrorCode.INTERNAL
    """what kind of error it is"""

    def __init__(self, message: str, hint: str | None = None, module: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.module = message, hint, module

    def __str__(self) -> str:
        about = [f"module {self.module}"] if self.module else []
        return self.message + "".join(f" ({text})" for text in about + ([self.hint] if self.hint else []))


class InternalError(Error, RuntimeError):
    """A defect in Sotto, or the operating system failed."""


class UsageError(Error, ValueError):
    """The caller asks for something that does not make sense."""
    code = ErrorCode.USAGE


class BadInputError(Error, ValueError):
    """A file is truncated, damaged or of another version; a model or images cannot be used."""
    code = ErrorCode.BAD_INPUT


class MissingFileError(BadInputError, FileNotFoundError):
    """There is no such file."""


class WrongKeyError(Error, ValueError):
    """Key, model and what was encrypted do not belong together."""
    code = ErrorCode.WRONG_KEY


class NoResourcesError(Error, RuntimeError):
    """Not enough memory, disk or levels; or too few labels are predicted to agree with the float model's."""
    code = ErrorCode.NO_RESOURCES


class InterruptedWork(Error, RuntimeError):
    """Work was stopped. Ctrl-C gives KeyboardInterrupt instead."""
    code = ErrorCode.INTERRUPTED


class SottoWarning(UserWarning):
    """What one should know although work goes on."""


class DoubtfulResults(SottoWarning):
    """Some results may be wrong, or are lost (`Client.results` says which and why)."""


_CLASSES: dict[int, type[Error]] = {
    c.code: c for c in (InternalError, UsageError, BadInputError, WrongKeyError, NoResourcesError, InterruptedWork)}

# The library's settings (include/sotto/error.h), as this package calls them.
_HINTS = {"agreement": "agreement=", "calibration": "calibrate=", "count": "batch=", "function_error": "function_error=",
          "keys": "replace=True", "layout": "images.transpose(0, 3, 1, 2)", "memory": "memory=",
          "scratch": "scratch=, memory=", "signing_key": "signing_key="}


def make(code: int, message: str, setting: str) -> Error:
    """The exception for an error of the C++ library; called by the extension modules."""
    return _CLASSES.get(code, InternalError)(in_python(message), _HINTS.get(setting))


def node_names(message: str) -> list[str]:
    """ONNX nodes that a message names."""
    return re.findall(r"'(/[^']*)'", message)

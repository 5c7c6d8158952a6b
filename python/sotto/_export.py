"""Modules of PyTorch as ONNX files, and which part of a module it is that cannot become one."""
from __future__ import annotations

import contextlib
import inspect
import pathlib
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Union

from ._errors import BadInputError

if TYPE_CHECKING:
    import torch


Scopes = dict[str, Union[str, None]]
"""The module of a scope, as PyTorch's exporter has them in the names of nodes: layer2.0.act of /layer2/layer2.0/act in
/layer2/layer2.0/act/Relu. None: one of several."""


def module_of(node: str, scopes: Scopes) -> str | None:
    """The module that made a node."""
    return scopes.get(node.rpartition("/")[0])


def _own_name(path: str) -> str:
    """What the exporter calls a module within the one that calls it: 0.act becomes act, layer2.0 stays."""
    found = re.search(r"[^.]*[^.\d][^.]*(\.\d+)*$", path)
    return found[0] if found else path


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for the time of the block."""
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for m, training in modes:
            m.training = training


def write_onnx(module: torch.nn.Module, example: torch.Tensor, target: pathlib.Path, **options: Any) -> None:
    """Writes a module, in the mode that it is in, with a free number of images. options: more for torch.onnx.export."""
    import torch

    options = {"input_names": ["image"], "output_names": ["scores"]} | options
    options["dynamic_axes"] = {name: {0: "batch"} for name in options["input_names"] + options["output_names"]}
    # Of PyTorch's two exporters the one that names nodes by modules, which messages need, and writes one plain file.
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:  # PyTorch 2.5 and later
        options["dynamo"] = False
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter itself
        torch.onnx.export(module, (example,), str(target), **options)


class _Trial:
    """Runs a module once and sees which of its parts call which."""

    def __init__(self) -> None:
        self.scopes: Scopes = {}
        self._running: list[str] = []

    def _enter(self, path: str) -> None:
        self._running.append(path)
        scope = "".join("/" + _own_name(p) for p in self._running if p)
        self.scopes[scope] = path or None if self.scopes.get(scope, path) == path else None

    def _leave(self, path: str) -> None:
        while self._running.pop() != path:  # parts that raised what the module caught
            pass

    def __call__(self, module: torch.nn.Module, example: torch.Tensor) -> None:
        import torch

        with contextlib.ExitStack() as hooks, torch.no_grad():
            for path, part in module.named_modules():
                if not isinstance(part, torch.jit.ScriptModule):
                    hooks.callback(part.register_forward_pre_hook(lambda *_, path=path: self._enter(path)).remove)
                    hooks.callback(part.register_forward_hook(lambda *_, path=path: self._leave(path)).remove)
            module(example)

    @property
    def failed(self) -> str | None:
        """After an exception: the part that raised it."""
        return self._running[-1] or None if self._running else None


def _maker(failure: str, module: torch.nn.Module, example: torch.Tensor) -> str | None:
    """The part of a module with the operator that the exporter complains of, if that can be told."""
    import torch

    operator = re.search(r"operator '?(?:aten::)?(\w+)", failure)
    if not operator:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter has traced it already
        graph = torch.jit.trace(module, example, check_trace=False).inlined_graph
    found = [node.scopeName().split("/")[-1].removeprefix("__module.") for node in graph.findAllNodes("aten::" + operator[1])]
    # Of an operator that is supported in some places it must be the only one.
    known = len(set(found)) == 1 or (found and "is not supported" in failure)
    return found[0] or None if known and found[0] in dict(module.named_modules()) else None


def _in_short(failure: Exception) -> str:
    """The first line, without what PyTorch advises."""
    line = next(iter(str(failure).strip().splitlines()), type(failure).__name__)
    return re.split(r"\.? Please |\s*\[Caused by", line)[0]


def example_for(module: torch.nn.Module, shape: Sequence[int]) -> torch.Tensor:
    """An image of zeros, as a module takes it."""
    import torch

    first = next(iter([*module.parameters(), *module.buffers()]), torch.zeros(0))
    return torch.zeros(1, *shape, device=first.device, dtype=first.dtype if first.is_floating_point() else None)


def _require_one_input(module: torch.nn.Module, example: torch.Tensor) -> None:
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):  # of compiled modules it is not known
        return
    try:
        signature.bind(example)
    except TypeError:
        raise BadInputError(f"{type(module).__name__}.forward{signature} cannot be called with images alone; a "
                            "network takes one input") from None


def _scopes(module: torch.nn.Module, example: torch.Tensor, about: str) -> Scopes:
    """Runs a module, which is in evaluation mode."""
    import torch

    _require_one_input(module, example)
    for path, part in module.named_modules():
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise BadInputError("it normalises by the statistics of each batch (track_running_stats=False), which a "
                                "network for encrypted images cannot", module=path or None)
    run = _Trial()
    try:
        run(module, example)
    except Exception as e:
        raise BadInputError(f"PyTorch cannot run {about}: {_in_short(e)}", module=run.failed) from e
    return run.scopes


def _about(module: torch.nn.Module, shape: Sequence[int]) -> str:
    return f"{type(module).__name__} with images of {'x'.join(map(str, shape))}"


def scopes_of(module: torch.nn.Module, shape: Sequence[int]) -> Scopes:
    """Which part of a module makes which nodes. shape: of an image. Raises BadInputError if PyTorch cannot run it."""
    with evaluating(module):
        return _scopes(module, example_for(module, shape), _about(module, shape))


def node_names_of(module: torch.nn.Module, shape: Sequence[int]) -> dict[str, str]:
    """The nodes of convolutions and dense layers by the names of the parts of a module."""
    import torch

    names = {}
    for scope, path in scopes_of(module, shape).items():
        part = module.get_submodule(path) if path is not None else None
        if isinstance(part, (torch.nn.Conv1d, torch.nn.Conv2d)):
            names[str(path)] = f"{scope}/Conv"
        elif isinstance(part, torch.nn.Linear):
            names[str(path)] = f"{scope}/{'MatMul' if part.bias is None else 'Gemm'}"
    return names


def export(module: torch.nn.Module, shape: Sequence[int], target: pathlib.Path) -> Scopes:
    """Writes a module as ONNX file, in evaluation mode; it is as before at the end. shape: of an image.

    Raises BadInputError, which names the part of the module, where PyTorch can not run or export it.
    """
    example, about = example_for(module, shape), _about(module, shape)
    with evaluating(module):
        scopes = _scopes(module, example, about)
        try:
            write_onnx(module, example, target)
        except Exception as e:
            part = _maker(str(e), module, example)
            raise BadInputError(f"PyTorch cannot export {about}: {_in_short(e)}", module=part) from e
    return scopes

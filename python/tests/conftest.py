"""Most tests compile modules of PyTorch and are left out where it is not installed; test_onnx.py goes the whole way without."""
from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore = ["test_errors.py", "test_files.py", "test_load_into.py", "test_modules.py", "test_progress.py", "test_training.py", "test_whole_way.py", "torch_networks.py"]
else:
    from torch_networks import client, folder, model, network, server  # noqa: F401  (fixtures)

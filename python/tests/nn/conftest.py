"""All of sotto.nn needs PyTorch; what happens without it is tested by ../test_nn.py."""
from __future__ import annotations

import importlib.util

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = ["test_*.py"]

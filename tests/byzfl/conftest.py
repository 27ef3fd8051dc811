"""ByzFL's rules over NumPy arrays, without what it needs for training.

Its package imports PyTorch, torchvision and more as a whole; its rules compute with NumPy, and ask PyTorch only whether
an array is one of its own. So they are loaded without the package around them, and a PyTorch that has no tensors stands
in. Without ByzFL nothing here is collected but the test that says so.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

import pytest

FOUND = importlib.util.find_spec("byzfl")
collect_ignore_glob = [] if FOUND is not None else ["test_rules.py"]


def _load() -> Any:
    package = ModuleType("byzfl")
    package.__path__ = list(FOUND.submodule_search_locations or []) if FOUND is not None else []
    torch, linalg = ModuleType("torch"), ModuleType("torch.linalg")
    vars(torch).update(Tensor=type("Tensor", (), {}), linalg=linalg, __path__=[])
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is not ours to mend
        for module in (package, torch, linalg):
            patch.setitem(sys.modules, module.__name__, module)
        return importlib.import_module("byzfl.aggregators")


@pytest.fixture(scope="session")
def byzfl() -> Any:
    """Return the module `byzfl.aggregators`."""
    return _load()

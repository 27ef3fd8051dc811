"""Without Flower none of these tests is collected but the one that says so."""

from __future__ import annotations

import importlib
import importlib.util
import warnings

collect_ignore_glob: list[str] = []
if importlib.util.find_spec("flwr") is None:
    collect_ignore_glob = ["test_[!_]*.py"]
else:
    # Warnings are errors in our tests; those that Flower makes of what it imports are not ours to mend.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("flwr.app", "flwr.clientapp", "flwr.serverapp", "flwr.server.workflow", "flwr.client.mod"):
            importlib.import_module(name)

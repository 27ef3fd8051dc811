"""Without NVFLARE none of these tests is collected but the one that says so."""

from __future__ import annotations

import importlib
import importlib.util
import warnings

collect_ignore_glob: list[str] = []
if importlib.util.find_spec("nvflare") is None:
    collect_ignore_glob = ["test_[!_]*.py"]
else:
    # Warnings are errors in our tests; those that NVFLARE makes of what it imports are not ours to mend.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (
            "nvflare.apis.impl.controller",
            "nvflare.app_common.np.np_model_persistor",
            "nvflare.job_config.api",
        ):
            importlib.import_module(name)

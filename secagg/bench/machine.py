"""What a figure was measured on: processor, cores, versions and load. Nothing that names a person, host or folder.

Uses pyperf's survey of the machine. Must not know benchmarks.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from cryptography.hazmat.backends.openssl import backend

from secagg.bench.rows import Scalar
from secagg.errors import MissingExtraError

_PACKAGES = ("numpy", "cryptography", "pynacl", "pyaegis", "protobuf")
_SURVEYED = {
    "cpu_model_name": "processor",
    "cpu_config": "processor_configuration",
    "cpu_freq": "processor_frequency",
    "cpu_affinity": "processor_affinity",
    "runnable_threads": "runnable_threads",
}


def describe_machine() -> dict[str, Scalar]:
    """Return the machine, its versions and its load now.

    Raises:
        ParameterError: the `bench` extra is not installed.
    """
    surveyed = _survey()
    machine: dict[str, Scalar] = {
        ours: _scalar(surveyed[theirs]) for theirs, ours in _SURVEYED.items() if theirs in surveyed
    }
    machine.setdefault("processor", platform.processor() or platform.machine())
    machine["cores"] = usable_cores()
    machine["system"] = platform.platform()
    machine["python"] = f"{platform.python_implementation()} {platform.python_version()}"
    machine["openssl"] = backend.openssl_version_text()
    for package in _PACKAGES:
        machine[package] = _version(package)
    machine.update(load())
    return machine


def load() -> dict[str, Scalar]:
    """Return the load averages of 1, 5 and 15 minutes, where the system has them."""
    if not hasattr(os, "getloadavg"):
        return {}
    return {f"load_{minutes}min": round(value, 2) for minutes, value in zip((1, 5, 15), os.getloadavg(), strict=True)}


def _survey() -> dict[str, object]:
    try:
        from pyperf import Run
    except ImportError as error:
        raise MissingExtraError("`secagg bench run` needs the 'bench' extra: pip install 'secagg[bench]'") from error
    return dict(Run([1.0], collect_metadata=True).get_metadata())


def usable_cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _scalar(value: object) -> Scalar:
    return value if isinstance(value, int | float) else str(value)

"""The suites: which there are, in the order in which they are run."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from secagg.bench.benchmark import Suite
from secagg.bench.suites import (
    blame,
    browser,
    cells,
    chosen,
    hybrid,
    masking,
    memory,
    packing,
    peers,
    primitives,
    privacy,
    rules,
    scaling,
    server,
    shamir,
    upload,
    whole_client,
)

SUITES: Final[Mapping[str, Suite]] = MappingProxyType(
    {
        "primitives": primitives.benchmarks,
        "masking": masking.benchmarks,
        "packing": packing.benchmarks,
        "privacy": privacy.benchmarks,
        "shamir": shamir.benchmarks,
        "round": whole_client.benchmarks,
        "server": server.benchmarks,
        "hybrid": hybrid.benchmarks,
        "chosen": chosen.benchmarks,
        "blame": blame.benchmarks,
        "cells": cells.benchmarks,
        "rules": rules.benchmarks,
        "scaling": scaling.benchmarks,
        "memory": memory.benchmarks,
        "upload": upload.benchmarks,
        "peers": peers.benchmarks,
        "browser": browser.benchmarks,
    }
)

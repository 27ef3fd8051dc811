"""What the checker of tests/test_layering.py must catch, in a small library that is made up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.test_layering import (
    cycles,
    foreign_imports,
    hidden_imports,
    impurities,
    loose_modules,
    reached_from,
    sources_of,
    unlisted_names,
    upward_imports,
)

HOUSE: Final = {
    "": "from secagg.public import *",
    "public": "from secagg.session.client import ClientSession",
    "errors": "",
    "canonical": "from secagg.errors import DecodeError",
    "crypto": "",
    "crypto.secret": "from secagg.errors import ParameterError",
    "crypto.kdf": "from secagg.crypto.secret import SecretBytes\nimport cryptography",
    "wire": "",
    "wire.codec": "from google.protobuf.message import Message\nfrom secagg.errors import DecodeError",
    "protocol": "",
    "protocol.client": "import hashlib\nfrom secagg.crypto import kdf\nfrom . import states",
    "protocol.states": "from secagg.crypto.kdf import derive",
    "protocol.messages": "",
    "privacy": "",
    "privacy.plan": "",
    "privacy.lab": "",
    "privacy.lab.audit": "from secagg.privacy.plan import Plan",
    "session": "",
    "session.client": "from secagg.protocol.client import receive",
    "testing": "",
    "testing.tape": "",
    "cli": "",
    "cli.main": "import typer\nimport secagg\nsecagg.ClientSession",
}


def house(**changes: str) -> dict[str, str]:
    """The synthetic library with some modules replaced; `crypto__kdf` stands for crypto.kdf."""
    return HOUSE | {name.replace("__", ".").replace("ROOT", ""): source for name, source in changes.items()}


def all_findings(sources: Mapping[str, str]) -> list[str]:
    return [
        *upward_imports(sources),
        *(f"{name} stands loose" for name in loose_modules(sources)),
        *foreign_imports(sources),
        *hidden_imports(sources),
        *impurities(sources, "protocol"),
        *(" -> ".join(circle) for circle in cycles(sources)),
        *unlisted_names(sources, "cli", {"ClientSession"}),
    ]


def test_the_synthetic_library_is_in_order() -> None:
    assert all_findings(HOUSE) == []


@pytest.mark.parametrize(
    ("module", "source", "finding"),
    [
        ("errors", "from secagg.canonical import Reader", "errors:1 imports secagg.canonical"),
        ("errors", "import secagg.canonical", "errors:1 imports secagg.canonical"),
        ("errors", "from secagg import canonical", "errors:1 imports secagg.canonical"),
        ("errors", "from . import canonical", "errors:1 imports secagg.canonical"),
        ("errors", "from .canonical import Reader", "errors:1 imports secagg.canonical"),
        ("errors", "import secagg", "errors:1 imports secagg"),
        ("errors", "from secagg import ClientSession", "errors:1 imports secagg"),
        ("crypto__kdf", "from secagg.protocol.client import receive", "crypto.kdf:1 imports secagg.protocol.client"),
        ("crypto__kdf", "from ..protocol import client", "crypto.kdf:1 imports secagg.protocol.client"),
        ("crypto__kdf", "from ..protocol.client import receive", "crypto.kdf:1 imports secagg.protocol.client"),
        ("wire__codec", "from secagg.protocol import states", "wire.codec:1 imports secagg.protocol.states"),
        ("protocol__client", "from secagg.wire.codec import encode", "protocol.client:1 imports secagg.wire.codec"),
        ("session__client", "import secagg.testing", "session.client:1 imports secagg.testing"),
        ("privacy__plan", "from secagg.privacy.lab import audit", "privacy.plan:1 imports secagg.privacy.lab.audit"),
        ("privacy__plan", "from .lab.audit import x", "privacy.plan:1 imports secagg.privacy.lab.audit"),
        ("privacy", "from secagg.privacy import lab", "privacy:1 imports secagg.privacy.lab"),
        ("cli__main", "from secagg.crypto import kdf", "cli.main:1 imports secagg.crypto.kdf"),
        ("cli__main", "from secagg import session", "cli.main:1 imports secagg.session"),
        (
            "protocol__messages",
            "from secagg.protocol import states",
            "protocol.messages:1 imports secagg.protocol.states",
        ),
        ("newcomer", "", "newcomer stands loose"),
        ("cli__main", "from secagg.errors import _secret", "cli.main:1 imports the private _secret"),
        ("cli__main", "import secagg\nsecagg.wire.codec", "cli.main:2 uses secagg.wire"),
        ("newcomer", "", "newcomer has no place in the plan"),
        ("session__client", "from secagg.newcomer import x", "session.client:1 imports secagg.newcomer"),
        ("session__client", "def late():\n    import cryptography", "session.client:2 imports cryptography"),
        ("session__client", "from nacl.bindings import crypto_sign", "session.client:1 imports nacl"),
        (
            "session__client",
            "try:\n    import pyaegis\nexcept ImportError:\n    pass",
            "session.client:2 imports pyaegis",
        ),
        ("session__client", "from google.protobuf import message", "session.client:1 imports google"),
        ("session__client", "import rich.table", "session.client:1 imports rich"),
        ("errors", "import numpy as np", "errors:1 imports numpy"),
        ("crypto__kdf", "import requests", "crypto.kdf:1 imports requests"),
        ("session__client", "from importlib import import_module", "session.client:1 imports importlib"),
        ("session__client", "__import__('secagg.cli')", "session.client:1 imports at run time"),
        ("protocol__client", "import socket", "protocol.client:1 imports socket"),
        ("protocol__client", "import time as t", "protocol.client:1 imports time"),
        ("protocol__client", "from os import urandom", "protocol.client:1 imports os"),
        ("protocol__client", "def f():\n    from threading import Lock", "protocol.client:2 imports threading"),
        ("protocol__client", "import logging.handlers", "protocol.client:1 imports logging"),
        ("protocol__client", "import random", "protocol.client:1 imports random"),
        ("protocol__client", "import secrets", "protocol.client:1 imports secrets"),
        ("protocol__client", "from pathlib import Path", "protocol.client:1 imports pathlib"),
        ("protocol__client", "import google.protobuf", "protocol.client:1 imports google"),
        ("protocol__client", "import grpc", "protocol.client:1 imports grpc"),
        ("protocol__client", "open('state')", "protocol.client:1 calls open"),
        ("protocol__client", "def f():\n    global state", "protocol.client:2 has a global variable"),
        (
            "protocol__states",
            "from secagg.protocol import client",
            "protocol.client -> protocol.states -> protocol.client",
        ),
    ],
)
def test_the_checker_catches(module: str, source: str, finding: str) -> None:
    assert finding in all_findings(house(**{module: source}))


def test_the_checker_follows_imports_through_modules_below() -> None:
    assert reached_from(house(crypto__kdf="import time"), "protocol")["time"] == ["crypto.kdf"]


def test_the_checker_reads_a_package_from_disk(tmp_path: Path) -> None:
    (tmp_path / "wire").mkdir()
    (tmp_path / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "wire" / "__init__.py").write_text("import cryptography\n", encoding="utf-8")
    (tmp_path / "errors.py").write_text("from secagg import wire\n", encoding="utf-8")
    sources = sources_of(tmp_path)
    assert upward_imports(sources) == ["errors:1 imports secagg.wire"]
    assert foreign_imports(sources) == ["wire:1 imports cryptography"]

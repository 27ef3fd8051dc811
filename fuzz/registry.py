"""All targets by name: what the runner fuzzes, what the tests replay. Knows nothing of atheris."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from fuzz import decoders, frozen, payloads, sharing
from fuzz.chosen_driver import chosen_session
from fuzz.client_driver import client_session
from fuzz.server_driver import server_session

Target = Callable[[bytes], None]

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "offer": decoders.offer,
        "server_message": decoders.server_message,
        "client_message": decoders.client_message,
        "parameters": decoders.parameters,
        "canonical": decoders.canonical,
        "vector_spec": decoders.vector_spec,
        "packed": payloads.packed,
        "sharing": sharing.sharing,
        "split_shares": sharing.split,
        "share_plaintext": frozen.share_plaintext,
        "client_snapshot": frozen.client_snapshot,
        "server_snapshot": frozen.server_snapshot,
        "client_session": client_session,
        "server_session": server_session,
        "chosen_session": chosen_session,
    }
)

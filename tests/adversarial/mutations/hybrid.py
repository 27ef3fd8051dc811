"""Hybrid keys and parcels: row 42; and what the server keeps of parcels in a file: row 47."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import DEALING, INPUT, KEYS, SERVER_SETUP, SETUP, m

HYBRID: Final = "crypto/hybrid.py"
_BOTH: Final = "bytes(encapsulated.secret.expose()) + bytes(key.expose())"

MUTATIONS: Final = (
    m("42", "masks without the KEM", (KEYS, "    if encapsulated is not None:\n", "    if False:\n")),
    m(
        "42",
        "channels without the KEM",
        (
            DEALING,
            "            sending = bytes(key_schedule.hybrid_key(SecretBytes(sending), sent, binding).expose())\n",
            "",
        ),
        (INPUT, "key = bytes(key_schedule.hybrid_key(SecretBytes(key), sent, state.binding).expose())", "pass"),
    ),
    m("42", "the KEM alone", (KEYS, _BOTH, "bytes(encapsulated.secret.expose())")),
    m("42", "a wrap without a pad", (KEYS, "pad = kdf.expand(secret, info,", "pad = SecretBytes(bytes(32)) or (info,")),
    m(
        "42",
        "the server forwards wraps",
        (SERVER_SETUP, "run.values[:, :-SHARED_BYTES]", "run.values"),
        ("protocol/parcels.py", "    if length != expected:\n", "    if length < expected:\n"),
    ),
    m(
        "42",
        "the mask ciphertext is not authentic",
        (KEYS, ".finish() if mask_ciphertext else b", ".finish() if False else b"),
    ),
    m("42", "parts may repeat, at the client", (SETUP, "for part in halves(key)]", "for part in (key,)]")),
    m("42", "parts may repeat, at the server", (SERVER_SETUP, "for part in halves(key)]", "for part in (key,)]")),
    m("42", "unreduced encapsulation keys", (HYBRID, " and kem.is_canonical(second)", "")),
    m("42", "keys of any suite", ("protocol/parcels.py", "if len(public) != context.suite.public_bytes:", "if False:")),
    m("42", "parcels of any form", ("protocol/parcels.py", "    if length != expected:\n", "    if False:\n")),
    m(
        "42",
        "one part of a rebuilt key is held",
        (
            "protocol/verifying.py",
            ".public == advertisement.mask_public",
            ".public[:32] == advertisement.mask_public[:32]",
        ),
    ),
    m("47", "a damaged row is read", ("store/spool.py", "if _digest(row) != ", "if b'' != b'' and ")),
    m(
        "47",
        "a full disk ends the session",
        (
            "store/spool.py",
            "        except OSError:\n            return rows\n",
            "        finally:\n            pass\n",
        ),
    ),
    m("47", "a served session keeps all in memory", ("hosting/replica.py", ", spool=FileSpool()", "")),
    m("47", "what stays is not handed to the spool", (SERVER_SETUP, "state.context.spool(kept)", "kept")),
)

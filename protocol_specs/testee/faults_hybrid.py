"""Faults of the hybrid suites: keys of two parts, derivations with a KEM, parcels (§3.1 to §3.3, §6.2 to §6.7).

Must not know how a fault is planted.
"""

from __future__ import annotations

from protocol_specs.reference import keys, sealing, unmasking
from protocol_specs.reference.client import Client
from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Fault, edited

HYBRID_FAULTS: dict[str, Fault] = {
    "hybrid-without-the-kem": edited(
        "What was encapsulated enters no key.", "R42", keys, "hybrid_key", "secret + key", "bytes(32) + key"
    ),
    "hybrid-without-x25519": edited(
        "The X25519 result enters no key.", "R42", keys, "hybrid_key", "secret + key", "secret + bytes(32)"
    ),
    "hybrid-secret-last": edited(
        "The encapsulated secret stands behind the key.", "R42", keys, "hybrid_key", "secret + key", "key + secret"
    ),
    "hybrid-ciphertext-not-bound": edited(
        "A hybrid key does not name its ciphertext.", "R42", keys, "hybrid_key", ", binding, ciphertext", ", binding"
    ),
    "hybrid-channels-only": edited(
        "Masks follow from X25519 alone.", "R42", keys, "pairwise_prg_key", "if encapsulated:", "if False:"
    ),
    "hybrid-mask-key-of-any-session": edited(
        "A mask private key does not name its session.",
        "R42",
        keys,
        "mask_private",
        'canonical("secagg/v1 mask private key", session)',
        'canonical("secagg/v1 mask private key")',
    ),
    "hybrid-wrap-of-any-ciphertext": edited(
        "A wrap does not name its ciphertext.", "R42", keys, "mask_wrap", ", u, v, ciphertext", ", u, v"
    ),
    "hybrid-client-compares-whole-keys": edited(
        "A client compares public keys and not their parts.",
        "C24",
        Client,
        "_share_keys",
        "for part in keys.halves(key)",
        "for part in [key]",
    ),
    "hybrid-server-compares-whole-keys": edited(
        "A server compares public keys and not their parts.",
        "S12",
        Server,
        "_check_advertisement",
        "for part in keys.halves(key)",
        "for part in [key]",
    ),
    "hybrid-any-encapsulation-key": edited(
        "Coefficients are not looked at.",
        "C28 S15",
        keys,
        "is_canonical",
        "max(_coefficients(part)) < _ML_KEM_PRIME",
        "True",
    ),
    "hybrid-coefficient-of-q": edited(
        "q counts as reduced.", "C28 S15", keys, "is_canonical", "< _ML_KEM_PRIME", "<= _ML_KEM_PRIME"
    ),
    "hybrid-first-coefficients": edited(
        "The last coefficient is not looked at.", "C28 S15", keys, "_coefficients", "range(768)", "range(767)"
    ),
    "hybrid-key-lengths-of-any-suite": edited(
        "Public keys of other suites are taken.",
        "A08 R19 S02",
        keys,
        "check_lengths",
        "len(key) != expected",
        "False",
    ),
    "hybrid-any-parcel": edited(
        "A parcel may have bytes behind its parts.",
        "A08 S02 R19",
        sealing,
        "split",
        "len(parcel) != sum(lengths)",
        "len(parcel) < sum(lengths)",
    ),
    "hybrid-mask-ciphertext-not-authentic": edited(
        "The associated data has no mask ciphertext.",
        "R43 R64",
        sealing,
        "associated_data",
        "[mask_ciphertext] if mask_ciphertext else []",
        "[]",
    ),
    "hybrid-wrap-forwarded": edited(
        "The server forwards what was wrapped for it.",
        "R54",
        Server,
        "_close_share_keys",
        'replace(parcel, wrap=b"").join()',
        "parcel.join()",
    ),
    "hybrid-first-part-verified": edited(
        "A rebuilt secret is held against the X25519 part alone.",
        "R17",
        keys,
        "is_advertised",
        "public_key(mask_private(secret, session, hybrid)) == own.mask_public",
        "public_key(mask_private(secret, session, hybrid))[:32] == own.mask_public[:32]",
    ),
    "hybrid-nothing-unwrapped": edited(
        "The server decapsulates for both sides of a pair.",
        "R48",
        unmasking.Session,
        "encapsulated_between",
        "if owner > other:",
        "if True:",
    ),
}

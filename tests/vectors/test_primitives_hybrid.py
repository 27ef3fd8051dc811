"""The library agrees with the derivations of hybrid suites in the vectors (Specification §3.1 to §3.3)."""

from __future__ import annotations

import pytest

from secagg.crypto import aead, hybrid, kem, key_schedule, shamir
from secagg.crypto.hybrid import HybridKey
from secagg.crypto.key_schedule import Encapsulated
from secagg.testing.tape import TapeRandomSource
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run, secret, shown, verdict
from tests.vectors.test_primitives_crypto import associated_data, seal


def key_of(private: str) -> HybridKey:
    return HybridKey(secret(private))


def public_key(case: Case) -> None:
    compare(case, lambda: {"public": key_of(case["input"]["private"]).public.hex()})


def judge_public_key(case: Case) -> None:
    public = data(case["input"]["public"])
    broken = [
        *(() if hybrid.is_canonical(public) else ("C28", "S15")),
        *(("C25", "S13") if hybrid.is_low_order(public) else ()),
    ]
    verdict(case, broken)


def mask_private_key(case: Case) -> None:
    given = case["input"]
    key = key_schedule.mask_private_key(secret(given["mask_secret"]), data(given["session"]), with_kem=True)
    compare(case, lambda: {"private": shown(key.secret)})


def encapsulate(case: Case) -> None:
    given = case["input"]
    made, ciphertext = kem.encapsulate(hybrid.halves(data(given["public"]))[1], TapeRandomSource(data(given["tape"])))
    compare(case, lambda: {"secret": shown(made), "ciphertext": ciphertext.hex()})


def decapsulate(case: Case) -> None:
    given = case["input"]
    compare(case, lambda: {"secret": shown(key_of(given["private"]).kem.decapsulate(data(given["ciphertext"])))})


def hybrid_key(case: Case) -> None:
    given = case["input"]
    sent = Encapsulated(secret(given["secret"]), data(given["ciphertext"]))
    compare(case, lambda: {"key": shown(key_schedule.hybrid_key(secret(given["key"]), sent, data(given["binding"])))})


def channel_keys(case: Case) -> None:
    given = case["input"]
    own, other, binding = given["own"], given["other"], data(given["binding"])
    key = key_of(own["private"])
    ends = int(own["client"]), int(other["client"])
    sending, receiving = key_schedule.channel_keys(key, data(other["public"]), binding, *ends)
    sent = Encapsulated(secret(given["secret"]), data(given["ciphertext"]))
    received = Encapsulated(key.kem.decapsulate(data(given["received"])), data(given["received"]))
    compare(
        case,
        lambda: {
            "sending": shown(key_schedule.hybrid_key(sending, sent, binding)),
            "receiving": shown(key_schedule.hybrid_key(receiving, received, binding)),
        },
    )


def pairwise_prg_key(case: Case) -> None:
    given = case["input"]
    own, other, ciphertext = given["own"], given["other"], data(given["ciphertext"])
    key = key_of(own["private"])
    found = secret(given["secret"]) if given["secret"] else key.kem.decapsulate(ciphertext)
    made = key_schedule.pairwise_mask_key(
        key,
        data(other["public"]),
        data(given["session"]),
        data(given["binding"]),
        int(own["client"]),
        int(other["client"]),
        Encapsulated(found, ciphertext),
    )
    compare(case, lambda: {"key": shown(made)})


def mask_wrap(case: Case) -> None:
    given = case["input"]
    found = key_schedule.mask_wrap(
        secret(given["mask_secret"]),
        data(given["binding"]),
        int(given["client"]),
        int(given["peer"]),
        data(given["content"]),
        data(given["ciphertext"]),
    )
    compare(case, lambda: {"content": shown(found)})


def open_sealed(case: Case) -> None:
    given = case["input"]

    def opened() -> Json:
        pair = aead.open_sealed(secret(given["key"]), data(given["sealed"]), associated_data(given))
        seed_share, mask_key_share = shamir.split_shares(pair)
        return {"seed_share": shown(seed_share), "mask_key_share": shown(mask_key_share)}

    compare(case, opened, aead.AuthenticationError)


CHECKS = {
    ("hybrid", "public_key"): public_key,
    ("hybrid", "judge_public_key"): judge_public_key,
    ("hybrid", "mask_private_key"): mask_private_key,
    ("hybrid", "encapsulate"): encapsulate,
    ("hybrid", "decapsulate"): decapsulate,
    ("hybrid", "hybrid_key"): hybrid_key,
    ("hybrid", "channel_keys"): channel_keys,
    ("hybrid", "pairwise_prg_key"): pairwise_prg_key,
    ("hybrid", "mask_wrap"): mask_wrap,
    ("hybrid", "seal"): seal,
    ("hybrid", "open"): open_sealed,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("hybrid"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)

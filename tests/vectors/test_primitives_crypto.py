"""The library agrees with keys, masks, sealed pairs and signatures of the vectors (Specification §3)."""

from __future__ import annotations

import numpy as np
import pytest

from secagg.crypto import aead, dealing, disclosure, key_schedule, shamir, signing
from secagg.crypto.agreement import AgreementKey, LowOrderPointError, is_canonical, is_low_order
from secagg.crypto.commitments import Commitments, ShareKind
from secagg.crypto.suites import get_suite
from secagg.errors import EvidenceError, ParameterError
from secagg.parameters.suite_ids import SuiteId
from secagg.protocol.evidence import verify_evidence
from tests.vectors.support_primitives import Case, Json, cases_of, compare, data, run, secret, shown, verdict


def key_of(private: str) -> AgreementKey:
    return AgreementKey.from_secret(secret(private))


def public_key(case: Case) -> None:
    compare(case, lambda: {"public": key_of(case["input"]["private"]).public.hex()})


def judge_public_key(case: Case) -> None:
    public = data(case["input"]["public"])
    broken = [*(() if is_canonical(public) else ("C28", "S15")), *(("C25", "S13") if is_low_order(public) else ())]
    verdict(case, broken)
    if is_low_order(public):
        with pytest.raises(LowOrderPointError):
            key_of("77" * 32).agree(public)


def agree(case: Case) -> None:
    given = case["input"]
    compare(case, lambda: {"agreed": shown(key_of(given["private"]).agree(data(given["public"])))})


def channel_keys(case: Case) -> None:
    given = case["input"]
    own, other = given["own"], given["other"]
    sending, receiving = key_schedule.channel_keys(
        key_of(own["private"]),
        data(other["public"]),
        data(given["binding"]),
        int(own["client"]),
        int(other["client"]),
    )
    compare(case, lambda: {"sending": shown(sending), "receiving": shown(receiving)})


def pairwise_prg_key(case: Case) -> None:
    given = case["input"]
    own, other = given["own"], given["other"]
    key = key_schedule.pairwise_mask_key(
        key_of(own["private"]),
        data(other["public"]),
        data(given["session"]),
        data(given["binding"]),
        int(own["client"]),
        int(other["client"]),
    )
    compare(case, lambda: {"key": shown(key)})


def self_prg_key(case: Case) -> None:
    given = case["input"]
    key = key_schedule.self_mask_key(secret(given["self_mask_seed"]), data(given["session"]))
    compare(case, lambda: {"key": shown(key)})


def commitment(case: Case) -> None:
    given = case["input"]
    made = key_schedule.self_mask_commitment(
        data(given["session"]), int(given["client"]), secret(given["self_mask_seed"])
    )
    compare(case, lambda: {"commitment": made.hex()})


def dealt(case: Case) -> None:
    given = case["input"]
    entries = [
        dealing.dealt_entry(int(each["receiver"]), data(each["receiver_public"]), data(each["sealed"]))
        for each in given["entries"]
    ]
    digests = dealing.digests_of(entries)
    message = dealing.dealing_text(
        data(given["session"]), data(given["binding"]), int(given["dealer"]), data(given["dealer_public"]), digests
    )
    compare(case, lambda: {"digests": digests.hex(), "message": message.hex()})


def judge_entry(case: Case) -> None:
    stands = dealing.is_dealt(*(data(case["input"][name]) for name in ("entry", "block", "digests")))
    assert stands is ("output" in case)


def judge_provable(case: Case) -> None:
    assert disclosure.is_provable(data(case["input"]["public"])) is ("output" in case)


def prove(case: Case) -> None:
    given = case["input"]
    key, other, context = key_of(given["private"]), data(given["other_public"]), data(given["context"])
    compare(case, lambda: {"proof": disclosure.prove(key, other, context).hex()}, ParameterError)


def disclosed(case: Case) -> None:
    public, other, proof, context = (data(case["input"][n]) for n in ("public", "other_public", "proof", "context"))
    agreed = disclosure.check(public, other, proof, context)
    assert (None if agreed is None else shown(agreed)) == case.get("output", {}).get("agreed")


def judge_evidence(case: Case) -> None:
    given = case["input"]
    roster = {int(each["client"]): data(each["verification_key"]) for each in given["roster"]}

    def judged() -> Json:
        verdict = verify_evidence(data(given["evidence"]), roster)
        return {"client": str(verdict.client), "rule": verdict.reason.value}

    compare(case, judged, EvidenceError)


def words(case: Case) -> None:
    given = case["input"]
    stream = get_suite(SuiteId(given["suite"])).prg.open(secret(given["key"]))
    out = np.empty(given["count"], dtype=np.uint64)
    stream.fill(out, int(given["first"]))
    compare(case, lambda: {"words": list(map(str, out.tolist()))})


def associated_data(given: Case) -> bytes:
    ends = int(given["sender"]), int(given["receiver"])
    return key_schedule.share_associated_data(data(given["binding"]), *ends, data(given.get("mask_ciphertext", "")))


def seal(case: Case) -> None:
    given = case["input"]
    plaintext = secret(given["seed_share"] + given["mask_key_share"])
    sealed = aead.seal(secret(given["key"]), plaintext, associated_data(given), data(given["nonce"]))
    compare(case, lambda: {"sealed": sealed.hex()})


def open_sealed(case: Case) -> None:
    given = case["input"]
    try:
        pair = aead.open_sealed(secret(given["key"]), data(given["sealed"]), associated_data(given))
        seed_share, mask_key_share = shamir.split_shares(pair)
    except aead.AuthenticationError:
        verdict(case, ["S22"])
    except shamir.ShareError:
        verdict(case, ["S22"])
    else:
        compare(case, lambda: {"seed_share": shown(seed_share), "mask_key_share": shown(mask_key_share)})


def advertisement_input(case: Case) -> None:
    given = case["input"]
    message = key_schedule.advertisement_text(
        data(given["session"]),
        int(given["client"]),
        data(given["channel_public"]),
        data(given["mask_public"]),
        data(given["commitment"]),
    )
    compare(case, lambda: {"message": message.hex()})


def confirmation_input(case: Case) -> None:
    given = case["input"]
    message = key_schedule.confirmation_text(data(given["binding"]), list(map(int, given["contributors"])))
    compare(case, lambda: {"message": message.hex()})


def sign(case: Case) -> None:
    given = case["input"]
    identity = signing.IdentityKey.from_seed(secret(given["identity_key"]))

    def signed() -> Json:
        signature = identity.sign(data(given["message"]))
        return {"verification_key": identity.public.hex(), "signature": signature.hex()}

    compare(case, signed)


def verify(case: Case) -> None:
    given = case["input"]
    valid = signing.verify(data(given["verification_key"]), data(given["message"]), data(given["signature"]))
    assert valid is ("output" in case)


def commit_pair(case: Case) -> None:
    given = case["input"]
    commitments = Commitments(data(given["session"]), data(given["binding"]))
    ends = int(given["owner"]), int(given["holder"])
    shares = data(given["seed_share"]), data(given["mask_key_share"])
    seed, mask_key = (commitments.digest(*ends, kind, share) for kind, share in zip(ShareKind, shares, strict=True))
    commitment = commitments.of(*ends, *shares)
    compare(
        case,
        lambda: {"seed_digest": seed.hex(), "mask_key_digest": mask_key.hex(), "commitment": commitment.hex()},
    )


def judge_share(case: Case) -> None:
    given = case["input"]
    commitments = Commitments(data(given["session"]), data(given["binding"]))
    ends = int(given["owner"]), int(given["holder"]), ShareKind(given["kind"])
    fits = commitments.fits(data(given["commitment"]), *ends, data(given["share"]), data(given["other_digest"]))
    assert fits is ("output" in case)


CHECKS = {
    ("disclosures", "commit_pair"): commit_pair,
    ("disclosures", "judge_share"): judge_share,
    ("disclosures", "dealing"): dealt,
    ("disclosures", "judge_entry"): judge_entry,
    ("disclosures", "judge_evidence"): judge_evidence,
    ("disclosures", "judge_provable"): judge_provable,
    ("disclosures", "prove"): prove,
    ("disclosures", "shown"): disclosed,
    ("key_schedule", "public_key"): public_key,
    ("key_schedule", "judge_public_key"): judge_public_key,
    ("key_schedule", "agree"): agree,
    ("key_schedule", "channel_keys"): channel_keys,
    ("key_schedule", "pairwise_prg_key"): pairwise_prg_key,
    ("key_schedule", "self_prg_key"): self_prg_key,
    ("key_schedule", "commitment"): commitment,
    ("prg", "words"): words,
    ("sealing", "seal"): seal,
    ("sealing", "open"): open_sealed,
    ("signatures", "advertisement_input"): advertisement_input,
    ("signatures", "confirmation_input"): confirmation_input,
    ("signatures", "sign"): sign,
    ("signatures", "verify"): verify,
}


@pytest.mark.parametrize(("kind", "case"), cases_of("crypto"))
def test_primitive(kind: str, case: Case) -> None:
    run(CHECKS, kind, case)

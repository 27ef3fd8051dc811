"""The call Primitive for the reference: functions of `vectors/primitives/` as JSON in and JSON out. NO SECURITY.

What takes a few lines of the reference is offered. Must not know the files, nor what is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from protocol_specs.reference import (
    canonical,
    commitments,
    dealings,
    digests,
    disclosures,
    evidence,
    keys,
    packing,
    prg,
    sealing,
    sharing,
    signatures,
    topology,
)
from protocol_specs.reference.errors import Breach, LocalError, Undecodable
from protocol_specs.reference.wire import (
    Advertisement,
    SessionOffer,
    decode_for_client,
    decode_for_server,
    decode_request,
)
from protocol_specs.testee import conformance_pb2 as pb
from protocol_specs.testee.primitives_hybrid import HYBRID
from protocol_specs.testee.primitives_privacy import PRIVACY
from protocol_specs.testee.primitives_robust import ROBUST

Json = dict[str, Any]


class Refused(Exception):  # noqa: N818
    """The ids of which each refuses an input."""


def compute(call: pb.Primitive) -> pb.Computed:
    """Answer the call; raises KeyError for a function that is not offered."""
    function = FUNCTIONS[f"{call.kind}/{call.function}"]
    try:
        return pb.Computed(output=json.dumps(function(json.loads(call.input))))
    except Refused as refused:
        return pb.Computed(refused=refused.args)
    except Breach as breach:
        return pb.Computed(refused=[breach.rule])
    except Undecodable:
        return pb.Computed(refused=["A08", "R05", "S02"])
    except LocalError:
        return pb.Computed(refused=["R47"])


def _data(text: str) -> bytes:
    return bytes.fromhex(text)


def _value(value: Mapping[str, Any]) -> canonical.Value:
    ((kind, content),) = value.items()
    if kind == "list":
        return [_value(item) for item in content]
    return int(content) if kind == "integer" else _data(content) if kind == "bytes" else str(content)


def _encode(given: Json) -> Json:
    return {"encoding": canonical.canonical(given["label"], *map(_value, given["values"])).hex()}


def _advertisement(given: Json) -> Advertisement:
    channel, mask, commitment = (_data(given[name]) for name in ("channel_public", "mask_public", "commitment"))
    return Advertisement(int(given["client"]), channel, mask, commitment, b"")


def _cohort_digest(given: Json) -> Json:
    shown = [_advertisement(entry) for entry in given["advertisements"]]
    return {"cohort_digest": digests.cohort_digest(_data(given["session"]), shown).hex()}


def _dealing(given: Json) -> Json:
    entries = [
        dealings.entry(int(each["receiver"]), _data(each["receiver_public"]), _data(each["sealed"]))
        for each in given["entries"]
    ]
    dealt = dealings.digests(entries)
    session, binding, public = (_data(given[name]) for name in ("session", "binding", "dealer_public"))
    message = dealings.signed_input(session, binding, int(given["dealer"]), public, dealt)
    return {"digests": dealt.hex(), "message": message.hex()}


def _judge_entry(given: Json) -> Json:
    if not dealings.stands_in(_data(given["entry"]), _data(given["block"]), _data(given["digests"])):
        raise Refused("R58")
    return {}


def _pair_ends(given: Json) -> tuple[bytes, bytes, int, int]:
    return _data(given["session"]), _data(given["binding"]), int(given["owner"]), int(given["holder"])


def _commit_pair(given: Json) -> Json:
    ends = _pair_ends(given)
    seed_digest = commitments.share_digest(*ends, commitments.SEED, _data(given["seed_share"]))
    mask_key_digest = commitments.share_digest(*ends, commitments.MASK_KEY, _data(given["mask_key_share"]))
    return {
        "seed_digest": seed_digest.hex(),
        "mask_key_digest": mask_key_digest.hex(),
        "commitment": commitments.joined(seed_digest, mask_key_digest).hex(),
    }


def _judge_dealt_share(given: Json) -> Json:
    parts = (_data(given[name]) for name in ("share", "other_digest", "commitment"))
    if not commitments.fits(*_pair_ends(given), given["kind"], *parts):
        raise Refused("S53")
    return {}


def _judge_provable(given: Json) -> Json:
    if disclosures.lift(_data(given["public"])) is None:
        raise Refused("R58")
    return {}


def _prove(given: Json) -> Json:
    _judge_provable({"public": given["other_public"]})
    proof = disclosures.prove(_data(given["private"]), _data(given["other_public"]), _data(given["context"]))
    return {"proof": proof.hex()}


def _shown(given: Json) -> Json:
    agreed = disclosures.shown(*(_data(given[name]) for name in ("public", "other_public", "proof", "context")))
    if agreed is None:
        raise Refused("R58")
    return {"agreed": agreed.hex()}


def _judge_evidence(given: Json) -> Json:
    roster = {int(each["client"]): _data(each["verification_key"]) for each in given["roster"]}
    verdict = evidence.judge(_data(given["evidence"]), roster)
    if verdict is None:
        raise Refused("R58")
    return {"client": str(verdict[0]), "rule": verdict[1]}


def _public_key(given: Json) -> Json:
    return {"public": keys.public_key(_data(given["private"])).hex()}


def _judge_key(given: Json) -> Json:
    key = _data(given["public"])
    if not keys.is_canonical(key):
        raise Refused("C28", "S15")
    if keys.is_of_low_order(key):
        raise Refused("C25", "S13")
    return {}


def _end(given: Json) -> tuple[Advertisement, Advertisement, bytes]:
    """Own and other client with both keys the same, and their agreement."""
    own, other = given["own"], given["other"]
    public, others = keys.public_key(_data(own["private"])), _data(other["public"])
    one, two = (Advertisement(int(c["client"]), key, key, b"", b"") for c, key in ((own, public), (other, others)))
    return one, two, keys.agree(_data(own["private"]), others)


def _channel_keys(given: Json) -> Json:
    own, other, shared = _end(given)
    binding = _data(given["binding"])
    sending, receiving = (keys.channel_key(shared, binding, *ends) for ends in ((own, other), (other, own)))
    return {"sending": sending.hex(), "receiving": receiving.hex()}


def _pairwise_key(given: Json) -> Json:
    own, other, shared = _end(given)
    key = keys.pairwise_prg_key(shared, _data(given["session"]), _data(given["binding"]), own, other)
    return {"key": key.hex()}


def _commitment(given: Json) -> Json:
    made = keys.commitment(_data(given["session"]), int(given["client"]), _data(given["self_mask_seed"]))
    return {"commitment": made.hex()}


def _words(given: Json) -> Json:
    made = prg.words(given["suite"], _data(given["key"]), int(given["first"]), given["count"])
    return {"words": list(map(str, made))}


def _unpack(given: Json) -> Json:
    return {"words": list(map(str, packing.unpack(_data(given["packed"]), given["count"], given["bits"])))}


def _ends(given: Json) -> tuple[bytes, int, int]:
    return _data(given["binding"]), int(given["sender"]), int(given["receiver"])


def _beside(given: Json) -> bytes:
    """The mask ciphertext beside a sealed pair of a hybrid suite."""
    return _data(given.get("mask_ciphertext", ""))


def _seal(given: Json) -> Json:
    pair = (_data(given["seed_share"]), _data(given["mask_key_share"]))
    sealed = sealing.seal(_data(given["key"]), _data(given["nonce"]), *_ends(given), pair, _beside(given))
    return {"sealed": sealed.hex()}


def _open(given: Json) -> Json:
    try:
        pair = sealing.unseal(_data(given["key"]), *_ends(given), _data(given["sealed"]), _beside(given))
    except sealing.NotAuthentic as error:
        raise Refused("S22") from error
    for share in pair:
        _judge_share({"share": share.hex()})
    return {"seed_share": pair[0].hex(), "mask_key_share": pair[1].hex()}


def _judge_share(given: Json) -> Json:
    if not sharing.is_canonical(_data(given["share"])):
        raise Refused("S22", "S51")
    return {}


def _shares(given: Json) -> Json:
    limbs = sharing.to_limbs(_data(given["secret"]))
    polynomials = [[limb, *(each[at] for each in given["coefficients"])] for at, limb in enumerate(limbs)]
    return {"shares": [sharing.share_at(polynomials, point).hex() for point in given["points"]]}


def _draw_shares(given: Json) -> Json:
    secrets = [_data(given["self_mask_seed"]), _data(given["mask_private_key"])]
    drawn = sharing.draw_polynomials(secrets, given["threshold"], lambda _length: _data(given["key"]))
    seeds, mask_keys = ([sharing.share_at(each, point).hex() for point in given["points"]] for each in drawn)
    return {"seed_shares": seeds, "mask_key_shares": mask_keys}


def _rebuilt(given: Json, accept: Callable[[bytes], bool]) -> sharing.Rebuilt:
    if len(given["shares"]) < given["threshold"]:
        raise Refused("A05")
    shares = {each["point"]: _data(each["share"]) for each in given["shares"]}
    rebuilt = sharing.rebuild(shares, given["threshold"], accept)
    if rebuilt is None:
        raise Refused("A06")
    return rebuilt


def _verify(given: Json) -> Json:
    if not signatures.verifies(_data(given["verification_key"]), _data(given["message"]), _data(given["signature"])):
        raise Refused("C26", "C59", "S11", "S40")
    return {}


def _sign(given: Json) -> Json:
    key = _data(given["identity_key"])
    signature = signatures.sign(key, _data(given["message"]))
    return {"verification_key": signatures.verification_key(key).hex(), "signature": signature.hex()}


def _decode(given: Json) -> Json:
    decode = {"server": decode_for_server, "client": decode_request, "new client": decode_for_client}
    try:
        decoded = decode[given["received_by"]](_data(given["bytes"]))
        if given["received_by"] == "new client" and not isinstance(decoded, SessionOffer):
            raise Undecodable("this is no offer")
    except Undecodable as error:
        raise Refused("S02" if given["received_by"] == "server" else "A08") from error
    return {}


FUNCTIONS: Final[dict[str, Callable[[Json], Json]]] = {
    "canonical/encode": _encode,
    "digests/cohort_digest": _cohort_digest,
    "disclosures/commit_pair": _commit_pair,
    "disclosures/dealing": _dealing,
    "disclosures/judge_entry": _judge_entry,
    "disclosures/judge_evidence": _judge_evidence,
    "disclosures/judge_provable": _judge_provable,
    "disclosures/judge_share": _judge_dealt_share,
    "disclosures/prove": _prove,
    "disclosures/shown": _shown,
    **dict.fromkeys(("hybrid/judge_public_key", "key_schedule/judge_public_key"), _judge_key),
    **dict.fromkeys(("hybrid/open", "sealing/open"), _open),
    **dict.fromkeys(("hybrid/public_key", "key_schedule/public_key"), _public_key),
    **dict.fromkeys(("hybrid/seal", "sealing/seal"), _seal),
    **HYBRID,
    "key_schedule/channel_keys": _channel_keys,
    "key_schedule/pairwise_prg_key": _pairwise_key,
    "key_schedule/self_prg_key": lambda given: {
        "key": keys.self_prg_key(_data(given["self_mask_seed"]), _data(given["session"])).hex()
    },
    "key_schedule/commitment": _commitment,
    "packing/pack": lambda given: {"packed": packing.pack(list(map(int, given["words"])), given["bits"]).hex()},
    "packing/unpack": _unpack,
    "prg/words": _words,
    **PRIVACY,
    **ROBUST,
    "sharing/limbs": lambda given: {"limbs": sharing.to_limbs(_data(given["secret"]))},
    "sharing/shares": _shares,
    "sharing/draw_shares": _draw_shares,
    "sharing/judge_share": _judge_share,
    "sharing/reconstruct": lambda given: {"secret": _rebuilt(given, lambda _secret: True).secret.hex()},
    "sharing/recover": lambda given: {
        "inconsistent": _rebuilt(given, lambda secret: secret.hex() == given["secret"]).inconsistent
    },
    "signatures/sign": _sign,
    "signatures/verify": _verify,
    "topology/place": lambda given: {
        "place": topology.place(_data(given["permutation_seed"]), int(given["client"])).hex()
    },
    "wire/decode": _decode,
}
"""By kind and function."""

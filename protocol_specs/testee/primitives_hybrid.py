"""The call Primitive for hybrid suites: keys of two parts, and what is derived from both (§3.1 to §3.3). NO SECURITY.

Must not know the files, nor what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from protocol_specs.reference import keys
from protocol_specs.reference.keys import Encapsulated
from protocol_specs.reference.wire import Advertisement

Json = dict[str, Any]


def _data(given: Json, *names: str) -> list[bytes]:
    return [bytes.fromhex(given[name]) for name in names]


def _shown(encapsulated: Encapsulated) -> Json:
    secret, ciphertext = encapsulated
    return {"secret": secret.hex(), "ciphertext": ciphertext.hex()}


def _ends(given: Json) -> tuple[bytes, Advertisement, Advertisement, bytes]:
    """The own private key, both clients with one key each, and the X25519 agreement of these."""
    own, other = given["own"], given["other"]
    (private,), (public,) = _data(own, "private"), _data(other, "public")
    one, two = (
        Advertisement(int(each["client"]), key, key, b"", b"")
        for each, key in ((own, keys.public_key(private)), (other, public))
    )
    return private, one, two, keys.agree(private, public)


def _channel_keys(given: Json) -> Json:
    private, own, other, shared = _ends(given)
    binding, secret, ciphertext, received = _data(given, "binding", "secret", "ciphertext", "received")
    sending, receiving = (keys.channel_key(shared, binding, *ends) for ends in ((own, other), (other, own)))
    return {
        "sending": keys.hybrid_key(sending, (secret, ciphertext), binding).hex(),
        "receiving": keys.hybrid_key(receiving, keys.decapsulate(private, received), binding).hex(),
    }


def _pairwise_key(given: Json) -> Json:
    private, own, other, shared = _ends(given)
    session, binding, secret, ciphertext = _data(given, "session", "binding", "secret", "ciphertext")
    sent = (secret, ciphertext) if secret else keys.decapsulate(private, ciphertext)
    return {"key": keys.pairwise_prg_key(shared, session, binding, own, other, sent).hex()}


def _hybrid_key(given: Json) -> Json:
    binding, key, secret, ciphertext = _data(given, "binding", "key", "secret", "ciphertext")
    return {"key": keys.hybrid_key(key, (secret, ciphertext), binding).hex()}


def _mask_wrap(given: Json) -> Json:
    binding, shared, content, ciphertext = _data(given, "binding", "mask_secret", "content", "ciphertext")
    wrap = keys.mask_wrap(shared, binding, int(given["client"]), int(given["peer"]), (content, ciphertext))
    return {"content": wrap.hex()}


def _mask_private_key(given: Json) -> Json:
    secret, session = _data(given, "mask_secret", "session")
    return {"private": keys.mask_private(secret, session, hybrid=True).hex()}


HYBRID: Final[dict[str, Callable[[Json], Json]]] = {
    "hybrid/channel_keys": _channel_keys,
    "hybrid/decapsulate": lambda given: {
        "secret": keys.decapsulate(*_data(given, "private", "ciphertext"))[0].hex(),
    },
    "hybrid/encapsulate": lambda given: _shown(keys.encapsulate(*_data(given, "public", "tape"))),
    "hybrid/hybrid_key": _hybrid_key,
    "hybrid/mask_private_key": _mask_private_key,
    "hybrid/mask_wrap": _mask_wrap,
    "hybrid/pairwise_prg_key": _pairwise_key,
}
"""By kind and function; those that are the same in all suites stand with them."""

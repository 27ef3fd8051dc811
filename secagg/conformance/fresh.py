"""Clients without a tape draw fresh secrets, nonces and sharing polynomials (Specification §3.2, §5.2, §6.3).

Two clients of the testee are made without a tape. The channel keys of their neighbours are in the vectors, so that
what they seal is opened and their polynomials are rebuilt. Must not know how a testee is reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.cases import Desk, Deviation, Table
from secagg.conformance.live import SHARE_KEYS
from secagg.conformance.outcomes import told
from secagg.conformance.tampering import altered, body_of, parsed, replace_list
from secagg.conformance.to_clients import Part
from secagg.crypto import aead, key_schedule
from secagg.crypto.agreement import KEY_BYTES, AgreementKey
from secagg.crypto.commitments import Commitments
from secagg.crypto.field import PRIME
from secagg.crypto.secret import SecretBytes
from secagg.crypto.shamir import LIMB_BITS, LIMBS, SECRET_BYTES, SHARE_BYTES
from secagg.errors import SecAggError
from secagg.parameters import ThreatModel

_PUBLISHED: Final = {"channel key": "channel_public", "mask key": "mask_public", "commitment": "commitment"}
_SEALED_BYTES: Final = 2 * SHARE_BYTES + aead.OVERHEAD_BYTES
_SECRETS: Final = ("self-mask seed", "mask private key")

# Of 18 random coefficients four or more coincide with 18 others, or with each other, less than once in 2^36 times.
_DIFFERENT: Final = LIMBS - 3

# Six bytes in a row are equal, or come again within a value, less than once in 2^38 times.
_RUN: Final = 6

_Row = tuple[int, ...]
"""One value for each limb of a secret."""


@dataclass(frozen=True)
class _Drawn:
    """What one client sent: public keys and commitment, nonces, and what it shared: coefficients and secrets."""

    own: Any
    nonces: list[bytes]
    coefficients: dict[str, _Row]
    secrets: dict[str, bytes]


class Fresh:
    """Two clients without a tape draw different secrets and coefficients, and each of them different nonces."""

    def __init__(self, part: Part) -> None:
        self._part = part

    def play(self, table: Table) -> None:
        """Play two rounds with each of two clients."""
        first, second = (self._drawn(table.testee, which) for which in ("first", "second"))
        _hold_different(first, second, "two clients without a tape")
        nonces = [*first.nonces, *second.nonces]
        if len(set(nonces)) < len(nonces):
            raise Deviation("a client without a tape used a nonce twice")
        _hold_random({**first.coefficients, **second.coefficients})
        for drawn in (first, second):
            _hold_apart(drawn)
        for name in _SECRETS:
            _hold_bits(name, [first.secrets[name], second.secrets[name]])
        _hold_bits("nonce", nonces)

    def play_in_two_processes(self, table: Table) -> None:
        """Play two rounds with the first client that each of two new processes makes."""
        with table.testee.afresh() as one, table.testee.afresh() as other:
            _hold_different(self._drawn(one, "first"), self._drawn(other, "second"), "two new processes")

    def _drawn(self, desk: Desk, which: str) -> _Drawn:
        part = self._part
        create = pb.CreateClient()
        create.CopyFrom(part.session.clients[part.client])
        create.ClearField("tape")
        handle = desk.create(create).handle
        own = body_of(self._answer(desk, handle, part.request(part.rounds[0]))).advertisement

        def with_own(body: Any) -> None:
            entries = [own if entry.client == part.client else entry for entry in body.advertisements]
            replace_list(body.advertisements, entries)

        request = altered(part.request(SHARE_KEYS), with_own)
        entries = body_of(self._answer(desk, handle, request)).ciphertexts
        sealed = {entry.client: entry.ciphertext for entry in entries}
        if len(sealed) < len(entries):
            raise Deviation("a client without a tape sealed twice for one neighbour")
        try:
            coefficients, secrets = self._shared(own, request, sealed, which)
        except SecAggError as error:
            raise Deviation(f"a client without a tape sent shares that nobody can use: {error}") from error
        return _Drawn(own, [each[: aead.NONCE_BYTES] for each in sealed.values()], coefficients, secrets)

    def _answer(self, desk: Desk, handle: int, message: bytes) -> bytes:
        outcome = desk.step(handle, message=message)
        if not outcome.HasField("answer"):
            raise Deviation(f"a client without a tape did not answer an honest request, but gave {told(outcome)}")
        return outcome.answer

    def _shared(
        self, own: Any, request: bytes, sealed: dict[int, bytes], which: str
    ) -> tuple[dict[str, _Row], dict[str, bytes]]:
        """Open every sealed pair and rebuild the polynomials; their constant terms must be the secrets."""
        part = self._part
        shown = body_of(request).advertisements
        session = binding = parsed(request).session
        if part.complete:
            entries = [(each.client, each.channel_public, each.mask_public, each.commitment) for each in shown]
            binding = key_schedule.cohort_digest(session, entries)
        peers = sorted(each.client for each in shown if each.client != part.client)
        if list(sealed) != peers:
            raise Deviation(f"a client without a tape sealed shares for {list(sealed)} and not for {peers}")
        points = self._points(peers)
        cuts = [slice(at, at + SHARE_BYTES) for at in range(0, len(_SECRETS) * SHARE_BYTES, SHARE_BYTES)]
        opened = {peer: self._opened(own, binding, peer, sealed[peer][:_SEALED_BYTES]) for peer in peers}
        if part.complete and part.parameters.threat_model is ThreatModel.ACTIVE:
            commitments = Commitments(session, binding)
            for peer, pair in opened.items():
                if commitments.of(part.client, peer, *(pair[cut] for cut in cuts)) != sealed[peer][_SEALED_BYTES:]:
                    raise Deviation(f"a client without a tape commits to other shares than it sealed for {peer}")
        pairs = {points[peer]: pair for peer, pair in opened.items()}
        coefficients, secrets = dict[str, _Row](), dict[str, bytes]()
        for name, cut in zip(_SECRETS, cuts, strict=True):
            shares = {point: _elements(pair[cut]) for point, pair in pairs.items()}
            constant, *others = _polynomials(shares, part.parameters.threshold, name)
            secrets[name] = _joined(constant, name)
            secret = SecretBytes(secrets[name])
            if name == _SECRETS[0]:
                right = key_schedule.self_mask_commitment(session, part.client, secret) == own.commitment
            else:
                right = AgreementKey.from_secret(secret).public == own.mask_public
            if not right:
                raise Deviation(f"a client without a tape shared another {name} than the one it advertised")
            coefficients |= {f"x^{power} in the {which} {name}": row for power, row in enumerate(others, 1)}
        return coefficients, secrets

    def _points(self, peers: list[int]) -> dict[int, int]:
        # In the vectors every neighbour in a sparse graph advertises its keys.
        part = self._part
        neighbours = [each for each in part.session.clients if each != part.client] if part.complete else peers
        return {client: point for point, client in enumerate(sorted(neighbours), 1)}

    def _opened(self, own: Any, binding: bytes, peer: int, sealed: bytes) -> bytes:
        part = self._part
        key = AgreementKey.from_secret(SecretBytes(part.session.clients[peer].tape[:KEY_BYTES]))
        _, receiving = key_schedule.channel_keys(key, own.channel_public, binding, peer, part.client)
        bound = key_schedule.share_associated_data(binding, part.client, peer)
        pair = bytes(aead.open_sealed(receiving, sealed, bound).expose())
        if len(pair) != len(_SECRETS) * SHARE_BYTES:
            raise Deviation(f"a client without a tape sealed {len(pair)} bytes instead of two shares")
        return pair


def _hold_different(first: _Drawn, second: _Drawn, who: str) -> None:
    for word, field in _PUBLISHED.items():
        if getattr(first.own, field) == getattr(second.own, field):
            raise Deviation(f"{who} made the same {word}")


def _elements(share: bytes) -> _Row:
    row = tuple(int.from_bytes(share[at : at + 2], "big") for at in range(0, SHARE_BYTES, 2))
    if max(row) >= PRIME:
        raise Deviation("a client without a tape sealed a share that is not canonical")
    return row


def _polynomials(shares: dict[int, _Row], threshold: int, name: str) -> list[_Row]:
    """Return the coefficients of the polynomials of degree t - 1 through the shares, constant terms first."""
    points = sorted(shares)[:threshold]
    rest = [shares[point] for point in points]
    coefficients = list[_Row]()
    for used in range(threshold, 0, -1):
        # What is left has degree used - 1: take its value at 0, then divide the rest by x.
        weights = [_weight(points[:used], point) for point in points[:used]]
        constant = tuple(sum(map(_times, weights, column)) % PRIME for column in zip(*rest[:used], strict=True))
        coefficients.append(constant)
        rest = [
            tuple((value - zero) * pow(point, -1, PRIME) % PRIME for value, zero in zip(row, constant, strict=True))
            for point, row in zip(points, rest, strict=True)
        ]
    for point, row in shares.items():
        value: _Row = (0,) * LIMBS
        for each in reversed(coefficients):
            value = tuple((high * point + low) % PRIME for high, low in zip(value, each, strict=True))
        if value != row:
            raise Deviation(f"a client without a tape shared its {name} with a degree of {threshold} or more")
    return coefficients


def _times(one: int, other: int) -> int:
    return one * other


def _weight(points: Sequence[int], point: int) -> int:
    weight = 1
    for other in points:
        if other != point:
            weight = weight * other * pow(other - point, -1, PRIME) % PRIME
    return weight


def _joined(limbs: _Row, name: str) -> bytes:
    number = 0
    for limb in limbs:
        number = number << LIMB_BITS | limb
    if max(limbs) >> LIMB_BITS or number >> (8 * SECRET_BYTES):
        raise Deviation(f"{name}: the shares of a client without a tape rebuild no secret of {SECRET_BYTES} bytes")
    return number.to_bytes(SECRET_BYTES, "big")


def _hold_random(coefficients: dict[str, _Row]) -> None:
    """Hold that the coefficients are neither 0 nor repeated: not by limb, power, secret or client."""
    for name, row in coefficients.items():
        if sum(map(bool, row)) < _DIFFERENT:
            raise Deviation(f"without a tape the coefficients of {name} are 0: fewer shares than t tell the secret")
        if len(set(row)) < _DIFFERENT:
            raise Deviation(f"without a tape the coefficients of {name} are the same for several limbs")
    for (name, row), (other, its) in combinations(coefficients.items(), 2):
        if sum(one != two for one, two in zip(row, its, strict=True)) < _DIFFERENT:
            raise Deviation(f"without a tape the coefficients of {name} and of {other} are the same")
    elements = [element for row in coefficients.values() for element in row]
    for bit in range(16):
        # The bits of 72 elements and more are all alike less than once in 2^60 times.
        ones = sum(element >> bit & 1 for element in elements)
        if ones in (0, len(elements)):
            raise Deviation(f"without a tape bit {bit} of every coefficient is {int(ones > 0)}: they are not uniform")


def _hold_apart(drawn: _Drawn) -> None:
    """Hold that one client's secrets are not each other: the public keys of what it shared are not its others."""
    for name, secret in drawn.secrets.items():
        public = AgreementKey.from_secret(SecretBytes(secret)).public
        for word, field in (("channel key", "channel_public"), ("mask key", "mask_public")):
            itself = name == _SECRETS[1] and field == "mask_public"
            if public == getattr(drawn.own, field) and not itself:
                raise Deviation(f"without a tape the {name} is the {word}, too: who has one has both")


def _hold_bits(word: str, values: Sequence[bytes]) -> None:
    """Hold that values of 24 bytes and more look drawn: no runs, no repeats inside, no bit that never changes."""
    for value in values:
        if any(len(set(value[at : at + _RUN])) == 1 for at in range(len(value) - _RUN + 1)):
            raise Deviation(f"without a tape a {word} has {_RUN} equal bytes in a row: it was not drawn in full")
        parts = [value[at : at + _RUN] for at in range(len(value) - _RUN + 1)]
        if len(set(parts)) < len(parts):
            raise Deviation(f"without a tape a {word} repeats {_RUN} of its bytes: it was not drawn in full")
    joined = b"".join(values)
    for bit in range(8):
        ones = sum(byte >> bit & 1 for byte in joined)
        if ones in (0, len(joined)):
            raise Deviation(f"without a tape bit {bit} of every byte of a {word} is {int(ones > 0)}")

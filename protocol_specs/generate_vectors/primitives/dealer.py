"""A dealer that deals shares of whatever it likes and signs it, for the cases of `contradictions` (Specification §3.6).

NO SECURITY: all its keys follow from labels. Must not know what a verifier makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from protocol_specs.generate_vectors.primitives.common import draw
from protocol_specs.reference import commitments, dealings, digests, keys, sharing, signatures
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.commitments import MASK_KEY, SEED
from protocol_specs.reference.contradictions import Contradiction
from protocol_specs.reference.field import P
from protocol_specs.reference.parameters import ACTIVE, COMPLETE, Integers, Parameters
from protocol_specs.reference.wire import Advertisement

DEALER: Final = 4
COHORT: Final = (0, 2, DEALER, 7, 2**63 + 5, 2**64 - 1)
LARGE: Final = tuple(range(1, 21))


def drawn(label: str, length: int = 32) -> bytes:
    """Bytes that follow from a label, for these cases."""
    return draw(f"disclosures/contradictions/{label}", length)


def session_parameters(cohort: tuple[int, ...] = COHORT, threshold: int = 4, **changes: Any) -> Parameters:
    """Those of a session with signed dealings, or with other fields."""
    made = Parameters(
        version=1,
        suite=1,
        threat_model=ACTIVE,
        topology_kind=COMPLETE,
        degree=len(cohort) - 1,
        permutation_seed=b"",
        threshold=threshold,
        minimum_contributors=2,
        max_weight=1,
        nonce=drawn("nonce"),
        context=b"contradictions",
        cohort=cohort,
        vectors=(("v", Integers(0, 1, (1,))),),
    )
    return replace(made, **changes)


def moved(share: bytes, amount: int = 1) -> bytes:
    """A share whose last element is another."""
    values = sharing.decode_share(share)
    return sharing.encode_share([*values[:-1], (values[-1] + amount) % P])


Change = Callable[[int, bytes], bytes]
"""Of a place among the holders, and the true share: what is dealt."""


@dataclass(frozen=True)
class Dealer:
    """A dealer that deals what it likes, and signs it; `secrets` are what it shares, by kind."""

    p: Parameters = field(default_factory=session_parameters)
    change: Change = lambda place, share: share
    kind: int = SEED
    secrets: Mapping[int, bytes] = field(default_factory=dict)
    identity: str = "identity"
    client: int = DEALER
    to: tuple[int, ...] = ()
    """The holders, if they are others than a session has."""

    @property
    def session(self) -> bytes:
        """The session digest."""
        return digests.session_digest(self.p)

    @property
    def others(self) -> tuple[int, ...]:
        """The holders."""
        return self.to or tuple(client for client in self.p.cohort if client != self.client)

    def advertisement(self, **changes: Any) -> Advertisement:
        """What it advertises."""
        made = Advertisement(
            self.client,
            keys.public_key(drawn("channel")),
            keys.public_key(drawn("mask key")),
            keys.commitment(self.session, self.client, drawn("seed")),
            b"",
        )
        made = replace(made, **changes)
        signature = signatures.sign(drawn(self.identity), signatures.advertisement_input(self.session, made))
        return replace(made, signature=signature)

    def shares(self) -> dict[int, tuple[bytes, bytes]]:
        """By holder, what it deals: the shares of both kinds."""
        shared = [self.secrets.get(SEED, drawn("seed")), self.secrets.get(MASK_KEY, drawn("mask key"))]
        made = sharing.draw_polynomials(shared, self.p.threshold, lambda count: drawn("polynomials", count))
        dealt = {}
        for place, holder in enumerate(self.others):
            pair = [sharing.share_at(each, place + 1) for each in made]
            pair[self.kind - 1] = self.change(place, pair[self.kind - 1])
            dealt[holder] = pair[0], pair[1]
        return dealt

    def evidence(self, places: Iterable[int], entries: Callable[[list[bytes]], list[bytes]] = list) -> Contradiction:
        """Of its shares for the holders at these places."""
        dealt, binding = self.shares(), drawn("binding")
        ends = self.session, binding, self.client
        listed = entries(
            [
                dealings.entry(
                    holder,
                    keys.public_key(drawn(f"channel of {holder}")),
                    drawn(f"sealed for {holder}", 112) + commitments.pair_commitment(*ends, holder, *pair),
                )
                for holder, pair in dealt.items()
            ]
        )
        holders = tuple(self.others[place] for place in places)
        found = dealings.digests(listed)
        ad = self.advertisement()
        text = dealings.signed_input(self.session, binding, self.client, ad.channel_public, found)
        other = MASK_KEY if self.kind == SEED else SEED
        shown = b"".join(
            dealt[holder][self.kind - 1] + commitments.share_digest(*ends, holder, other, dealt[holder][other - 1])
            for holder in holders
        )
        named = [entry[:8] for entry in listed]
        blocks = sorted({named.index(holder.to_bytes(8, "big")) // 16 for holder in holders})
        return Contradiction(
            parameters=parameters_.encode(self.p),
            binding=binding,
            dealer=ad,
            digests=found,
            signature=signatures.sign(drawn(self.identity), text),
            blocks=b"".join(dealings.blocks(listed)[block] for block in blocks),
            kind=self.kind,
            holders=holders,
            shares=shown,
        )

    def resigned(self, its: Contradiction) -> Contradiction:
        """Evidence with what it would sign of it."""
        text = dealings.signed_input(self.session, its.binding, self.client, its.dealer.channel_public, its.digests)
        return replace(its, signature=signatures.sign(drawn(self.identity), text))

"""Target: one honest client of the experimental chosen graph; server and peers do what the fuzzer writes.

The input is a program: which advertisements, parcels, inclusions and acknowledgements the client is shown, which sets
as bits, and over which sets its peers signed; a request may also be patched. Peers' keys are known.

Invariant: only a SecAggError leaves. Shares are sealed for holders alone. What is answered was within the rules: enough
own holders among the sharers, who include the client and all senders; contributors among them, with an inclusion of
every owner over the client's own sharers; and shares leave, one kind of each owner, only after `threshold`
acknowledgements of own holders that contributed, over the client's own sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from fuzz.invariant import Program, attempt, hold, patched
from secagg.crypto import key_schedule
from secagg.crypto.signing import verify
from secagg.parameters import SessionParameters, TopologyKind
from secagg.parameters.vectors import Integers
from secagg.protocol.chosen_edges import pack_set
from secagg.session.client import ClientSession
from secagg.session.ledger import MemoryLedger
from secagg.session.server import ServerSession
from secagg.session.simulation import SIMULATION_POLICY
from secagg.testing.insiders import Insiders
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message, decode_server_message, encode

CLIENT: Final = 3
COHORT: Final = tuple(range(1, 9))
THRESHOLD: Final = 4
MINIMUM: Final = 3


def chosen_session(data: bytes) -> None:
    """Five requests, each as the program says."""
    Driver(Program(data)).play()


@dataclass(frozen=True)
class _Signed:
    """Who signed what: the sets are those that the program chose."""

    client: int
    signature: bytes
    sharers: bytes
    contributors: bytes


class Driver:
    """The client under test, and what it was shown."""

    def __init__(self, program: Program) -> None:
        self.program = program
        parameters = SessionParameters.choose(
            clients=COHORT,
            vectors={"v": Integers(0, 9, length=2)},
            threat_model="active",
            topology=TopologyKind.CHOSEN,
            degree=5,
            threshold=THRESHOLD,
            minimum_contributors=MINIMUM,
            nonce=bytes(32),
        )
        self.insiders = Insiders(parameters, CLIENT, DeterministicRandomSource(b"insiders"))
        self.session = ClientSession(
            ServerSession(parameters, roster=self.insiders.roster).offer,
            CLIENT,
            identity=self.insiders.identities[CLIENT],
            roster=self.insiders.roster,
            policy=SIMULATION_POLICY,
            randomness=DeterministicRandomSource(b"client"),
            ledger=MemoryLedger(ends_with_process=True),
        )

    def play(self) -> None:
        """Play until the client refuses, or is done."""
        self.session.set_input({"v": np.array([1, 2], dtype=np.int64)})
        first = self._ask(self.insiders.advertise())
        if first is None:
            return
        holders = set(decode_client_message(first).holders)  # type: ignore[union-attr]
        hold(len(holders) == 5 and holders <= {*COHORT} - {CLIENT}, "holders are five others")
        keys: Any = decode_server_message(self.insiders.share(first))
        shown = self._some(keys.advertisements, keep=CLIENT)
        sealed = self._ask(encode(replace(keys, advertisements=shown)))
        if sealed is None:
            return
        receivers = {receiver for receiver, _ in decode_client_message(sealed).ciphertexts}  # type: ignore[union-attr]
        hold(receivers == holders & {ad.client for ad in shown}, "shares are sealed for the holders that were shown")
        hold(len(receivers) >= THRESHOLD, "fewer holders than the threshold were taken")
        mask: Any = decode_server_message(self.insiders.mask())
        parcels = tuple(self.program.some(mask.ciphertexts))
        sharers, members = self._set()
        if self._ask(encode(replace(mask, ciphertexts=parcels, sharers=sharers))) is None:
            return
        owners = {sender for sender, _ in parcels}
        hold({CLIENT, *owners} <= members, "the sharers lack the client or a sender")
        hold(len(receivers & members) >= THRESHOLD, "too few holders are sharers")
        self._confirm(receivers & members, owners, sharers, members)

    def _confirm(self, holders: set[int], owners: set[int], sharers: bytes, members: set[int]) -> None:
        contributors, counted = self._set()
        inclusions = [self._signed(owner, sharers, contributors, of="inclusion") for owner in sorted(owners & counted)]
        inclusions = list(self.program.some(inclusions))
        check: Any = decode_server_message(self.insiders.confirm())
        listed = tuple((each.client, each.signature) for each in inclusions)
        if self._ask(encode(replace(check, contributor_set=contributors, inclusions=listed))) is None:
            return
        hold(CLIENT in counted and counted <= members, "contributors that did not share, or without the client")
        hold(len(counted) >= MINIMUM, "fewer contributors than the minimum")
        hold({each.client for each in inclusions} == owners & counted, "an owner is not included")
        hold(all(each.sharers == sharers for each in inclusions), "an inclusion is over other sharers")
        named = set(self.program.some(sorted(holders & counted)))
        stranger = self.program.byte() % 9  # 0 is nobody
        named |= {stranger} - {0, CLIENT}
        signers = [self._signed(each, sharers, contributors, of="acknowledgement") for each in sorted(named)]
        request: Any = decode_server_message(self.insiders.unmask(b""))
        confirmations = tuple((each.client, each.signature) for each in signers)
        revealed = self._ask(encode(replace(request, confirmations=confirmations)))
        if revealed is None:
            return
        hold({each.client for each in signers} <= holders & counted, "a signer is no holder that contributed")
        hold(len(signers) >= THRESHOLD, "fewer acknowledgements than the threshold")
        same = (each.sharers == sharers and each.contributors == contributors for each in signers)
        hold(all(same), "an acknowledgement is over other sets")
        answer: Any = decode_client_message(revealed)
        hold(set(answer.seed_shares.owners) == owners & counted, "other seed shares than those of contributors")
        hold(set(answer.mask_key_shares.owners) == owners - counted, "other mask-key shares than those of the dropped")

    def _ask(self, request: bytes) -> bytes | None:
        if self.program.byte() % 16 == 1:
            changed = patched(request, self.program)
            answer = attempt(lambda: self.session.receive(changed))
            # It may be another good request: what follows would be about other sets than those known here.
            hold(answer is None or answer == encode(decode_client_message(answer)), "an answer is not canonical")
            return None
        return attempt(lambda: self.session.receive(request))

    def _some(self, advertisements: Iterable[Any], keep: int) -> tuple[Any, ...]:
        listed = list(advertisements)
        kept = self.program.some(listed)
        return tuple(each for each in listed if each in kept or each.client == keep)

    def _set(self) -> tuple[bytes, set[int]]:
        members = set(self.program.some(COHORT))
        return pack_set(COHORT, members), members

    def _signed(self, client: int, sharers: bytes, contributors: bytes, *, of: str) -> _Signed:
        kind = self.program.byte() % 8
        sharers = contributors if kind == 1 else bytes([sharers[0] ^ 4]) if kind == 2 else sharers
        contributors = bytes([contributors[0] ^ 2]) if kind == 3 else contributors
        session, public = self.insiders.session, self.insiders.mask_public(client)
        text = key_schedule.inclusion_text(session, client, public, sharers)
        if of == "acknowledgement":
            text = key_schedule.acknowledgement_text(session, client, public, sharers, contributors)
        signature = self.insiders.identities[client].sign(text)
        hold(verify(self.insiders.roster[client], text, signature), "the driver signs")
        return _Signed(client, signature, sharers, contributors)

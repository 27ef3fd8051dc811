"""A session of seven clients, of whom two leave, played once and written down: what the page about the protocol shows.

It is played through `ServerSession` and `ClientSession`; the messages that passed are decoded afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

import secagg
from secagg.encoding.layout import Layout
from secagg.encoding.packing import unpack
from secagg.protocol.events import ClientDropped
from secagg.protocol.messages import (
    ClientMessage,
    MaskedInputCollectionResponse,
    ShareKeysResponse,
    UnmaskingResponse,
)
from secagg.testing.randomness import DeterministicRandomSource
from secagg.wire.codec import decode_client_message

VISITS: Final[Mapping[int, tuple[int, ...]]] = {
    1: (0, 1, 2, 4, 6, 9),
    2: (9, 7, 5, 3, 2, 1),
    3: (5, 5, 5, 5, 5, 0),
    4: (0, 0, 8, 0, 0, 8),
    5: (1, 3, 5, 7, 9, 8),
    6: (2, 9, 2, 9, 2, 9),
    7: (6, 6, 0, 0, 1, 7),
}
"""What each client holds: visits on six days, 0 to 9 each."""
LEAVE: Final[Mapping[int, secagg.Round]] = {3: secagg.Round.MASKED_INPUT, 6: secagg.Round.CONSISTENCY_CHECK}
"""Which client is never heard of again, from which round on."""
VECTOR: Final = "visits"
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
NAMES: Final[Mapping[secagg.Round, str]] = {
    secagg.Round.ADVERTISE_KEYS: "AdvertiseKeys",
    secagg.Round.SHARE_KEYS: "ShareKeys",
    secagg.Round.MASKED_INPUT: "MaskedInputCollection",
    secagg.Round.CONSISTENCY_CHECK: "ConsistencyCheck",
    secagg.Round.UNMASKING: "Unmasking",
}
"""Rounds as the specification calls them."""
_Message = TypeVar("_Message", bound=ClientMessage)


@dataclass(frozen=True, slots=True)
class Passed:
    """What passed in one round.

    Attributes:
        round: which.
        requests: bytes of the server's message to each client that it asked.
        answers: the message of each client that answered.
        dropped: who was dropped when the round was closed.
    """

    round: secagg.Round
    requests: Mapping[int, int]
    answers: Mapping[int, bytes]
    dropped: tuple[int, ...]

    @property
    def request_bytes(self) -> int:
        """Length of each request: all have the same."""
        return _one(self.requests.values())

    @property
    def answer_bytes(self) -> int:
        """Length of each answer: all have the same."""
        return _one(map(len, self.answers.values()))


@dataclass(frozen=True, slots=True)
class Transcript:
    """A session from its offer to its sum.

    Attributes:
        parameters: of the session.
        offer_bytes: length of the offer that each client got.
        rounds: what passed, in order.
        result: what the server released.
    """

    parameters: secagg.SessionParameters
    offer_bytes: int
    rounds: tuple[Passed, ...]
    result: secagg.SessionResult

    def in_round(self, round_: secagg.Round) -> Passed:
        """What passed in this round."""
        return next(each for each in self.rounds if each.round is round_)

    def masked(self) -> Mapping[int, tuple[int, ...]]:
        """Each masked input that came, as the server sees it: entry by entry, modulo 2^width."""
        layout = Layout.build(self.parameters.vectors, self.parameters.clients, self.parameters.max_weight)
        (section,) = layout.sections
        seen = {}
        for client, message in _decoded(
            self.in_round(secagg.Round.MASKED_INPUT), MaskedInputCollectionResponse
        ).items():
            words = np.empty(section.words, dtype=np.uint64)
            unpack(np.frombuffer(message.payload, dtype=np.uint8), section.ring_bits, 0, words)
            word = int(words[0])
            seen[client] = tuple(
                word >> section.width * place & section.field_mask for place in range(section.spec.size)
            )
        return seen

    def sealed_pairs(self) -> int:
        """How many sealed pairs of shares the server passed on."""
        return sum(
            len(each.ciphertexts)
            for each in _decoded(self.in_round(secagg.Round.SHARE_KEYS), ShareKeysResponse).values()
        )

    def opened(self) -> Mapping[int, tuple[str, int]]:
        """Owner to the secret that was opened of it, "self mask" or "mask key", and by how many shares."""
        found: dict[int, tuple[str, int]] = {}
        for message in _decoded(self.in_round(secagg.Round.UNMASKING), UnmaskingResponse).values():
            for kind, shares in (("self mask", message.seed_shares), ("mask key", message.mask_key_shares)):
                for owner in map(int, shares.owners):
                    was, count = found.get(owner, (kind, 0))
                    if was != kind:
                        raise ValueError(f"both secrets of client {owner} were opened")
                    found[owner] = kind, count + 1
        return dict(sorted(found.items()))


def play() -> Transcript:
    """Play the session; it is the same each time."""
    source = DeterministicRandomSource(7)
    keys = {client: secagg.IdentityKey.generate(source.fork(f"identity {client}")) for client in VISITS}
    roster = {client: key.public for client, key in keys.items()}
    parameters = secagg.SessionParameters.choose(
        clients=VISITS,
        vectors={VECTOR: secagg.Integers(0, 9, length=6)},
        threat_model="active",
        max_dropout=0.3,
        max_corrupt=0.0,
        context=b"visits, week 23",
    )
    # Everything else is drawn from the source.
    parameters = replace(parameters, nonce=bytes(source.secret(32).expose()))
    policy = secagg.ClientPolicy(max_corrupt=0.0)
    server = secagg.ServerSession(parameters, roster=roster)
    clients = {
        client: secagg.ClientSession(
            server.offer, client, identity=key, roster=roster, policy=policy, randomness=source.fork(client)
        )
        for client, key in keys.items()
    }
    for client, session in clients.items():
        session.set_input({VECTOR: np.array(VISITS[client])})
    rounds = []
    gone: set[int] = set()
    while (round_ := server.round) is not None:
        gone |= {client for client, last in LEAVE.items() if last is round_}
        requests, answers = dict(server.requests), {}
        for client in requests.keys() - gone:
            answer = clients[client].receive(requests[client])
            if answer is not None:
                answers[client] = answer
                server.receive(client, answer)
        server.close_round()
        left = tuple(event.client for event in server.take_events() if isinstance(event, ClientDropped))
        lengths = {client: len(request) for client, request in sorted(requests.items())}
        rounds.append(Passed(round_, lengths, dict(sorted(answers.items())), left))
    return Transcript(parameters, len(server.offer), tuple(rounds), server.result)


def listed(values: Iterable[int]) -> str:
    """Numbers with commas between."""
    return ", ".join(map(str, values))


def _one(lengths: Iterable[int]) -> int:
    (length,) = set(lengths)
    return length


def _decoded(passed: Passed, kind: type[_Message]) -> Mapping[int, _Message]:
    messages = {client: decode_client_message(answer) for client, answer in passed.answers.items()}
    return {client: message for client, message in messages.items() if isinstance(message, kind)}

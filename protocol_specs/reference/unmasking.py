"""From the masked sum and the rebuilt secrets to the sum (§6.7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol_specs.reference import digests, keys, vectors
from protocol_specs.reference.blame import Dealt
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.prg import words
from protocol_specs.reference.topology import Graph
from protocol_specs.reference.wire import Advertisement


@dataclass(frozen=True, slots=True)
class Session:
    """What the server knows of a session when it unmasks."""

    parameters: Parameters
    graph: Graph
    digest: bytes
    advertisements: Mapping[int, Advertisement]
    sharers: frozenset[int]
    contributors: frozenset[int]
    encapsulated: Mapping[tuple[int, int], keys.Encapsulated]
    """In a hybrid suite, by u and v with u < v: what u wrapped of the secret that it encapsulated to v, and the
    ciphertext."""
    dealt: Dealt

    def encapsulated_between(self, owner: int, secret: bytes, other: int) -> keys.Encapsulated | None:
        """What was encapsulated between a client whose mask secret was rebuilt and another one."""
        if not self.parameters.hybrid:
            return None
        wrap, ciphertext = self.encapsulated[min(owner, other), max(owner, other)]
        if owner > other:
            return keys.decapsulate(keys.mask_private(secret, self.digest, hybrid=True), ciphertext)
        binding = digests.binding(self.parameters, self.digest, self.advertisements.values())
        return keys.mask_wrap(secret, binding, owner, other, (wrap, ciphertext)), ciphertext

    @property
    def rebuilt_sharers(self) -> list[int]:
        """The sharers whose mask private key must be rebuilt."""
        missing = self.sharers - self.contributors
        return sorted(d for d in missing if self.contributors & self.graph.neighbours(d))

    def holders(self, owner: int) -> frozenset[int]:
        """The sharers that hold shares of an owner's secrets."""
        return self.sharers & self.graph.holders(owner)

    def can_be_rebuilt_by(self, present: set[int]) -> bool:
        """Whether every secret that must be rebuilt has t holders among these clients (A03, A04)."""
        owners = [*self.contributors, *self.rebuilt_sharers]
        return all(len(self.holders(owner) & present) >= self.parameters.threshold for owner in owners)


def unmask(session: Session, masked_sum: Sequence[int], secrets: Mapping[int, bytes]) -> list[int]:
    """Take the masks off, with the rebuilt secret of every owner; the words of the sum."""
    p, total = session.parameters, list(masked_sum)

    def subtract(sign: int, key: bytes) -> None:
        for i, word in enumerate(words(p.suite, key, 0, len(total))):
            total[i] -= sign * word

    for u in sorted(session.contributors):
        subtract(1, keys.self_prg_key(secrets[u], session.digest))
    binding = digests.binding(p, session.digest, session.advertisements.values())
    for d in session.rebuilt_sharers:
        own, secret = session.advertisements[d], secrets[d]
        private = keys.mask_private(secret, session.digest, p.hybrid)
        for v in sorted(session.contributors & session.graph.neighbours(d)):
            other = session.advertisements[v]
            shared = keys.agree(private, other.mask_public)
            encapsulated = session.encapsulated_between(d, secret, v)
            key = keys.pairwise_prg_key(shared, session.digest, binding, own, other, encapsulated)
            subtract(1 if v < d else -1, key)
    return _reduce(p, total)


def _reduce(p: Parameters, total: Sequence[int]) -> list[int]:
    """Each word to its low B bits."""
    rings = [2**section.ring_bits for section in vectors.layout(p) for _ in range(section.words)]
    return [word % ring for word, ring in zip(total, rings, strict=True)]

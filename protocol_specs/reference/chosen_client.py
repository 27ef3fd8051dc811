"""What a client of a chosen graph keeps and checks beside what every client does (§6.2 to §6.6). Experimental."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from protocol_specs.reference import signatures, wire
from protocol_specs.reference.chosen import members_of
from protocol_specs.reference.errors import demand
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.wire import Advertisement


@dataclass(slots=True)
class Choice:
    """The holders that a client drew, and the sets that it answered for.

    `sealed_for` are those holders that it was shown, `owners` whose shares it has, `sharers` is D and `contributors`
    X, as bytes of §2.5. Every check is against these, whatever a later message says.
    """

    parameters: Parameters
    session: bytes
    client: int
    holders: tuple[int, ...]
    sealed_for: set[int] = field(default_factory=set)
    owners: set[int] = field(default_factory=set)
    sharers: bytes = b""
    contributors: bytes = b""

    def share_point(self, holder: int) -> int:
        """The point of a holder: its place among all that were drawn."""
        return self.holders.index(holder) + 1

    def check_shown(self, others: Collection[int]) -> None:
        """§6.3, check 2, but for C20."""
        self.sealed_for = set(self.holders) & set(others)
        demand(len(self.sealed_for) >= self.parameters.threshold, "C27")
        demand(len(set(others) - self.sealed_for) <= 3 * self.parameters.degree, "C29")

    def check_sharers(self, request: wire.MaskedInputCollectionRequest) -> None:
        """§6.4, check 1."""
        sharers = members_of(self.parameters, request.sharers)
        self.owners = {sealed.client for sealed in request.ciphertexts}
        demand(len(self.sealed_for & sharers) >= self.parameters.threshold, "C33")
        demand({self.client, *self.owners} <= sharers, "C34")
        self.sharers = request.sharers

    def masks_with(self) -> set[int]:
        """The owners, and the holders that shared."""
        return self.owners | (self.sealed_for & members_of(self.parameters, self.sharers))

    def inclusion(self, shown: Mapping[int, Advertisement]) -> bytes:
        """What the client signs of D."""
        return self._inclusion_input(shown[self.client])

    def acknowledge(
        self, request: wire.ConsistencyCheckRequest, shown: Mapping[int, Advertisement], roster: Mapping[int, bytes]
    ) -> bytes:
        """§6.5: check and keep X; returns what the client signs of it."""
        contributors = members_of(self.parameters, request.contributor_set)
        demand(self.client in contributors, "C43")
        demand(contributors <= members_of(self.parameters, self.sharers), "C40")
        demand(len(contributors) >= self.parameters.minimum_contributors, "C41")
        demand({each.client for each in request.inclusions} == self.owners & contributors, "C45")
        for each in request.inclusions:
            signed = self._inclusion_input(shown[each.client])
            demand(signatures.verifies(roster[each.client], signed, each.signature), "C44")
        self.contributors = request.contributor_set
        return self._acknowledgement_input(shown[self.client])

    def revealed(
        self, request: wire.UnmaskingRequest, shown: Mapping[int, Advertisement], roster: Mapping[int, bytes]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """§6.6: check the acknowledgements; returns whose seed shares and whose mask-key shares are revealed."""
        contributors = members_of(self.parameters, self.contributors)
        signers = {each.client for each in request.confirmations}
        demand(signers <= self.sealed_for & contributors, "C58")
        for each in request.confirmations:
            signed = self._acknowledgement_input(shown[each.client])
            demand(signatures.verifies(roster[each.client], signed, each.signature), "C59")
        demand(len(signers) >= self.parameters.threshold, "C60")
        return tuple(sorted(self.owners & contributors)), tuple(sorted(self.owners - contributors))

    def _inclusion_input(self, signer: Advertisement) -> bytes:
        return signatures.inclusion_input(self.session, signer, self.sharers)

    def _acknowledgement_input(self, signer: Advertisement) -> bytes:
        return signatures.acknowledgement_input(self.session, signer, self.sharers, self.contributors)

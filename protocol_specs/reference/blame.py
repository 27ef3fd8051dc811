"""Who is blamed, for complaints (§6.8) and for shares (§5.4), and with what (§6.9)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol_specs.reference import commitments, dealings, disclosures, evidence, keys, sealing, sharing
from protocol_specs.reference import parameters as parameters_
from protocol_specs.reference.commitments import SHARE_BYTES
from protocol_specs.reference.contradictions import Contradiction
from protocol_specs.reference.evidence import Pair
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.topology import share_point
from protocol_specs.reference.wire import Advertisement, Dealing, Disclosure, DisclosureRequest, ShareKeysResponse

MOST_DEALINGS = 8


@dataclass(frozen=True, slots=True)
class Blame:
    """A client that is blamed, the id, and what shows it; None for a hint."""

    client: int
    rule: str
    evidence: bytes | None = None


@dataclass(frozen=True, slots=True)
class Dealt:
    """What the server knows of the dealings of a session."""

    session: bytes
    binding: bytes
    advertisements: Mapping[int, Advertisement]
    responses: Mapping[int, ShareKeysResponse]

    def entries(self, response: ShareKeysResponse) -> list[bytes]:
        """The entries of a dealer's pairs."""
        return [
            dealings.entry(sealed.client, self.advertisements[sealed.client].channel_public, sealed.ciphertext)
            for sealed in response.ciphertexts
        ]

    def signed_input(self, dealer: int, response: ShareKeysResponse) -> bytes:
        """What the dealer has to sign (S21)."""
        digests = dealings.digests(self.entries(response))
        public = self.advertisements[dealer].channel_public
        return dealings.signed_input(self.session, self.binding, dealer, public, digests)

    def _possession_context(self, dealer: int) -> bytes:
        public = self.advertisements[dealer].channel_public
        return dealings.possession_context(self.session, self.binding, dealer, public)

    def possession(self, dealer: int, private: bytes) -> bytes:
        """The dealer's proof that it has its channel private key."""
        return disclosures.prove(private, disclosures.BASE_PUBLIC, self._possession_context(dealer))

    def shows_possession(self, dealer: int, response: ShareKeysResponse) -> bool:
        """Whether that is in its response (S21)."""
        public, proof = self.advertisements[dealer].channel_public, response.signature[64:]
        return disclosures.shown(public, disclosures.BASE_PUBLIC, proof, self._possession_context(dealer)) is not None

    def request(self, complainer: int, accused: Iterable[int]) -> DisclosureRequest:
        """What a complainer is asked to disclose."""
        return DisclosureRequest(tuple(self._dealing(c, complainer) for c in sorted(accused)[:MOST_DEALINGS]))

    def _dealing(self, dealer: int, receiver: int) -> Dealing:
        response = self.responses[dealer]
        entries = self.entries(response)
        place = [sealed.client for sealed in response.ciphertexts].index(receiver)
        block = dealings.blocks(entries)[place // dealings.ENTRIES_IN_A_BLOCK]
        return Dealing(dealer, block, dealings.digests(entries), response.signature)

    def _committed(self, dealer: int, receiver: int) -> bytes:
        return next(s.ciphertext for s in self.responses[dealer].ciphertexts if s.client == receiver)

    def fits(self, owner: int, holder: int, kind: int, revealed: bytes) -> bool:
        """Whether a share and the digest behind it fit what the owner dealt to the holder."""
        share, other_digest = revealed[:SHARE_BYTES], revealed[SHARE_BYTES:]
        commitment = self._committed(owner, holder)[sealing.SEALED_BYTES :]
        return commitments.fits(self.session, self.binding, owner, holder, kind, share, other_digest, commitment)

    def contradiction(self, p: Parameters, owner: int, kind: int, fitting: Mapping[int, bytes]) -> Contradiction:
        """The evidence from shares that fit, at least t and in ascending order of holder."""
        shares = {share_point(p, owner, holder): both[:SHARE_BYTES] for holder, both in fitting.items()}
        polynomials = sharing.through_the_first(shares, p.threshold)
        secret, own = sharing.secret_of(polynomials), self.advertisements[owner]
        shown = list(fitting)[: p.threshold]
        if secret is not None and keys.is_advertised(own, self.session, kind, secret):
            first_off = sharing.off(polynomials, shares)[0]
            shown.append(next(holder for holder in fitting if share_point(p, owner, holder) == first_off))
        response = self.responses[owner]
        entries = self.entries(response)
        blocks = [
            block
            for block in dealings.blocks(entries)
            if {dealings.receiver_of(its) for its in dealings.cut(block, dealings.ENTRY_BYTES)} & set(shown)
        ]
        return Contradiction(
            parameters_.encode(p),
            self.binding,
            own,
            dealings.digests(entries),
            response.signature[:64],
            b"".join(blocks),
            kind,
            tuple(shown),
            b"".join(fitting[holder] for holder in shown),
        )

    def pair(self, dealer: int, receiver: int) -> Pair:
        """The committed pair from one to the other."""
        sealed = self._committed(dealer, receiver)
        dealer_public, receiver_public = (self.advertisements[c].channel_public for c in (dealer, receiver))
        return Pair(self.session, self.binding, dealer, dealer_public, receiver, receiver_public, sealed)

    def finding(self, complainer: int, dealing: Dealing, disclosure: Disclosure) -> Blame:
        """What a disclosure that was accepted shows."""
        pair = self.pair(dealing.client, complainer)
        agreement = pair.agreement(disclosure.proof)
        if agreement is None:
            raise ValueError("this disclosure is not to be accepted")
        shows = evidence.encode(pair, dealing, self.advertisements[complainer], disclosure.proof)
        return Blame(*evidence.verdict(pair, agreement), shows)


def named(findings: Iterable[Blame]) -> list[Blame]:
    """Each client once: the first finding about it that has evidence, or the first."""
    found: dict[int, Blame] = {}
    for finding in findings:
        before = found.get(finding.client)
        if before is None or (before.evidence is None and finding.evidence is not None):
            found[finding.client] = finding
    return [found[client] for client in sorted(found)]


def hints(complaints: Mapping[int, Iterable[int]]) -> list[Blame]:
    """Who is named without signed dealings; `complaints` are the accused of each complainer."""
    edges = [(complainer, accused) for complainer in complaints for accused in complaints[complainer]]
    found = []
    while edges:
        at = [client for edge in edges for client in edge]
        pointed = [accused for _, accused in edges]
        worst = max(set(at), key=lambda client: (at.count(client), pointed.count(client), client))
        found.append(Blame(worst, "S22" if worst in pointed else "S33"))
        edges = [edge for edge in edges if worst not in edge]
    return sorted(found, key=lambda blame: blame.client)

"""The server (§6, §7.2).

`requests` are the bytes to be sent in the open round; `receive` takes one answer; `close_round` closes the round. What
is wrong with a client's answer costs that client its place: `dropped` says why, with an id of §8.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from protocol_specs.reference import (
    chosen,
    digests,
    disclosures,
    keys,
    parameters,
    sealing,
    sharing,
    signatures,
    unmasking,
    vectors,
    wire,
)
from protocol_specs.reference.blame import Blame, Dealt, hints, named
from protocol_specs.reference.errors import Breach, LocalError, Undecodable, demand
from protocol_specs.reference.parameters import Parameters
from protocol_specs.reference.rules import check_parameters
from protocol_specs.reference.topology import Graph


class Phase(Enum):
    """What the server collects."""

    COLLECTING_KEYS = 1
    COLLECTING_SHARES = 2
    COLLECTING_MASKED_INPUTS = 3
    COLLECTING_DISCLOSURES = 4
    COLLECTING_CONFIRMATIONS = 5
    COLLECTING_UNMASKING_SHARES = 6
    COMPLETED = 7
    ABORTED = 8


ROUND_OF: dict[type[wire.Response], Phase] = {
    wire.AdvertiseKeysResponse: Phase.COLLECTING_KEYS,
    wire.ShareKeysResponse: Phase.COLLECTING_SHARES,
    wire.MaskedInputCollectionResponse: Phase.COLLECTING_MASKED_INPUTS,
    wire.ChosenInputResponse: Phase.COLLECTING_MASKED_INPUTS,
    wire.Complaint: Phase.COLLECTING_MASKED_INPUTS,
    wire.DisclosureResponse: Phase.COLLECTING_DISCLOSURES,
    wire.ConsistencyCheckResponse: Phase.COLLECTING_CONFIRMATIONS,
    wire.UnmaskingResponse: Phase.COLLECTING_UNMASKING_SHARES,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What a session releases: sums row by row, and the total weight if there are weights."""

    vectors: dict[str, list[float]]
    contributors: tuple[int, ...]
    total_weight: int | None


class Server:
    """The server of one session. A roster is needed in the active model."""

    def __init__(self, session_parameters: Parameters, roster: Mapping[int, bytes] | None = None) -> None:
        check_parameters(session_parameters)
        self.parameters = p = session_parameters
        self._roster = {client: (roster or {})[client] for client in p.cohort} if p.active else {}
        self.session = digests.session_digest(p)
        self.offer = wire.encode_offer(wire.SessionOffer(parameters.encode(p)))
        self.phase: Phase
        self.requests: dict[int, bytes] = {}
        self.dropped: dict[int, str] = {}
        self.late: list[int] = []
        self.inconsistent: list[tuple[int, int]] = []
        self.result: Result | None = None
        self.abort_reason: str | None = None
        self.aborts: dict[int, bytes] = {}
        self._take_graph(Graph(p))
        self._inclusions: dict[int, bytes] = {}
        self._asked: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self.blame: list[Blame] = []
        self._first_answers: dict[int, bytes] = {}
        self._accepted: dict[int, wire.Response] = {}
        self._public_keys: set[bytes] = set()
        self._advertisements: dict[int, wire.Advertisement] = {}
        self._dealings: dict[int, wire.ShareKeysResponse] = {}
        self._sharers: frozenset[int] = frozenset()
        self._waiting: list[int] = []
        self._contributors: list[int] = []
        self._encapsulated: dict[tuple[int, int], keys.Encapsulated] = {}
        self._sum = [0] * sum(section.words for section in vectors.layout(p))
        self._bodies: dict[int, wire.Request] = {}
        self._ask(Phase.COLLECTING_KEYS, {client: wire.AdvertiseKeysRequest() for client in p.cohort})

    def _take_graph(self, graph: Graph) -> None:
        """Take a graph: at the start, and in a chosen graph again when clients have drawn."""
        self._graph = graph
        self._neighbours, self._holders, self._owners = (
            {client: of(client) for client in self.parameters.cohort}
            for of in (graph.neighbours, graph.holders, graph.owners)
        )

    def receive(self, client: int, message: bytes) -> str | None:
        """Handle a message; returns "late", "repeated", the id of the reason for which it drops the client, or None."""
        if self.phase in (Phase.COMPLETED, Phase.ABORTED):
            raise LocalError("refused: the session has ended")
        if client not in self.parameters.cohort:
            raise LocalError("the sender is not in the cohort")
        if client not in self.requests or client in self.dropped:
            self.late.append(client)
            return "late"
        try:
            return self._handle(client, message)
        except Undecodable:
            return self._drop(client, "S02")
        except Breach as breach:
            return self._drop(client, breach.rule)

    def close_round(self) -> None:
        """Close the open round: send the next requests, release the result, or end the session."""
        if self.phase in (Phase.COMPLETED, Phase.ABORTED):
            raise LocalError("refused: the session has ended")
        present = [client for client in self.requests if client not in self.dropped]
        for client in present:
            if client not in self._accepted:
                self._drop(client, "S01")
        try:
            match self.phase:
                case Phase.COLLECTING_KEYS:
                    self._close_advertise_keys()
                case Phase.COLLECTING_SHARES:
                    self._close_share_keys()
                case Phase.COLLECTING_MASKED_INPUTS:
                    self._close_masked_inputs()
                case Phase.COLLECTING_DISCLOSURES:
                    self._close_disclosure()
                case Phase.COLLECTING_CONFIRMATIONS:
                    self._close_consistency_check()
                case _:
                    self._close_unmasking()
        except Breach as breach:
            self._end(breach.rule, present)

    def abort(self) -> None:
        """End the session by the host's decision."""
        if self.phase not in (Phase.COMPLETED, Phase.ABORTED):
            self._end("A10", [client for client in self.requests if client not in self.dropped])

    # One message.

    def _handle(self, client: int, message: bytes) -> str | None:
        envelope = wire.decode_for_server(message)
        demand(envelope.session == self.session, "S04")
        body = envelope.body
        chosen.check_fields(self.parameters, body)
        demand(not isinstance(body, wire.Abort), "S06")
        its_round = ROUND_OF[type(body)]
        if its_round in (Phase.COLLECTING_DISCLOSURES, Phase.COLLECTING_CONFIRMATIONS):
            demand(self.parameters.active, "S03")
        demand(its_round.value <= self.phase.value, "S03")
        if its_round is not self.phase:
            self.late.append(client)
            return "late"
        if client in self._first_answers:
            demand(self._first_answers[client] == message, "S05")
            return "repeated"
        match body:
            case wire.AdvertiseKeysResponse():
                self._check_advertisement(client, body.advertisement)
                demand(not self.parameters.chosen or self._may_hold(client, body.holders), "S16")
            case wire.ShareKeysResponse():
                receivers = {sealed.client for sealed in body.ciphertexts}
                demand(receivers == self._holders[client] & set(self._advertisements), "S20")
                for sealed in body.ciphertexts:
                    self._split(client, sealed)
                demand(self._is_signed(client, body), "S21")
            case wire.MaskedInputCollectionResponse():
                self._add(client, body.payload)
            case wire.ChosenInputResponse():
                signed = signatures.inclusion_input(self.session, self._advertisements[client], self._sharer_set)
                demand(signatures.verifies(self._roster[client], signed, body.inclusion), "S30")
                self._add(client, body.payload)
                self._inclusions[client] = body.inclusion
            case wire.Complaint():
                request = self._bodies[client]
                sent = request.ciphertexts if isinstance(request, wire.MaskedInputCollectionRequest) else ()
                demand(body.accused != () and set(body.accused) <= {sealed.client for sealed in sent}, "S32")
            case wire.DisclosureResponse():
                self._check_disclosures(client, body)
            case wire.ConsistencyCheckResponse():
                signed = self._to_be_confirmed_by(client)
                demand(signatures.verifies(self._roster[client], signed, body.signature), "S40")
            case wire.UnmaskingResponse():
                self._check_shares(client, body)
        self._first_answers[client], self._accepted[client] = message, body
        return None

    def _split(self, sender: int, sealed: wire.SealedShares) -> sealing.Parcel:
        return sealing.split(self.parameters.hybrid, sender, sealed.client, sealed.ciphertext, to_server=True)

    def _add(self, client: int, payload: bytes) -> None:
        words = vectors.unpack(self.parameters, payload)
        self._sum = [a + b for a, b in zip(self._sum, words, strict=True)]
        self._contributors.append(client)

    def _may_hold(self, client: int, holders: tuple[int, ...]) -> bool:
        others = set(self.parameters.cohort) - {client}
        return len(holders) == self.parameters.degree and set(holders) <= others

    def _to_be_confirmed_by(self, client: int) -> bytes:
        if not self.parameters.chosen:
            return signatures.confirmation_input(self._binding, sorted(self._contributors))
        own, sets = self._advertisements[client], (self._sharer_set, self._contributor_set)
        return signatures.acknowledgement_input(self.session, own, *sets)

    @property
    def _sharer_set(self) -> bytes:
        return chosen.as_bytes(self.parameters, self._sharers)

    @property
    def _contributor_set(self) -> bytes:
        return chosen.as_bytes(self.parameters, self._contributors)

    def _check_advertisement(self, client: int, a: wire.Advertisement) -> None:
        """§6.2."""
        parts = [part for key in (a.channel_public, a.mask_public) for part in keys.halves(key)]
        public_keys = set(parts)
        demand(a.client == client, "S10")
        keys.check_lengths(self.parameters.hybrid, [a])
        demand(len(public_keys) == len(parts) and not public_keys & self._public_keys, "S12")
        demand(all(keys.is_canonical(key) for key in public_keys), "S15")
        demand(not any(keys.is_of_low_order(key) for key in public_keys), "S13")
        if self.parameters.signs_dealings:
            demand(disclosures.lift(a.channel_public) is not None, "S18")
        if self.parameters.active:
            signed = signatures.advertisement_input(self.session, a)
            demand(signatures.verifies(self._roster[client], signed, a.signature), "S11")
        self._public_keys |= public_keys

    def _is_signed(self, client: int, response: wire.ShareKeysResponse) -> bool:
        """§6.3."""
        if not self.parameters.signs_dealings:
            return response.signature == b""
        signed = self._dealt.signed_input(client, response)
        is_signed = signatures.verifies(self._roster[client], signed, response.signature[:64])
        return is_signed and self._dealt.shows_possession(client, response)

    def _check_disclosures(self, client: int, response: wire.DisclosureResponse) -> None:
        """§6.8."""
        disclosed = tuple(disclosure.client for disclosure in response.disclosures)
        demand(disclosed == tuple(dealing.client for dealing in self._asked_to_disclose(client)), "S34")
        for disclosure in response.disclosures:
            demand(self._dealt.pair(disclosure.client, client).agreement(disclosure.proof) is not None, "S34")

    def _asked_to_disclose(self, client: int) -> tuple[wire.Dealing, ...]:
        request = self._bodies[client]
        return request.dealings if isinstance(request, wire.DisclosureRequest) else ()

    def _check_shares(self, client: int, response: wire.UnmaskingResponse) -> None:
        """§6.6."""
        owners = tuple(tuple(s.owner for s in kind) for kind in (response.seed_shares, response.mask_key_shares))
        asked = self._asked[client]
        demand(owners == asked, "S50")
        shares = (*response.seed_shares, *response.mask_key_shares)
        demand(all(sharing.is_canonical(revealed.share) for revealed in shares), "S51")

    # The end of a round.

    def _close_advertise_keys(self) -> None:
        """§6.2."""
        accepted = {c: b.advertisement for c, b in self._accepted.items() if isinstance(b, wire.AdvertiseKeysResponse)}
        if self.parameters.chosen:
            drawn = {c: b.holders for c, b in self._accepted.items() if isinstance(b, wire.AdvertiseKeysResponse)}
            self._take_graph(Graph(self.parameters, drawn, chosen.edges_to_cut(drawn, 3 * self.parameters.degree)))
        remaining = self._with_enough_neighbours(set(accepted))
        demand(len(remaining) >= self.parameters.fewest_clients, "A01")
        self._advertisements = {client: accepted[client] for client in sorted(remaining)}
        shown = {
            u: tuple(a for v, a in self._advertisements.items() if v == u or v in self._neighbours[u])
            for u in self._advertisements
        }
        self._ask(Phase.COLLECTING_SHARES, {u: wire.ShareKeysRequest(ads) for u, ads in shown.items()})

    def _close_share_keys(self) -> None:
        """§6.3."""
        self._dealings = {c: b for c, b in self._accepted.items() if isinstance(b, wire.ShareKeysResponse)}
        remaining = self._with_enough_neighbours(set(self._dealings))
        demand(len(remaining) >= self.parameters.fewest_clients, "A02")
        self._sharers = frozenset(remaining)
        pairs: dict[int, list[wire.SealedShares]] = {u: [] for u in sorted(remaining)}
        for sender in sorted(remaining):
            for sealed in self._dealings[sender].ciphertexts:
                if sealed.client in remaining:
                    parcel = self._split(sender, sealed)
                    pairs[sealed.client].append(wire.SealedShares(sender, replace(parcel, wrap=b"").join()))
                    self._encapsulated[sender, sealed.client] = parcel.wrap, parcel.mask_ciphertext
        shown = self._sharer_set if self.parameters.chosen else b""
        requests = {u: wire.MaskedInputCollectionRequest(tuple(sealed), shown) for u, sealed in pairs.items()}
        self._ask(Phase.COLLECTING_MASKED_INPUTS, requests)

    def _close_masked_inputs(self) -> None:
        """§6.4."""
        complaints = {c: body.accused for c, body in self._accepted.items() if isinstance(body, wire.Complaint)}
        if complaints:
            self._close_with(complaints)
            return
        present = set(self._accepted)
        demand(len(self._contributors) >= self.parameters.fewest_clients, "A03")
        demand(self._view.can_be_rebuilt_by(present), "A03")
        parts = self._graph.parts(set(self._contributors))
        demand(all(len(part) >= self.parameters.minimum_contributors for part in parts), "A14")
        if self.parameters.chosen:
            self._ask(Phase.COLLECTING_CONFIRMATIONS, {u: self._included_among_owners(u) for u in sorted(present)})
        elif self.parameters.active:
            request = wire.ConsistencyCheckRequest(tuple(sorted(self._contributors)))
            self._ask(Phase.COLLECTING_CONFIRMATIONS, dict.fromkeys(sorted(present), request))
        else:
            self._ask_for_shares(present, ())

    def _included_among_owners(self, client: int) -> wire.ConsistencyCheckRequest:
        owners = sorted(self._owners[client] & set(self._contributors))
        inclusions = tuple(wire.Confirmation(owner, self._inclusions[owner]) for owner in owners)
        return wire.ConsistencyCheckRequest((), self._contributor_set, inclusions)

    def _close_with(self, complaints: dict[int, tuple[int, ...]]) -> None:
        """§6.8, or the end where there are no signed dealings."""
        if not self.parameters.signs_dealings:
            self.blame = hints(complaints)
            raise Breach("A15")
        self._waiting = sorted(self._accepted.keys() - complaints.keys())
        asked = {c: self._dealt.request(c, complaints[c]) for c in sorted(complaints)}
        self._ask(Phase.COLLECTING_DISCLOSURES, asked)

    def _close_disclosure(self) -> None:
        """§6.9."""
        findings = []
        for complainer in self._bodies:
            response = self._accepted.get(complainer)
            if not isinstance(response, wire.DisclosureResponse):
                findings.append(Blame(complainer, "S34"))
                continue
            shown = zip(self._asked_to_disclose(complainer), response.disclosures, strict=True)
            findings += [self._dealt.finding(complainer, *each) for each in shown]
        self.blame = named(findings)
        raise Breach("A15")

    def _close_consistency_check(self) -> None:
        """§6.5."""
        confirmations = tuple(
            wire.Confirmation(client, body.signature)
            for client, body in sorted(self._accepted.items())
            if isinstance(body, wire.ConsistencyCheckResponse)
        )
        confirmers = {confirmation.client for confirmation in confirmations}
        demand(self._view.can_be_rebuilt_by(confirmers), "A04")
        self._ask_for_shares(confirmers, confirmations)

    def _ask_for_shares(self, clients: set[int], confirmations: tuple[wire.Confirmation, ...]) -> None:
        """§6.6."""
        contributors = set(self._contributors)
        requests: dict[int, wire.Request] = {}
        for u in sorted(clients):
            sharers = self._sharers & self._owners[u]
            survivors, dropped = tuple(sorted(sharers & contributors)), tuple(sorted(sharers - contributors))
            self._asked[u] = survivors, dropped
            requests[u] = wire.UnmaskingRequest(survivors, dropped, confirmations)
            if self.parameters.chosen:
                acknowledged = [each for each in confirmations if each.client in self._holders[u]]
                requests[u] = wire.UnmaskingRequest((), (), tuple(acknowledged[: self.parameters.threshold]))
        self._ask(Phase.COLLECTING_UNMASKING_SHARES, requests)

    def _close_unmasking(self) -> None:
        """§6.7."""
        responses = {c: body for c, body in self._accepted.items() if isinstance(body, wire.UnmaskingResponse)}
        unmasked = unmasking.unmask(self._view, self._sum, responses)
        self.inconsistent = unmasked.inconsistent
        sums = vectors.decode_sum(self.parameters, unmasked.words, len(self._contributors))
        self.result = Result(sums.vectors, tuple(sorted(self._contributors)), sums.total_weight)
        self.phase, self.requests = Phase.COMPLETED, {}

    @property
    def _binding(self) -> bytes:
        return digests.binding(self.parameters, self.session, self._advertisements.values())

    @property
    def _dealt(self) -> Dealt:
        return Dealt(self.session, self._binding, self._advertisements, self._dealings)

    @property
    def _view(self) -> unmasking.Session:
        return unmasking.Session(
            self.parameters,
            self._graph,
            self.session,
            self._advertisements,
            self._sharers,
            frozenset(self._contributors),
            self._encapsulated,
        )

    def _with_enough_neighbours(self, clients: set[int]) -> set[int]:
        """S14: drop clients until each has t neighbours, in a chosen graph t holders, among those that remain."""
        if self.parameters.complete:
            return clients
        remaining = set(clients)
        while lonely := {u for u in remaining if len(self._holders[u] & remaining) < self.parameters.threshold}:
            for client in lonely:
                self._drop(client, "S14")
            remaining -= lonely
        return remaining

    def _ask(self, phase: Phase, bodies: Mapping[int, wire.Request]) -> None:
        self.phase, self._bodies = phase, dict(bodies)
        self.requests = {client: wire.encode_envelope(self.session, body) for client, body in bodies.items()}
        self._first_answers, self._accepted = {}, {}

    def _drop(self, client: int, reason: str) -> str:
        self.dropped[client] = reason
        self._accepted.pop(client, None)
        return reason

    def _end(self, reason: str, present: list[int]) -> None:
        # Whether the sum can be decoded depends on the inputs: nobody is told (§7.2).
        told = [] if reason == "A13" else sorted({*present, *self._waiting})
        self.aborts = dict.fromkeys(told, wire.encode_envelope(self.session, wire.Abort(reason)))
        self.phase, self.requests, self.abort_reason = Phase.ABORTED, {}, reason

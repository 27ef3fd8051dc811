"""The server's state machine (§7.2), and what the closing of a round brings about (§6).

`requests` are the bytes to be sent in the open round; `receive` takes one answer; `close_round` closes the round. What
is wrong with a client's answer costs that client its place: `dropped` says why, with an id of §8.
"""

from dataclasses import replace

from protocol_specs.reference import chosen, rebuilding, unmasking, vectors, wire
from protocol_specs.reference.blame import Blame, hints, named
from protocol_specs.reference.errors import Breach, LocalError, Undecodable, demand
from protocol_specs.reference.server_checks import Checks
from protocol_specs.reference.server_state import Phase, Result
from protocol_specs.reference.topology import Graph


class Server(Checks):
    """The server of one session."""

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
        rebuilt = rebuilding.rebuild_secrets(self._view, responses)
        self.blame = rebuilt.blame
        demand(not self.blame, "A06")
        self.inconsistent = rebuilt.reports
        words = unmasking.unmask(self._view, self._sum, rebuilt.secrets)
        sums = vectors.decode_sum(self.parameters, words, len(self._contributors))
        self.result = Result(sums.vectors, tuple(sorted(self._contributors)), sums.total_weight)
        self.phase, self.requests = Phase.COMPLETED, {}

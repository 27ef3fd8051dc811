"""What the server checks of a client's answer (§6), and what it takes from it."""

from protocol_specs.reference import chosen, disclosures, keys, sharing, signatures, vectors, wire
from protocol_specs.reference.commitments import REVEALED_BYTES, SHARE_BYTES
from protocol_specs.reference.errors import Undecodable, demand
from protocol_specs.reference.server_state import Phase, State

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


class Checks(State):
    """The checks of each round, each with its id of §8: `Breach` costs the sender its place."""

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

    def _check_shares(self, client: int, response: wire.UnmaskingResponse) -> None:
        """§6.6."""
        owners = tuple(tuple(s.owner for s in kind) for kind in (response.seed_shares, response.mask_key_shares))
        asked = self._asked[client]
        demand(owners == asked, "S50")
        if response.share_lengths - {REVEALED_BYTES if self.parameters.signs_dealings else SHARE_BYTES}:
            raise Undecodable("a share has another length")
        shares = (*response.seed_shares, *response.mask_key_shares)
        demand(all(sharing.is_canonical(revealed.share[:SHARE_BYTES]) for revealed in shares), "S51")

"""The peers of one real client of an active session, whose keys one process knows: what a client costs in any cohort.

NO SECURITY: one process knows every secret, and shares are of nothing. The client gets exactly the requests that an
honest server would have for it when nobody leaves, with signatures that verify and sealed pairs that open. There is no
server, and no sum. For complete graphs, and the experimental chosen ones.
"""

from __future__ import annotations

from secagg.crypto import aead, key_schedule, shamir
from secagg.crypto.agreement import AgreementKey
from secagg.crypto.commitments import Commitments
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.crypto.signing import IdentityKey
from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters, ThreatModel
from secagg.protocol.chosen_edges import draw_holders, pack_set
from secagg.protocol.context import session_context
from secagg.protocol.messages import (
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Advertisement,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    MaskedInputCollectionRequest,
    ShareKeysRequest,
    UnmaskingRequest,
)
from secagg.wire.codec import decode_client_message, encode


class Insiders:
    """All other clients of an active session without a KEM; call the methods in the order of the rounds.

    Args:
        parameters: an active session in a suite without a KEM.
        client: who is real.
        randomness: where all secrets come from.

    Attributes:
        identities: of all clients, the real one too.
        roster: their public keys.

    Raises:
        ParameterError: a semi-honest session, or a hybrid suite.
    """

    def __init__(self, parameters: SessionParameters, client: ClientId, randomness: RandomSource) -> None:
        if parameters.threat_model is not ThreatModel.ACTIVE or parameters.suite.hybrid:
            raise ParameterError("insiders are of active sessions in suite 0x0001 or 0x0002")
        self.identities = {member: IdentityKey.generate(randomness) for member in parameters.cohort}
        self.roster = {member: identity.public for member, identity in self.identities.items()}
        self._context = session_context(parameters, self.roster)
        self._parameters, self._client, self._randomness = parameters, client, randomness
        others = [member for member in parameters.cohort if member != client]
        self._channels = {member: AgreementKey.generate(randomness) for member in others}
        self._shown = {member: self._advertisement(member) for member in others}
        self._owners = others
        if self._context.chosen:
            self._owners = [each for each in others if client in draw_holders(parameters, each, randomness)]
        self._holders: tuple[ClientId, ...] = tuple(others)
        self._binding = self._context.session

    @property
    def session(self) -> bytes:
        """The session digest."""
        return self._context.session

    def mask_public(self, client: ClientId) -> bytes:
        """The mask public key of a client; of the real one after its advertisement."""
        return self._shown[client].mask_public

    def advertise(self) -> bytes:
        """The request for keys."""
        return encode(AdvertiseKeysRequest(self._context.session))

    def share(self, answer: bytes) -> bytes:
        """The request for shares: advertisements of whoever the client shares masks with.

        Args:
            answer: the client's advertisement.

        Raises:
            ParameterError: another message.
        """
        message = decode_client_message(answer)
        if not isinstance(message, AdvertiseKeysResponse):
            raise ParameterError("this is no advertisement; hand in the client's answers in the order of the rounds")
        if self._context.chosen:
            self._holders = message.holders
        self._shown[self._client] = message.advertisement
        shown = [self._shown[member] for member in sorted({*self._holders, *self._owners, self._client})]
        if self._context.complete:
            listed = ((ad.client, ad.channel_public, ad.mask_public, ad.commitment) for ad in shown)
            self._binding = key_schedule.cohort_digest(self._context.session, listed)
        return encode(ShareKeysRequest(self._context.session, tuple(shown)))

    def mask(self) -> bytes:
        """The request for the masked input: a sealed pair of each owner."""
        pair = SecretBytes(bytes(2 * shamir.SHARE_BYTES))
        receiver = self._shown[self._client].channel_public
        sealed = []
        for owner in self._owners:
            key, _ = key_schedule.channel_keys(self._channels[owner], receiver, self._binding, owner, self._client)
            bound = key_schedule.share_associated_data(self._binding, owner, self._client)
            nonce = bytes(self._randomness.secret(aead.NONCE_BYTES).expose())
            sealed.append((owner, aead.seal(key, pair, bound, nonce) + self._committed(owner, pair)))
        return encode(MaskedInputCollectionRequest(self._context.session, tuple(sealed), self._everybody))

    def _committed(self, owner: ClientId, pair: SecretBytes) -> bytes:
        if not self._context.deals_signed:
            return b""
        commitments = Commitments(self._context.session, self._binding)
        return commitments.of(owner, self._client, *shamir.split_shares(pair))

    def confirm(self) -> bytes:
        """The request to confirm that everybody contributed."""
        session = self._context.session
        if not self._context.chosen:
            return encode(ConsistencyCheckRequest(session, self._parameters.cohort))
        inclusions = tuple((owner, self._included(owner)) for owner in self._owners)
        return encode(ConsistencyCheckRequest(session, (), self._everybody, inclusions))

    def unmask(self, answer: bytes) -> bytes:
        """The request for shares of secrets, with everybody's signature, or those of as many holders as are needed.

        Args:
            answer: the client's confirmation; not looked at in a chosen graph.

        Raises:
            ParameterError: another message.
        """
        session, cohort = self._context.session, self._parameters.cohort
        if self._context.chosen:
            signers = self._holders[: self._parameters.threshold]
            return encode(
                UnmaskingRequest(session, (), (), tuple((each, self._acknowledged(each)) for each in signers))
            )
        message = decode_client_message(answer)
        if not isinstance(message, ConsistencyCheckResponse):
            raise ParameterError("this is no confirmation; hand in the client's answers in the order of the rounds")
        text = key_schedule.confirmation_text(self._binding, cohort)
        signed = {each: self.identities[each].sign(text) for each in cohort} | {self._client: message.signature}
        return encode(UnmaskingRequest(session, tuple(self._owners), (), tuple(sorted(signed.items()))))

    @property
    def _everybody(self) -> bytes:
        return pack_set(self._parameters.cohort, self._context.members) if self._context.chosen else b""

    def _advertisement(self, member: ClientId) -> Advertisement:
        session, mask = self._context.session, AgreementKey.generate(self._randomness).public
        commitment = key_schedule.self_mask_commitment(session, member, self._randomness.secret(shamir.SECRET_BYTES))
        channel = self._channels[member].public
        text = key_schedule.advertisement_text(session, member, channel, mask, commitment)
        return Advertisement(member, channel, mask, commitment, self.identities[member].sign(text))

    def _included(self, member: ClientId) -> bytes:
        public = self._shown[member].mask_public
        text = key_schedule.inclusion_text(self._context.session, member, public, self._everybody)
        return self.identities[member].sign(text)

    def _acknowledged(self, member: ClientId) -> bytes:
        everybody, public = self._everybody, self._shown[member].mask_public
        text = key_schedule.acknowledgement_text(self._context.session, member, public, everybody, everybody)
        return self.identities[member].sign(text)

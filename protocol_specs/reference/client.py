"""The client's state machine (§7.1); what the rounds do is in `client_rounds`.

`receive` takes the bytes of a message and returns the bytes of the answer. A violation raises `Breach`, and leaves the
session ended and without secrets; `abort_message` is then what the client tells the server.
"""

from protocol_specs.reference import chosen, vectors, wire
from protocol_specs.reference.client_rounds import Rounds
from protocol_specs.reference.client_state import Phase
from protocol_specs.reference.errors import Breach, LocalError, Undecodable, demand

Decoded = wire.SessionOffer | wire.Envelope[wire.Request]


class Client(Rounds):
    """One client in one session."""

    phase: Phase = Phase.OFFERED
    abort_reason: str | None = None
    abort_message: bytes | None = None
    _answered: tuple[bytes, bytes] | None = None
    """The last request, and its answer."""
    input_name: str = ""
    """Of the input, where its host gives one to several sessions (R57); only the host makes something of it."""

    def set_input(self, inputs: vectors.Inputs, weight: int = 1) -> None:
        """Give the input: each vector row by row, by name."""
        if self.phase not in (Phase.ADVERTISE_KEYS, Phase.SHARE_KEYS, Phase.MASKED_INPUT):
            raise LocalError("there is nothing to be masked in this phase")
        vectors.session_vector(self.parameters, inputs, weight, self._random)  # refuses bad inputs at once
        self.secrets.inputs = (dict(inputs), weight)

    def abort(self) -> None:
        """End the session by the host's decision."""
        if self.phase not in (Phase.COMPLETED, Phase.ABORTED):
            self.end("A10")

    def end(self, reason: str) -> None:
        """End the session for a reason of §8, without secrets; `abort_message` is what the server may be told."""
        if hasattr(self, "session") and reason != "A09":
            self.abort_message = wire.encode_envelope(self.session, wire.Abort(reason))
        self.phase, self.abort_reason = Phase.ABORTED, reason
        self._erase()

    def receive(self, message: bytes) -> bytes | None:
        """Handle a message; returns the answer, or None for an offer and an abort."""
        if self._answered is not None and message == self._answered[0] and self.phase is not Phase.ABORTED:
            return self._answered[1]
        if self.phase is Phase.ABORTED:
            raise LocalError("refused: the session has ended")
        try:
            offered = self.phase is Phase.OFFERED
            decoded = wire.decode_for_client(message) if offered else wire.decode_request(message)
            if not offered and isinstance(decoded, wire.Envelope):
                chosen.check_fields(self.parameters, decoded.body)
        except Undecodable as error:
            if self.phase is Phase.COMPLETED:
                raise LocalError("refused: the session is complete") from error
            self.end("A08")
            raise
        if self.phase is Phase.COMPLETED:
            self._after_completion(decoded)
        try:
            asked = self._masked_input_asked(decoded) if self.secrets.inputs is None else None
            if asked is not None and not self._opened(asked)[1]:
                raise LocalError("there is no input yet")
            return self._handle(decoded, message)
        except Undecodable:
            self.end("A08")
            raise
        except Breach as breach:
            self.end("A09" if breach.rule == "A09" else "A07")
            raise
        finally:
            self._end_if_interrupted()

    def _end_if_interrupted(self) -> None:
        """A11: whatever left `_handle` in the middle of a message."""
        if self.phase is Phase.ABORTED and self.abort_reason is None:
            self.end("A11")

    def _masked_input_asked(self, decoded: Decoded) -> wire.MaskedInputCollectionRequest | None:
        """The request of this session that asks for the masked input, if it is due."""
        if self.phase is not Phase.MASKED_INPUT or not isinstance(decoded, wire.Envelope):
            return None
        body = decoded.body if decoded.session == self.session else None
        return body if isinstance(body, wire.MaskedInputCollectionRequest) else None

    def _after_completion(self, decoded: Decoded) -> None:
        """§7.1: in COMPLETED everything is refused, and a second request for shares also ends the session."""
        if (
            isinstance(decoded, wire.Envelope)
            and decoded.session == self.session
            and isinstance(decoded.body, wire.UnmaskingRequest)
        ):
            self.end("A07")
            raise Breach("C62")
        raise LocalError("refused: the session is complete")

    def _handle(self, decoded: Decoded, message: bytes) -> bytes | None:
        phase, self.phase = self.phase, Phase.ABORTED  # what a failure in the middle leaves behind (A11)
        if isinstance(decoded, wire.SessionOffer):
            self._accept(decoded)
            self.phase = Phase.ADVERTISE_KEYS
            return None
        demand(phase is not Phase.OFFERED, "C11")
        demand(decoded.session == self.session, "C12")
        body: wire.Response
        match phase, decoded.body:
            case _, wire.Abort():
                raise Breach("A09")
            case Phase.ADVERTISE_KEYS, wire.AdvertiseKeysRequest():
                body, following = self._advertise_keys(), Phase.SHARE_KEYS
            case Phase.SHARE_KEYS, wire.ShareKeysRequest() as request:
                body, following = self._share_keys(request), Phase.MASKED_INPUT
            case Phase.MASKED_INPUT, wire.MaskedInputCollectionRequest() as request:
                body = self._masked_input(request)
                following = Phase.CONSISTENCY_CHECK if self.parameters.active else Phase.UNMASKING
                following = Phase.DISCLOSURE if isinstance(body, wire.Complaint) else following
            case Phase.DISCLOSURE, wire.DisclosureRequest() as request if self.parameters.active:
                body, following = self._disclose(request), Phase.DISCLOSURE
            case Phase.CONSISTENCY_CHECK, wire.ConsistencyCheckRequest() as request:
                body, following = self._consistency_check(request), Phase.UNMASKING
            case Phase.UNMASKING, wire.UnmaskingRequest() as request:
                body, following = self._unmasking(request), Phase.COMPLETED
            case _:
                raise Breach("C11")
        answer = wire.encode_envelope(self.session, body)
        self._answered, self.phase = (message, answer), following
        return answer

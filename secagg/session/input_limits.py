"""What one client's input may go into, beside its session: a policy's limits on sums, and one opened sum for one input.

Asked three times: when a session is offered, before its masked input leaves, and before shares leave (Specification
§6.9, §9). Must not know messages, nor what the input is.
"""

from __future__ import annotations

from dataclasses import dataclass

from secagg.errors import ParameterError
from secagg.parameters import ClientId, SessionParameters
from secagg.parameters.arguments import require_kind
from secagg.session.ledger import AnswerLedger
from secagg.session.participation import ParticipationLedger, ParticipationLimits, look_up, parts_of
from secagg.session.reuse import InputReuse, SessionOfInput


@dataclass(frozen=True, slots=True)
class FrozenLimits:
    """What a snapshot holds of them.

    Attributes:
        sums: of the policy.
        input: digest of the input's name, or None for an input that no other session is given.
    """

    sums: ParticipationLimits
    input: bytes | None


class InputLimits:
    """The limits of one session of one client.

    Args:
        client: the client.
        parameters: of the session.
        session: its 32-byte digest.
        frozen: what there is.
        participations: sums that the client's inputs went into.
        ledger: the client's answers.

    Raises:
        ParameterError: a record is missing.
    """

    def __init__(
        self,
        client: ClientId,
        parameters: SessionParameters,
        session: bytes,
        frozen: FrozenLimits,
        participations: ParticipationLedger | None,
        ledger: AnswerLedger | None,
    ) -> None:
        if frozen.sums and participations is None:
            raise ParameterError(
                "sums_per_context and minimum_cohort_change need a record beyond this session; pass participations="
            )
        if frozen.input is not None and ledger is None:
            raise ParameterError("reuse= needs a record that outlives the sessions of one input; pass ledger=")
        self.frozen = frozen
        self._client = client
        self._parameters = parameters
        self._session = session
        self._participations = participations
        self._of_input: SessionOfInput | None = None
        if frozen.input is not None and ledger is not None:
            self._of_input = SessionOfInput(ledger, client, frozen.input, session)

    def require_offer(self, reuse: InputReuse | None) -> None:
        """Take part in the session that is offered.

        Raises:
            ParticipationRefusedError: naming the limit.
        """
        if self._of_input is not None and reuse is not None:
            self._of_input.enter(reuse.repeated_sums)
        self._require_sums(self._session, claim=False)

    def require_input(self, mask_public: bytes) -> None:
        """Let the masked input leave, and claim this run of the session.

        The key tells runs of one offer apart: a server can offer the same bytes again, under another name or after it
        has lost its memory, and a client without the state of the first run would give its input a second time.

        Raises:
            ParticipationRefusedError: as for an offer, since others may have been accepted meanwhile; or another run of
                this session has the input.
        """
        if self._of_input is not None:
            self._of_input.give(mask_public)
        # Looked up before it is claimed: what is refused went into no sum, and is not to count later.
        for claim in (False, True):
            self._require_sums(self._session + mask_public, claim=claim)

    def require_shares(self) -> None:
        """Let shares leave.

        Raises:
            ParticipationRefusedError: the client is in a later session of the same input.
        """
        if self._of_input is not None:
            self._of_input.show_shares()

    def _require_sums(self, run: bytes, *, claim: bool) -> None:
        if self._participations is None:
            return
        others = look_up(self._participations, self._client, run, self._parameters, claim=claim)
        self.frozen.sums.check(self._parameters, [others[run] for run in others if not self._has_left(run)])

    def _has_left(self, run: bytes) -> bool:
        """Whether this client never helps to open another run of the same input, so that it is no sum to count."""
        return self._of_input is not None and self._of_input.has_left(*parts_of(run))


def limits_of(
    client: ClientId,
    parameters: SessionParameters,
    session: bytes,
    sums: ParticipationLimits,
    participations: ParticipationLedger | None,
    reuse: InputReuse | None,
    ledger: AnswerLedger | None,
) -> InputLimits:
    """Return the limits of a session that is offered, once it may be taken part in.

    Raises:
        ParameterError: a record is missing, or `reuse` is something else.
        ParticipationRefusedError: naming the limit.
    """
    if reuse is not None:
        require_kind("reuse", reuse, InputReuse, "an InputReuse(...), or None")
    frozen = FrozenLimits(sums, None if reuse is None else reuse.digest(parameters.context))
    limits = InputLimits(client, parameters, session, frozen, participations, ledger)
    limits.require_offer(reuse)
    return limits

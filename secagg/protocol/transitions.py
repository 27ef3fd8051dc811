"""The two state machines as literal tables (Specification §7).

A row says: in this phase, on this input, the session may go to these phases. Phases are named for what they
wait for; terminal phases are spelled as empty rows. The consistency round is present or absent by the table,
never by a branch in a handler. The specification's diagrams and tables are generated from here. Knows names only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from secagg.parameters import ThreatModel
from secagg.protocol.messages import (
    Abort,
    AdvertiseKeysRequest,
    AdvertiseKeysResponse,
    Complaint,
    ConsistencyCheckRequest,
    ConsistencyCheckResponse,
    DisclosureRequest,
    DisclosureResponse,
    MaskedInputCollectionRequest,
    MaskedInputCollectionResponse,
    Round,
    SessionOffer,
    ShareKeysRequest,
    ShareKeysResponse,
    UnmaskingRequest,
    UnmaskingResponse,
)


class ClientPhase(Enum):
    """What a client waits for."""

    OFFERED = "offered"
    """The offer, which the constructor judges: a `ClientSession` that was made is past it."""
    ADVERTISE_KEYS = "advertise_keys"
    """The request for its public keys (§6.2)."""
    SHARE_KEYS = "share_keys"
    """The keys of its neighbours, for which it seals shares of its secrets (§6.3)."""
    MASKED_INPUT = "masked_input"
    """The shares that were sealed for it; it answers with the masked input (§6.4)."""
    DISCLOSURE = "disclosure"
    """After its own complaint, the request for keys of pairs that it complained about (§6.8)."""
    CONSISTENCY_CHECK = "consistency_check"
    """In the active model, the set of contributors, which it signs (§6.5)."""
    UNMASKING = "unmasking"
    """The list of survivors and dropped clients, for whom it reveals shares (§6.6)."""
    COMPLETED = "completed"
    """Nothing more: it has answered everything."""
    ABORTED = "aborted"
    """Nothing more: `abort_reason` says why."""


class ServerPhase(Enum):
    """What a server collects."""

    COLLECTING_KEYS = "collecting_keys"
    """Public keys (§6.2)."""
    COLLECTING_SHARES = "collecting_shares"
    """Sealed shares (§6.3)."""
    COLLECTING_MASKED_INPUTS = "collecting_masked_inputs"
    """Masked inputs, and complaints (§6.4)."""
    COLLECTING_DISCLOSURES = "collecting_disclosures"
    """After complaints, keys of the pairs in question; no sum follows (§6.8)."""
    COLLECTING_CONFIRMATIONS = "collecting_confirmations"
    """In the active model, signatures of the set of contributors (§6.5)."""
    COLLECTING_UNMASKING_SHARES = "collecting_unmasking_shares"
    """Shares of what masks the sum (§6.6)."""
    COMPLETED = "completed"
    """Nothing more: there is a result."""
    ABORTED = "aborted"
    """Nothing more, and there is no result: `abort_reason` says why."""


@dataclass(frozen=True, slots=True)
class CloseRound:
    """The input by which the caller of a server ends the open round (the caller owns the clock)."""


_C = ClientPhase
_S = ServerPhase

ClientTable = Mapping[ClientPhase, Mapping[type[object], ClientPhase]]
ServerTable = Mapping[ServerPhase, Mapping[type[object], frozenset[ServerPhase]]]

# A client in any live phase may also go to ABORTED, on any violation or by its caller; the rows show the
# one way forward. COMPLETED has one row: a second, different unmasking request proves that the server lies.
CLIENT_TRANSITIONS: Final[Mapping[ThreatModel, ClientTable]] = {
    ThreatModel.SEMI_HONEST: {
        _C.OFFERED: {SessionOffer: _C.ADVERTISE_KEYS},
        _C.ADVERTISE_KEYS: {AdvertiseKeysRequest: _C.SHARE_KEYS, Abort: _C.ABORTED},
        _C.SHARE_KEYS: {ShareKeysRequest: _C.MASKED_INPUT, Abort: _C.ABORTED},
        _C.MASKED_INPUT: {MaskedInputCollectionRequest: _C.UNMASKING, Abort: _C.ABORTED},
        _C.DISCLOSURE: {Abort: _C.ABORTED},
        _C.UNMASKING: {UnmaskingRequest: _C.COMPLETED, Abort: _C.ABORTED},
        _C.COMPLETED: {UnmaskingRequest: _C.ABORTED},
        _C.ABORTED: {},
    },
    ThreatModel.ACTIVE: {
        _C.OFFERED: {SessionOffer: _C.ADVERTISE_KEYS},
        _C.ADVERTISE_KEYS: {AdvertiseKeysRequest: _C.SHARE_KEYS, Abort: _C.ABORTED},
        _C.SHARE_KEYS: {ShareKeysRequest: _C.MASKED_INPUT, Abort: _C.ABORTED},
        _C.MASKED_INPUT: {MaskedInputCollectionRequest: _C.CONSISTENCY_CHECK, Abort: _C.ABORTED},
        _C.DISCLOSURE: {DisclosureRequest: _C.DISCLOSURE, Abort: _C.ABORTED},
        _C.CONSISTENCY_CHECK: {ConsistencyCheckRequest: _C.UNMASKING, Abort: _C.ABORTED},
        _C.UNMASKING: {UnmaskingRequest: _C.COMPLETED, Abort: _C.ABORTED},
        _C.COMPLETED: {UnmaskingRequest: _C.ABORTED},
        _C.ABORTED: {},
    },
}


# Where a client goes in the place of what the table says: it cannot read a pair, and complains (Specification §6.4).
AFTER_COMPLAINT: Final[Mapping[ClientPhase, ClientPhase]] = {_C.MASKED_INPUT: _C.DISCLOSURE}


def _collecting(
    responses: type[object] | tuple[type[object], ...], phase: ServerPhase, *following: ServerPhase
) -> Mapping[type[object], frozenset[ServerPhase]]:
    kinds = responses if isinstance(responses, tuple) else (responses,)
    return {
        **dict.fromkeys(kinds, frozenset({phase})),
        Abort: frozenset({phase}),
        CloseRound: frozenset({*following, _S.ABORTED}),
    }


SERVER_TRANSITIONS: Final[Mapping[ThreatModel, ServerTable]] = {
    ThreatModel.SEMI_HONEST: {
        _S.COLLECTING_KEYS: _collecting(AdvertiseKeysResponse, _S.COLLECTING_KEYS, _S.COLLECTING_SHARES),
        _S.COLLECTING_SHARES: _collecting(ShareKeysResponse, _S.COLLECTING_SHARES, _S.COLLECTING_MASKED_INPUTS),
        _S.COLLECTING_MASKED_INPUTS: _collecting(
            (MaskedInputCollectionResponse, Complaint), _S.COLLECTING_MASKED_INPUTS, _S.COLLECTING_UNMASKING_SHARES
        ),
        _S.COLLECTING_UNMASKING_SHARES: _collecting(UnmaskingResponse, _S.COLLECTING_UNMASKING_SHARES, _S.COMPLETED),
        _S.COMPLETED: {},
        _S.ABORTED: {},
    },
    ThreatModel.ACTIVE: {
        _S.COLLECTING_KEYS: _collecting(AdvertiseKeysResponse, _S.COLLECTING_KEYS, _S.COLLECTING_SHARES),
        _S.COLLECTING_SHARES: _collecting(ShareKeysResponse, _S.COLLECTING_SHARES, _S.COLLECTING_MASKED_INPUTS),
        _S.COLLECTING_MASKED_INPUTS: _collecting(
            (MaskedInputCollectionResponse, Complaint),
            _S.COLLECTING_MASKED_INPUTS,
            _S.COLLECTING_DISCLOSURES,
            _S.COLLECTING_CONFIRMATIONS,
        ),
        _S.COLLECTING_DISCLOSURES: _collecting(DisclosureResponse, _S.COLLECTING_DISCLOSURES),
        _S.COLLECTING_CONFIRMATIONS: _collecting(
            ConsistencyCheckResponse, _S.COLLECTING_CONFIRMATIONS, _S.COLLECTING_UNMASKING_SHARES
        ),
        _S.COLLECTING_UNMASKING_SHARES: _collecting(UnmaskingResponse, _S.COLLECTING_UNMASKING_SHARES, _S.COMPLETED),
        _S.COMPLETED: {},
        _S.ABORTED: {},
    },
}

ROUND_OF_SERVER_PHASE: Final[Mapping[ServerPhase, Round]] = {
    _S.COLLECTING_KEYS: Round.ADVERTISE_KEYS,
    _S.COLLECTING_SHARES: Round.SHARE_KEYS,
    _S.COLLECTING_MASKED_INPUTS: Round.MASKED_INPUT,
    _S.COLLECTING_DISCLOSURES: Round.DISCLOSURE,
    _S.COLLECTING_CONFIRMATIONS: Round.CONSISTENCY_CHECK,
    _S.COLLECTING_UNMASKING_SHARES: Round.UNMASKING,
}


def rounds(threat_model: ThreatModel) -> tuple[Round, ...]:
    """The rounds of a session that nobody complains in, in order."""
    return tuple(round_ for round_ in ROUND_ORDER[threat_model] if round_ is not Round.DISCLOSURE)


ROUND_ORDER: Final[Mapping[ThreatModel, tuple[Round, ...]]] = {
    threat_model: tuple(ROUND_OF_SERVER_PHASE[phase] for phase in table if phase in ROUND_OF_SERVER_PHASE)
    for threat_model, table in SERVER_TRANSITIONS.items()
}

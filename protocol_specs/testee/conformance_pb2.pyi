from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATUS_UNSPECIFIED: _ClassVar[Status]
    ACCEPTED: _ClassVar[Status]
    REFUSED: _ClassVar[Status]
    DROPPED: _ClassVar[Status]
    LATE: _ClassVar[Status]
    REPEATED: _ClassVar[Status]
    LOCAL_ERROR: _ClassVar[Status]
    FAILED: _ClassVar[Status]
STATUS_UNSPECIFIED: Status
ACCEPTED: Status
REFUSED: Status
DROPPED: Status
LATE: Status
REPEATED: Status
LOCAL_ERROR: Status
FAILED: Status

class Call(_message.Message):
    __slots__ = ("describe", "create_client", "create_server", "step", "snapshot", "restore", "free", "primitive")
    DESCRIBE_FIELD_NUMBER: _ClassVar[int]
    CREATE_CLIENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_SERVER_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    PRIMITIVE_FIELD_NUMBER: _ClassVar[int]
    describe: Describe
    create_client: CreateClient
    create_server: CreateServer
    step: Step
    snapshot: Snapshot
    restore: Restore
    free: Free
    primitive: Primitive
    def __init__(self, describe: _Optional[_Union[Describe, _Mapping]] = ..., create_client: _Optional[_Union[CreateClient, _Mapping]] = ..., create_server: _Optional[_Union[CreateServer, _Mapping]] = ..., step: _Optional[_Union[Step, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., restore: _Optional[_Union[Restore, _Mapping]] = ..., free: _Optional[_Union[Free, _Mapping]] = ..., primitive: _Optional[_Union[Primitive, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("description", "outcome", "frozen", "freed", "unsupported", "computed")
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    FREED_FIELD_NUMBER: _ClassVar[int]
    UNSUPPORTED_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_FIELD_NUMBER: _ClassVar[int]
    description: Description
    outcome: Outcome
    frozen: Frozen
    freed: Freed
    unsupported: str
    computed: Computed
    def __init__(self, description: _Optional[_Union[Description, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., frozen: _Optional[_Union[Frozen, _Mapping]] = ..., freed: _Optional[_Union[Freed, _Mapping]] = ..., unsupported: _Optional[str] = ..., computed: _Optional[_Union[Computed, _Mapping]] = ...) -> None: ...

class Describe(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Description(_message.Message):
    __slots__ = ("name", "version", "client", "server", "suites", "client_snapshots", "server_snapshots", "primitives")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    SUITES_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    SERVER_SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    PRIMITIVES_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    client: bool
    server: bool
    suites: _containers.RepeatedScalarFieldContainer[int]
    client_snapshots: bool
    server_snapshots: bool
    primitives: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., client: bool = ..., server: bool = ..., suites: _Optional[_Iterable[int]] = ..., client_snapshots: bool = ..., server_snapshots: bool = ..., primitives: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateClient(_message.Message):
    __slots__ = ("offer", "client", "identity_key", "roster", "policy", "tape", "ledger", "input", "repeated_sums")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TAPE_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    REPEATED_SUMS_FIELD_NUMBER: _ClassVar[int]
    offer: bytes
    client: int
    identity_key: bytes
    roster: _containers.RepeatedCompositeFieldContainer[RosterEntry]
    policy: Policy
    tape: bytes
    ledger: str
    input: str
    repeated_sums: int
    def __init__(self, offer: _Optional[bytes] = ..., client: _Optional[int] = ..., identity_key: _Optional[bytes] = ..., roster: _Optional[_Iterable[_Union[RosterEntry, _Mapping]]] = ..., policy: _Optional[_Union[Policy, _Mapping]] = ..., tape: _Optional[bytes] = ..., ledger: _Optional[str] = ..., input: _Optional[str] = ..., repeated_sums: _Optional[int] = ...) -> None: ...

class RosterEntry(_message.Message):
    __slots__ = ("client", "verification_key")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_KEY_FIELD_NUMBER: _ClassVar[int]
    client: int
    verification_key: bytes
    def __init__(self, client: _Optional[int] = ..., verification_key: _Optional[bytes] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("threat_model", "corrupt_fraction", "smallest_cohort", "largest_cohort", "smallest_threshold", "smallest_minimum_contributors", "suites", "context", "largest_vector", "security_bits", "vectors", "max_weight", "dropout_fraction", "topologies")
    THREAT_MODEL_FIELD_NUMBER: _ClassVar[int]
    CORRUPT_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_COHORT_FIELD_NUMBER: _ClassVar[int]
    LARGEST_COHORT_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SMALLEST_MINIMUM_CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    SUITES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    LARGEST_VECTOR_FIELD_NUMBER: _ClassVar[int]
    SECURITY_BITS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    MAX_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FRACTION_FIELD_NUMBER: _ClassVar[int]
    TOPOLOGIES_FIELD_NUMBER: _ClassVar[int]
    threat_model: str
    corrupt_fraction: float
    smallest_cohort: int
    largest_cohort: int
    smallest_threshold: int
    smallest_minimum_contributors: int
    suites: _containers.RepeatedScalarFieldContainer[int]
    context: bytes
    largest_vector: int
    security_bits: int
    vectors: _containers.RepeatedScalarFieldContainer[bytes]
    max_weight: int
    dropout_fraction: float
    topologies: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, threat_model: _Optional[str] = ..., corrupt_fraction: _Optional[float] = ..., smallest_cohort: _Optional[int] = ..., largest_cohort: _Optional[int] = ..., smallest_threshold: _Optional[int] = ..., smallest_minimum_contributors: _Optional[int] = ..., suites: _Optional[_Iterable[int]] = ..., context: _Optional[bytes] = ..., largest_vector: _Optional[int] = ..., security_bits: _Optional[int] = ..., vectors: _Optional[_Iterable[bytes]] = ..., max_weight: _Optional[int] = ..., dropout_fraction: _Optional[float] = ..., topologies: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateServer(_message.Message):
    __slots__ = ("parameters", "roster")
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    parameters: bytes
    roster: _containers.RepeatedCompositeFieldContainer[RosterEntry]
    def __init__(self, parameters: _Optional[bytes] = ..., roster: _Optional[_Iterable[_Union[RosterEntry, _Mapping]]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("handle", "set_input", "message", "client_message", "close_round", "end_session")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SET_INPUT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_ROUND_FIELD_NUMBER: _ClassVar[int]
    END_SESSION_FIELD_NUMBER: _ClassVar[int]
    handle: int
    set_input: SetInput
    message: bytes
    client_message: ClientMessage
    close_round: CloseRound
    end_session: EndSession
    def __init__(self, handle: _Optional[int] = ..., set_input: _Optional[_Union[SetInput, _Mapping]] = ..., message: _Optional[bytes] = ..., client_message: _Optional[_Union[ClientMessage, _Mapping]] = ..., close_round: _Optional[_Union[CloseRound, _Mapping]] = ..., end_session: _Optional[_Union[EndSession, _Mapping]] = ...) -> None: ...

class SetInput(_message.Message):
    __slots__ = ("vectors", "weight")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[Values]
    weight: int
    def __init__(self, vectors: _Optional[_Iterable[_Union[Values, _Mapping]]] = ..., weight: _Optional[int] = ...) -> None: ...

class Values(_message.Message):
    __slots__ = ("name", "reals", "integers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REALS_FIELD_NUMBER: _ClassVar[int]
    INTEGERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    reals: _containers.RepeatedScalarFieldContainer[float]
    integers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., reals: _Optional[_Iterable[float]] = ..., integers: _Optional[_Iterable[int]] = ...) -> None: ...

class ClientMessage(_message.Message):
    __slots__ = ("client", "message")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    client: int
    message: bytes
    def __init__(self, client: _Optional[int] = ..., message: _Optional[bytes] = ...) -> None: ...

class CloseRound(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EndSession(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("handle", "status", "rule", "phase", "abort_reason", "answer", "notice", "offer", "requests", "dropped", "inconsistent", "result", "blame")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ABORT_REASON_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    INCONSISTENT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    BLAME_FIELD_NUMBER: _ClassVar[int]
    handle: int
    status: Status
    rule: str
    phase: str
    abort_reason: str
    answer: bytes
    notice: bytes
    offer: bytes
    requests: _containers.RepeatedCompositeFieldContainer[ClientMessage]
    dropped: _containers.RepeatedCompositeFieldContainer[Drop]
    inconsistent: _containers.RepeatedCompositeFieldContainer[OffPolynomial]
    result: Result
    blame: _containers.RepeatedCompositeFieldContainer[Blame]
    def __init__(self, handle: _Optional[int] = ..., status: _Optional[_Union[Status, str]] = ..., rule: _Optional[str] = ..., phase: _Optional[str] = ..., abort_reason: _Optional[str] = ..., answer: _Optional[bytes] = ..., notice: _Optional[bytes] = ..., offer: _Optional[bytes] = ..., requests: _Optional[_Iterable[_Union[ClientMessage, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[Drop, _Mapping]]] = ..., inconsistent: _Optional[_Iterable[_Union[OffPolynomial, _Mapping]]] = ..., result: _Optional[_Union[Result, _Mapping]] = ..., blame: _Optional[_Iterable[_Union[Blame, _Mapping]]] = ...) -> None: ...

class Blame(_message.Message):
    __slots__ = ("client", "rule", "evidence")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    client: int
    rule: str
    evidence: bytes
    def __init__(self, client: _Optional[int] = ..., rule: _Optional[str] = ..., evidence: _Optional[bytes] = ...) -> None: ...

class Drop(_message.Message):
    __slots__ = ("client", "rule")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    client: int
    rule: str
    def __init__(self, client: _Optional[int] = ..., rule: _Optional[str] = ...) -> None: ...

class OffPolynomial(_message.Message):
    __slots__ = ("holder", "owner", "rule")
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    holder: int
    owner: int
    rule: str
    def __init__(self, holder: _Optional[int] = ..., owner: _Optional[int] = ..., rule: _Optional[str] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("vectors", "contributors", "total_weight")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[Values]
    contributors: _containers.RepeatedScalarFieldContainer[int]
    total_weight: int
    def __init__(self, vectors: _Optional[_Iterable[_Union[Values, _Mapping]]] = ..., contributors: _Optional[_Iterable[int]] = ..., total_weight: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: int
    def __init__(self, handle: _Optional[int] = ...) -> None: ...

class Frozen(_message.Message):
    __slots__ = ("snapshot",)
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    snapshot: bytes
    def __init__(self, snapshot: _Optional[bytes] = ...) -> None: ...

class Restore(_message.Message):
    __slots__ = ("snapshot", "server", "identity_key", "roster", "tape", "ledger")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_KEY_FIELD_NUMBER: _ClassVar[int]
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    TAPE_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    snapshot: bytes
    server: bool
    identity_key: bytes
    roster: _containers.RepeatedCompositeFieldContainer[RosterEntry]
    tape: bytes
    ledger: str
    def __init__(self, snapshot: _Optional[bytes] = ..., server: bool = ..., identity_key: _Optional[bytes] = ..., roster: _Optional[_Iterable[_Union[RosterEntry, _Mapping]]] = ..., tape: _Optional[bytes] = ..., ledger: _Optional[str] = ...) -> None: ...

class Free(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: int
    def __init__(self, handle: _Optional[int] = ...) -> None: ...

class Freed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Primitive(_message.Message):
    __slots__ = ("kind", "function", "input")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    function: str
    input: str
    def __init__(self, kind: _Optional[str] = ..., function: _Optional[str] = ..., input: _Optional[str] = ...) -> None: ...

class Computed(_message.Message):
    __slots__ = ("output", "refused")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    output: str
    refused: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, output: _Optional[str] = ..., refused: _Optional[_Iterable[str]] = ...) -> None: ...

from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ClientSubject(_message.Message):
    __slots__ = ("session", "client")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    session: str
    client: int
    def __init__(self, session: _Optional[str] = ..., client: _Optional[int] = ...) -> None: ...

class OperatorSubject(_message.Message):
    __slots__ = ("public_key", "reads_only")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    READS_ONLY_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    reads_only: bool
    def __init__(self, public_key: _Optional[bytes] = ..., reads_only: bool = ...) -> None: ...

class MemberSubject(_message.Message):
    __slots__ = ("client",)
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    client: int
    def __init__(self, client: _Optional[int] = ...) -> None: ...

class ChallengeRequest(_message.Message):
    __slots__ = ("client", "operator", "member")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    client: ClientSubject
    operator: OperatorSubject
    member: MemberSubject
    def __init__(self, client: _Optional[_Union[ClientSubject, _Mapping]] = ..., operator: _Optional[_Union[OperatorSubject, _Mapping]] = ..., member: _Optional[_Union[MemberSubject, _Mapping]] = ...) -> None: ...

class ChallengeReply(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    def __init__(self, nonce: _Optional[bytes] = ...) -> None: ...

class LoginRequest(_message.Message):
    __slots__ = ("nonce", "server_name", "signature", "next")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    nonce: bytes
    server_name: str
    signature: bytes
    next: NextRequestRequest
    def __init__(self, nonce: _Optional[bytes] = ..., server_name: _Optional[str] = ..., signature: _Optional[bytes] = ..., next: _Optional[_Union[NextRequestRequest, _Mapping]] = ...) -> None: ...

class LoginReply(_message.Message):
    __slots__ = ("token", "offer", "next")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    offer: bytes
    next: NextRequestReply
    def __init__(self, token: _Optional[bytes] = ..., offer: _Optional[bytes] = ..., next: _Optional[_Union[NextRequestReply, _Mapping]] = ...) -> None: ...

class GetOfferRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetOfferReply(_message.Message):
    __slots__ = ("offer",)
    OFFER_FIELD_NUMBER: _ClassVar[int]
    offer: bytes
    def __init__(self, offer: _Optional[bytes] = ...) -> None: ...

class NextRequestRequest(_message.Message):
    __slots__ = ("seen", "wait_milliseconds")
    SEEN_FIELD_NUMBER: _ClassVar[int]
    WAIT_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    seen: bytes
    wait_milliseconds: int
    def __init__(self, seen: _Optional[bytes] = ..., wait_milliseconds: _Optional[int] = ...) -> None: ...

class NextRequestReply(_message.Message):
    __slots__ = ("request", "ended", "dropped")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    request: bytes
    ended: Ended
    dropped: Dropped
    def __init__(self, request: _Optional[bytes] = ..., ended: _Optional[_Union[Ended, _Mapping]] = ..., dropped: _Optional[_Union[Dropped, _Mapping]] = ...) -> None: ...

class Ended(_message.Message):
    __slots__ = ("completed", "reason_id", "reason", "successor")
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    REASON_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    completed: bool
    reason_id: str
    reason: str
    successor: str
    def __init__(self, completed: bool = ..., reason_id: _Optional[str] = ..., reason: _Optional[str] = ..., successor: _Optional[str] = ...) -> None: ...

class Dropped(_message.Message):
    __slots__ = ("reason_id", "reason")
    REASON_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason_id: str
    reason: str
    def __init__(self, reason_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AnswerRequest(_message.Message):
    __slots__ = ("answer", "next")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    answer: bytes
    next: NextRequestRequest
    def __init__(self, answer: _Optional[bytes] = ..., next: _Optional[_Union[NextRequestRequest, _Mapping]] = ...) -> None: ...

class UploadPart(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadHeader
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadHeader, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadHeader(_message.Message):
    __slots__ = ("total_bytes", "sha256", "next")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    sha256: bytes
    next: NextRequestRequest
    def __init__(self, total_bytes: _Optional[int] = ..., sha256: _Optional[bytes] = ..., next: _Optional[_Union[NextRequestRequest, _Mapping]] = ...) -> None: ...

class AnswerReply(_message.Message):
    __slots__ = ("outcome", "next")
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[AnswerReply.Outcome]
        OUTCOME_ACCEPTED: _ClassVar[AnswerReply.Outcome]
        OUTCOME_REPEATED: _ClassVar[AnswerReply.Outcome]
        OUTCOME_LATE: _ClassVar[AnswerReply.Outcome]
    OUTCOME_UNSPECIFIED: AnswerReply.Outcome
    OUTCOME_ACCEPTED: AnswerReply.Outcome
    OUTCOME_REPEATED: AnswerReply.Outcome
    OUTCOME_LATE: AnswerReply.Outcome
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    outcome: AnswerReply.Outcome
    next: NextRequestReply
    def __init__(self, outcome: _Optional[_Union[AnswerReply.Outcome, str]] = ..., next: _Optional[_Union[NextRequestReply, _Mapping]] = ...) -> None: ...

class UploadReply(_message.Message):
    __slots__ = ("received_bytes", "answer")
    RECEIVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    received_bytes: int
    answer: AnswerReply
    def __init__(self, received_bytes: _Optional[int] = ..., answer: _Optional[_Union[AnswerReply, _Mapping]] = ...) -> None: ...

class NextSessionRequest(_message.Message):
    __slots__ = ("seen", "wait_milliseconds")
    SEEN_FIELD_NUMBER: _ClassVar[int]
    WAIT_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    seen: _containers.RepeatedScalarFieldContainer[str]
    wait_milliseconds: int
    def __init__(self, seen: _Optional[_Iterable[str]] = ..., wait_milliseconds: _Optional[int] = ...) -> None: ...

class NextSessionReply(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sessions: _Optional[_Iterable[str]] = ...) -> None: ...

class EnrolRequest(_message.Message):
    __slots__ = ("session", "client", "public_key", "invitation_signature", "key_signature")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    INVITATION_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    KEY_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session: str
    client: int
    public_key: bytes
    invitation_signature: bytes
    key_signature: bytes
    def __init__(self, session: _Optional[str] = ..., client: _Optional[int] = ..., public_key: _Optional[bytes] = ..., invitation_signature: _Optional[bytes] = ..., key_signature: _Optional[bytes] = ...) -> None: ...

class EnrolReply(_message.Message):
    __slots__ = ("roster",)
    ROSTER_FIELD_NUMBER: _ClassVar[int]
    roster: bytes
    def __init__(self, roster: _Optional[bytes] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "newest_first", "without_contributors")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[str]
    newest_first: bool
    without_contributors: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[str]] = ..., newest_first: bool = ..., without_contributors: bool = ...) -> None: ...

class ListSessionsReply(_message.Message):
    __slots__ = ("sessions", "statuses", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedScalarFieldContainer[str]
    statuses: _containers.RepeatedCompositeFieldContainer[GetStatusReply]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[str]] = ..., statuses: _Optional[_Iterable[_Union[GetStatusReply, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class WatchSessionReply(_message.Message):
    __slots__ = ("status", "last")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    status: GetStatusReply
    last: bool
    def __init__(self, status: _Optional[_Union[GetStatusReply, _Mapping]] = ..., last: bool = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ("session", "offer", "deadlines", "restarts")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    DEADLINES_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    session: str
    offer: bytes
    deadlines: RoundDeadlines
    restarts: int
    def __init__(self, session: _Optional[str] = ..., offer: _Optional[bytes] = ..., deadlines: _Optional[_Union[RoundDeadlines, _Mapping]] = ..., restarts: _Optional[int] = ...) -> None: ...

class RoundDeadlines(_message.Message):
    __slots__ = ("seconds", "session_seconds")
    class SecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    SESSION_SECONDS_FIELD_NUMBER: _ClassVar[int]
    seconds: _containers.ScalarMap[str, float]
    session_seconds: float
    def __init__(self, seconds: _Optional[_Mapping[str, float]] = ..., session_seconds: _Optional[float] = ...) -> None: ...

class CreateSessionReply(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: GetStatusReply
    def __init__(self, status: _Optional[_Union[GetStatusReply, _Mapping]] = ...) -> None: ...

class AbortSessionRequest(_message.Message):
    __slots__ = ("session", "detail")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    session: str
    detail: str
    def __init__(self, session: _Optional[str] = ..., detail: _Optional[str] = ...) -> None: ...

class AbortSessionReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DropClientRequest(_message.Message):
    __slots__ = ("session", "client", "detail")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    session: str
    client: int
    detail: str
    def __init__(self, session: _Optional[str] = ..., client: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class DropClientReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DiscardResultRequest(_message.Message):
    __slots__ = ("session", "sha256", "unfetched")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    UNFETCHED_FIELD_NUMBER: _ClassVar[int]
    session: str
    sha256: bytes
    unfetched: bool
    def __init__(self, session: _Optional[str] = ..., sha256: _Optional[bytes] = ..., unfetched: bool = ...) -> None: ...

class DiscardResultReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListClientsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListClientsReply(_message.Message):
    __slots__ = ("clients",)
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, clients: _Optional[_Iterable[int]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class GetStatusReply(_message.Message):
    __slots__ = ("session", "state", "clients", "expected", "answered", "pending", "dropped", "seconds_left", "log_entries", "stored_bytes", "result_ready", "abort_reason_id", "detail", "created_at", "contributors", "ended_at", "progress", "blame", "successor")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    LOG_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESULT_READY_FIELD_NUMBER: _ClassVar[int]
    ABORT_REASON_ID_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTORS_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    BLAME_FIELD_NUMBER: _ClassVar[int]
    SUCCESSOR_FIELD_NUMBER: _ClassVar[int]
    session: str
    state: str
    clients: int
    expected: int
    answered: int
    pending: int
    dropped: _containers.RepeatedCompositeFieldContainer[DropCount]
    seconds_left: float
    log_entries: int
    stored_bytes: int
    result_ready: bool
    abort_reason_id: str
    detail: str
    created_at: float
    contributors: Contributors
    ended_at: float
    progress: Progress
    blame: _containers.RepeatedCompositeFieldContainer[Blamed]
    successor: str
    def __init__(self, session: _Optional[str] = ..., state: _Optional[str] = ..., clients: _Optional[int] = ..., expected: _Optional[int] = ..., answered: _Optional[int] = ..., pending: _Optional[int] = ..., dropped: _Optional[_Iterable[_Union[DropCount, _Mapping]]] = ..., seconds_left: _Optional[float] = ..., log_entries: _Optional[int] = ..., stored_bytes: _Optional[int] = ..., result_ready: bool = ..., abort_reason_id: _Optional[str] = ..., detail: _Optional[str] = ..., created_at: _Optional[float] = ..., contributors: _Optional[_Union[Contributors, _Mapping]] = ..., ended_at: _Optional[float] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., blame: _Optional[_Iterable[_Union[Blamed, _Mapping]]] = ..., successor: _Optional[str] = ...) -> None: ...

class Blamed(_message.Message):
    __slots__ = ("client", "reason_id", "evidence")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REASON_ID_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    client: int
    reason_id: str
    evidence: bool
    def __init__(self, client: _Optional[int] = ..., reason_id: _Optional[str] = ..., evidence: bool = ...) -> None: ...

class GetEvidenceRequest(_message.Message):
    __slots__ = ("session", "client")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    session: str
    client: int
    def __init__(self, session: _Optional[str] = ..., client: _Optional[int] = ...) -> None: ...

class GetEvidenceReply(_message.Message):
    __slots__ = ("evidence",)
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    evidence: bytes
    def __init__(self, evidence: _Optional[bytes] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("stage", "done", "whole")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    whole: int
    def __init__(self, stage: _Optional[str] = ..., done: _Optional[int] = ..., whole: _Optional[int] = ...) -> None: ...

class DropCount(_message.Message):
    __slots__ = ("reason_id", "clients")
    REASON_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    reason_id: str
    clients: int
    def __init__(self, reason_id: _Optional[str] = ..., clients: _Optional[int] = ...) -> None: ...

class Contributors(_message.Message):
    __slots__ = ("clients",)
    CLIENTS_FIELD_NUMBER: _ClassVar[int]
    clients: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, clients: _Optional[_Iterable[int]] = ...) -> None: ...

class GetResultRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class ResultPart(_message.Message):
    __slots__ = ("chunk", "end")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    end: ResultEnd
    def __init__(self, chunk: _Optional[bytes] = ..., end: _Optional[_Union[ResultEnd, _Mapping]] = ...) -> None: ...

class ResultEnd(_message.Message):
    __slots__ = ("total_bytes", "sha256")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    sha256: bytes
    def __init__(self, total_bytes: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class AcknowledgeResultRequest(_message.Message):
    __slots__ = ("session", "sha256", "unfetched")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    UNFETCHED_FIELD_NUMBER: _ClassVar[int]
    session: str
    sha256: bytes
    unfetched: bool
    def __init__(self, session: _Optional[str] = ..., sha256: _Optional[bytes] = ..., unfetched: bool = ...) -> None: ...

class AcknowledgeResultReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("reason", "retry", "rule_id", "rule", "retry_after_seconds", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_FIELD_NUMBER: _ClassVar[int]
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    retry: bool
    rule_id: str
    rule: str
    retry_after_seconds: float
    message: str
    def __init__(self, reason: _Optional[str] = ..., retry: bool = ..., rule_id: _Optional[str] = ..., rule: _Optional[str] = ..., retry_after_seconds: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

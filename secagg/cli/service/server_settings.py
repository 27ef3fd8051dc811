"""What can be set in server.toml: every key with its type, bound, default and what it is for.

The descriptions stand in the reference, a page of the documentation site. Must not know where values come from (see
:mod:`secagg.cli.service.server_config`), nor what is said of wrong ones, nor what is done with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator

import secagg
from secagg.cli.service.wanted import Words
from secagg.hosting.quotas import Quotas
from secagg.hosting.restarting import require_own_name
from secagg.hosting.retention import Retention
from secagg.hosting.schedule import MAX_RESTARTS, MAX_SECONDS, RoundSchedule
from secagg.store.base import SESSION_NAMES, TENANTS, check_session_name, check_tenant
from secagg.transport.tls import ADDRESSES, check_origin, is_loopback, split_address

_DEFAULTS: Final = Quotas()


def _address(address: str) -> str:
    _host_of(address)
    return address


def _host_of(address: str) -> str:
    try:
        return split_address(address)[0]
    except secagg.ParameterError:
        raise ValueError("it is no address") from None


def _loopback_address(address: str) -> str:
    if not is_loopback(_host_of(address)):
        raise ValueError("it can be reached from other machines, and the metrics are not protected")
    return address


def _origin(origin: str) -> str:
    try:
        return check_origin(origin)
    except secagg.ParameterError:
        raise ValueError("it is no origin") from None


def _session_name(name: str) -> str:
    try:
        return require_own_name(check_session_name(name))
    except secagg.ParameterError:
        raise ValueError("it is no name of a session") from None


def _cohort(value: Any) -> Any:
    if value == "roster":
        return value
    numbers = value if isinstance(value, list) else [value]
    if not numbers or any(type(number) is not int or not 0 <= number < 1 << 64 for number in numbers):
        raise ValueError("it is no cohort")
    return value


def _tenant(tenant: str) -> str:
    try:
        return check_tenant(tenant)
    except secagg.ParameterError:
        raise ValueError("it is no name of a tenant") from None


Address = Annotated[str, AfterValidator(_address), Words(ADDRESSES)]
Origin = Annotated[str, AfterValidator(_origin), Words("scheme and host, such as https://app.example.org")]
LoopbackAddress = Annotated[str, AfterValidator(_loopback_address), Words("localhost:port or 127.0.0.1:port")]
SessionName = Annotated[str, AfterValidator(_session_name), Words(SESSION_NAMES)]
Tenant = Annotated[str, AfterValidator(_tenant), Words(TENANTS)]
Cohort = Annotated[
    int | list[int] | Literal["roster"],
    PlainValidator(_cohort),
    Words("'roster', a list of ids from 0 to 2^64-1, or a number n for the ids 0 .. n-1"),
]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1 << 62)]


class Section(BaseModel):
    """One table of server.toml; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ListenSettings(Section):
    """Where clients connect, and the server's certificate."""

    address: Address = Field(default="127.0.0.1:8470", description="host:port to listen on; port 0 takes a free one")
    names: list[str] = Field(
        default_factory=list,
        description="the host names that clients dial, without port; logins are signed for one",
        examples=[["sums.example.org"]],
    )
    certificate: Path | None = Field(
        default=None, description="the server's certificate chain in PEM", examples=["server.pem"]
    )
    key: Path | None = Field(
        default=None, description="the private key of the certificate in PEM", examples=["server-key.pem"]
    )
    client_ca: Path | None = Field(
        default=None,
        description="PEM of the authority that clients' TLS certificates must have",
        examples=["clients-ca.pem"],
    )
    plaintext: bool = Field(default=False, description="true only for trials on loopback, without TLS")


class HttpSettings(Section):
    """Where clients connect over HTTP, besides gRPC."""

    address: Address | None = Field(
        default=None,
        description="host:port to listen on for clients over HTTP; none, gRPC alone",
        examples=["0.0.0.0:8443"],
    )
    certificate: Path | None = Field(
        default=None, description="its certificate chain in PEM; that of [listen]", examples=["http.pem"]
    )
    key: Path | None = Field(
        default=None,
        description="the private key of its certificate in PEM; that of [listen]",
        examples=["http-key.pem"],
    )
    client_ca: Path | None = Field(
        default=None,
        description="PEM of the authority that clients' TLS certificates must have",
        examples=["clients-ca.pem"],
    )
    origins: list[Origin] = Field(
        default_factory=list,
        description="origins whose pages may call, such as https://app.example.org; none, no page",
        examples=[["https://app.example.org"]],
    )
    connections_per_address: Count | None = Field(
        default=None,
        description="connections at once from one address of callers without a login; as many as it leaves free",
        examples=[1000],
    )
    operator_page: bool = Field(
        default=False, description="true to show operators how far sessions are, on a page at /operator"
    )


class OperatorSettings(Section):
    """An operator whose rights are fewer."""

    key: Path = Field(description="public key file of this operator", examples=["viewer.pub"])
    role: Literal["viewer", "operator", "admin"] = Field(
        description="'viewer' sees, 'operator' also runs sessions and has sums, 'admin' also discards",
        examples=["viewer"],
    )
    tenant: Tenant = Field(default="", description="whose sessions it knows and makes; other tenants have theirs")


class IdentitySettings(Section):
    """Who may take part and who may fetch results."""

    roster: Path | None = Field(
        default=None,
        description="the roster: a file of `secagg enroll`, or certificates in PEM",
        examples=["roster.json"],
    )
    authority: Path | None = Field(
        default=None, description="the authority's public key, or its certificates, in PEM", examples=["authority.pub"]
    )
    minimum_serial: Count = Field(default=1, description="the oldest serial of a signed roster to accept")
    anonymous: bool = Field(
        default=False, description="true only for semi-honest trials on loopback, without identities"
    )
    operators: list[Path] = Field(
        default_factory=list,
        description="public key files of operators with all rights, of the tenant ''",
        examples=[["operator.pub"]],
    )
    operator: list[OperatorSettings] = Field(
        default_factory=list, description="a list of tables [[identities.operator]]: operators with a role and a tenant"
    )


class EnrolmentSettings(Section):
    """Invitations whose claims the server takes."""

    invitations: Path = Field(description="the file of `secagg invite`", examples=["invitations.json"])
    claims: Path = Field(
        description="a directory for the claims that come; servers of one service share it", examples=["claims"]
    )


class StorageSettings(Section):
    """Where sessions live."""

    directory: Path | None = Field(
        default=None, description="a directory for this server alone, on a local disk", examples=["data"]
    )
    memory: bool = Field(default=False, description="true to keep nothing: a restart loses all sessions")
    postgres: str | None = Field(
        default=None,
        description="postgresql://… of the database that several servers of one service share",
        examples=["postgresql://secagg@database/secagg"],
    )
    blobs: str | None = Field(
        default=None,
        description="with postgres: a directory that all of them share, or s3://bucket/prefix",
        examples=["s3://secagg/service"],
    )
    s3_endpoint: str | None = Field(
        default=None,
        description="URL of an S3-compatible server, unless it is Amazon's",
        examples=["https://blobs.example.org"],
    )
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        default=10.0, description="with postgres: after how long other servers go on with the sessions of one that died"
    )


class LimitSettings(Section):
    """Bounds of what clients may use up."""

    sessions: Count = Field(
        default=_DEFAULTS.sessions, description="sessions that run or whose result nobody has fetched"
    )
    sessions_of_tenant: Count = Field(
        default=_DEFAULTS.sessions_of_tenant, description="how many of these one tenant may have"
    )
    clients: Count = Field(default=_DEFAULTS.clients, description="the largest cohort")
    message_bytes: Count = Field(default=_DEFAULTS.message_bytes, description="the longest message")
    upload_bytes: Count = Field(
        default=_DEFAULTS.upload_bytes, description="all uploads and results on the disk together"
    )
    client_bytes_per_second: Count = Field(
        default=_DEFAULTS.client_bytes_per_second, description="how fast one client of a session may send, on average"
    )
    client_fetches_per_minute: Count = Field(
        default=_DEFAULTS.client_fetches_per_minute,
        description="how often one client of a session may fetch the offer or a request",
    )
    queued_messages: Count = Field(
        default=_DEFAULTS.queued_messages, description="messages of a session that wait for the disk"
    )
    ended_sessions: Count = Field(default=_DEFAULTS.ended_sessions, description="ended sessions that are remembered")

    def quotas(self) -> Quotas:
        """Return the bounds as a host takes them."""
        return Quotas(**self.model_dump())


class RetentionSettings(Section):
    """How long ended sessions are kept."""

    results_seconds: Seconds | None = Field(
        default=None,
        description="a result that nobody fetched, from the end of its session on; none, until fetched",
        examples=[604800.0],
    )
    ended_seconds: Seconds | None = Field(
        default=None,
        description="an ended session without a result, from its end on; none, up to `ended_sessions`",
        examples=[604800.0],
    )
    failed_seconds: Seconds | None = Field(
        default=None,
        description="a session damaged on the disk, from when a start found it so; none, for good",
        examples=[2592000.0],
    )

    def retention(self) -> Retention:
        """Return the policy as a host takes it."""
        return Retention(**self.model_dump())


def _cluster(value: Any) -> Any:
    if not isinstance(value, bool) and not (isinstance(value, str) and value):
        raise ValueError("it is neither true, false nor an address")
    return value


class WorkSettings(Section):
    """Who computes."""

    processes: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=1, description="processes that share out masks and key agreements; 1 does them in the server's own"
    )
    ray: Annotated[bool | str, PlainValidator(_cluster), Words("true, false or the address of a cluster")] = Field(
        default=False,
        description="true for a cluster of Ray on this machine, or the address of one, instead of processes",
    )


class RoundSettings(Section):
    """How long each round waits for answers, in seconds."""

    advertise_keys: Seconds = Field(default=600.0, description="seconds for all clients to join")
    share_keys: Seconds = Field(default=60.0, description="seconds for key shares")
    masked_input: Seconds = Field(default=600.0, description="seconds for training and uploads")
    disclosure: Seconds = Field(default=60.0, description="seconds for those who complained of a client to show why")
    consistency_check: Seconds = Field(default=60.0, description="seconds for the signed list of contributors")
    unmasking: Seconds = Field(default=60.0, description="seconds for the shares that remove masks")
    session_seconds: Seconds | None = Field(
        default=None, description="bound on all rounds together, in running time", examples=[86400.0]
    )

    def schedule(self, restarts: int = 0) -> RoundSchedule:
        """Return the deadlines as a host takes them, with how many restarts there may be."""
        seconds = {round_: getattr(self, round_.value) for round_ in secagg.Round}
        return RoundSchedule(seconds, self.session_seconds, restarts)


class MetricsSettings(Section):
    """Prometheus metrics."""

    address: LoopbackAddress | None = Field(
        default=None, description="host:port on loopback for Prometheus; none, no metrics", examples=["127.0.0.1:9464"]
    )


class HealthSettings(Section):
    """Health checks on ports of their own."""

    address: Address | None = Field(
        default=None,
        description="host:port for gRPC health checks alone, without TLS; none, only at [listen]",
        examples=["127.0.0.1:8471"],
    )
    http: Address | None = Field(
        default=None,
        description="host:port for /ready and /live over HTTP; none, no pages",
        examples=["127.0.0.1:8480"],
    )


class LogSettings(Section):
    """Structured logs: one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least that is written")
    file: Path | None = Field(
        default=None, description="a file to append to; standard error unless given", examples=["server.log"]
    )


class AuditSettings(Section):
    """Who did what."""

    file: Path | None = Field(
        default=None, description="a file of chained lines to append to; none, no audit log", examples=["audit.log"]
    )


class TraceSettings(Section):
    """OpenTelemetry traces."""

    enabled: bool = Field(default=False, description="true to trace sessions and rounds, with a provider of yours")


class FixedPointSettings(Section):
    """A vector of real numbers."""

    kind: Literal["fixed_point"]
    shape: list[Count] = Field(
        description="the shape of the arrays, such as [1000000]", min_length=1, examples=[[1000]]
    )
    clip: Annotated[float, Field(gt=0)] = Field(description="entries lie in [-clip, clip]", examples=[1.0])
    bits: Annotated[int, Field(ge=2, le=32)] = Field(
        default=secagg.FixedPoint.DEFAULT_BITS, description="bits of a quantized entry"
    )
    rounding: Literal["stochastic", "nearest"] = Field(default="stochastic", description="how entries are rounded")
    aggregate: Literal["sum", "mean"] = Field(default="sum", description="what is released")

    def specification(self) -> secagg.FixedPoint:
        """Return the vector as a session takes it."""
        return secagg.FixedPoint(
            shape=tuple(self.shape), clip=self.clip, bits=self.bits, rounding=self.rounding, aggregate=self.aggregate
        )


class IntegersSettings(Section):
    """A vector of whole numbers."""

    kind: Literal["integers"]
    shape: list[Count] = Field(description="the shape of the arrays, such as [10]", min_length=1, examples=[[10]])
    low: int = Field(description="the smallest entry", examples=[0])
    high: int = Field(description="the largest entry", examples=[1])

    def specification(self) -> secagg.Integers:
        """Return the vector as a session takes it."""
        return secagg.Integers(self.low, self.high, shape=tuple(self.shape))


VectorSettings = Annotated[FixedPointSettings | IntegersSettings, Field(discriminator="kind")]


class PrivacySettings(Section):
    """A privacy plan, which every client of the session must have, too."""

    plan: Path = Field(
        description="the file of a plan, as `secagg privacy plan --out` or `Plan.to_bytes()` writes it",
        examples=["model.plan"],
    )


class SessionSettings(Section):
    """One session that the server offers."""

    name: SessionName = Field(description="never used before", examples=["round-1"])
    clients: Cohort = Field(default="roster", description="the cohort; 'roster' for all who are enrolled")
    vectors: dict[str, VectorSettings] = Field(
        default_factory=dict,
        description="name to kind, shape and range; those of the plan with privacy",
        min_length=1,
    )
    privacy: PrivacySettings | None = Field(
        default=None, description="a table: a plan, under which everything is that the session sums"
    )
    threat_model: secagg.ThreatModel = Field(default=secagg.ThreatModel.ACTIVE, description="whom it protects from")
    max_dropout: Fraction = Field(default=0.1, description="the fraction of the cohort that may leave")
    max_corrupt: Fraction = Field(default=0.1, description="the fraction of the cohort that may pool what it sees")
    max_weight: Count = Field(default=1, description="the largest weight of a client; above 1 for weighted means")
    topology: secagg.TopologyKind | None = Field(
        default=None,
        description="who masks with whom; 'chosen' is EXPERIMENTAL; computed unless given",
        examples=["complete"],
    )
    degree: Count | None = Field(
        default=None, description="neighbours of a client; computed unless given", examples=[100]
    )
    threshold: Count | None = Field(
        default=None, description="shares that rebuild a secret; computed unless given", examples=[60]
    )
    minimum_contributors: Count | None = Field(
        default=None, description="the smallest sum that is released, in clients", examples=[50]
    )
    suite: secagg.SuiteId = Field(
        default=secagg.SuiteId.X25519_AES128CTR,
        description="1: AES-128-CTR masks; 2: AEGIS-128X2; 257 and 258: the same with ML-KEM-768 beside X25519",
    )
    security_bits: Count | None = Field(
        default=None,
        description="a sparse graph leaks with probability 2^-bits at most (40 unless given), a chosen one for each "
        "offer (64 unless given)",
        examples=[40],
    )
    correctness_bits: Count = Field(
        default=20, description="a sparse graph loses the sum with probability below 2^-bits"
    )
    context_file: Path | None = Field(
        default=None, description="a file whose SHA-256 every client must expect, as --context", examples=["model.bin"]
    )
    rounds: RoundSettings | None = Field(default=None, description="deadlines of this session instead of [rounds]")
    restarts: Annotated[int, Field(ge=0, le=MAX_RESTARTS)] = Field(
        default=0, description="how many sessions may follow one that ends with clients to blame, each without these"
    )

"""What an operator of a trial prepares: keys that follow from their client's id, a roster, certificates, server.toml.

Every process of a trial makes the same keys and inputs from the ids, so that nothing has to be handed around.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from secagg import ClientPolicy, ThreatModel
from secagg.crypto.pem import public_pem
from secagg.crypto.signing import IdentityKey
from secagg.identity.roster import SignedRoster
from secagg.testing.randomness import DeterministicRandomSource
from tests.identity.authority import CertificateAuthority

SESSION: Final = "round-7"
HIGHEST: Final = 1000
ROUND_SECONDS: Final = 100_000
POLICY: Final = ClientPolicy(minimum_cohort=2, minimum_threshold=1, max_corrupt=0.0, max_dropout=0.0)
SEMI_HONEST: Final = replace(POLICY, threat_model=ThreatModel.SEMI_HONEST)


def identity_of(client: int | str) -> IdentityKey:
    """The key of a client, or of the "operator" or the "authority"."""
    return IdentityKey.generate(DeterministicRandomSource(11).fork(f"identity {client}"))


def input_of(client: int, length: int) -> NDArray[Any]:
    """The vector that a client hands in."""
    return np.random.default_rng(client).integers(0, HIGHEST + 1, length)


def roster_of(clients: tuple[int, ...]) -> Mapping[int, bytes]:
    return {client: identity_of(client).public for client in clients}


@dataclass
class Files:
    """Everything in one directory.

    Attributes:
        directory: holds the files.
        clients: the cohort.
        length: entries of the one vector.
        session: further keys of the [[sessions]] table.
        listen: further keys of [listen].
        limits: keys of [limits].
        work: keys of [work].
        others: further keys of the tables of more sessions, their names among them.
        storage: keys of [storage].
        plaintext: no TLS, on loopback.
        http: keys of [http].
        ca: signs the server's certificate.
    """

    directory: Path
    clients: tuple[int, ...]
    length: int = 16
    session: Mapping[str, Any] = field(default_factory=dict)
    listen: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    work: Mapping[str, Any] = field(default_factory=dict)
    others: Sequence[Mapping[str, Any]] = ()
    storage: Mapping[str, Any] = field(default_factory=lambda: {"directory": "data"})
    plaintext: bool = False
    http: Mapping[str, Any] = field(default_factory=dict)
    ca: CertificateAuthority = field(default_factory=CertificateAuthority)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certify()
        self.sign()
        (self / "ca.pem").write_bytes(self.ca.pem)
        for name in ("operator", "authority"):
            (self / f"{name}.pub").write_bytes(public_pem(identity_of(name).public))
        self.configure()

    def __truediv__(self, name: str) -> Path:
        return self.directory / name

    @property
    def roster(self) -> Mapping[int, bytes]:
        return roster_of(self.clients)

    def certify(self, *, until: datetime | None = None) -> None:
        """Write the server's certificate, valid until a time."""
        certificate, key = self.ca.server(until=until)
        (self / "server.pem").write_bytes(certificate)
        (self / "server-key.pem").write_bytes(key)

    def sign(self, *, expires: datetime | None = None) -> None:
        """Write the roster, valid until a time."""
        now = datetime.now(UTC)
        until = expires or now + timedelta(days=1)
        issued = min(now, until) - timedelta(days=2)
        authority = identity_of("authority")
        roster = SignedRoster.sign(self.roster, serial=1, issued=issued, expires=until, authority=authority)
        (self / "roster.json").write_bytes(roster.encode())

    def configure(self) -> Path:
        """Write server.toml."""
        listen: dict[str, Any] = {"address": "127.0.0.1:0", **self.listen}
        if self.plaintext:
            listen["plaintext"] = True
        else:
            listen |= {"certificate": "server.pem", "key": "server-key.pem"}
        session = {
            "name": SESSION,
            "clients": list(self.clients),
            "topology": "complete",
            "max_corrupt": 0.0,
            "vectors": {"v": {"kind": "integers", "shape": [self.length], "low": 0, "high": HIGHEST}},
        }
        identities = {"roster": "roster.json", "authority": "authority.pub", "operators": ["operator.pub"]}
        # Rounds end by answers, or when the trial moves the server's clock: never because a machine is slow.
        rounds = dict.fromkeys(
            ("advertise_keys", "share_keys", "masked_input", "consistency_check", "unmasking"), ROUND_SECONDS
        )
        tables = {
            "listen": listen,
            "http": self.http,
            "identities": identities,
            "storage": self.storage,
            "limits": self.limits,
            "work": self.work,
            "rounds": rounds,
            "logs": {"file": "log"},
            "sessions": [{**session, **keys} for keys in (self.session, *self.others)],
        }
        lines = [f"{name} = {_toml(table)}" for name, table in tables.items()]
        (self / "server.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return self / "server.toml"


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return str(value)

"""The program of docs/reference/network.md runs as it stands, and each line of its table of errors is provoked."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import secagg
from secagg.crypto.loopback import loopback_certificate
from secagg.transport.grpc import (
    ClientTls,
    DroppedError,
    Refusal,
    Role,
    ServiceError,
    UnreachableError,
)
from tests.ports import free_port
from tests.transport.grpc.network import IMPATIENT, SESSION, Network, run, until

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "network.md").read_text(encoding="utf-8")
ERRORS: Final = PAGE.partition("\n## Errors\n")[2].partition("\n## ")[0]
LINES: Final = [line.split("|")[1].strip() for line in ERRORS.splitlines() if line.startswith("| ")][1:]


class Scene(Network):
    """A network with a viewer and a directory for a client's state."""

    def __init__(self, folder: Path) -> None:
        super().__init__(clients=5, threat_model="active")
        self.folder = folder
        self.viewer = self.add_operator(Role.VIEWER)


Case = Callable[[Scene], Awaitable[object]]
CASES: Final[dict[str, Case]] = {}


def test_the_program_runs_as_it_stands() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{np.full(7, sum(range(17, 23)))} (17, 18, 19, 20, 21, 22)"]


def case(line: str) -> Callable[[Case], Case]:
    """What provokes the error that a line of the table begins with."""

    def added(provoke: Case) -> Case:
        CASES[line] = provoke
        return provoke

    return added


def refusing(violation: str, **policy: Any) -> None:
    """A line about an offer that this policy refuses."""

    async def provoke(network: Scene) -> object:
        return await network.client(1, policy=network.policy(**policy))

    CASES[f"`PeerMisbehaved`, `{violation}`"] = provoke


refusing("OFFER_CONTEXT_NOT_EXPECTED", context=b"another model")
refusing("OFFER_VECTORS_NOT_EXPECTED", vectors={"v": secagg.Integers(9, 10, length=16)})
refusing("OFFER_COHORT_BELOW_POLICY", minimum_cohort=100)
refusing("OFFER_THRESHOLD_BELOW_POLICY", max_corrupt=0.5)


@case("`PeerMisbehaved`, `OFFER_COHORT_MEMBER_NOT_IN_ROSTER`")
async def _old_roster(network: Scene) -> object:
    return await network.client(1, roster={c: key for c, key in network.roster.items() if c != 4})


@case("`ServiceError`, `SIGNATURE_INVALID`")
async def _another_key(network: Scene) -> object:
    return await network.client(1, identity=secagg.IdentityKey.generate())


@case("`ServiceError`, `NOT_IN_COHORT`")
async def _another_id(network: Scene) -> object:
    return await network.client(99, identity=secagg.IdentityKey.generate())


@case("`ServiceError`, `UNKNOWN_SESSION`")
async def _another_session(network: Scene) -> object:
    return await network.client(1, session="round-8")


@case("`ServiceError`, `SERVER_NAME_WRONG`")
async def _another_name(network: Scene) -> object:
    network.server._names = frozenset({"sums.example.org"})
    await network.server.stop(0)
    await network.server.start()
    network.port = network.server.port
    return await network.client(1)


@case('`ServiceError`, "certificate that is not accepted"')
async def _another_authority(network: Scene) -> object:
    return await network.client(1, tls=ClientTls(authority=loopback_certificate()[0]))


@case("`UnreachableError`")
async def _nobody_there(network: Scene) -> object:
    return await network.client(1, server=f"localhost:{free_port()}", retry=IMPATIENT)


@asynccontextmanager
async def waiting(network: Scene) -> AsyncIterator[asyncio.Task[object]]:
    """A client that has joined and waits for the others."""
    client: asyncio.Task[object] = asyncio.create_task(network.client(1))
    await until(lambda: network.session.status().answered == 1)
    yield client


@case("`DroppedError`")
async def _dropped(network: Scene) -> object:
    async with waiting(network) as client, network.admin() as operator:
        await operator.drop(SESSION, 1)
        return await client


@case("`SessionAbortedError`")
async def _aborted(network: Scene) -> object:
    async with waiting(network) as client, network.admin() as operator:
        await operator.abort(SESSION)
        return await client


@case("`ParticipationRefusedError`")
async def _used_up(network: Scene) -> object:
    limits = {"state": network.folder, "policy": network.policy(context=b"", sums_per_context=1)}
    await asyncio.gather(network.client(1, **limits), network.everybody((2, 3, 4, 5)))
    await network.host.create("again", network.parameters.renew(), roster=network.roster, schedule=network.schedule)
    return await network.client(1, session="again", **limits)


@case("`ParameterError`")
async def _wrong_array(network: Scene) -> object:
    return await network.client(1, inputs={"v": np.zeros(3, dtype=np.int64)})


@case("operator: `ServiceError`, `NAME_TAKEN`")
async def _name_taken(network: Scene) -> object:
    async with network.admin() as operator:
        return await operator.create(SESSION, network.parameters.renew(), network.schedule)


@case("operator: `ServiceError`, `ROLE_TOO_LOW`")
async def _viewer(network: Scene) -> None:
    async with network.admin(identity=network.viewer) as operator:
        await operator.abort(SESSION)


@case("operator: `ServiceError`, `NOT_AN_OPERATOR`")
async def _stranger(network: Scene) -> object:
    async with network.admin(identity=secagg.IdentityKey.generate()) as operator:
        return await operator.sessions()


@case("operator: `ServiceError`, `RESULT_NOT_READY`")
async def _too_early(network: Scene) -> object:
    async with network.admin() as operator:
        return await operator.result(SESSION)


@case("operator: `ServiceError`, `RESULT_UNFETCHED`")
async def _unfetched(network: Scene) -> None:
    await network.everybody()
    await until(lambda: network.session.status().result_ready)
    async with network.admin() as operator:
        await operator.acknowledge(SESSION)


def test_every_line_of_the_table_has_a_case() -> None:
    assert list(CASES) == LINES


@pytest.mark.parametrize("line", LINES)
def test_each_error_of_the_table_is_what_one_gets(line: str, tmp_path: Path) -> None:
    async def play() -> Exception:
        async with Scene(tmp_path / "state") as network:
            with pytest.raises(secagg.SecAggError) as caught:
                await CASES[line](network)
            return caught.value

    error = run(play())
    kind, _, reason = line.removeprefix("operator: ").partition(", ")
    assert type(error).__name__ == kind.strip("`")
    match error:
        case secagg.PeerMisbehaved():
            assert error.violation.name == reason.strip("`")
        case DroppedError():
            assert error.drop_reason is not None
        case UnreachableError():
            assert not reason
        case ServiceError() if reason.startswith('"'):
            assert reason.strip('"') in str(error)
        case ServiceError():
            assert error.refusal is Refusal[reason.strip("`")]

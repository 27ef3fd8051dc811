"""`secagg demo --cluster`: three server processes behind HAProxy over PostgreSQL; the one that has the session dies.

Client processes as in `secagg demo --network`: in every round one of them is killed. In the middle of the masked inputs
the server process that goes on with the session is killed, and stays away: another takes over when its lease has ended.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import Any, Final

from numpy.typing import NDArray

import secagg
from secagg.cli.demo.deployment import SESSION, deploy
from secagg.cli.demo.network import LENGTH, Play, end, free_ports, shown
from secagg.cli.demo.replicas import Replica
from secagg.cli.demo.throwaway import balancer, database, missing
from secagg.cli.output import print_json, print_sentences

REPLICAS: Final = 3
LEASE_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.05
_GIVE_UP_SECONDS: Final = 60.0
_STORAGE: Final = 'postgres = "{postgres}"\nblobs = "blobs"\nlease_seconds = {seconds}'


def cluster_demo(clients: int, as_json: bool) -> None:
    """Run the demonstration and print what happened, or what has to be installed first.

    Args:
        clients: how many processes, at least 20.
        as_json: print one JSON object instead.

    Raises:
        ParameterError: too few clients for the dropouts.
        SecAggError: the session ended without a sum.
    """
    if lacking := missing():
        if as_json:
            print_json({"skipped": lacking})
        else:
            print_sentences(f"SKIPPED: {lacking}")
        return
    shown(ClusterPlay, clients, as_json)


class ClusterPlay(Play):
    """The processes of one demonstration with many servers; see `Play`."""

    async def run(self) -> dict[str, Any]:
        """Play; returns what happened."""
        with ExitStack() as self._servers:
            return await super().run()

    def deploy(self, seconds: float) -> dict[int, NDArray[Any]]:
        """Start database and balancer, and make all files for rounds of so many seconds."""
        ports = free_ports(2 * REPLICAS)
        self._replicas = [
            Replica(number, ports.pop(), ports.pop(), self.directory) for number in range(1, REPLICAS + 1)
        ]
        postgres = self._servers.enter_context(database())
        self._servers.enter_context(
            balancer(self.directory, self.address, [(each.port, each.health) for each in self._replicas])
        )
        storage = _STORAGE.format(postgres=postgres, seconds=LEASE_SECONDS)
        return deploy(self.directory, len(self.ids), LENGTH, self.address, seconds, storage=storage)

    async def open(self) -> None:
        """Make the tables, start all replicas, and say so."""
        words = ("-m", "secagg.cli.main", "database", "upgrade", "--config", str(self.directory / "server.toml"))
        upgrade = await self.start(words)
        if await upgrade.wait():
            raise secagg.SecAggError("`secagg database upgrade` failed")
        await asyncio.gather(*(self._start_replica(each) for each in self._replicas))
        self.facts["replicas"] = REPLICAS
        self.say(
            f"{REPLICAS} server processes share a PostgreSQL, and HAProxy listens on {self.address} before them; "
            f"{len(self.ids)} client processes join."
        )

    async def strike(self) -> None:
        """Kill the replica that goes on with the session, for good, and wait until another does."""
        owner = max(self._replicas, key=lambda each: each.epoch(SESSION))
        epoch, killed = owner.epoch(SESSION), time.monotonic()
        if owner.process is not None:
            await end(owner.process)
        self.facts["server_kills"] = 1
        self.say(f"masked input: replica {owner.number}, which goes on with the session, is killed, and stays away.")
        while (heir := max(self._replicas, key=lambda each: each.epoch(SESSION))).epoch(SESSION) == epoch:
            if time.monotonic() - killed > _GIVE_UP_SECONDS:
                raise secagg.SecAggError(f"no replica went on with the session within {_GIVE_UP_SECONDS:g} s")
            await asyncio.sleep(_LOOK_SECONDS)
        seconds = self.facts["failover_seconds"] = time.monotonic() - killed
        self.say(f"masked input: replica {heir.number} goes on after {seconds:.1f} s; a lease is {LEASE_SECONDS:g} s.")

    async def _start_replica(self, replica: Replica) -> None:
        replica.process = await self.start_server(replica.environment)

"""Times Flower's own SecAgg+ functions in one process, and prints one JSON object.

Run by the Python of an environment that has flwr 1.41.0 (`make bench-peers` makes one), never by ours. The vectors are
those of `secagg.bench.sessions.made_up`, told by the SHA-256 of the first. Clients run the functions of
`flwr.client.mod.secure_aggregation`, the server runs `SecAggPlusWorkflow.unmask_stage`; messages between them are
handed over as Python objects, so what a network or a serializer would add is not in Flower's figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
    _unmask,
)
from flwr.common import bytes_to_ndarray, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.ndarrays_arithmetic import parameters_addition, parameters_mod
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import SecAggPlusWorkflow, WorkflowState
from flwr.supercore.task_identity import TaskIdentity

CLIP = 1.0
LEVELS = 1 << 16
MODULUS = 1 << 32
MAX_WEIGHT = 1000.0


def made_up(length: int, client: int) -> np.ndarray:
    """Return the vector of a client."""
    places = np.arange(client, client + length, dtype=np.uint64)
    places *= np.uint64(2_654_435_761)
    places &= np.uint64(0xFFFF)
    return places.astype(np.float32) * np.float32(2.0**-15) - np.float32(1.0)


class Session:
    """One round of Flower's protocol over nodes 1 .. n, all neighbours of each other."""

    def __init__(self, clients: int, threshold: int, lost: int, length: int) -> None:
        self.nodes = list(range(1, clients + 1))
        self.lost = {1 + index * clients // lost for index in range(lost)} if lost else set()
        self.threshold = threshold
        self.length = length
        self.states = {node: SecAggPlusState() for node in self.nodes}
        self.shares_ms: list[float] = []
        self.collect_ms: list[float] = []
        self.upload_bytes = 0
        self.sum: Any = None

    def setup(self) -> dict[int, list[bytes]]:
        """Every node makes its keys; returns the public ones."""
        configs = {
            Key.SAMPLE_NUMBER: len(self.nodes),
            Key.SHARE_NUMBER: len(self.nodes),
            Key.THRESHOLD: self.threshold,
            Key.CLIPPING_RANGE: CLIP,
            Key.TARGET_RANGE: LEVELS,
            Key.MOD_RANGE: MODULUS,
            Key.MAX_WEIGHT: MAX_WEIGHT,
        }
        keys = {}
        for node, state in self.states.items():
            state.nid = node
            answer = _setup(state, configs)
            keys[node] = [answer[Key.PUBLIC_KEY_1], answer[Key.PUBLIC_KEY_2]]
        return keys

    def share(self, keys: dict[int, list[bytes]]) -> dict[int, tuple[list[int], list[bytes]]]:
        """Every node shares its two secrets; returns what the server forwards to each."""
        forwarded: dict[int, tuple[list[int], list[bytes]]] = {node: ([], []) for node in self.nodes}
        for node, state in self.states.items():
            started = time.process_time()
            answer = _share_keys(state, {str(other): pair for other, pair in keys.items()})
            self.shares_ms.append((time.process_time() - started) * 1e3)
            for target, ciphertext in zip(answer[Key.DESTINATION_LIST], answer[Key.CIPHERTEXT_LIST], strict=True):
                forwarded[target][0].append(node)
                forwarded[target][1].append(ciphertext)
        return forwarded

    def collect(self, forwarded: dict[int, tuple[list[int], list[bytes]]]) -> None:
        """Every node that stays masks its vector; the server adds them up."""
        for node, state in self.states.items():
            if node in self.lost:
                continue
            parameters = ndarrays_to_parameters([made_up(self.length, node)])
            sources, ciphertexts = forwarded[node]
            configs = {Key.SOURCE_LIST: sources, Key.CIPHERTEXT_LIST: ciphertexts}
            started = time.process_time()
            answer = _collect_masked_vectors(state, configs, int(MAX_WEIGHT), parameters)
            self.collect_ms.append((time.process_time() - started) * 1e3)
            sent = answer[Key.MASKED_PARAMETERS]
            self.upload_bytes = sum(len(part) for part in sent)
            vectors = [bytes_to_ndarray(part) for part in sent]
            self.sum = vectors if self.sum is None else parameters_addition(self.sum, vectors)
        self.sum = parameters_mod(self.sum, MODULUS)

    def unmask(self, keys: dict[int, list[bytes]]) -> tuple[float, np.ndarray]:
        """Let the server remove the masks; return its CPU milliseconds, without those of clients, and the mean."""
        staying = {node for node in self.nodes if node not in self.lost}
        state = WorkflowState(
            sampled_node_ids=set(self.nodes),
            active_node_ids=set(staying),
            num_shares=len(self.nodes),
            threshold=self.threshold,
            clipping_range=CLIP,
            quantization_range=LEVELS,
            mod_range=MODULUS,
            max_weight=MAX_WEIGHT,
            nid_to_neighbours={node: set(self.nodes) for node in self.nodes},
            nid_to_publickeys=keys,
            aggregate_ndarrays=self.sum,
        )
        result = SimpleNamespace(parameters=None)
        state.legacy_results = [(None, result)]
        grid = _Grid(self.states)
        context = SimpleNamespace(
            state=SimpleNamespace(config_records={MAIN_CONFIGS_RECORD: {WorkflowKey.CURRENT_ROUND: 1}}),
            strategy=SimpleNamespace(aggregate_fit=lambda round_, results, failures: (None, {})),
        )
        workflow = SecAggPlusWorkflow(len(self.nodes), self.threshold)
        started = time.process_time()
        done = workflow.unmask_stage(grid, context, state)
        spent = time.process_time() - started - grid.client_seconds
        if not done or result.parameters is None:
            raise SystemExit("Flower's server did not unmask")
        (mean,) = parameters_to_ndarrays(result.parameters)
        return spent * 1e3, mean


class _Grid:
    """Hands the server's last request to the nodes."""

    def __init__(self, states: dict[int, Any]) -> None:
        self.states = states
        self.client_seconds = 0.0

    def send_and_receive(self, messages: list[Any], timeout: float | None = None) -> list[Any]:
        started = time.process_time()
        answers = [self._answer(message) for message in messages]
        self.client_seconds += time.process_time() - started
        return answers

    def _answer(self, message: Any) -> Any:
        node = message.metadata.dst_node_id
        record = _unmask(self.states[node], message.content.config_records[RECORD_KEY_CONFIGS])
        content = SimpleNamespace(config_records={RECORD_KEY_CONFIGS: record})
        return SimpleNamespace(has_error=lambda: False, metadata=SimpleNamespace(src_node_id=node), content=content)


def main() -> None:
    """Run the session and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--threshold", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--lost", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
    shares, collects, unmasks = [], [], []
    for _ in range(options.repeats):
        session = Session(options.clients, options.threshold, options.lost, options.length)
        keys = session.setup()
        session.collect(session.share(keys))
        spent, mean = session.unmask(keys)
        shares.append(sorted(session.shares_ms)[len(session.shares_ms) // 2])
        collects.append(sorted(session.collect_ms)[len(session.collect_ms) // 2])
        unmasks.append(spent)
    staying = [node for node in session.nodes if node not in session.lost]
    true = sum(made_up(options.length, node).astype(np.float64) for node in staying) / len(staying)
    print(
        json.dumps(
            {
                "vector_sha256": hashlib.sha256(made_up(options.length, 1).tobytes()).hexdigest(),
                "shares_ms": shares,
                "collect_ms": collects,
                "unmask_ms": unmasks,
                "upload_bytes": session.upload_bytes,
                "largest_error": float(np.abs(mean - true).max()),
            }
        )
    )


if __name__ == "__main__":
    main()

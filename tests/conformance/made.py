"""Small vectors, made with the library itself: what the tests of the runner are played on.

The real vectors are made by the reference implementation; these serve where a test needs few cases, or wrong ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import secagg
from secagg.conformance import conformance_pb2 as pb
from secagg.conformance.driving import InProcessTestee, Testee
from secagg.conformance.form import from_json, to_json
from secagg.conformance.library_testee import LibraryTestee
from secagg.conformance.results import Report
from secagg.conformance.runner import Selection, run
from secagg.conformance.sessions import transcript_digest
from secagg.conformance.vectors import RoundVector, Vectors, load_vectors

Json = dict[str, Any]

POLICY: Final = pb.Policy(
    threat_model="semi-honest",
    smallest_cohort=2,
    largest_cohort=1000,
    smallest_threshold=1,
    smallest_minimum_contributors=2,
    suites=[1],
    largest_vector=1000,
    security_bits=40,
    topologies=["complete", "sparse"],
)
REQUIREMENTS: Final = [
    {"id": "C12", "name": "MESSAGE_OF_ANOTHER_SESSION", "role": "client", "section": "§8", "observed": "vectors"},
    {"id": "C26", "name": "ADVERTISEMENT_SIGNATURE_INVALID", "role": "client", "section": "§8", "observed": "vectors"},
    {"id": "S02", "name": "MESSAGE_MALFORMED", "role": "server", "section": "§8", "observed": "vectors"},
    {"id": "R01", "name": "Randomness", "role": "both", "section": "§1", "observed": "inspection: it does not show"},
    {"id": "R52", "name": "Order", "role": "both", "section": "§6", "observed": "vectors"},
]


def drawn(label: str, length: int) -> bytes:
    return hashlib.shake_128(label.encode()).digest(length)


class _Maker:
    """Plays a session with the library as every party, and writes it down."""

    def __init__(
        self, name: str, clients: int, model: str, silent: Mapping[int, Collection[int]], **options: Any
    ) -> None:
        options = {"topology": "complete", "max_dropout": 0.0, "max_corrupt": 0.0, **options}
        if options["topology"] == "sparse":
            options["permutation_seed"] = drawn(f"{name} ring", 32)
        self.name = name
        self.silent = silent
        self.parameters = secagg.SessionParameters.choose(
            clients=range(1, clients + 1),
            vectors={
                "v": secagg.Integers(-5, 12, shape=(2, 3)),
                "f": secagg.FixedPoint(4, clip=2.0, bits=8, rounding="nearest", aggregate="mean"),
            },
            threat_model=model,
            nonce=drawn(f"{name} nonce", 32),
            max_weight=9,
            **options,
        )
        self.active = model == "active"
        self.testee = InProcessTestee(LibraryTestee().handle)

    def identity(self, client: int) -> bytes:
        return drawn(f"identity {client}", 32)

    def roster(self) -> list[pb.RosterEntry]:
        if not self.active:
            return []
        return [
            pb.RosterEntry(
                client=client,
                verification_key=secagg.IdentityKey.from_seed(secagg.SecretBytes(self.identity(client))).public,
            )
            for client in self.parameters.cohort
        ]

    def entry(self, client: int) -> Json:
        numbers = drawn(f"{self.name} input {client}", 10)
        given = pb.SetInput(weight=1 + client % 9)
        given.vectors.add(name="v", integers=[number % 18 - 5 for number in numbers[:6]])
        given.vectors.add(name="f", reals=[(number % 255 - 127) / 127 * 2 for number in numbers[6:]])
        made: Json = {"client": str(client), "tape": drawn(f"{self.name} tape {client}", 128 + 24 * 20).hex()}
        if self.active:
            made["identity_key"] = self.identity(client).hex()
        return made | {"set_input": to_json(given)}

    def case(self) -> Json:
        policy = pb.Policy()
        policy.CopyFrom(POLICY)
        policy.threat_model = self.parameters.threat_model.value
        entries = {client: self.entry(client) for client in self.parameters.cohort}
        server = self._outcome(create_server=pb.CreateServer(parameters=self.parameters.encode(), roster=self.roster()))
        handles = {}
        for client, entry in entries.items():
            create = pb.CreateClient(offer=server.offer, client=client, roster=self.roster(), policy=policy)
            create.tape = bytes.fromhex(entry["tape"])
            if self.active:
                create.identity_key = self.identity(client)
            made = self._outcome(create_client=create)
            assert made.status == pb.ACCEPTED, made
            handles[client] = made.handle
        gone: set[int] = set()
        rounds: list[RoundVector] = []
        dropped: list[Json] = []
        outcome = server
        while outcome.phase.startswith("COLLECTING"):
            gone |= set(self.silent.get(len(rounds), ()))
            requests = {each.client: each.message for each in outcome.requests}
            answers = {}
            for client, request in requests.items():
                if client in gone:
                    continue
                if len(rounds) == 2:
                    self._input(handles[client], entries[client])
                answers[client] = self._outcome(step=pb.Step(handle=handles[client], message=request)).answer
            for client, answer in answers.items():
                message = pb.ClientMessage(client=client, message=answer)
                self._outcome(step=pb.Step(handle=server.handle, client_message=message))
            rounds.append(RoundVector(requests, answers))
            outcome = self._outcome(step=pb.Step(handle=server.handle, close_round=pb.CloseRound()))
            dropped += [to_json(drop) for drop in outcome.dropped]
        expect: Json = {"dropped": dropped, "inconsistent": []}
        if outcome.HasField("result"):
            expect["result"] = to_json(outcome.result)
        else:
            expect["abort_reason"] = outcome.abort_reason
        expect["transcript_digest"] = transcript_digest(rounds).hex()
        return {
            "id": self.name,
            "comment": "made by a test",
            "requirements": ["C12", "R52"],
            "flags": [],
            "parameters": self.parameters.encode().hex(),
            "roster": [to_json(entry) for entry in self.roster()],
            "policy": to_json(policy),
            "clients": list(entries.values()),
            "rounds": [
                {"requests": self._listed(each.requests), "answers": self._listed(each.answers)} for each in rounds
            ],
            "expect": expect,
        }

    def _input(self, handle: int, entry: Json) -> None:
        self._outcome(step=pb.Step(handle=handle, set_input=from_json(pb.SetInput, entry["set_input"])))

    def _outcome(self, **call: Any) -> pb.Outcome:
        return self.testee.call(pb.Call(**call)).outcome

    @staticmethod
    def _listed(messages: Mapping[int, bytes]) -> list[Json]:
        return [{"client": str(client), "message": message.hex()} for client, message in messages.items()]


def session_json(name: str, clients: int, model: str = "semi-honest", **options: Any) -> Json:
    silent = options.pop("silent", {})
    return _Maker(name, clients, model, silent, **options).case()


def script_json() -> list[Json]:
    """A client that refuses another session's request, and a server that drops a client for garbage."""
    session = session_json("for-scripts", 3, threshold=2)
    entry = session["clients"][0]
    offer = secagg.ServerSession(secagg.SessionParameters.decode(bytes.fromhex(session["parameters"]))).offer
    client = {
        "id": "client-another-session",
        "comment": "made by a test",
        "requirements": ["C12"],
        "flags": [],
        "role": "client",
        "create": {"offer": offer.hex(), "client": "1", "policy": session["policy"], "tape": entry["tape"]},
        "expect": {"status": "ACCEPTED", "phase": "ADVERTISE_KEYS"},
        "steps": [
            {
                "step": {"message": session["rounds"][0]["requests"][0]["message"]},
                "expect": {
                    "status": "ACCEPTED",
                    "phase": "SHARE_KEYS",
                    "answer": session["rounds"][0]["answers"][0]["message"],
                },
            },
            {
                "step": {"message": "0a20" + "00" * 32 + "1200"},
                "expect": {"status": "REFUSED", "rules": ["C12", "C11"], "phase": "ABORTED"},
            },
            {
                "step": {"message": session["rounds"][1]["requests"][0]["message"]},
                "expect": {"status": "LOCAL_ERROR", "phase": "ABORTED", "abort_reason": "A07"},
            },
        ],
    }
    server = {
        "id": "server-garbage",
        "comment": "made by a test",
        "requirements": ["S02"],
        "flags": [],
        "role": "server",
        "create": {"parameters": session["parameters"]},
        "expect": {
            "status": "ACCEPTED",
            "phase": "COLLECTING_KEYS",
            "offer": offer.hex(),
            "requests": session["rounds"][0]["requests"],
        },
        "steps": [
            {
                "step": {"client_message": {"client": "1", "message": "ff"}},
                "expect": {"status": "DROPPED", "rules": ["S02"], "phase": "COLLECTING_KEYS"},
            }
        ],
    }
    return [client, server]


def write_vectors(directory: Path, sessions: list[Json], scripts: list[Json] | None = None) -> Path:
    """Write files as protocol_specs/vectors/README.md says."""
    for folder, cases in (("sessions", sessions), ("scripts", script_json() if scripts is None else scripts)):
        (directory / folder).mkdir(parents=True)
        document = {"protocol": "secagg/v1", "kind": folder, "comment": "made by a test", "flags": {}, "cases": cases}
        (directory / folder / "made.json").write_text(json.dumps(document), encoding="utf-8")
    (directory / "requirements.json").write_text(json.dumps({"requirements": REQUIREMENTS}), encoding="utf-8")
    return directory


def three_sessions() -> list[Json]:
    """One of each kind, with clients that leave."""
    return [
        session_json("made-semi-honest", 6, threshold=3, silent={2: [6]}),
        session_json("made-active", 6, "active", threshold=4, silent={2: [6]}),
        session_json("made-sparse", 8, topology="sparse", degree=4, threshold=2, silent={2: [8]}),
    ]


@cache
def made_vectors() -> Vectors:
    """Two scripts and three sessions."""
    with TemporaryDirectory() as directory:
        return load_vectors(write_vectors(Path(directory) / "vectors", three_sessions()))


def lying(lie: Callable[[pb.Call, pb.Reply], pb.Reply | None]) -> InProcessTestee:
    """The library, but `lie` sees every call and reply, and may return another reply."""
    honest = LibraryTestee().handle

    def handle(call: pb.Call) -> pb.Reply:
        reply = honest(call)
        return lie(call, reply) or reply

    return InProcessTestee(handle)


def honest_testee() -> InProcessTestee:
    return InProcessTestee(LibraryTestee().handle)


def run_cases(testee: Testee, *only: str, known: Collection[str] = ()) -> Report:
    """Run some cases of `made_vectors`."""
    return run(testee, made_vectors(), Selection(only, known_failures=frozenset(known)))


def failed(report: Report) -> dict[str, str]:
    """Case to detail of everything that went wrong."""
    return {result.case: result.detail for result in report.results if result.verdict.bad}

"""A plan: the whole numbers of a mechanism, whom it protects from what, and what follows from both.

Its bytes, its rules and what an offer must be: protocol_specs/privacy-v1.md §2 to §4. One party chooses it; its
canonical bytes travel. Whoever gets them recomputes from the integers what they are worth and refuses a claim that is
better; nobody recomputes the integers, because floats of another machine could give others, and masks of clients with
different plans never cancel.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from secagg.canonical import CanonicalValue, Reader, encode_fields
from secagg.crypto.labels import Label
from secagg.crypto.randomness import RandomSource
from secagg.crypto.secret import SecretBytes
from secagg.errors import DecodeError, ParameterError
from secagg.parameters import ClientId, SessionParameters, ThreatModel, TopologyKind
from secagg.parameters.arguments import require_kind
from secagg.parameters.graph_conditions import checked_integer, count_of
from secagg.parameters.policy import ClientPolicy
from secagg.parameters.session import default_minimum
from secagg.parameters.vectors import MAX_DIMENSIONS, MAX_ENTRIES
from secagg.privacy import release
from secagg.privacy.admission import check_session, choose_session
from secagg.privacy.choosing import Target, check_overhead, choose_mechanism
from secagg.privacy.mechanism import MAX_ARRAYS, Neighbours, Noise, check_clip, shapes_of
from secagg.privacy.promise import (
    MAX_COHORT,
    MAX_ROUNDS,
    NUMBERS,
    Promise,
    check_delta,
    check_epsilon,
    check_who,
    least_contributors,
    member,
)
from secagg.privacy.release import Private, Release, Sum
from secagg.privacy.rotation import SIGN_BYTES
from secagg.privacy.statement import Statement, statement_of

PLAN_VERSION: Final = 1
_MAX_NAME_BYTES: Final = 2**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Promise):
    """What every client of a session does to its update, and what that promises to each (frozen, plain data).

    Make one with :meth:`choose`, send :meth:`to_bytes`, read it with :meth:`from_bytes`. A plan whose integers do not
    give the epsilon that it claims cannot be made. Its fields are those of `Mechanism` and `Promise`.
    """

    @classmethod
    def choose(
        cls,
        *,
        arrays: Mapping[str, Any],
        clip: float,
        epsilon: float,
        delta: float,
        clients: int,
        rounds: int = 1,
        minimum_contributors: int | None = None,
        max_corrupt: float = 0.1,
        threat_model: ThreatModel | str = ThreatModel.SEMI_HONEST,
        noise: Noise | str = Noise.CLIENTS,
        neighbours: Neighbours | str | None = None,
        overhead: float = 0.02,
        rotation: bool | None = None,
        weights: int | None = None,
        adaptive: bool = False,
        topology: TopologyKind | str = TopologyKind.COMPLETE,
        security_bits: int = 40,
        max_dropout: float = 0.1,
        population: int | None = None,
    ) -> Plan:
        """Choose the integers that keep a promise, and say why in `explanation`.

        Args:
            arrays: name to shape, or to an array of that shape, in session order.
            clip: largest L2 norm of a whole update, all arrays together, that is not scaled down.
            epsilon: above 0, at most 100; of one client, over every round that it takes part in.
            delta: below 1 / clients; over all rounds.
            clients: largest cohort.
            rounds: how often one client's data are summed.
            minimum_contributors: least number of clients in a sum; None for what `SessionParameters.choose` takes, and
                in a sparse graph for all but max_dropout.
            max_corrupt: fraction of each cohort that may be on the server's side.
            threat_model: "semi-honest" or "active".
            noise: "clients" (each adds a share), "each" (each adds all of it: local) or "server" (central).
            neighbours: "zero" or "replace"; None for "zero", and for "replace" where each client adds all.
            overhead: fraction of variance that rounding may cost; more saves bits.
            rotation: rotate updates; None does if uploads shrink by a tenth.
            weights: the weight that counts as 1 in a weighted mean; None for one client, one vote.
            adaptive: sum a noisy count of the clients within the clip, for `secagg.privacy.adaptive`.
            topology: "complete" (clients check the floor) or "sparse" (only the server does).
            security_bits: of a sparse graph.
            max_dropout: fraction of a cohort that may vanish; in a sparse graph all that the minimum allows to.
            population: how many clients cohorts are drawn from, for the statement.

        Raises:
            ParameterError: no plan keeps the promise, or an argument is out of its range.
        """
        model, kind = member(ThreatModel, "threat_model", threat_model), member(TopologyKind, "topology", topology)
        who = member(Noise, "noise", noise)
        local = Neighbours.REPLACE if who is Noise.EACH else Neighbours.ZERO
        between = local if neighbours is None else member(Neighbours, "neighbours", neighbours)
        cohort = checked_integer("clients", clients, 2, MAX_COHORT, "the sum of one client hides nothing")
        runs = checked_integer("rounds", rounds, 1, MAX_ROUNDS, "every sum of a client's data counts")
        require_kind("adaptive", adaptive, bool, "True or False")
        require_kind("rotation", rotation, (bool, type(None)), "True, False or None")
        claimed, lost = check_epsilon(epsilon), check_delta(delta, cohort)
        shapes, bound = shapes_of(arrays), check_clip(clip)
        dropped = count_of(cohort, "max_dropout", max_dropout)
        floor = minimum_contributors
        if floor is None:
            # In a sparse graph honest clients stay connected only while no more vanish than it was chosen for.
            sparse = kind is TopologyKind.SPARSE and who is Noise.CLIENTS
            floor = max(2, cohort - dropped) if sparse else default_minimum(cohort, max_dropout)
        floor = checked_integer("minimum_contributors", floor, 2, cohort, "the least number of clients in a sum")
        corrupt = count_of(cohort, "max_corrupt", max_corrupt)
        if floor <= corrupt:
            raise ParameterError(
                f"a sum of {floor} clients may hold {corrupt} corrupt ones and nobody else; raise minimum_contributors "
                f"above {corrupt}, or lower max_corrupt"
            )
        honest = least_contributors(floor, cohort, corrupt, model) - corrupt if who is Noise.CLIENTS else 1
        bits = checked_integer("security_bits", security_bits, 1, 4096, "40 is usual")
        heaviest = (
            0 if weights is None else checked_integer("weights", weights, 1, 2**53, "the weight that counts as 1")
        )
        people = 0 if population is None else checked_integer("population", population, cohort, 2**40, "all clients")
        claims: dict[str, Any] = {
            **{"epsilon": claimed, "delta": lost, "rounds": runs, "clients": cohort, "honest": honest},
            **{"minimum_contributors": floor, "corrupt": corrupt, "threat_model": model, "topology": kind},
            **{"security_bits": bits, "dropped": dropped, "population": people},
            "population_corrupt": count_of(people, "max_corrupt", max_corrupt) if people else 0,
        }
        check_who(who, between, model, kind, cohort)
        target = Target(claimed, lost, runs, cohort, honest, bits if kind is TopologyKind.SPARSE else None)
        mechanism, explanation = choose_mechanism(
            *(shapes, bound, who, between, target),
            overhead=check_overhead(overhead),
            rotation=rotation,
            weights=heaviest,
            adaptive=adaptive,
        )
        numbers = {entry.name: getattr(mechanism, entry.name) for entry in fields(mechanism)}
        return cls(**numbers, **claims, explanation=explanation)

    @property
    def statement(self) -> Statement:
        """What the plan promises to one client, and what not; as text by `str`, as data by `to_json`."""
        return statement_of(self)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the canonical bytes: 32 bytes."""
        return hashlib.sha256(self.to_bytes()).digest()

    @property
    def series(self) -> bytes:
        """By which a budget counts the plan's rounds, 32 bytes: the digest, but the same whatever the clip is."""
        return self.with_clip(1.0).digest

    def bind(self, context: bytes = b"") -> bytes:
        """Return the context of a session under this plan: its digest, then the application's own bytes.

        Args:
            context: the application's own bytes, such as a model's digest and a round.

        Raises:
            ParameterError: no bytes.
        """
        require_kind("context", context, bytes, "bytes, such as a model's digest and a round")
        return self.digest + context

    def parameters(self, clients: int | Iterable[ClientId], context: bytes = b"", **choices: Any) -> SessionParameters:
        """Choose the parameters of a session that passes :meth:`check`.

        Args:
            clients: the cohort's ids, at least as many as every sum holds (`floor`), or how many clients.
            context: what the session is about; the plan is bound in front of it.
            choices: further arguments of `SessionParameters.choose`, which go before those of the plan.

        Raises:
            ParameterError: a cohort below the floor, or no such session.
        """
        parameters = choose_session(self, clients, self.bind(context), choices)
        self.check(parameters)
        return parameters

    def check(self, parameters: SessionParameters, policy: ClientPolicy | None = None) -> None:
        """Refuse a session in which the statement would not be true.

        Args:
            parameters: what was offered.
            policy: of the client that judges a plan which came from elsewhere: no more of the cohort may be corrupt, as
                far as it believes, than the plan counts with. None trusts the plan.

        Raises:
            ParameterError: the first thing that does not fit, with what to do.
        """
        check_session(self, self.digest, parameters, policy)

    def privatize(
        self,
        update: Mapping[str, Any],
        weight: float | None = None,
        *,
        parameters: SessionParameters | None = None,
        randomness: RandomSource | None = None,
    ) -> Private:
        """Clip, round and add this client's noise: the input of one session.

        Args:
            update: name to array, of the plan's names and shapes.
            weight: this client's, in a plan with weights.
            parameters: of the session, which is then checked; needed when the plan rotates.
            randomness: the operating system's generator when None; another is no privacy.

        Raises:
            ParameterError: arrays or a session that do not fit the plan. No value of any entry.
        """
        if parameters is not None:
            self.check(parameters)
        private = release.privatize(self, update, weight, signs=self._signs(parameters), randomness=randomness)
        return replace(private, plan=self.digest)

    def decode(
        self,
        result: Sum,
        *,
        parameters: SessionParameters | None = None,
        noise_key: SecretBytes | None = None,
    ) -> Release:
        """Return the mean that a session's result stands for.

        With noise="server" this adds the noise; the same result in the same session gets the same again.

        Args:
            result: of a session under this plan, or of a simulated one.
            parameters: of the session; needed when the plan rotates or the server adds the noise.
            noise_key: 32 secret bytes that a server keeps as long as results, so that decoding one after a restart is
                no second release; None for a key of this process.

        Raises:
            ParameterError: a result of another plan or below its floor, missing or other parameters, or a total weight
                that may be noise alone.
        """
        contributors = release.contributors_of(result, self.floor)
        seed = None
        if self.noise is Noise.SERVER:
            session = self._required(parameters, "the server adds the noise").encode()
            seed = release.release_seed(noise_key, session, result)
        return release.decode(self, result.vectors, contributors, signs=self._signs(parameters), noise_seed=seed)

    def with_clip(self, clip: float) -> Plan:
        """Return the same plan with another clip: the same integers, another digest."""
        return replace(self, clip=check_clip(clip))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: everything but the explanation."""
        arrays: list[CanonicalValue] = [
            [name.encode("utf-8", "surrogatepass"), list(shape)] for name, shape in self.arrays
        ]
        reals = [struct.pack(">d", value) for value in (self.clip, self.epsilon, self.delta)]
        texts = [self.noise.value, self.neighbours.value, self.threat_model.value, self.topology.value]
        numbers = [int(getattr(self, name)) for name in NUMBERS]
        return encode_fields(Label.PRIVACY_PLAN, PLAN_VERSION, arrays, reals, texts, numbers)

    @classmethod
    def from_bytes(cls, data: bytes) -> Plan:
        """Read what :meth:`to_bytes` wrote, and judge it.

        Args:
            data: canonical bytes (protocol_specs/privacy-v1.md §2) of anybody; what they claim is recomputed.

        Raises:
            DecodeError: bytes that are no plan.
            ParameterError: a plan that none may have, such as one that claims more than its integers give.
        """
        require_kind("data", data, bytes, "what to_bytes() returned")
        reader = Reader(data)
        if reader.data(maximum=len(Label.PRIVACY_PLAN)) != Label.PRIVACY_PLAN or reader.integer() != PLAN_VERSION:
            raise DecodeError(f"{len(data)} bytes are no plan of version {PLAN_VERSION}")
        arrays = tuple(_read_array(reader) for _ in range(reader.sequence(MAX_ARRAYS)))
        clip, epsilon, delta = (struct.unpack(">d", reader.data(8))[0] for _ in range(_length(reader, 3)))
        noise, neighbours, model, kind = (reader.text() for _ in range(_length(reader, 4)))
        values = [reader.integer(2**63 - 1) for _ in range(_length(reader, len(NUMBERS)))]
        reader.finish()
        numbers: dict[str, Any] = dict(zip(NUMBERS, values, strict=True))
        if numbers["rotation"] > 1:
            raise DecodeError(f"rotation is {numbers['rotation']} in a plan, and is 0 or 1")
        return cls(
            arrays=arrays,
            clip=clip,
            epsilon=epsilon,
            delta=delta,
            noise=member(Noise, "noise", noise),
            neighbours=member(Neighbours, "neighbours", neighbours),
            threat_model=member(ThreatModel, "threat_model", model),
            topology=member(TopologyKind, "topology", kind),
            **numbers | {"rotation": bool(numbers["rotation"])},
        )

    def _signs(self, parameters: SessionParameters | None) -> bytes:
        if not self.rotation:
            return bytes(SIGN_BYTES)
        return release.signs_of(self._required(parameters, "the plan rotates updates").nonce, self.digest)

    def _required(self, parameters: SessionParameters | None, why: str) -> SessionParameters:
        if not isinstance(parameters, SessionParameters):
            raise ParameterError(f"{why}, and the session is not known here; pass parameters=session.parameters")
        # Two plans would draw their noise for one sum from the same bits, and its difference gives the sum away.
        if not parameters.context.startswith(digest := self.digest):
            raise ParameterError(
                f"{why}, and the session is under another plan: its context does not begin with this one's digest, "
                f"{digest.hex()[:16]}...; decode it with its own"
            )
        return parameters


def _length(reader: Reader, exact: int) -> int:
    if (length := reader.sequence(exact)) != exact:
        raise DecodeError(f"a list of {length} in a plan, where {exact} belong")
    return length


def _read_array(reader: Reader) -> tuple[str, tuple[int, ...]]:
    _length(reader, 2)
    try:
        name = reader.data(maximum=_MAX_NAME_BYTES).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DecodeError("the name of an array in a plan is no UTF-8") from error
    return name, tuple(reader.integer(MAX_ENTRIES) for _ in range(reader.sequence(MAX_DIMENSIONS)))

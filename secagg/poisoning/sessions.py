"""NO SECURITY: federations whose sums come from real sessions, with a client in them that changes its words.

The liar is a `ClientSession` like the others. It calls `set_input`, and before the server asks for the masked input it
overwrites the words that are going to be masked: nothing in the protocol can see it. It knows what clean cells send, as
the attackers of `experiment` do, but takes what its own cell sends for "no update": it misses its target by the honest
part of the mean. With power "update" liars keep to their own vector, and a field holds no more than an honest one.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secagg.crypto.signing import IdentityKey
from secagg.encoding.layout import Layout
from secagg.errors import InternalError, ParameterError
from secagg.parameters import SessionParameters, ThreatModel
from secagg.parameters.vectors import FixedPoint
from secagg.poisoning.attacks import Reals, ring_lie
from secagg.poisoning.experiment import CLIP, Experiment, Federation
from secagg.protocol.messages import SessionOffer
from secagg.protocol.results import SessionResult
from secagg.robust import CellRound, CellSums
from secagg.session.client import ClientSession
from secagg.session.server import ServerSession
from secagg.session.simulation import SIMULATION_POLICY
from secagg.testing.randomness import DeterministicRandomSource

ENTRY_CLIP: Final = 0.5
BITS: Final = 16
_UPDATE: Final = "update"


class SessionFederation(Federation):
    """A federation that plays a session for each cell, or one for all clients.

    Raises:
        ParameterError: no threat model, single updates in clear, RFA, or settings that no run has.
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__(experiment)
        if experiment.threat_model is None or experiment.setting == "clear" or experiment.defence == "rfa":
            raise ParameterError(
                f"threat_model={experiment.threat_model!r} in setting {experiment.setting!r} with defence "
                f"{experiment.defence!r}; real sessions have a threat model, in one session or cells, and no weights"
            )
        self._threat_model = experiment.threat_model
        self._number = 0
        self._randomness = DeterministicRandomSource(experiment.seed)
        self._spec = FixedPoint(self.network.length, clip=ENTRY_CLIP, bits=BITS, aggregate="mean")

    def rows(self, sent: Reals) -> tuple[Reals, NDArray[np.bool_]]:
        """What the server makes of the results of this round's sessions, and which of the rows a liar has touched."""
        sums = self.sums(sent)
        return sums.rows, self.dirty[list(sums.cells)]

    def sums(self, sent: Reals) -> CellSums:
        """Play this round's sessions, of what every client sends, (clients, length)."""
        round_ = CellRound(
            self.partition,
            vectors={_UPDATE: self._spec},
            model=hashlib.sha256(self.model.tobytes()).digest(),
            number=self._number,
            threat_model=self._threat_model,
        )
        target = None
        if self.attacking and self.experiment.power in ("cell", "ring"):
            means = np.stack([self.mean_of(sent, cell) for cell in self.cells])
            target = np.clip(self.target(sent, means), -ENTRY_CLIP, ENTRY_CLIP)
        results = {cell: self._session(round_, cell, sent, target) for cell in range(len(self.cells))}
        self._number += 1
        return round_.collect(results, norm_bound=CLIP if self.experiment.setting == "cells" else None)

    def _one_session(self, round_: CellRound) -> SessionParameters:
        """A session of all as anybody has it, in the graph that is cheapest: for so many no complete one."""
        cell = round_.parameters(0)
        return SessionParameters.choose(
            clients=cell.cohort,
            vectors=dict(cell.vectors),
            threat_model=cell.threat_model,
            max_dropout=0.0,
            context=cell.context,
        )

    def _session(self, round_: CellRound, cell: int, sent: Reals, target: Reals | None) -> SessionResult:
        parameters = round_.parameters(cell) if self.experiment.setting == "cells" else self._one_session(round_)
        members = parameters.cohort
        source = self._randomness.fork(self._number).fork(cell)
        identities = {}
        if parameters.threat_model is ThreatModel.ACTIVE:
            identities = {each: IdentityKey.generate(source.fork(f"identity {each}")) for each in members}
        roster = {each: key.public for each, key in identities.items()} or None
        server = ServerSession(parameters, roster=roster)
        liar = next((each for each in members if self.bad[each]), None)
        clients = {}
        for each in members:
            clients[each] = ClientSession(
                SessionOffer(parameters),
                each,
                policy=SIMULATION_POLICY,
                identity=identities.get(each),
                roster=roster,
                randomness=source.fork(each),
            )
            encoded = clients[each].set_input({_UPDATE: sent[each]})
            if target is not None and each == liar:
                (section,) = Layout.build(parameters.vectors, parameters.clients, parameters.max_weight).vector_sections
                encoded.words[section.word_slice] = ring_lie(
                    target,
                    len(members) - 1,
                    clip=ENTRY_CLIP,
                    bits=BITS,
                    width=section.width,
                    fields_per_word=section.fields_per_word,
                    words=section.words,
                )
        while server.round is not None:
            for each, request in dict(server.requests).items():
                answer = clients[each].receive(request)
                if answer is None:
                    raise InternalError(f"client {each} has no answer in a session that nobody left")
                server.receive(each, answer)
            server.close_round()
        return server.result

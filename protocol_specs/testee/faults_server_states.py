"""Faults of a server that concern when a message comes: its states (§7.2).

Must not know how a fault is planted.
"""

from __future__ import annotations

from typing import Final

from protocol_specs.reference.server import Server
from protocol_specs.testee.planting import Fault, edited

SERVER_STATE_FAULTS: Final[dict[str, Fault]] = {
    "strangers-cost-nothing-late": edited(
        "A sender outside of the cohort is late.",
        "R31",
        Server,
        "receive",
        'raise LocalError("the sender is not in the cohort")',
        'return "late"',
    ),
    "late-answers-drop": edited(
        "An answer to an earlier round drops its client.",
        "R56",
        Server,
        "_handle",
        'its_round is not self.phase:\n        self.late.append(client)\n        return "late"',
        'its_round is not self.phase:\n        demand(False, "S03")',
    ),
    "later-rounds-are-late": edited(
        "An answer to a later round is ignored.",
        "S03",
        Server,
        "_handle",
        'demand(its_round.value <= self.phase.value, "S03")',
        "",
    ),
    "confirmations-of-the-semi-honest": edited(
        "A confirmation in the semi-honest model is late.",
        "S03",
        Server,
        "_handle",
        "demand(self.parameters.active,",
        "demand(True,",
    ),
    "repeats-drop": edited(
        "The same answer again drops its client.",
        "R56",
        Server,
        "_handle",
        'demand(self._first_answers[client] == message, "S05")\n        return "repeated"',
        'demand(False, "S05")',
    ),
    "second-answer-counts": edited(
        "A second answer replaces the first.",
        "S05",
        Server,
        "_handle",
        "if client in self._first_answers:",
        "if self._first_answers.get(client) == message:",
    ),
    "second-answer-ignored": edited(
        "A second answer is ignored, whatever it says.",
        "S05",
        Server,
        "_handle",
        'demand(self._first_answers[client] == message, "S05")',
        "",
    ),
    "abort-after-answer-ignored": edited(
        "An Abort after an answer is ignored.",
        "S06",
        Server,
        "_handle",
        'demand(not isinstance(body, wire.Abort), "S06")',
        'demand(not isinstance(body, wire.Abort) or client in self._first_answers, "S06")\n'
        '    if isinstance(body, wire.Abort):\n        return "repeated"',
    ),
    "answer-of-the-dropped-counts": edited(
        "What a client answered before it was dropped counts.",
        "R55",
        Server,
        "_drop",
        "self._accepted.pop(client, None)",
        "",
    ),
    "dropped-input-taken-back": edited(
        "The input of a client that is dropped later is taken back.",
        "R55",
        Server,
        "_drop",
        "self._accepted.pop(client, None)",
        "self._accepted.pop(client, None)\n    self._contributors = [c for c in self._contributors if c != client]",
    ),
    "dropped-come-back": edited(
        "A dropped client may answer in the round in which it was dropped.",
        "R55",
        Server,
        "receive",
        "client not in self.requests or client in self.dropped",
        "client not in self.requests",
    ),
    "silence-costs-nothing": edited(
        "A client that did not answer is not dropped.",
        "S01",
        Server,
        "close_round",
        'self._drop(client, "S01")',
        "pass",
    ),
    "input-added-twice": edited(
        "An input is added again when it is repeated.",
        "R56",
        Server,
        "_handle",
        'return "repeated"',
        "if isinstance(body, wire.MaskedInputCollectionResponse):\n"
        "            words = vectors.unpack(self.parameters, body.payload)\n"
        "            self._sum = [a + b for a, b in zip(self._sum, words, strict=True)]\n"
        '        return "repeated"',
    ),
    "shares-in-any-order": edited(
        "Owners of revealed shares may be of either kind.",
        "S50",
        Server,
        "_check_shares",
        "demand(owners == asked",
        "demand(sorted(owners[0] + owners[1]) == sorted(asked[0] + asked[1])",
    ),
    "fewer-shares-allowed": edited(
        "A client may leave shares out.",
        "S50",
        Server,
        "_check_shares",
        "demand(owners == asked",
        "demand(all(set(o) <= set(a) for o, a in zip(owners, asked))",
    ),
    "mask-key-shares-not-canonical": edited(
        "Only seed shares have to be canonical.",
        "S51",
        Server,
        "_check_shares",
        "shares = (*response.seed_shares, *response.mask_key_shares)",
        "shares = response.seed_shares",
    ),
    "ended-server-answers": edited(
        "A server takes messages after its session has ended.",
        "R29",
        Server,
        "receive",
        'raise LocalError("refused: the session has ended")',
        'return "late"',
    ),
    "ended-server-closes": edited(
        "A round may be closed after the end.",
        "R29",
        Server,
        "close_round",
        'raise LocalError("refused: the session has ended")',
        "return",
    ),
}

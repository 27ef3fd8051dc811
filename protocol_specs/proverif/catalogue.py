"""Every model: each lemma as it is, and without each of its controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol_specs.proverif.hybrid import HYBRID
from protocol_specs.proverif.lemmas import Lemma, Model
from protocol_specs.proverif.rounds import ROUNDS

LEMMAS: Final[tuple[Lemma, ...]] = (*ROUNDS, *HYBRID)
MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for lemma in LEMMAS
    for model in (Model(lemma), *(Model(lemma, control) for control in lemma.controls))
}

EARLIER_IDS: Final[Mapping[str, str]] = {"C31": "R64"}
"""Ids that the recorded models have of rules which are others now: who cannot open a pair takes no part, as before."""

CHANGES: Final[Mapping[str, str]] = {
    "C26": "signatures of advertisements are not verified",
    "C31": "any pair of shares is taken, sealed or not",
    "C50": "survivors and dropped may overlap",
    "C57": "survivors need not be the confirmed contributors",
    "C59": "confirmations of others are not verified",
    "R04": "channel private keys are kept, and leak together with the identity keys",
    "R26": "a client signs a second list",
    "R42-channel-kem": "no secret is encapsulated for a channel key",
    "R42-channel-x25519": "the X25519 result does not enter the channel key",
    "R42-mask-kem": "no secret is encapsulated for the mask of a pair",
    "R42-mask-x25519": "the X25519 result does not enter the mask of a pair",
    "R43": "who seals for whom enters neither the channel key nor the associated data",
    "R45": "a confirmation signs the session digest in the place of the binding",
}

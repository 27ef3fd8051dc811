"""Every model: each lemma as it is, and without each of its controls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from protocol_specs.proverif.blame import BLAME
from protocol_specs.proverif.chosen import CHOSEN
from protocol_specs.proverif.hybrid import HYBRID
from protocol_specs.proverif.lemmas import Lemma, Model
from protocol_specs.proverif.rounds import ROUNDS

LEMMAS: Final[tuple[Lemma, ...]] = (*ROUNDS, *HYBRID, *CHOSEN, *BLAME)
MODELS: Final[Mapping[str, Model]] = {
    model.name: model
    for lemma in LEMMAS
    for model in (Model(lemma), *(Model(lemma, control) for control in lemma.controls))
}

CHANGES: Final[Mapping[str, str]] = {
    "C26": "signatures of advertisements are not verified",
    "C34": "neither the client nor the sender of a pair needs to be in D",
    "C37-pair": "the pair and the key in the entry need not be the complainer's",
    "C37-stands": "the entry need not stand in the dealing",
    "C38": "the signature of the dealing is not verified before a disclosure",
    "C39": "possession of the dealer's channel private key is not verified",
    "C43": "the client need not be among its contributors",
    "C44": "inclusions are not verified",
    "C50": "survivors and dropped may overlap",
    "C57": "survivors need not be the confirmed contributors",
    "C59": "confirmations of others are not verified",
    "R04": "channel private keys are kept, and leak together with the identity keys",
    "R26": "a client signs a second list",
    "R27": "the mask key's share is revealed whoever contributed",
    "R42-channel-kem": "no secret is encapsulated for a channel key",
    "R42-channel-x25519": "the X25519 result does not enter the channel key",
    "R42-mask-kem": "no secret is encapsulated for the mask of a pair",
    "R42-mask-x25519": "the X25519 result does not enter the mask of a pair",
    "R43": "who seals for whom enters neither the channel key nor the associated data",
    "R45": "a confirmation signs the session digest in the place of the binding",
    "R45-D": "neither token has D",
    "R45-X": "an acknowledgement has no X",
    "R45-key": "neither token has the signer's mask key",
    "R58-advertised": "the dealer's advertisement is not verified in evidence",
    "R58-binding": "the dealing signature has no binding",
    "R58-committed": "an entry has no pair commitment",
    "R58-complainer": "the complainer's advertisement is not verified in evidence",
    "R58-context": "the proof names no sealed pair",
    "R58-dealer": "the dealing signature is not verified in evidence",
    "R58-entry": "an entry has no key of its receiver",
    "R58-key": "the dealing signature has no channel key",
    "R58-possession": "the proof of possession names no dealer",
    "R58-share": "a share in evidence need not fit the commitment of its holder's entry",
    "R58-stands": "the entry of the evidence need not stand in the dealing",
    "R61": "a client answers MaskedInputCollection once more, for another D",
    "R64": "any pair of shares is taken, sealed or not",
    "R65": "a client complains about a pair that it can read",
}

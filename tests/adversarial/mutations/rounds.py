"""Who is in a round, what a request may ask for, and what is signed: rows 01 to 04, 16, 17, 19, 22, 24 and 27."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import (
    CHECK,
    CLIENT,
    INPUT,
    KEYS,
    SERVER,
    SERVER_INPUT,
    SERVER_SETUP,
    SERVER_UNMASK,
    SESSION,
    SETUP,
    UNMASK,
    m,
)

MUTATIONS: Final = (
    m("01", "survivors and dropped may overlap", (UNMASK, "if survivors & dropped:", "if False:")),
    m(
        "01",
        "sharers may be in neither list",
        (UNMASK, "missing = sharers - survivors - dropped", "missing = sharers - sharers"),
    ),
    m("01", "too few survivors", (UNMASK, "if len(survivors) < parameters.threshold:", "if False:")),
    m(
        "01",
        "a second request is answered from the same state",
        (UNMASK, "return ClientStep(ClientCompleted(context), outbound)", "return ClientStep(state, outbound)"),
        (CLIENT, "if step.state.phase not in (expected, AFTER_COMPLAINT.get(state.phase)):", "if False:"),
    ),
    m(
        "01",
        "a refused request leaves the session alive",
        (SESSION, "self._end(state, AbortReason.PEER_MISBEHAVED, error)", "self._state = state"),
    ),
    m(
        "02",
        "confirmations are not verified",
        (CHECK, "if not verify(context.roster[client], text, signature):", "if False:"),
    ),
    m("02", "confirmations are not counted", (CHECK, "if len(valid) < context.parameters.threshold:", "if False:")),
    m("02", "the own confirmation may be missing", (CHECK, "if context.client not in valid:", "if False:")),
    m("02", "anybody may confirm", (CHECK, "if client not in members:", "if False:")),
    m("02", "survivors need not be what was signed", (UNMASK, "if survivors != confirmed:", "if False:")),
    m("02", "few contributors are signed", (CHECK, "if len(others) < context.parameters.threshold:", "if False:")),
    m("02", "unknown contributors are signed", (CHECK, "    if strangers:", "    if False:")),
    m(
        "02",
        "confirmations are bound to no session",
        (KEYS, "(Label.CONFIRMATION_SIGNATURE, binding, packed)", "(Label.CONFIRMATION_SIGNATURE, packed)"),
    ),
    m(
        "02",
        "half of the cohort is a threshold",
        (
            "parameters/cohort.py",
            "if active and topology.kind is TopologyKind.COMPLETE and 2 * threshold <= clients:",
            "if False:",
        ),
    ),
    m(
        "03",
        "advertisements are not verified",
        (SETUP, "if not verify(context.roster[peer.client], text, peer.signature):", "if False:"),
    ),
    m("03", "the own advertisement may change", (SETUP, "if mine != [own]:", "if False:")),
    m(
        "03",
        "the own advertisement may be missing",
        (SETUP, "if not mine:", "if False:"),
        (SETUP, "if mine != [own]:", "if mine and mine != [own]:"),
    ),
    m("03", "keys may repeat, at the client", (SETUP, "if len(frozenset(publics)) < len(publics):", "if False:")),
    m(
        "03",
        "keys may repeat, at the server",
        (SERVER_SETUP, "if len(publics) < len(parts) or publics & state.keys_in_use:", "if False:"),
    ),
    m("03", "strangers may advertise", (SETUP, "if peer.client not in neighbours:", "if False:")),
    m(
        "03",
        "advertisements are bound to no session",
        (KEYS, "(Label.ADVERTISEMENT_SIGNATURE, session, client,", "(Label.ADVERTISEMENT_SIGNATURE, client,"),
    ),
    m(
        "03",
        "the cohort digest is the session digest",
        (KEYS, "return hashlib.sha256(writer.finish()).digest()", "return session"),
    ),
    m(
        "04",
        "the context is in no key",
        (
            KEYS,
            "(Label.SESSION_DIGEST, parameters)",
            "(Label.SESSION_DIGEST, parameters.replace(b'model B', b'model A'))",
        ),
    ),
    m(
        "04",
        "channel keys and seals are bound to no session",
        (
            KEYS,
            "return _bound(Label.CHANNEL_KEY, binding) + sender",
            "return encode_fields(Label.CHANNEL_KEY) + sender",
        ),
        (
            KEYS,
            "self._before = _bound(Label.CHANNEL_KEY, binding)",
            "self._before = encode_fields(Label.CHANNEL_KEY)",
        ),
        (
            KEYS,
            "extracted, other = kdf.extract_bytes(self._binding, agreed)",
            "extracted, other = kdf.extract_bytes(bytes(32), agreed)",
        ),
        (
            KEYS,
            "    return kdf.derive(agreed, salt=binding, info=info)",
            "    return kdf.derive(agreed, salt=bytes(32), info=info)",
        ),
        (
            KEYS,
            "_bound(Label.SHARE_ENCRYPTION, binding) + _ENDS",
            "encode_fields(Label.SHARE_ENCRYPTION) + _ENDS",
        ),
    ),
    m(
        "16",
        "everybody must share",
        (
            SERVER_SETUP,
            "needed = max(parameters.minimum_contributors, parameters.threshold + 1)",
            "needed = parameters.clients",
        ),
    ),
    m("17", "late messages are taken", (SERVER, "if belongs is not round_ or not live:", "if False:")),
    m("17", "an input counts twice", (SERVER, "if accepted is not None:", "if False:")),
    m(
        "17",
        "no self mask",
        (
            INPUT,
            "[key_schedule.self_mask_key(state.self_mask_seed, context.session).expose()]",
            "[bytes(context.suite.prg.key_bytes)]",
        ),
        (
            SERVER_UNMASK,
            "terms.append(MaskTerm(key_schedule.self_mask_key(seed, context.session), negative=True))",
            "pass",
        ),
    ),
    m(
        "19",
        "everybody is its own neighbour",
        ("protocol/topology.py", "return self._ring[:position] + self._ring[position + 1 :]", "return self._ring"),
    ),
    m(
        "19",
        "a share of oneself may be asked for",
        (UNMASK, "if client in survivors or client in dropped:", "if False:"),
    ),
    m(
        "22",
        "clients take any session's message",
        (CLIENT, "ours = message.session == state.context.session", "ours = True"),
    ),
    m(
        "22",
        "the server takes any session's message",
        (SERVER, "if message.session != state.context.session:", "if False:"),
    ),
    m(
        "22",
        "clients take any message in any phase",
        (CLIENT, "raise _unexpected(state, message)\n    step", "pass\n    step"),
    ),
    m(
        "24",
        "the server forgets the floor",
        (
            SERVER_SETUP,
            "needed = max(parameters.minimum_contributors, parameters.threshold + 1)",
            "needed = parameters.threshold + 1",
        ),
    ),
    m(
        "24",
        "active clients forget the floor",
        (CHECK, "if len(contributors) < context.parameters.minimum_contributors:", "if False:"),
    ),
    m(
        "24",
        "semi-honest clients forget the floor",
        (UNMASK, "if state.context.complete and len(survivors) + 1 < parameters.minimum_contributors:", "if False:"),
    ),
    m("27", "parts of the contributors are not counted", (SERVER_INPUT, "if smallest < floor:", "if False:")),
    m("27", "one part is enough", (SERVER_INPUT, "min(map(len,", "max(map(len,")),
    m(
        "27",
        "dropped clients count as edges",
        (SERVER_INPUT, "parts(frozenset(contributors))", "parts(frozenset(context.parameters.cohort))"),
    ),
)

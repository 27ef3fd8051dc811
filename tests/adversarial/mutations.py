"""Takes one prevention at a time out of a copy of the library, and expects a named test to fail.

    python -m tests.adversarial.mutations            every mutation; the last line counts the survivors
    python -m tests.adversarial.mutations 02 17      the mutations of these pitfalls

The shared tree is never touched: package and tests are copied to a temporary directory. A mutation whose text is
no longer found says so: give it the new text. README.md in this directory is the table of these mutations.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Mutation:
    """One prevention removed.

    Attributes:
        row: of the list of pitfalls.
        what: what is taken out, in words.
        edits: (file in secagg/, text, replacement); the text must occur.
    """

    row: str
    what: str
    edits: tuple[tuple[str, str, str], ...]


def m(row: str, what: str, *edits: tuple[str, str, str]) -> Mutation:
    return Mutation(row, what, edits)


CLIENT: Final = "protocol/client.py"
SETUP: Final = "protocol/client_setup.py"
INPUT: Final = "protocol/client_input.py"
UNMASK: Final = "protocol/client_unmasking.py"
CHECK: Final = "protocol/consistency.py"
SERVER: Final = "protocol/server.py"
SERVER_SETUP: Final = "protocol/server_setup.py"
SERVER_INPUT: Final = "protocol/server_input.py"
SERVER_UNMASK: Final = "protocol/server_unmasking.py"
REBUILD: Final = "protocol/server_rebuilding.py"
BATCH: Final = "crypto/batch_decoding.py"
KEYS: Final = "crypto/key_schedule.py"
CODEC: Final = "wire/codec.py"
PARTICIPATION: Final = "session/participation.py"
QUANTIZATION: Final = "encoding/quantization.py"

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
        (CLIENT, "if step.state.phase is not expected:", "if False:"),
    ),
    m(
        "01",
        "a refused request leaves the session alive",
        ("session/client.py", "self._end(state, AbortReason.PEER_MISBEHAVED, error)", "self._state = state"),
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
        ("parameters/cohort.py", "if active and 2 * threshold <= clients:", "if False:"),
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
    m("03", "keys may repeat, at the client", (SETUP, "if len(publics) != 2 * len(advertisements):", "if False:")),
    m(
        "03",
        "keys may repeat, at the server",
        (SERVER_SETUP, "if len(publics) < 2 or publics & state.keys_in_use:", "if False:"),
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
            "crypto/key_schedule.py",
            "(Label.SESSION_DIGEST, parameters)",
            "(Label.SESSION_DIGEST, parameters.replace(b'model B', b'model A'))",
        ),
    ),
    m(
        "04",
        "channel keys and seals are bound to no session",
        (
            KEYS,
            "info = _bound(Label.CHANNEL_KEY, binding)",
            "info = encode_fields(Label.CHANNEL_KEY)",
        ),
        (
            KEYS,
            "    return kdf.derive(agreed, salt=binding, info=info)",
            "    return kdf.derive(agreed, salt=bytes(32), info=info)",
        ),
        (KEYS, "(Label.SHARE_ENCRYPTION, binding, sender, receiver)", "(Label.SHARE_ENCRYPTION, sender, receiver)"),
    ),
    m("05", "no smallest cohort", (SETUP, "if offer.clients < policy.minimum_cohort:", "if False:")),
    m("05", "no smallest threshold", (SETUP, "if offer.threshold < policy.minimum_threshold:", "if False:")),
    m("05", "no required threat model", (SETUP, "if offer.threat_model is not required:", "if False:")),
    m("05", "no suites refused", (SETUP, "if offer.suite not in policy.suites:", "if False:")),
    m("05", "no largest vector", (SETUP, "if words > state.policy.maximum_words:", "if False:")),
    m(
        "05",
        "corrupt clients are not counted",
        (SETUP, "        policy.security_bits,\n    ):", "        policy.security_bits,\n    ) and False:"),
    ),
    m(
        "06",
        "one key for all masks",
        ("crypto/prg.py", "algorithms.AES128(key.expose())", "algorithms.AES128(bytes(16))"),
    ),
    m(
        "06",
        "16 bits of key",
        ("crypto/prg.py", "algorithms.AES128(key.expose())", "algorithms.AES128(bytes(14) + bytes(key.expose()[:2]))"),
    ),
    m(
        "06",
        "masks of 52 bits",
        (
            "masking/engine.py",
            "stream.fill(mask, offset)",
            "stream.fill(mask, offset); mask &= np.uint64((1 << 52) - 1)",
        ),
    ),
    m(
        "07",
        "masks of 32 bits",
        ("masking/engine.py", "stream.fill(mask, offset)", "stream.fill(mask, offset); mask &= np.uint64(0xFFFFFFFF)"),
    ),
    m(
        "07",
        "a small mask",
        ("masking/engine.py", "stream.fill(mask, offset)", "stream.fill(mask, offset); mask %= np.uint64(7)"),
    ),
    m(
        "08",
        "the stream begins anew in the middle",
        (
            "masking/engine.py",
            "stream.fill(mask, offset)",
            "stream.fill(mask, offset); half = len(mask) // 2; mask[half : 2 * half] = mask[:half]",
        ),
    ),
    m(
        "09",
        "leading zeros are lost",
        (
            "crypto/shamir.py",
            "[SecretBytes(row.data) if fits",
            "[SecretBytes(bytes(row.data).lstrip(bytes(1)).ljust(32, bytes(1))) if fits",
        ),
    ),
    m(
        "10",
        "rebuilt secrets are not checked",
        (REBUILD, "threshold, accept)", "threshold, lambda secret: True)"),
        (REBUILD, "if recovery is not None and not accept(owner, recovery.secret):", "if False:"),
    ),
    m(
        "10",
        "surplus shares are not compared",
        (BATCH, "agreed = np.logical_not(np.any(sums, axis=(0, 2)))", "agreed = canonical"),
    ),
    m(
        "10",
        "no decoding with surplus shares",
        ("crypto/decoding.py", "consistent = _consistent_rows(points, values, threshold)", "consistent = None"),
        (BATCH, "    batch.explain(np.flatnonzero(canonical & ~agreed), suspects)\n", ""),
    ),
    m("10", "liars are not named", (REBUILD, "for point in recovery.inconsistent)", "for point in ())")),
    m(
        "10",
        "every owner lied about is decoded alone",
        (BATCH, "    batch.explain(np.flatnonzero(canonical & ~agreed), suspects)\n", ""),
    ),
    m("10", "liars are looked for again and again", (REBUILD, "lies.update(", "Counter().update(")),
    m(
        "10",
        "liars can foresee the combination",
        (REBUILD, "self._seed = self._seed or self._shares.digest()", 'self._seed = b"foreseen"'),
    ),
    m("11", "lengths are not checked", (CODEC, "    if len(value) != length:", "    if False:")),
    m(
        "11",
        "the vector's length is not checked",
        ("encoding/session_vector.py", "if view.nbytes != layout.packed_bytes:", "if False:"),
    ),
    m(
        "11",
        "receivers of shares are not checked",
        (SERVER_SETUP, "if [receiver for receiver, _ in message.ciphertexts] != expected:", "if False:"),
    ),
    m(
        "12",
        "channels have no direction",
        (
            KEYS,
            "_bound(Label.CHANNEL_KEY, binding) + _party(sender, sender_public) + _party(receiver, receiver_public)",
            "_bound(Label.CHANNEL_KEY, binding)",
        ),
        (KEYS, "(Label.SHARE_ENCRYPTION, binding, sender, receiver)", "(Label.SHARE_ENCRYPTION, binding)"),
    ),
    m(
        "12",
        "unknown senders",
        (
            INPUT,
            "key = state.receiving_keys.get(sender)",
            "key = state.receiving_keys.get(sender, next(iter(state.receiving_keys.values())))",
        ),
    ),
    m(
        "12",
        "the input is asked for first",
        (INPUT, "    held = _open_all(state, message)\n", ""),
        (
            INPUT,
            "    words = state.input.words\n",
            "    held = _open_all(state, message)\n    words = state.input.words\n",
        ),
    ),
    m("12", "too few sharers", (INPUT, "if len(message.ciphertexts) < context.parameters.threshold:", "if False:")),
    m(
        "12",
        "shares under a seal are not checked",
        (
            "crypto/shamir.py",
            "canonical = are_canonical_elements(elements) & right_length",
            "canonical = right_length",
        ),
    ),
    m(
        "13",
        "fields one bit too narrow",
        (
            "parameters/vectors.py",
            "width = self.largest_sum(clients, max_weight).bit_length()",
            "width = max(1, self.largest_sum(clients, max_weight).bit_length() - 1)",
        ),
    ),
    m(
        "14",
        "clipping is not counted",
        ("encoding/quantization.py", "clipped = int(np.count_nonzero(", "clipped = 0 * int(np.count_nonzero("),
    ),
    m(
        "14",
        "strict mode clips",
        ("encoding/session_vector.py", "if strict and encoded.clipped:", "if False:"),
    ),
    m("15", "shapes are not checked", ("encoding/quantization.py", "if array.shape != spec.shape:", "if False:")),
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
            "terms = [MaskTerm(key_schedule.self_mask_key(state.self_mask_seed, context.session), negative=False)]",
            "terms: list[MaskTerm] = []",
        ),
        (
            SERVER_UNMASK,
            "terms.append(MaskTerm(key_schedule.self_mask_key(seed, context.session), negative=True))",
            "pass",
        ),
    ),
    m(
        "18",
        "the ledger is not asked",
        (
            "session/client.py",
            "        if self._ledger is None:\n            return\n        phase",
            "        return\n        phase",
        ),
    ),
    m(
        "18",
        "a snapshot leaves the session alive",
        (
            "session/client.py",
            'self._end(self._state, AbortReason.ABORTED_BY_CALLER, "this session lives on in its snapshot")',
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
        "20",
        "low order, at the server",
        (SERVER_SETUP, "if any(is_low_order(public) for public in publics):", "if False:"),
    ),
    m(
        "20",
        "low order, at the client",
        (
            "crypto/agreement.py",
            "            raise _low_order(peer_public) from error\n",
            "            result = bytes(KEY_BYTES)\n",
        ),
        ("crypto/agreement.py", "if hmac.compare_digest(result, _ZERO):", "if False:"),
    ),
    m(
        "20",
        "unreduced keys",
        (SETUP, "if not (is_canonical(peer.channel_public) and is_canonical(peer.mask_public)):", "if False:"),
    ),
    m("21", "encodings are not compared", (CODEC, "    if again != data:", "    if False:")),
    m("21", "unknown fields pass", (CODEC, "        message.DiscardUnknownFields()\n", "")),
    m("21", "lists in any order", (CODEC, "if any(a >= b for a, b in pairwise(listed)):", "if False:")),
    m(
        "21",
        "pad bits are ignored",
        ("encoding/packing.py", "if used_bits and int(payload[-1]) >> used_bits:", "if False:"),
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
        "23",
        "the weight is sent in clear",
        (INPUT, "    outbound = MaskedInput", "    words[-1] = state.input.weight\n    outbound = MaskedInput"),
    ),
    m(
        "23",
        "the length tells the weight",
        (
            INPUT,
            "pack_vector(context.layout, words))",
            "pack_vector(context.layout, words) + bytes(state.input.weight % 7))",
        ),
        (
            "encoding/session_vector.py",
            "    view = memoryview(payload)\n",
            "    view = memoryview(payload)[: layout.packed_bytes]\n",
        ),
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
    m(
        "05",
        "dropouts are not counted",
        (SETUP, "        policy.max_dropout,\n        offer.", "        0.0,\n        offer."),
    ),
    m("05", "any graph", (SETUP, "if offer.topology.kind not in policy.topologies:", "if False:")),
    m(
        "05",
        "no smallest sum",
        (SETUP, "if offer.minimum_contributors < policy.minimum_contributors:", "if False:"),
    ),
    m(
        "25",
        "active and sparse",
        ("parameters/cohort.py", "        if active:\n            raise", "        if False:\n            raise"),
    ),
    m(
        "26",
        "bound values are joined without lengths",
        (
            "canonical.py",
            "        writer.value(value)\n    return writer.finish()",
            "        writer._parts.append(value if isinstance(value, bytes) else str(value).encode())\n"
            "    return writer.finish()",
        ),
    ),
    m(
        "26",
        "two purposes, one label",
        (
            "crypto/labels.py",
            'PAIRWISE_MASK_KEY = b"secagg/v1 pairwise mask key"',
            'PAIRWISE_MASK_KEY = b"secagg/v1 pairwise mask"',
        ),
    ),
    m(
        "26",
        "contributors are joined as text",
        (
            KEYS,
            'packed = b"".join(client.to_bytes(8, "big") for client in contributors)',
            'packed = b"".join(str(client).encode() for client in contributors)',
        ),
    ),
    m("27", "parts of the contributors are not counted", (SERVER_INPUT, "if smallest < floor:", "if False:")),
    m("27", "one part is enough", (SERVER_INPUT, "min(map(len,", "max(map(len,")),
    m(
        "27",
        "dropped clients count as edges",
        (SERVER_INPUT, "parts(frozenset(contributors))", "parts(frozenset(context.parameters.cohort))"),
    ),
    m(
        "30",
        "integers out of range are refused",
        (
            QUANTIZATION,
            "            _offset_integers(spec, _limited(spec, piece), out)",
            "            if np.any(_outside(spec, piece)):\n                raise ParameterError('refused')\n"
            "            _offset_integers(spec, _limited(spec, piece), out)",
        ),
    ),
    m(
        "30",
        "NaN and infinity are refused",
        (
            QUANTIZATION,
            "        missing = int(np.count_nonzero(flags))",
            "        if np.any(flags):\n            raise ParameterError('refused')\n        missing = 0",
        ),
    ),
    m(
        "30",
        "large weights are refused",
        (
            QUANTIZATION,
            "    return min(max(given, 0), max_weight)",
            "    if given > max_weight:\n        raise ParameterError('refused')\n    return max(given, 0)",
        ),
    ),
    m(
        "30",
        "weight 0 is refused",
        (
            QUANTIZATION,
            "    return min(max(given, 0), max_weight)",
            "    if given < 1:\n        raise ParameterError('refused')\n    return min(given, max_weight)",
        ),
    ),
    m("30", "a forgotten weight is 1", (QUANTIZATION, "if max_weight > 1:", "if False:")),
    m(
        "30",
        "a total weight of 0 ends the session",
        (
            "encoding/session_vector.py",
            "if total > contributors * layout.max_weight:",
            "if not contributors <= total <= contributors * layout.max_weight:",
        ),
    ),
    m("30", "vectors are not compared", (SETUP, "dict(offer.vectors) != policy.vectors", "False")),
    m("30", "the largest weight is not compared", (SETUP, "offer.max_weight != policy.max_weight", "False")),
    m(
        "05",
        "an empty roster is none",
        ("session/client.py", "signs = identity is not None or roster is not None", "signs = bool(identity or roster)"),
    ),
    m("32", "sums are not counted", (PARTICIPATION, "len(earlier) >= self.sums_per_context", "False")),
    m("32", "changes are not compared", (PARTICIPATION, "if change < self.minimum_cohort_change:", "if False:")),
    m("32", "the input is not claimed", ("session/client.py", "self._check_sums(state.mask_key.public)", "pass")),
    m(
        "32",
        "sums are not checked with the input",
        (
            "session/client.py",
            "self._limits.check(parameters, earlier)",
            "mask_public or self._limits.check(parameters, earlier)",
        ),
    ),
    m(
        "32",
        "runs of one offer are one run",
        ("session/client.py", "run = context.session + mask_public", "run = context.session"),
    ),
    m("32", "sums are not checked at the offer", ("session/client.py", "self._check_sums()", "pass")),
    m(
        "32",
        "a snapshot loses the limits",
        (
            "session/client.py",
            "session._limit_sums(loaded.limits, participations)",
            "session._limit_sums(ParticipationLimits(None, None), participations)",
        ),
    ),
    m(
        "31",
        "A13 is told to all clients",
        (SERVER, "[] if reason is AbortReason.RESULT_NOT_DECODABLE else sorted(told)", "sorted(told)"),
    ),
    m(
        "31",
        "a host tells of A13",
        (
            "hosting/keeper.py",
            "if aborted is None or aborted.reason == AbortReason.RESULT_NOT_DECODABLE.value:",
            "if aborted is None:",
        ),
    ),
)


Select = Callable[[str], list[str]]
"""Arguments of pytest that select the tests of a row."""


def pitfall(row: str) -> list[str]:
    return ["-k", f"pitfall_{row}", "tests/adversarial"]


def main(rows: list[str], mutations: Sequence[Mutation] = MUTATIONS, select: Select = pitfall) -> int:
    """Run the mutations of these rows, or all; returns how many no test noticed."""
    chosen = [mutation for mutation in mutations if not rows or mutation.row in rows]
    red = {row: failing(select(row), ())[1] for row in sorted({mutation.row for mutation in chosen})}
    survivors = 0
    for mutation in chosen:
        verdict = judge(mutation, select, red[mutation.row])
        survivors += not verdict.startswith("killed")
        sys.stdout.write(f"{mutation.row}  {mutation.what}: {verdict}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{survivors} of {len(chosen)} survived\n")
    return survivors


def judge(mutation: Mutation, select: Select, red: list[str]) -> str:
    """What the row's tests say about a mutated copy; those that fail without the mutation have no vote."""
    try:
        code, failed = failing(select(mutation.row), mutation.edits)
    except LookupError as error:
        return f"TEXT NOT FOUND in {error}"
    killers = [test for test in failed if test not in red]
    if code == 1 and killers:
        return f"killed by {len(killers)} tests, first {killers[0]}"
    return "SURVIVED" if code in (0, 1) else "BROKEN: no test could run"


def failing(selected: list[str], edits: tuple[tuple[str, str, str], ...]) -> tuple[int, list[str]]:
    """Run the selected tests on an edited copy; returns pytest's exit code and the names of the failed tests."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        ignore = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for part in ("secagg", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", copy)
        for file, before, after in edits:
            path = copy / "secagg" / file
            text = path.read_text()
            if before not in text:
                raise LookupError(file)
            path.write_text(text.replace(before, after))
        command = [sys.executable, "-m", "pytest", "-q", "--maxfail=5", "--no-header", "--tb=no", "-rf"]
        command += ["-p", "no:cacheprovider", *selected]
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return done.returncode, [line.split("::", 1)[1].split(" - ")[0] for line in lines]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Masks, shares, keys and labels: rows 06 to 10, 12, 20, 23 and 26."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import BATCH, INPUT, KEYS, REBUILD, SERVER_SETUP, SESSION_VECTOR, SETUP, m

MUTATIONS: Final = (
    m(
        "06",
        "one key for all masks",
        ("crypto/prg.py", "algorithms.AES128(key)", "algorithms.AES128(bytes(16))"),
    ),
    m(
        "06",
        "16 bits of key",
        ("crypto/prg.py", "algorithms.AES128(key)", "algorithms.AES128(bytes(14) + bytes(key[:2]))"),
    ),
    m(
        "06",
        "masks of 52 bits",
        (
            "masking/engine.py",
            "write(octets, offset)",
            "write(octets, offset); mask &= np.uint64((1 << 52) - 1)",
        ),
    ),
    m(
        "07",
        "masks of 32 bits",
        (
            "masking/engine.py",
            "write(octets, offset)",
            "write(octets, offset); mask &= np.uint64(0xFFFFFFFF)",
        ),
    ),
    m(
        "07",
        "a small mask",
        ("masking/engine.py", "write(octets, offset)", "write(octets, offset); mask %= np.uint64(7)"),
    ),
    m(
        "08",
        "the stream begins anew in the middle",
        (
            "masking/engine.py",
            "write(octets, offset)",
            "write(octets, offset); half = len(mask) // 2; mask[half : 2 * half] = mask[:half]",
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
        (REBUILD, "if recovery is not None and not accept(recovery.secret):", "if False:"),
    ),
    m(
        "10",
        "surplus shares are not compared",
        (BATCH, "if not syndromes(self._points, combined, self._surplus).any():", "if True:"),
    ),
    m(
        "10",
        "no decoding with surplus shares",
        ("crypto/decoding.py", "consistent = _consistent_rows(points, values, threshold)", "consistent = None"),
        (BATCH, "wrong = locate(self._points, sums) if sums.any() else None", "wrong = None"),
    ),
    m(
        "10",
        "what is left without liars is not compared",
        (
            BATCH,
            "return not syndromes(self._at(others), combined[others], self._surplus - len(places)).any()",
            "return True",
        ),
    ),
    m("10", "liars are not named", (REBUILD, "for holder in holders[wrong].tolist()\n", "for holder in ()\n")),
    m(
        "10",
        "every owner lied about is decoded alone",
        (BATCH, "wrong = locate(self._points, sums) if sums.any() else None", "wrong = None"),
    ),
    m("10", "liars who take turns are looked for again", (REBUILD, "> self.surplus:", "> self.surplus // 2:")),
    m("10", "liars are looked for again and again", (REBUILD, "self.lies.update(", "Counter().update(")),
    m(
        "10",
        "liars can foresee the combination",
        (REBUILD, "self._seed = self._seed or self._shares.digest()", 'self._seed = b"foreseen"'),
    ),
    m(
        "12",
        "channels have no direction",
        (
            KEYS,
            "_bound(Label.CHANNEL_KEY, binding) + sender + receiver",
            "_bound(Label.CHANNEL_KEY, binding)",
        ),
        (KEYS, "extracted, self._before + self._own + other,", "extracted, self._before,"),
        (KEYS, "extracted, self._before + other + self._own,", "extracted, self._before,"),
        (
            KEYS,
            "_bound(Label.SHARE_ENCRYPTION, binding) + _ENDS.pack(TAG_INTEGER, sender, TAG_INTEGER, receiver)",
            "_bound(Label.SHARE_ENCRYPTION, binding)",
        ),
    ),
    m(
        "12",
        "unknown senders",
        (
            INPUT,
            "    if np.any(places < 0):\n",
            "    if False:\n",
        ),
    ),
    m(
        "12",
        "the input is asked for first",
        (
            INPUT,
            "    held, mask_ciphertexts, accused = _open_all(state, message)\n    if accused:\n",
            "    if False:\n",
        ),
        (
            INPUT,
            "    words = state.input.words\n",
            "    held, mask_ciphertexts, accused = _open_all(state, message)\n    words = state.input.words\n",
        ),
    ),
    m("12", "too few sharers", (INPUT, "    if count < context.parameters.threshold:", "    if False:")),
    m(
        "12",
        "shares under a seal are not checked",
        (
            INPUT,
            "    unreadable.update(_not_shares(held))\n",
            "",
        ),
    ),
    m(
        "20",
        "low order, at the server",
        (SERVER_SETUP, "if any(map(is_low_order, keys)):", "if False:"),
    ),
    m(
        "20",
        "low order, at the client",
        (
            "crypto/agreement.py",
            "            raise _low_order(peer.public_bytes_raw()) from error\n",
            "            result = bytes(KEY_BYTES)\n",
        ),
        ("crypto/agreement.py", "if hmac.compare_digest(result, _ZERO):", "if False:"),
    ),
    m(
        "20",
        "unreduced keys",
        (SETUP, "if not (is_canonical(peer.channel_public) and is_canonical(peer.mask_public)):", "if False:"),
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
            "pack_in_place(context.layout, words), inclusion)",
            "bytes(pack_in_place(context.layout, words)) + bytes(state.input.weight % 7), inclusion)",
        ),
        (
            SESSION_VECTOR,
            "    view = memoryview(payload)\n",
            "    view = memoryview(payload)[: layout.packed_bytes]\n",
        ),
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
            'packed = struct.pack(f">{len(contributors)}Q", *contributors)',
            'packed = b"".join(str(client).encode() for client in contributors)',
        ),
    ),
)

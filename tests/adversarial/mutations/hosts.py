"""What a service holds, hands out and says: rows 18, 28, 31, 35 and 37."""

from __future__ import annotations

from typing import Final

from tests.adversarial.mutations.mutation import SERVER, SESSION, VECTORS, m

HOSTED: Final = "hosting/session.py"
PLACES: Final = "transport/grpc/places.py"
LIMITS: Final = "transport/limits.py"
WEB: Final = "transport/http/calls.py"
DOOR: Final = "transport/http/door.py"

MUTATIONS: Final = (
    m(
        "18",
        "the ledger is not asked",
        (
            SESSION,
            "        if self._ledger is None:\n            return\n        phase",
            "        return\n        phase",
        ),
    ),
    m(
        "18",
        "a snapshot leaves the session alive",
        (
            SESSION,
            'self._end(self._state, AbortReason.ABORTED_BY_CALLER, "this session lives on in its snapshot")',
            "pass",
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
            "hosting/kept.py",
            "if aborted is None or aborted.reason == AbortReason.RESULT_NOT_DECODABLE.value:",
            "if aborted is None:",
        ),
    ),
    m(
        "28",
        "watchers take the places of all strangers",
        (PLACES, "WATCHERS if handler.response_streaming else STRANGERS", "STRANGERS"),
    ),
    m("28", "strangers may take all places", (LIMITS, "return max(1, self.calls // 4)", "return self.calls")),
    m(
        "28",
        "a client's calls are nobody's",
        (
            PLACES,
            "        SEATED.set(caller)\n        return caller",
            "        SEATED.set(caller)\n        return stranger",
        ),
    ),
    m(
        "28",
        "connections take the store's files",
        (LIMITS, "min(limits.connections, max(1, files - OWN_FILES - elsewhere))", "limits.connections"),
    ),
    m("28", "a page of any origin may call over HTTP", (WEB, "if given != wanted:", "if False:")),
    m("28", "a body over HTTP may say any length", (WEB, "and int(given) > most:", "and False:")),
    m(
        "28",
        "what came of an upload counts wherever the next part begins",
        ("transport/http/parts.py", "or offset != kept.received or", "or"),
    ),
    m(
        "28",
        "the parts of an upload need not have its digest",
        ("transport/http/parts.py", "or kept.upload.sha256 != kept.header.sha256:", ":"),
    ),
    m(
        "28",
        "uploads that pause keep files open without end",
        ("transport/http/parts.py", "if len(self._paused) > self._limits.uploads:", "if False:"),
    ),
    m(
        "28",
        "a request over HTTP may end in two places",
        (DOOR, 'if {b"content-length", b"transfer-encoding"} <= names:', "if False:"),
    ),
    m("28", "a path over HTTP may be written in signs", (DOOR, 'elif b"%" in path:', "elif False:")),
    m(
        "28",
        "one address may have all connections over HTTP",
        (DOOR, "crowd = 0 if there < (self._per_address or free) else there", "crowd = 0"),
    ),
    m(
        "28",
        "a cohort behind one address over HTTP counts for strangers",
        (WEB, "            _place(request).admit(caller)\n", ""),
    ),
    m(
        "28",
        "whoever has logged in over HTTP may have all connections",
        (DOOR, " and self._counted[caller] < _MOST_OF_CALLER:", ":"),
    ),
    m(
        "28",
        "one address may have all places of strangers",
        ("transport/seats.py", "max(1, most - self._open[who])", "most"),
    ),
    m(
        "28",
        "whoever is slow with a login over HTTP keeps a place",
        (
            WEB,
            "                body = await self.body(request, most)\n",
            '                self._service.seats.take(STRANGERS, "")\n'
            "                body = await self.body(request, most)\n",
        ),
    ),
    m(
        "28",
        "requests are handed out without end",
        (HOSTED, "                self._fetches.take(client, clock.now())\n", ""),
    ),
    m(
        "28",
        "offers are handed out without end",
        (HOSTED, "        self._fetches.take(client, self._tools.clock.now())\n", ""),
    ),
    m(
        "35",
        "whom a deadline drops is not told of the abort",
        (HOSTED, "if seat.end is not None and seat.end.kind is EndKind.ABORTED:", "if False:"),
    ),
    m(
        "35",
        "a second answer has no cause",
        (SERVER, ": two processes run as client {client}, or one ", ""),
        (SERVER, '            "restarted without state=",\n', ""),
    ),
    m(
        "35",
        "a drop for two answers has no hint",
        (
            "transport/refusals.py",
            'return "; two processes run as this client, or one restarted without state="',
            'return ""',
        ),
    ),
    m(
        "35",
        "a process that knows nothing says that the input is not in the sum",
        (
            "transport/client.py",
            "the session has completed, and this process sent no input to it; an input that an earlier process of ",
            "the session completed without an input of this client",
        ),
    ),
    m(
        "35",
        "a session that completed without this client is a success",
        ("transport/client.py", "if not participant.contributed:", "if False:"),
    ),
    m(
        "35",
        "a client does not hear what was limited",
        (
            "transport/participant.py",
            "            self.reports, self.weight_clipped = encoded.reports, encoded.weight_clipped\n",
            "",
        ),
    ),
    m(
        "37",
        "a child after a fork waits for ever",
        ("transport/grpc/forks.py", "elif self._first != here:", "elif False:"),
    ),
    m(
        "37",
        "open files are not held against the cohort",
        ("cli/service/serving.py", "if files is None or files >= needed:", "if True:"),
    ),
    m(
        "37",
        "a truth value is a number",
        ("parameters/arguments.py", "    if isinstance(value, bool):\n        return None\n", ""),
    ),
    m(
        "37",
        "NumPy's numbers are none",
        (
            "parameters/arguments.py",
            "    try:\n        return operator.index(value)",
            "    if not isinstance(value, int):\n        return None\n    try:\n        return operator.index(value)",
        ),
    ),
    m(
        "37",
        "arguments of another type are not looked at",
        ("parameters/arguments.py", "if not isinstance(value, kind):", "if False:"),
    ),
    m("37", "names of 64 bytes", (VECTORS, "MAX_NAME_BYTES: Final = 255", "MAX_NAME_BYTES: Final = 64")),
    m(
        "37",
        "a missing extra is no ImportError",
        (
            "errors.py",
            "class MissingExtraError(ParameterError, ImportError):",
            "class MissingExtraError(ParameterError):",
        ),
    ),
    m(
        "37",
        "errors are no JSON",
        (
            "cli/main.py",
            '        print_json({"error": shown(" ".join(sentence.split())), "exit_code": code})',
            "        pass",
        ),
    ),
    m(
        "37",
        "every command imports all",
        ("cli/main.py", "[_ADDED_BY[called]] if called in _ADDED_BY else _ADDED_BY.values()", "_ADDED_BY.values()"),
    ),
    m(
        "37",
        "an expired roster is shown as a valid one",
        ("cli/keys/roster.py", "found.expires is not None and found.expires <= datetime.now(UTC)", "False"),
    ),
    m(
        "37",
        "whether a key is private is not seen",
        ("cli/keys/key.py", '"private" if names_private_key(file) else "public"', '"private"'),
    ),
    m(
        "37",
        "params begins with figures",
        (
            "cli/local/params.py",
            '    print_sentences(\n        f"Of {clients} clients each',
            '    str(\n        f"Of {clients} clients each',
        ),
    ),
)

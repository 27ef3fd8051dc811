"""In which form messages are in bodies: protobuf for programs, and its JSON for pages, from the same messages.

Must not know calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError as ProtobufDecodeError
from google.protobuf.message import Message

from secagg.transport.errors import Refusal
from secagg.transport.refusals import CallRefusedError


@dataclass(frozen=True, slots=True)
class Form:
    """How messages are written and read.

    Attributes:
        media_type: of a body.
        written: the bytes of a message.
        read: the message of a type in bytes; raises what is in `wrong`.
        wrong: what says that bytes are none.
        slow: whether a long message takes its writer tenths of a second, for which nobody else should wait.
    """

    media_type: str
    written: Callable[[Message], bytes]
    read: Callable[[type[Any], bytes], Any]
    wrong: tuple[type[Exception], ...]
    slow: bool = False

    def parsed(self, kind: type[Any], body: bytes) -> Any:
        """Return the message in a body.

        Raises:
            CallRefusedError: MALFORMED.
        """
        try:
            return self.read(kind, body)
        except self.wrong:
            raise CallRefusedError(
                Refusal.MALFORMED, f"{len(body)} bytes are no request of this method; send one"
            ) from None


def _written_json(message: Message) -> bytes:
    """Whole numbers of 64 bits are text, as JavaScript rounds them otherwise."""
    text: str = json_format.MessageToJson(
        message, always_print_fields_with_no_presence=True, preserving_proto_field_name=True, indent=None
    )
    return text.encode()


def _read_json(kind: type[Any], body: bytes) -> Any:
    return json_format.Parse(body, kind())


PROTOBUF: Final = Form(
    "application/x-protobuf",
    lambda message: message.SerializeToString(),
    lambda kind, body: kind.FromString(body),
    (ProtobufDecodeError,),
)
# Text that is no UTF-8 is a ValueError, and brackets in brackets in brackets are too deep for Python.
JSON: Final = Form(
    "application/json", _written_json, _read_json, (json_format.ParseError, ValueError, RecursionError), slow=True
)

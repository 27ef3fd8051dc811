"""Failures as gRPC carries them: a status code, a sentence, and an ErrorDetail in the trailing metadata.

Must not know what the calls do.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import grpc
from google.protobuf.message import DecodeError as ProtobufDecodeError

from secagg.transport import service_pb2 as pb
from secagg.transport.errors import Refusal
from secagg.transport.refusals import CARRIED

DETAIL_KEY: Final = "secagg-error-bin"
_Code = grpc.StatusCode

CODES: Final[Mapping[Refusal, grpc.StatusCode]] = MappingProxyType(
    {refusal: getattr(_Code, carried.code) for refusal, carried in CARRIED.items()}
)
# What gRPC itself says when a connection breaks, is cut in the middle, or a server has too much to do.
_BROKEN: Final = frozenset(
    {_Code.UNAVAILABLE, _Code.CANCELLED, _Code.UNKNOWN, _Code.INTERNAL, _Code.DEADLINE_EXCEEDED}
    | {_Code.RESOURCE_EXHAUSTED, _Code.ABORTED}
)
# Said by TLS on this side: another attempt meets the same certificate.
_CERTIFICATE: Final = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification Check failed", "Peer name ")


def read_detail(error: grpc.aio.AioRpcError) -> pb.ErrorDetail | None:
    """Return what the server said about a failure, or None when it was no server of this service that said it."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAIL_KEY and isinstance(value, bytes):
            try:
                return pb.ErrorDetail.FromString(value)
            except ProtobufDecodeError:
                return None
    return None


def about_certificate(error: grpc.aio.AioRpcError) -> bool:
    """Whether TLS on this side refused what the server showed."""
    return read_detail(error) is None and any(text in (error.details() or "") for text in _CERTIFICATE)


def worth_another(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return False
    detail = read_detail(error)
    if detail is not None:
        return detail.retry
    return error.code() in _BROKEN and not about_certificate(error)

"""What gRPC is told of the bounds of the service."""

from __future__ import annotations

from typing import Final

from secagg.transport.limits import CLIENT_MESSAGE_BYTES, SERVER_MESSAGE_BYTES, ServiceLimits, connections_of

Options = tuple[tuple[str, int | str], ...]

WINDOW_BYTES: Final = 1 << 17
"""How far a sender may be ahead of the server: memory for each client that waits for its turn to upload."""
_LONGEST_MILLISECONDS: Final = (1 << 31) - 1  # gRPC's word for never


def _milliseconds(seconds: float) -> int:
    return min(_LONGEST_MILLISECONDS, max(1, round(seconds * 1000)))


def server_options(limits: ServiceLimits, elsewhere: int = 0) -> Options:
    """Options of a server: without those about pending requests, many calls at once are cancelled.

    Args:
        limits: of this server.
        elsewhere: connections that another server of this process may have.
    """
    return (
        ("grpc.max_allowed_incoming_connections", connections_of(limits, elsewhere)),
        ("grpc.server.max_pending_requests", limits.calls),
        ("grpc.server.max_pending_requests_hard_limit", 2 * limits.calls),
        ("grpc.max_concurrent_streams", limits.calls_per_connection),
        ("grpc.max_receive_message_length", SERVER_MESSAGE_BYTES),
        ("grpc.max_send_message_length", CLIENT_MESSAGE_BYTES),
        # Memory for an upload is a few chunks, however fast its sender is.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
        # Connections that died silently are found, and clients may look for that as often as we do.
        ("grpc.keepalive_time_ms", _milliseconds(limits.ping_seconds)),
        ("grpc.keepalive_timeout_ms", _milliseconds(limits.ping_seconds)),
        ("grpc.http2.ping_timeout_ms", _milliseconds(limits.ping_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        # Whoever connects and says nothing, or is done, keeps no place.
        ("grpc.server_handshake_timeout_ms", _milliseconds(limits.stall_seconds)),
        ("grpc.max_connection_idle_ms", _milliseconds(limits.idle_seconds)),
        ("grpc.max_connection_age_ms", _milliseconds(limits.age_seconds)),
        ("grpc.max_connection_age_grace_ms", _milliseconds(limits.age_seconds)),
        ("grpc.so_reuseport", 0),
    )


def channel_options(*, server_name: str | None, proxy: bool) -> Options:
    """Options of a client's channel; retries are ours, so that a login is renewed in between."""
    options: Options = (
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", int(proxy)),
        ("grpc.max_receive_message_length", CLIENT_MESSAGE_BYTES),
        ("grpc.max_send_message_length", SERVER_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # In spite of its name: how long a handshake may take.
        ("grpc.min_reconnect_backoff_ms", 20_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # Channels of one process with equal options would share one connection.
        ("grpc.use_local_subchannel_pool", 1),
    )
    if server_name is not None:
        options += (("grpc.ssl_target_name_override", server_name), ("grpc.default_authority", server_name))
    return options

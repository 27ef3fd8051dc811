"""Which node leaves the simulated run, and when."""

from __future__ import annotations

CLIENTS = 10
# Round of training, protocol round, client.
LEAVING = frozenset(
    {
        (1, "advertise_keys", 0),
        (1, "share_keys", 3),
        (1, "consistency_check", 7),
        (2, "share_keys", 9),
        (2, "unmasking", 2),
        (3, "masked_input", 8),
        (3, "masked_input", 9),
        (3, "unmasking", 0),
        (4, "consistency_check", 1),
        (4, "masked_input", 4),
        (5, "advertise_keys", 6),
        (5, "share_keys", 2),
        (5, "unmasking", 9),
    }
)

"""Many processes that host the same sessions, by way of one store: one goes on with a session, the others follow.

`SharedHost` is a `SessionHost`; whoever calls does not see which process has a session.
"""

from secagg.hosting.replicas.host import SharedHost

__all__ = ["SharedHost"]

"""What can go wrong, told apart as §1 and §8 tell it apart."""


class Undecodable(Exception):  # noqa: N818
    """Bytes that are no message, or no encoding: A08 for a client, S02 for the server."""


class Breach(Exception):  # noqa: N818
    """A rule of §8 is broken; `rule` is its id, such as C33, S20 or A05."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class LocalError(Exception):
    """The host of this party made a mistake, or the state tables of §7 say "refused": nothing has changed."""


def demand(holds: bool, rule: str) -> None:
    """Raise `Breach(rule)` unless the rule holds."""
    if not holds:
        raise Breach(rule)

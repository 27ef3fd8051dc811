"""Serves the reference on standard input and output: frames of a 4-byte big-endian length (`conformance.md`)."""

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import BinaryIO

from protocol_specs.testee import conformance_pb2 as pb
from protocol_specs.testee.faults import FAULTS
from protocol_specs.testee.reference_testee import ReferenceTestee


def serve(handle: Callable[[pb.Call], pb.Reply], reader: BinaryIO, writer: BinaryIO) -> None:
    """Answer calls until the input ends."""
    while len(head := reader.read(4)) == 4:
        reply = handle(pb.Call.FromString(reader.read(int.from_bytes(head, "big")))).SerializeToString()
        writer.write(len(reply).to_bytes(4, "big") + reply)
        writer.flush()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m protocol_specs.testee", description=__doc__)
    parser.add_argument("--fault", choices=sorted(FAULTS), help="break one rule on purpose")
    fault = parser.parse_args().fault
    with FAULTS[fault].planted() if fault else contextlib.nullcontext():
        serve(ReferenceTestee().handle, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()

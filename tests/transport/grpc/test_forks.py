"""A fork after the first use of gRPC is one sentence, not a wait for ever."""

from __future__ import annotations

import asyncio
import os

import pytest

from secagg import ParameterError
from secagg.transport.grpc import Operator
from secagg.transport.grpc.endpoint import GrpcEndpoint
from secagg.transport.grpc.forks import ForkGuard
from tests.faults.files import identity_of


def test_a_process_may_use_it_again_and_a_child_may_not() -> None:
    process = 17
    guard = ForkGuard(lambda: process)
    guard.require()
    guard.require()
    process = 18
    with pytest.raises(ParameterError, match="process 18 was forked from process 17, which has used gRPC"):
        guard.require()


def test_a_forked_child_is_told() -> None:
    async def use() -> None:
        async with Operator("127.0.0.1:1", identity=identity_of("operator"), insecure=True):
            pass

    asyncio.run(use())
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            GrpcEndpoint("127.0.0.1:1", None, True).open()
        except ParameterError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert f"forked from process {os.getpid()}" in said

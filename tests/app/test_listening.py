"""Listening sockets: bound together or not at all, and what hinders is told."""

import os
import socket

import pytest

from tidings.app import listening
from tidings.app.listen_options import ListenerOptions, TcpListener


def test_binds_every_address_of_a_listener_to_one_port():
    sockets = listening.bind("tcp", TcpListener(addresses=("127.0.0.1", "127.0.0.2"), port=0))
    try:
        assert {bound.getsockname()[0] for bound in sockets} == {"127.0.0.1", "127.0.0.2"}
        assert len({bound.getsockname()[1] for bound in sockets}) == 1
    finally:
        for bound in sockets:
            bound.close()


def test_localhost_is_loopback_only():
    sockets = listening.bind("http", ListenerOptions(addresses=("localhost",), port=0))
    assert {bound.getsockname()[0] for bound in sockets} <= {"127.0.0.1", "::1"}
    for bound in sockets:
        bound.close()


def test_a_taken_port_names_who_holds_it_and_keeps_nothing():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(listening.ListenError) as caught:
            listening.bind("tcp", TcpListener(addresses=("127.0.0.2", "127.0.0.1"), port=port))
    assert f"127.0.0.1:{port} is taken by " in str(caught.value)
    assert f"(process {os.getpid()})" in str(caught.value)
    assert "choose another `port` in [listen.tcp]" in str(caught.value)
    with socket.create_server(("127.0.0.2", port)):
        pass


def test_an_address_of_another_machine_is_told():
    with pytest.raises(
        listening.ListenError, match=r"no interface of this machine has the address 192\.0\.2\.1"
    ):
        listening.bind("tcp", TcpListener(addresses=("192.0.2.1",), port=0))

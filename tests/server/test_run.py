from __future__ import annotations

import json
import logging
import socket
import sys

import pytest

from policies.errors import ConfigError
from server.app import host_names
from server.gate import LOOPBACK
from server.logs import JsonLines
from server.run import listen, url_of


def test_a_socket_has_an_address_that_one_can_call() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert url_of(listening) == f"http://127.0.0.1:{port}"


def test_a_server_for_all_addresses_is_called_on_the_loopback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), listen("0.0.0.0", 0) as listening:
        assert url_of(listening).startswith("http://127.0.0.1:")
    assert "there is no sign-in" in caplog.text


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_address_of_ipv6_is_bracketed() -> None:
    try:
        listening = listen("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    with listening:
        assert url_of(listening).startswith("http://[::1]:")


def test_a_port_that_is_taken_is_told_with_a_remedy() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Can't listen on 127.0.0.1:{port}.*HANDRAIL_PORT"):
            listen("127.0.0.1", port)


def test_only_a_loopback_server_knows_its_names() -> None:
    assert host_names("127.0.0.1") == LOOPBACK
    assert host_names("0.0.0.0") is None


def test_a_log_line_is_one_json_object() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        record = logging.LogRecord("handrail", logging.ERROR, "f", 1, "%s failed", ("run_1",), sys.exc_info())
    line = json.loads(JsonLines().format(record))
    assert (line["level"], line["logger"], line["message"]) == ("error", "handrail", "run_1 failed")
    assert line["exception"].endswith("ValueError: wrong")

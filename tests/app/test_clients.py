"""clients: whose a request is, and whose session is forgotten for want of room."""

from types import SimpleNamespace

import pytest

from fer.app.clients import Sessions, client_of


@pytest.mark.parametrize(
    "address, client",
    [("10.0.0.1", "10.0.0.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("testclient", "testclient")],
)
def test_a_client_is_an_address_or_of_ipv6_its_whole_network(address: str, client: str):
    """What it says of itself in X-Forwarded-For counts for nothing."""
    assert client_of({"client": (address, 1), "headers": [(b"x-forwarded-for", b"10.9.9.9")]}) == client


def test_on_a_space_it_is_the_address_that_the_hubs_proxy_saw(monkeypatch):
    """The last one; those before it come from the client."""
    monkeypatch.setenv("SPACE_ID", "someone/faces")
    assert client_of({"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"1.1.1.1, 8.8.8.8")]}) == "8.8.8.8"


@pytest.fixture
def sessions() -> Sessions:
    """Room for 100, of which a visitor has one, used longest ago."""
    sessions = Sessions()
    sessions.set_blocks(SimpleNamespace(state_session_capacity=100))
    add(sessions, "visitor", "10.0.0.1")
    return sessions


def add(sessions: Sessions, session: str, client: str) -> None:
    sessions.told(session, client)
    sessions.session_data[session] = SimpleNamespace()
    assert sessions[session]


def test_a_client_with_110_sessions_makes_nobody_else_lose_a_face(sessions: Sessions):
    """It loses its own, the longest unused first."""
    for number in range(110):
        add(sessions, f"s{number}", "10.0.0.2")
    assert len(sessions.session_data) == 100 and "visitor" in sessions and "s109" in sessions
    assert "s10" not in sessions and "s11" in sessions


def test_nobody_can_take_a_session_for_their_own(sessions: Sessions):
    """Who speaks of it first has it."""
    sessions.told("visitor", "10.0.0.2")
    assert sessions.clients["visitor"] == "10.0.0.1"

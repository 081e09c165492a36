"""Whose a request is, and what one client may have of the page's memory.

client_of(scope)     the client of a request
Sessions             Gradio's store of visitors' states, in which a client displaces its own sessions first
"""

import ipaddress
import os
from collections import Counter, OrderedDict

from gradio.state_holder import StateHolder

KNOWN = 10_000  # sessions whose client is remembered


def client_of(scope: dict) -> str:
    """The client's address; of IPv6 its network of 64 bits, which one client has whole.

    On a Space every request comes from the Hub's proxy, which adds the address that it saw to X-Forwarded-For.
    """
    address = (scope.get("client") or ("unknown",))[0]
    if "SPACE_ID" in os.environ:
        forwarded = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
        address = forwarded[-1].decode("latin-1").rpartition(",")[2].strip() if forwarded else address
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_interface((found, 64)).network) if found.version == 6 else str(found)


class Sessions(StateHolder):
    """Where there is no room for another session, the client that has most of them loses its longest unused one."""

    def __init__(self):
        super().__init__()
        self.clients: OrderedDict[str, str] = OrderedDict()  # the client of each session

    def told(self, session: str, client: str) -> None:
        """A session's client: the one that spoke of it first, so that nobody else can be made to lose it."""
        self.clients.setdefault(session, client)
        while len(self.clients) > KNOWN:
            self.clients.popitem(last=False)

    def update(self, session_id: str) -> None:
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
                if session_id in self.clients:
                    self.clients.move_to_end(session_id)
            while len(self.session_data) > self.capacity:
                self._forget_one(session_id)

    def _forget_one(self, newest: str) -> None:
        count = Counter(self.clients.get(session, "") for session in self.session_data)
        most = max(count.values())
        session = next(
            session
            for session in self.session_data
            if count[self.clients.get(session, "")] == most and session != newest
        )
        del self.session_data[session]
        self.time_last_used.pop(session, None)
        self.clients.pop(session, None)

"""Lines of bounded length, in which a client has a share, and in which only work that somebody waits for is done.

bound(page)     gives every kind of work of a built page a line of its own; see `demo.build`
wanted()        whether anybody still waits for the answer that a handler is working on
Listening       ASGI middleware that knows which answers are being waited for

Gradio has one bound for all lines together, so that whoever waits for an ascent would keep others from having a
photograph read; of a full one it says "Error"; and it computes what nobody has ever asked the answer of.
"""

import re
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

import gradio as gr
from gradio.context import LocalContext
from gradio.queueing import Event, EventQueue, Queue
from gradio.route_utils import get_fn
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import error_payload

from fer.app.clients import client_of
from fer.app.errors import user_error

LONGEST = 24  # visitors who wait in one line: for two seconds each, at two cores, not quite half a minute
MOST = 256  # in all lines; Gradio's own bound
SHARE = 12  # of them of one client in one line
SESSION = 8  # and of one session
UNHEARD = 10  # seconds for which work waits for somebody to listen to its answer
DEADLINE = 120  # seconds that anything may wait
CLIENTS = 1000  # whose turns are remembered

FULL = "The page is busy: {} others are waiting for the same. Please try again in a minute."
ENOUGH = "You have {} of these waiting already. Please wait for their answers."
LATE = f"This has waited for {DEADLINE} seconds, and was given up. Please try again later."
_ANSWER = re.compile(r"/gradio_api/(?:queue/data|call/(?:v2/)?[^/]+/([^/]+))/?")


class Listening:
    """ASGI middleware: `hears(event)` is whether the stream that an event's answer goes to is open."""

    def __init__(self, app: Callable | None = None):
        self.app = app
        self.open: Counter[str] = Counter()  # streams by session, or by event

    async def __call__(self, scope, receive, send):
        with self._listens(_stream(scope)):
            await self.app(scope, receive, send)

    @contextmanager
    def _listens(self, name: str | None) -> Iterator[None]:
        if name is None:
            yield
            return
        self.open[name] += 1
        try:
            yield
        finally:
            self.open[name] -= 1
            if not self.open[name]:
                del self.open[name]

    def hears(self, event: Event) -> bool:
        return event.session_hash in self.open or event._id in self.open


def _stream(scope: dict) -> str | None:
    """The session, or the event, whose answer a request asks for."""
    if scope["type"] != "http" or scope["method"] != "GET" or not (found := _ANSWER.fullmatch(scope["path"])):
        return None
    return found[1] or parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [None])[0]


def wanted() -> bool:
    """Whether anybody waits for what the handler that calls this is working on; True outside of the queue."""
    page, number = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    event = page._queue.event_ids_to_events.get(number) if page and number else None
    return event is None or event.alive


def bound(page: gr.Blocks) -> gr.Blocks:
    """The page, whose lines are those of `Lines` from now on; `page.listening` is to be told who listens."""
    page.listening = Listening()
    Lines(page._queue, page, page.listening)
    return page


class Lines:
    """Takes the place of two methods of Gradio's queue: who may come into a line, and whose turn it is."""

    def __init__(self, queue: Queue, page: gr.Blocks, listening: Listening):
        self.queue, self.page, self.listening = queue, page, listening
        self.turns: OrderedDict[tuple, int] = OrderedDict()  # when a client, or a session, was last served in a line
        self.served, self.looked = 0, 0.0
        self.push, queue.push, queue.get_events = queue.push, self.push_where_there_is_room, self.next_events

    async def push_where_there_is_room(self, body, request, username):
        """As `Queue.push`. What does not fit is answered at once, and not kept."""
        name = get_fn(self.page, None, body).concurrency_id
        line = self.queue.event_queue_per_concurrency_id.get(name)
        words = self._make_room(line.queue if line else [], client_of(request.scope), body.session_hash)
        success, found, state = await self.push(body=body, request=request, username=username)
        if success and (event := self.queue.event_ids_to_events.get(found)):
            self.page.state_holder.told(event.session_hash, client_of(request.scope))
            if words:
                await self.queue.remove_from_queue(found)
                self._answer(event, words)
        return success, found, state

    def _make_room(self, line: list[Event], client: str, session: str | None) -> str | None:
        """None once there is room for one more, or what is told; what nobody listens to makes room first."""
        everybody = [event for queue in self.queue.event_queue_per_concurrency_id.values() for event in queue.queue]
        of_client = [event for event in line if client_of(event.request.scope) == client]
        of_session = [event for event in line if session and event.session_hash == session]
        for several, most, words in (
            (of_session, SESSION, ENOUGH), (of_client, SHARE, ENOUGH), (line, LONGEST, FULL), (everybody, MOST, FULL),
        ):  # fmt: skip
            if len(several) < most:
                continue
            unheard = next((event for event in several if not self.listening.hears(event)), None)
            if unheard is None:
                return words.format(len(several))
            self._drop(unheard)
        return None

    def next_events(self) -> tuple[list[Event], bool, str] | None:
        """As `Queue.get_events`: of a line with a free place, what somebody listens to, fairly; none is a batch."""
        self._tidy()
        free = [line for line in self.queue.event_queue_per_concurrency_id.values() if line.queue and _has_place(line)]
        for line in sorted(free, key=self._last_served):
            heard = [event for event in line.queue if self.listening.hears(event)]
            if heard:
                event = min(heard, key=self._last_turn)
                line.queue.remove(event)
                self._note_turn(event)
                return [event], False, line.concurrency_id
        return None

    def _last_served(self, line: EventQueue) -> int:
        return self.turns.get((line.concurrency_id,), 0)

    def _last_turn(self, event: Event) -> tuple[int, int]:
        return tuple(self.turns.get(key, 0) for key in _keys(event)[1:])

    def _note_turn(self, event: Event) -> None:
        self.served += 1
        for key in _keys(event):
            self.turns[key] = self.served
            self.turns.move_to_end(key)
        while len(self.turns) > CLIENTS:
            self.turns.popitem(last=False)

    def _tidy(self) -> None:
        """Twice a second: what nobody listens to goes, and what has waited too long is told so."""
        now = time.monotonic()
        if now - self.looked < 0.5:
            return
        self.looked = now
        for line in self.queue.event_queue_per_concurrency_id.values():
            for event in list(line.queue):
                heard, waited = self.listening.hears(event), now - event.enqueue_time
                if not heard and waited > UNHEARD:
                    self._drop(event)
                elif waited > DEADLINE:
                    self._drop(event, LATE)

    def _drop(self, event: Event, words: str | None = None) -> None:
        """Takes an event out of its line; with words for it if somebody listens, and else as if it had never been."""
        self.queue.event_queue_per_concurrency_id[event.concurrency_id].queue.remove(event)
        self.queue.event_ids_to_events.pop(event._id, None)
        if words:
            return self._answer(event, words)
        events = self.queue.pending_event_ids_session.get(event.session_hash, set())
        events.discard(event._id)
        if not events:
            self.queue.pending_event_ids_session.pop(event.session_hash, None)
            self.queue.pending_messages_per_session.pop(event.session_hash, None)

    def _answer(self, event: Event, words: str) -> None:
        told = error_payload(user_error(words), False)
        self.queue.send_message(event, ProcessCompletedMessage(output=told, success=False))


def _has_place(line: EventQueue) -> bool:
    return line.concurrency_limit is None or line.current_concurrency < line.concurrency_limit


def _keys(event: Event) -> tuple[tuple, tuple, tuple]:
    """The line, a client in it, and a session in it."""
    line, client = event.concurrency_id, client_of(event.request.scope)
    return (line,), (line, client), (line, client, event.session_hash)

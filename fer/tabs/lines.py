"""Lines of bounded length: who comes to one that is full is told so at once, and everybody else is answered.

bound(page)     gives every kind of work of a built page a line of its own; see `demo.build`

Gradio has one bound for all lines together, so that whoever waits for an ascent would keep others from having a
photograph read; and of a full one it says "Error".
"""

import gradio as gr
from gradio.route_utils import get_fn
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import error_payload

from fer.tabs.shared import refusal

LONGEST = 24  # visitors who wait in one line: for two seconds each, at two cores, not quite half a minute
MOST = 256  # in all lines; Gradio's own bound

FULL = "The page is busy: {} others are waiting for the same. Please try again in a minute."


def bound(page: gr.Blocks) -> gr.Blocks:
    """The page, whose queue answers at once, and does not keep, what comes to a line that is full."""
    queue, push = page._queue, page._queue.push

    async def push_where_there_is_room(body, request, username):
        line = queue.event_queue_per_concurrency_id.get(get_fn(page, None, body).concurrency_id)
        waiting = len(line.queue) if line else 0
        success, found, state = await push(body=body, request=request, username=username)
        if success and waiting >= LONGEST and (event := queue.event_ids_to_events.get(found)):
            await queue.remove_from_queue(found)
            answer = error_payload(refusal(FULL.format(waiting)), False)
            queue.send_message(event, ProcessCompletedMessage(output=answer, success=False))
        return success, found, state

    queue.push = push_where_there_is_room
    return page

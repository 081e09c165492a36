"""What the server answers to a live frame, as functions; tests/test_live_page.py has the browser."""

import base64
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
import torch
from captum import attr
from PIL import Image

from fer.app import blocks, model_cache
from fer.app.predict import live
from tests.pages import HAPPY, example_face, sealed_off, write_networks

VISITOR, OTHER = "0" * 36, "1" * 36


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_networks(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module", autouse=True)
def uploads(tmp_path_factory):
    with sealed_off(tmp_path_factory.mktemp("uploads")) as folder:
        yield folder


def frame(*positions: int, size: tuple[int, int] = (320, 240)) -> str:
    """A JPEG, as the browser sends it, with the happy example at each position from the left."""
    picture, stream = Image.new("L", size, 128), io.BytesIO()
    for x in positions:
        picture.paste(example_face(120), (x, 60))
    picture.convert("RGB").save(stream, "JPEG", quality=80)
    return live.PREFIX + base64.b64encode(stream.getvalue()).decode()


def asked(**changes) -> dict:
    return {"visitor": VISITOR, "network": "compact", "at": 1.0, "smoothing": 0.5, "frame": frame(100)} | changes


class Live:
    """A page's own visitors and turns."""

    def __init__(self, weights, turns: int = 2):
        self.weights, self.visitors, self.turns = weights, live.Visitors(), live.Turns(turns)

    def __call__(self, **changes) -> dict:
        return live.answer(asked(**changes), self.weights, self.visitors, self.turns)


def test_a_frame_gets_its_face_with_number_box_word_bars_and_crop(weights):
    answer = Live(weights)()
    (face,) = answer["faces"]
    x, y, width, height = face["box"]
    assert abs(x + width / 2 - 160) < 12 and abs(y + height / 2 - 120) < 12
    assert (face["number"], face["emotion"], face["low_confidence"]) == (1, "happy", False)
    assert face["probabilities"]["happy"] == pytest.approx(HAPPY, abs=1e-3)
    assert len(base64.b64decode(face["crop"])) == 48 * 48
    assert tuple(answer["size"]) == (320, 240) and answer["milliseconds"] > 0


def test_no_face_and_an_unsure_one_are_told_apart(weights):
    ask = Live(weights)
    assert ask(frame=frame())["faces"] == []
    assert ask(network="cnn")["faces"][0]["low_confidence"] is True


def test_visitors_share_no_numbers_and_a_network_of_one_is_none_of_the_other(weights):
    """Two faces come before one visitor, and one before the other."""
    ask = Live(weights)
    assert [face["number"] for face in ask(frame=frame(10, 190))["faces"]] in ([1, 2], [2, 1])
    assert [face["number"] for face in ask(visitor=OTHER, network="cnn")["faces"]] == [1]
    assert ask(at=1.1)["faces"][0]["emotion"] == "happy"


def test_a_visitor_is_forgotten_on_leaving_and_half_a_minute_after_the_last_frame(weights):
    now = [0.0]
    visitors = live.Visitors(seconds=30, clock=lambda: now[0])
    network = model_cache.load_network(weights, "compact")
    first = visitors.tracker(VISITOR, network)
    now[0] = 29
    assert visitors.tracker(VISITOR, network) is first
    now[0] = 60
    assert len(visitors) == 0 and visitors.tracker(VISITOR, network) is not first
    visitors.forget(VISITOR)
    assert len(visitors) == 0


def test_of_too_many_visitors_the_one_unused_for_longest_goes(weights):
    visitors, network = live.Visitors(most=2), model_cache.load_network(weights, "compact")
    trackers = {name: visitors.tracker(name, network) for name in "abc"}
    assert len(visitors) == 2
    assert visitors.tracker("c", network) is trackers["c"] and visitors.tracker("b", network) is trackers["b"]


def test_what_a_visitor_leaves_in_memory_are_numbers_not_pixels(weights):
    """The tracker's faces: boxes and one vector of log-probabilities, no array as large as a crop."""
    ask = Live(weights)
    ask()
    (_, tracker) = ask.visitors._trackers[VISITOR]
    arrays = [value for track in tracker._tracks for value in vars(track).values() if isinstance(value, np.ndarray)]
    assert [array.shape for array in arrays] == [(7,), (7,)]


def test_who_finds_no_turn_is_told_so(weights, monkeypatch):
    monkeypatch.setattr(live, "PATIENCE", 0.01)
    ask = Live(weights, turns=1)
    with ask.turns.free:
        assert ask() == {"busy": True}
    assert "faces" in ask()


def test_of_those_who_wait_for_a_turn_no_more_than_a_few_hold_a_thread_of_the_page():
    """One reads, one may wait; a third is told so at once, although it would have half a minute's patience."""
    turns, go = live.Turns(1, waiting=1), threading.Event()
    with ThreadPoolExecutor(2) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "PATIENCE", 30)
        both = [pool.submit(turns.take, lambda: {"read": go.wait(20)}) for _ in range(2)]
        taken_up(turns.room)
        assert turns.take(dict) is None
        go.set()
        assert [one.result() for one in both] == [{"read": True}] * 2
    assert turns.take(dict) == {}


def taken_up(room: threading.BoundedSemaphore) -> None:
    """Returns once there is no room left."""
    while room.acquire(blocking=False):
        room.release()


def test_what_breaks_within_captum_is_told_in_a_sentence_and_the_next_frame_is_read(weights, monkeypatch, caplog):
    """Where the turn was not given back, or an exception left as no answer at all, the view would stand still."""
    ask = Live(weights, turns=1)
    with monkeypatch.context() as patch:
        patch.setattr(attr.Saliency, "attribute", lambda *_, **__: [][0])
        assert ask(why=True) == {"refused": blocks.UNFORESEEN}
    assert "list index out of range" in caplog.text
    assert ask(why=True)["faces"][0]["why"]


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"visitor": "me"}, "load it again"),
        ({"visitor": None}, "load it again"),
        ({"frame": None}, "small JPEG"),
        ({"frame": "data:image/png;base64,AAAA"}, "small JPEG"),
        ({"frame": live.PREFIX + "A" * 400_000}, "small JPEG"),
        ({"frame": live.PREFIX + "%%%"}, "damaged"),
        ({"frame": live.PREFIX + "AAAA"}, "damaged"),
        ({"frame": frame(size=(700, 48))}, "700 x 48 pixels; 640 are enough"),
        ({"frame": frame(100)[:-3000]}, "damaged"),
        ({"smoothing": -1}, "smoothing is -1"),
        ({"smoothing": "much"}, "smoothing is much"),
        ({"at": float("nan")}, "at is nan"),
        ({"at": True}, "at is True"),
        ({"network": "../compact"}, "no network"),
        ({"network": ["compact"]}, "no network"),
        ({"network": "dnn"}, "broken"),
    ],
)
def test_what_no_browser_of_ours_would_send_gets_a_sentence(weights, changes, sentence):
    ask = Live(weights)
    assert sentence in ask(**changes)["refused"]
    assert ask.turns.free._value == 2  # no turn is lost


def test_no_object_at_all_gets_a_sentence_too(weights):
    ask = Live(weights)
    assert "load it again" in live.answer(None, weights, ask.visitors, ask.turns)["refused"]


def test_a_frozen_face_goes_to_the_other_tabs_and_anything_else_does_not():
    pixels = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)
    event = SimpleNamespace(crop=base64.b64encode(pixels.tobytes()).decode())
    assert (live.taken(event) == pixels).all()
    for crop in (None, "AAAA", "no base64", 7):
        with pytest.raises(gr.Error, match="no face to take over"):
            live.taken(SimpleNamespace(crop=crop))


def test_frames_are_read_by_one_thread_each_and_torch_keeps_its_own_number(weights):
    """A face is too little to share among threads; all other work still is."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert live.Turns(2).take(torch.get_num_threads) == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_why_lays_a_map_over_the_square_that_was_read(weights):
    """48x48 pixels of red, blue and opacity, and only when asked for; a network of random weights has a gradient."""
    (face,) = Live(weights)(why=True, network="compact-ferplus")["faces"]
    colours = np.frombuffer(base64.b64decode(face["why"]), np.uint8).reshape(48, 48, 4)
    assert colours[..., 3].max() == 200 and len(face["square"]) == 4
    assert "why" not in Live(weights)()["faces"][0]

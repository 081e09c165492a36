"""The Video view: one film at a time, who waits is told, and nothing of a film is left."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import pytest
from gradio.utils import get_upload_folder

from fer.app.predict import video
from fer.inference import video as inference_video
from tests.inference.test_prediction import LEFT, Brightness, finding, picture
from tests.inference.test_video import film as made_film


@pytest.fixture
def payload(tmp_path, monkeypatch) -> dict:
    """Two seconds of film among the uploads, a network and a detector."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr(video, "load_network", lambda weights, name: Brightness().eval())
    monkeypatch.setattr(video, "load_detector", lambda: finding(LEFT))
    Path(get_upload_folder()).mkdir()
    return {"path": str(made_film(Path(get_upload_folder(), "clip.avi"), [picture()] * 20))}


def watching(payload: dict, reader: ThreadPoolExecutor, turns: video.Turns, stopping: dict):
    return video.watch(payload, "compact", 0.5, stopping, weights=Path(), reader=reader, turns=turns)


def text(outputs: tuple) -> str:
    return outputs[0].value


def folders() -> list[str]:
    return [path.name for path in Path(get_upload_folder()).glob("film-*")]


def test_who_waits_is_told_how_many_films_come_first_and_is_read_when_they_are_done(payload, monkeypatch):
    """Three visitors; the second stops while waiting, so the third is next."""
    monkeypatch.setattr(video, "EVERY", 0.0)

    async def visit():
        with ThreadPoolExecutor(1) as reader:
            turns, stops = video.Turns(), [{}, {}, {}]
            first, second, third = (watching(payload, reader, turns, stop) for stop in stops)
            assert "Opening" in text(await anext(first))
            assert "Another video is processed before yours: at most 2 minutes" in text(await anext(second))
            assert "2 other videos are processed before yours: at most 4 minutes" in text(await anext(third))
            stops[1]["stop"] = True
            assert [text(outputs) for outputs in [each async for each in second]] == [video.EMPTY]
            assert "Another video" in text(await anext(third))
            assert "20 frames, 1.9 seconds: face 1" in text([outputs async for outputs in first][-1])
            assert "20 frames, 1.9 seconds: face 1" in text([outputs async for outputs in third][-1])

    asyncio.run(visit())
    assert folders() == []


def test_a_line_that_is_full_says_so(payload):
    async def visit():
        turns = video.Turns()
        with ThreadPoolExecutor(1) as reader:
            line = [watching(payload, reader, turns, {}) for _ in range(video.WAITING + 1)]
            for each in line:
                await anext(each)
            with pytest.raises(gr.Error, match="6 other videos are queued"):
                await anext(watching(payload, reader, turns, {}))
            for each in line:
                await each.aclose()

    asyncio.run(visit())


def test_a_visitor_who_leaves_leaves_nothing_and_no_error(payload, capfd):
    """In the midst of the reading: the files are closed before their folder is deleted."""

    async def visit():
        with ThreadPoolExecutor(1) as reader:
            going = watching(payload, reader, video.Turns(), {})
            await anext(going)
            assert "Frame 1 of" in text(await anext(going)) and len(folders()) == 1
            await going.aclose()

    asyncio.run(visit())
    assert folders() == [] and "Error" not in capfd.readouterr().err


def test_what_is_handed_out_is_still_there_when_the_film_s_own_folder_is_gone(payload):
    async def visit():
        with ThreadPoolExecutor(1) as reader:
            return [outputs async for outputs in watching(payload, reader, video.Turns(), {})][-1]

    _, marked, timeline, files, _ = asyncio.run(visit())
    handed = [Path(file) for file in (marked["value"], timeline["value"], *files["value"])]
    assert folders() == [] and [file.suffix for file in handed] == [".webm", ".png", ".csv", ".json"]
    assert all(file.stat().st_size and file.is_relative_to(get_upload_folder()) for file in handed)


def test_a_film_beyond_its_budget_says_how_far_it_came(payload, monkeypatch):
    monkeypatch.setattr(video, "LIMITS", inference_video.Limits(frames=5))

    async def visit():
        with ThreadPoolExecutor(1) as reader:
            return [text(outputs) async for outputs in watching(payload, reader, video.Turns(), {})]

    assert "Stopped at the limit of 5 frames: 0.4 of 2.0 seconds were read." in asyncio.run(visit())[-1]


def test_the_folder_of_a_page_that_was_killed_is_deleted_and_that_of_another_page_is_kept(payload):
    """Of a process that is no more, of an earlier one of our own number, and of a living one (our parent)."""
    uploads = Path(get_upload_folder())
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    for process in (child, os.getpid(), os.getppid()):
        (uploads / f"film-{process}-abc").mkdir()
        (uploads / f"film-{process}-abc" / "clip-read.webm").write_bytes(b"film")
    with video.scratch() as own:
        assert sorted(folders()) == sorted([own.name, f"film-{os.getppid()}-abc"])

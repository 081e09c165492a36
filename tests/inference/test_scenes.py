"""Hard cuts between made-up scenes, and what is none: motion, pans, zooms, flashes, fades."""

import cv2
import numpy as np
import pytest

from fer.inference.frames import Frame
from fer.inference.scenes import detect_cuts

RATE = 15  # frames a second


def scene(seed: int, side: int = 400) -> np.ndarray:
    """Coloured clouds of many sizes, RGB uint8 (side, side, 3)."""
    draw = np.random.default_rng(seed)
    colour, clouds = draw.uniform(40, 200, 3), np.zeros((side, side, 3), np.float32)
    for cells in (3, 6, 12, 24):
        some = draw.normal(0, 60 / cells**0.5, (cells, cells, 3)).astype(np.float32)
        clouds += cv2.resize(some, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(colour + clouds, 0, 255).astype(np.uint8)


def cuts(pictures: list[np.ndarray], rate: float = RATE) -> list[int]:
    """The places of the frames with which a scene begins."""
    frames = [Frame(place + 1, place / rate, picture) for place, picture in enumerate(pictures)]
    told = list(detect_cuts(frames))
    assert [frame.number for frame, _ in told] == [frame.number for frame in frames]
    return [frame.number - 1 for frame, cut in told if cut]


def brighter(picture: np.ndarray, by: np.ndarray | float) -> np.ndarray:
    return np.clip(picture.astype(np.float32) + by, 0, 255).astype(np.uint8)


def times(picture: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(picture * float(factor), 0, 255).astype(np.uint8)


SEEDS = range(6)


@pytest.mark.parametrize("rate", [2, 15, 60])
def test_a_cut_is_seen_at_its_first_frame(rate: float):
    """Between all 30 pairs of six scenes; of sampled films with two frames a second at least two in three."""
    found = [cuts([scene(a)] * 3 + [scene(b)] * 4, rate) for a in SEEDS for b in SEEDS if a != b]
    assert all(places in ([3], []) for places in found) and found.count([3]) >= (20 if rate == 2 else 30)


def test_two_cuts_are_two_also_of_grey_films():
    grey = [np.repeat(scene(seed)[..., :1], 3, 2) for seed in (0, 1, 2)]
    assert cuts([grey[0]] * 12 + [grey[1]] * 12 + [grey[2]] * 12) == [12, 24]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "kind, change",
    [
        ("pan", lambda large, k: large[100 : 500, 60 * k : 60 * k + 400]),
        ("tilt", lambda large, k: large[50 * k : 50 * k + 400, 100:500]),
        ("zoom", lambda large, k: cv2.resize(large[25 * k : 800 - 25 * k, 25 * k : 800 - 25 * k], (400, 400))),
        ("fade through black", lambda large, k: times(large[:400, :400], (1, 0.6, 0.2, 0, 0.2, 0.6, 1)[k])),
        ("lights off and on", lambda large, k: times(large[:400, :400], (1, 1, 0.2, 0.2, 0.2, 1, 1)[k])),
        ("flash", lambda large, k: times(large[:400, :400], (1, 1, 1, 4, 2, 1, 1)[k])),
        ("white frame", lambda large, k: brighter(large[:400, :400], (0, 0, 0, 255, 255, 0, 0)[k])),
        (
            "flash on one side",
            lambda large, k: brighter(
                large[:400, :400], np.where(np.arange(400)[:, None] < 200, (0, 0, 0, 200, 150, 0, 0)[k], 0)
            ),
        ),
    ],
)  # fmt: skip
def test_what_is_no_cut(kind: str, change, seed: int):
    """Seven frames each; pans of 60 of 400 pixels from frame to frame."""
    assert cuts([change(scene(seed, 800), k) for k in range(7)]) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_somebody_who_runs_across_a_scene_is_no_cut(seed: int):
    """A quarter of the picture, 80 pixels a frame, in from one side and out at the other."""
    frames = []
    for left in range(-160, 400, 80):
        frame = np.pad(scene(seed), ((0, 0), (200, 200), (0, 0)))
        frame[100:300, 200 + left : 400 + left] = scene(seed + 50, 200)
        frames.append(frame[:, 200:600])
    assert cuts(frames) == []


def test_a_film_that_ends_in_a_brighter_scene_keeps_its_last_frames():
    """They are held back for half a second, for the old scene might come back."""
    dark, bright = times(scene(0), 0.4), brighter(scene(1), 60)
    assert cuts([dark] * 5 + [bright] * 3) == [5]

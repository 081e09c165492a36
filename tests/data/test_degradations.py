"""degradations: each does to a face what its name says, in numbers worked out by hand."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fer.data import degradations

# A diagonal wave with a dark square in it: smooth and hard edges.
PLACE = torch.arange(48)
FACE = (0.5 + 0.4 * torch.sin((PLACE[:, None] + 2 * PLACE) / 7.0))[None, None]
FACE[..., 10:20, 12:30] = 0.1


def strength(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("quality", [5, 10, 30, 49, 50, 70, 95])
def test_jpeg_is_what_pillow_makes_of_the_same_face(quality: int):
    """A quarter of a grey level in the mean, where compression itself changes up to 10."""
    pixels = (FACE[0, 0] * 255).round().byte()
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=quality)
    expected = torch.from_numpy(np.array(Image.open(file))).float()
    found = degradations.jpeg(pixels[None, None].float() / 255, strength(quality))[0, 0] * 255
    assert (found - expected).abs().mean() < 0.35
    assert (found - pixels).abs().mean() == pytest.approx((expected - pixels).abs().mean().item(), abs=0.1)


def test_quantisation_tables_are_libjpegs():
    """Quality 50 is the standard table, which begins 16, 11; 10 has five times that; 100 is all ones; 1 ends at 255."""
    tables = degradations.quantisation_tables(strength(50, 10, 100, 1))
    assert [table[0, :2].tolist() for table in tables] == [[16, 11], [80, 55], [1, 1], [255, 255]]
    assert tables[0, 7].tolist() == [72, 92, 95, 98, 112, 100, 103, 99]


def test_jpeg_takes_sides_that_are_no_multiple_of_eight():
    """A face of 42 pixels stays one; what is even stays so."""
    assert degradations.jpeg(FACE[..., :42, :42], strength(10)).shape == (1, 1, 42, 42)
    even = torch.full((1, 1, 42, 42), 64 / 255)
    torch.testing.assert_close(degradations.jpeg(even, strength(50)), even)


def test_blur_spreads_a_point_as_the_gaussian_does():
    """Sigma 1: a point keeps 1 / (2 pi) of its light, its neighbour exp(-1/2) of that; sigma 0 changes nothing."""
    point = torch.zeros(2, 1, 48, 48)
    point[:, 0, 24, 24] = 1
    blurred = degradations.gaussian_blur(point, strength(1, 0))
    assert blurred[0, 0, 24, 24].item() == pytest.approx(0.15915, abs=1e-4)
    assert (blurred[0, 0, 24, 25] / blurred[0, 0, 24, 24]).item() == pytest.approx(0.60653, abs=1e-4)
    assert torch.equal(blurred[1], point[1])


def test_low_resolution_averages_areas():
    """24 of 48: pixels are averaged by 2 x 2, so a checkerboard becomes grey; 48 changes nothing."""
    board = ((PLACE[:, None] + PLACE) % 2).float()[None, None]
    torch.testing.assert_close(degradations.low_resolution(board, torch.tensor([24])), torch.full_like(board, 0.5))
    torch.testing.assert_close(degradations.low_resolution(FACE, torch.tensor([48])), FACE)


def test_motion_blur_smears_along_its_line_only():
    """5 pixels at angle 0 spread a point over a fifth each along its row; at 90 degrees along its column."""
    point = torch.zeros(2, 1, 48, 48)
    point[:, 0, 24, 24] = 1
    level, upright = degradations.motion_blur(point, strength(5, 5), strength(0, np.pi / 2))[:, 0]
    assert level[24, 21:28].tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0.2, 0.2, 0], abs=1e-5)
    torch.testing.assert_close(upright, level.T, atol=1e-5, rtol=0)


def test_noise_has_the_deviation_that_was_asked_for():
    """25 of 255 about middle grey, within 3 %; 0 changes nothing; each face has its own."""
    grey = torch.full((3, 1, 48, 48), 0.5)
    noisy = degradations.gaussian_noise(grey, strength(25 / 255, 25 / 255, 0), generator())
    assert noisy[0].std().item() * 255 == pytest.approx(25, rel=0.03)
    assert torch.equal(noisy[2], grey[2]) and not torch.equal(noisy[0], noisy[1])


def test_brightness_multiplies_and_contrast_keeps_the_mean():
    """.2 of the light; .3 of the differences; both stay within 0..1."""
    assert degradations.brightness(FACE, strength(0.2)).max().item() == pytest.approx(0.2 * FACE.max().item())
    assert degradations.brightness(FACE, strength(3)).max() == 1
    flat = degradations.contrast(FACE, strength(0.3))
    assert flat.mean().item() == pytest.approx(FACE.mean().item(), abs=1e-5)
    assert flat.std().item() == pytest.approx(0.3 * FACE.std().item(), rel=1e-4)


def test_probability_says_how_many_faces_are_degraded():
    """None at 0; at 1 all but the 9 % on whom none of five falls; the same seed gives the same faces."""
    faces = FACE.expand(1000, 1, 48, 48)
    assert torch.allclose(degradations.degrade(faces, 0.0, generator()), faces, atol=1e-6)
    spoilt = degradations.degrade(faces, 1.0, generator())
    unchanged = ((spoilt - faces).abs().amax((1, 2, 3)) < 1e-3).float().mean().item()
    assert unchanged == pytest.approx(0.75 * 0.7 * 0.75 * 0.5 * 0.7, abs=0.035)
    assert torch.equal(spoilt, degradations.degrade(faces, 1.0, generator()))
    assert spoilt.min() >= 0 and spoilt.max() <= 1

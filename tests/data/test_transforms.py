"""augmentation: every step does what its name says, and nothing where its setting is 0."""

import pytest
import torch

from fer.data.transforms import Augmentation, augment, jitter, mixup, random_affine, random_erase

NOTHING = Augmentation(hflip_prob=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(batch: int = 1) -> torch.Tensor:
    """Faces that brighten evenly from left to right."""
    return torch.linspace(0, 1, 48).expand(batch, 1, 48, 48).clone()


def test_all_settings_at_0_leave_the_faces_as_they_are():
    """Bit by bit, not nearly."""
    faces = torch.rand(4, 1, 48, 48)
    assert torch.equal(augment(faces, NOTHING, generator()), faces)


def test_flip_1_mirrors_every_face():
    """Alone it is exact; together with the resampling it is the same to a thousandth."""
    faces = torch.rand(4, 1, 48, 48)
    assert torch.equal(augment(faces, Augmentation(hflip_prob=1), generator()), faces.flip(-1))
    resampled = random_affine(faces, Augmentation(hflip_prob=1, degrees=1e-4), generator(), 48)
    assert torch.allclose(resampled, faces.flip(-1), atol=1e-3)


def test_flip_half_mirrors_half_of_the_faces():
    """480 to 520 of 1,000 would be luck; 430 to 570 is more than four deviations."""
    mirrored = augment(ramp(1000), Augmentation(hflip_prob=0.5), generator())[:, 0, 0, 0] == 1
    assert 430 < int(mirrored.sum()) < 570


def test_zoom_out_repeats_the_border():
    """However far a face is moved, no value appears that was not in it."""
    moved = augment(
        ramp(64) * 0.5 + 0.25, Augmentation(hflip_prob=0, degrees=30, translate=0.4, scale=0.5), generator()
    )
    assert moved.min() >= 0.25 - 1e-6 and moved.max() <= 0.75 + 1e-6


def test_shift_stays_within_its_fraction():
    """On a ramp a shift of 10 % changes the centre's brightness by at most .1, and does change it."""
    moved = augment(ramp(200), Augmentation(hflip_prob=0, translate=0.1), generator())[:, 0, 24, 24] - 24 / 47
    assert 0.08 < moved.abs().max() <= 0.105


def test_rotation_by_up_to_ten_degrees_keeps_the_centre():
    """The middle of the face stays; a corner moves."""
    faces = ramp(50)
    turned = augment(faces, Augmentation(hflip_prob=0, degrees=10), generator())
    assert (turned - faces)[:, 0, 23:25, 23:25].abs().max() < 0.02
    assert (turned - faces)[:, 0, 0, 24].abs().max() > 0.05


def test_size_shrinks_the_faces_in_the_same_step():
    """32 pixels wide, and still a ramp."""
    small = augment(ramp(), NOTHING, generator(), size=32)
    assert small.shape == (1, 1, 32, 32) and torch.allclose(small[0, 0, 0, 16], torch.tensor(16.5 / 32), atol=0.02)


def test_light_keeps_to_0_and_1():
    """Even a change by the whole range is clamped, and each face gets its own."""
    lit = jitter(ramp(20), 1.0, generator())
    assert lit.min() >= 0 and lit.max() <= 1 and len(lit.mean((1, 2, 3)).unique()) == 20


def test_erasing_blanks_one_rectangle_with_the_mean():
    """2 % to 25 % of the pixels change (a border's worth of rounding aside), all to the face's mean."""
    faces = ramp(100)
    erased = random_erase(faces, 1.0, generator())
    share = (erased != faces).float().mean((1, 2, 3))
    assert share.min() > 0.01 and share.max() < 0.27
    assert torch.allclose(erased[erased != faces], torch.tensor(0.5), atol=1e-6)


def test_mixup_blends_faces_and_targets_by_the_same_share():
    """A batch of one black and one white face: brightness and target tell the same share, at least one half its own."""
    faces = torch.stack([torch.zeros(1, 48, 48), torch.ones(1, 48, 48)])
    targets = torch.eye(2)
    for seed in range(10):
        mixed, blended = mixup(faces, (targets,), 0.4, generator(seed))
        assert torch.allclose(mixed[:, 0, 0, 0], blended[:, 1])
        assert blended[0, 0] >= 0.5 and blended[1, 1] >= 0.5


def test_the_same_seed_gives_the_same_faces():
    """And another seed gives others."""
    settings = Augmentation(degrees=10, translate=0.1, scale=0.1, jitter=0.2, erase_prob=0.5)
    first, again, other = (augment(ramp(8), settings, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("settings", [{"hflip_prob": 1.5}, {"degrees": -1}, {"erase_prob": 2}])
def test_impossible_settings_are_refused_by_name(settings: dict):
    """The message names the field and the value."""
    (name, value), = settings.items()  # fmt: skip
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Augmentation(**settings)


def test_a_crop_is_smaller_at_the_same_scale_and_anywhere_in_the_face():
    """42 of 48 pixels of a ramp: steps of 1/47 as before, from 0 to 6 pixels on, and 28 of a face of 32."""
    cut = augment(ramp(200), NOTHING, generator(), crop=42 / 48)
    assert cut.shape == (200, 1, 42, 42)
    steps = cut[:, 0, 20, 1:] - cut[:, 0, 20, :-1]
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 47), atol=1e-4, rtol=0)
    begins = cut[:, 0, 20, 0] * 47
    assert 0 <= begins.min() < 0.5 and 5.5 < begins.max() <= 6.001
    assert augment(ramp(), NOTHING, generator(), size=32, crop=42 / 48).shape[-1] == 28


def test_degrade_is_a_step_of_the_augmentation():
    """At 1 nearly all faces change, and stay within 0..1."""
    faces = ramp(50)
    spoilt = augment(faces, Augmentation(hflip_prob=0, degrade_prob=1), generator())
    assert ((spoilt - faces).abs().amax((1, 2, 3)) > 1e-3).sum() > 35
    assert spoilt.min() >= 0 and spoilt.max() <= 1

"""corruptions: FER-2013-C is the same pictures for every model, and its figures are those of N faces."""

import json
from pathlib import Path

import pytest
import torch

from fer.cli.main import main
from fer.data import dataset
from fer.evaluation import corruptions
from fer.models import checkpoint
from fer.models.checkpoint import FERModel

PIXELS = torch.arange(300 * 48 * 48).remainder(251).byte().view(300, 48, 48)


def test_eleven_corruptions_at_three_strengths_with_the_usual_probes_among_them():
    """Noise 25, JPEG 10, blur 2, a fifth of the light and 24 pixels are strength 2 of theirs."""
    assert len(corruptions.CORRUPTIONS) == 11 and corruptions.STRENGTHS == (1, 2, 3)
    probes = {"noise": 25, "JPEG": 10, "gaussian blur": 2, "dark": 0.2, "low resolution": 24}
    assert {name: corruptions.CORRUPTIONS[name].settings[1] for name in probes} == probes


@pytest.mark.parametrize("name", corruptions.CORRUPTIONS)
def test_a_corruption_is_the_same_every_time_and_stronger_with_strength(name: str):
    """Bytes of the same shape, equal when repeated, further from the face at 3 than at 1."""
    ramp = torch.linspace(20, 235, 48).byte().expand(8, 48, 48).clone()
    ramp[:, 14:34, 14:20] = 60
    first, again = (corruptions.corrupt(ramp, name, 1) for _ in range(2))
    assert torch.equal(first, again) and first.dtype == torch.uint8 and first.shape == ramp.shape
    far = [(corruptions.corrupt(ramp, name, level).float() - ramp).abs().mean() for level in (1, 3)]
    assert 0 < far[0] < far[1]


def test_a_face_is_corrupted_in_the_same_way_whatever_follows_it():
    """The first 256 of 300 are those of 256."""
    for name in ("noise", "rotation", "occlusion"):
        assert torch.equal(corruptions.corrupt(PIXELS, name, 2)[:256], corruptions.corrupt(PIXELS[:256], name, 2))


def test_noise_of_a_grey_face_has_its_deviation_and_dark_its_share():
    """25 grey levels, and 100 times .2."""
    grey = torch.full((4, 48, 48), 100, dtype=torch.uint8)
    assert corruptions.corrupt(grey, "noise", 2).float().std().item() == pytest.approx(25, rel=0.03)
    assert (corruptions.corrupt(grey, "dark", 2) == 20).all()


def test_occlusion_covers_a_square_of_grey():
    """22 pixels of white become 128; strength 3 covers 28 x 28."""
    white = torch.full((5, 48, 48), 255, dtype=torch.uint8)
    for level, side in ((2, 22), (3, 28)):
        assert (corruptions.corrupt(white, "occlusion", level) == 128).sum((1, 2)).tolist() == [side**2] * 5


@pytest.mark.parametrize("name, strength", [("fog", 1), ("noise", 0), ("noise", 4)])
def test_unknown_corruptions_are_refused_by_name(name: str, strength: int):
    """And the message lists those there are."""
    with pytest.raises(ValueError, match=f"'{name}' {strength}: expected 1 to 3 of noise, gaussian blur"):
        corruptions.corrupt(PIXELS, name, strength)


def test_robust_figures_count_faces_and_not_pictures():
    """Of 4 faces one is always read right, one in 11 of 33: mean 1/3, n 4; the row of noise 1 has 2 right of 4."""
    labels, is_duplicate = torch.tensor([0, 1, 2, 3]), torch.tensor([False, True, False, False])
    logits = torch.zeros(33, 4, 7)
    logits[:, :, 6] = 1
    logits[:, 0, 0] = logits[:11, 1, 1] = 2
    faces = dataset.FaceDataset(torch.zeros(4, 48, 48).byte(), labels, None, is_duplicate)
    found = corruptions.robust_metrics(logits, faces)
    assert (found["accuracy"], found["n"]) == (pytest.approx(1 / 3), 4)
    assert (found["accuracy_deduplicated"], found["n_deduplicated"]) == (pytest.approx(1 / 3), 3)
    low, high = found["ci95"]  # the shares are 1, 1/3, 0, 0: deviation .4714, and 1.96 / 2 of it to either side
    assert low == 0 and high == pytest.approx(1 / 3 + 0.98 * 0.4714, abs=1e-3)
    row = found["corruptions"][0]
    assert (row["corruption"], row["setting"], row["accuracy"], row["n"]) == ("noise", 10, 0.5, 4)
    assert len(found["corruptions"]) == 33


def test_the_command_prints_and_keeps_the_mean(tmp_path: Path, folder_data: Path, capsys: pytest.CaptureFixture):
    """JSON with 33 rows; config.json and card have the mean; it does not go with --tta."""
    checkpoint.save_model(FERModel("dnn"), tmp_path / "dnn")
    arguments = ["evaluate", str(tmp_path / "dnn"), "--data", str(folder_data), "--corruptions"]
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    kept = json.loads((tmp_path / "dnn" / "config.json").read_text(encoding="utf-8"))["metrics"]["public_test_c"]
    assert kept["accuracy"] == pytest.approx(found["accuracy"], abs=1e-5) and kept["n"] == found["n"]
    assert len(found["corruptions"]) == 33 and len(kept["corruptions"]["noise"]) == 3
    assert "| PublicTest-C |" in (tmp_path / "dnn" / "README.md").read_text(encoding="utf-8")
    assert main([*arguments, "--tta"]) == 2
    assert "exclude each other" in capsys.readouterr().err

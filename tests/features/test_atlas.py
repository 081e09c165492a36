"""atlas: a tiny network's filters are kept beside its weights, found again, and no longer once the weights change."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fer.cli.main import main
from fer.features import atlas, visualization
from fer.models import checkpoint

FACES = torch.randint(0, 256, (40, 48, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.fixture(scope="module")
def network() -> checkpoint.FERModel:
    torch.manual_seed(0)
    return checkpoint.FERModel("cnn").eval()


@pytest.fixture(scope="module")
def folder(network: checkpoint.FERModel, tmp_path_factory) -> Path:
    """`cnn` before training, with the atlas of its first convolution."""
    folder = tmp_path_factory.mktemp("weights") / "cnn"
    checkpoint.save_model(network, folder)
    best = atlas.top_activating_images(network, ["conv2d_1"], FACES, quiet=True)
    atlas.save_layer(folder, "conv2d_1", atlas.visualize_layer(network, "conv2d_1", best["conv2d_1"], quiet=True))
    return folder


def test_an_atlas_holds_every_convolution_and_the_classes(network):
    assert atlas.visualized_layers(network) == ["conv2d_1", "conv2d_2", "conv2d_3", "dense_3"]


def test_what_is_kept_is_what_the_ascent_gives(network, folder):
    """Ascent values exactly, pictures within webp's loss: a correlation above .98 for each of 64 filters."""
    *_, frame = visualization.visualize(network, "conv2d_1", same=False)
    kept = atlas.load_layer(folder, "conv2d_1")
    assert np.allclose(kept.values, frame.values, atol=1e-4) and kept.curves.shape == (64, 7)
    assert not kept.dead.any() and (0.5 < kept.seed_agreement).all()
    for mine, image in zip(kept.images, frame.images[:, 0].numpy(), strict=True):
        assert np.corrcoef(mine.ravel(), image.ravel())[0, 1] > 0.98


def test_made_twice_it_is_the_same(network, folder):
    before = atlas.load_layer(folder, "conv2d_1")
    again = atlas.visualize_layer(network, "conv2d_1", quiet=True)
    assert np.array_equal(before.values, again.values) and np.array_equal(before.seed_agreement, again.seed_agreement)


def test_the_best_faces_are_found_with_the_place_that_excites_most(network, folder):
    """Filter 5's own map of its best face has that answer at that place, and no other face has more."""
    kept = atlas.load_layer(folder, "conv2d_1")
    with torch.inference_mode():
        maps = network[:"conv2d_1"](FACES[:, None].float() / 255)[:, 5]  # (40, 46, 46)
    row, column = kept.positions[5, 0]
    assert maps[kept.image_indices[5, 0], row, column].item() == pytest.approx(kept.activations[5, 0], abs=1e-4)
    assert maps.max().item() == pytest.approx(kept.activations[5, 0], abs=1e-4)
    assert (np.diff(kept.activations[5]) <= 0).all() and len(
        set(kept.image_indices[5].tolist())
    ) == atlas.NUM_TOP_IMAGES


def test_a_picture_that_is_there_twice_counts_once(network):
    """Each of 12 faces comes twice, once mirrored: nine different ones are kept all the same."""
    doubled = torch.cat([FACES[:12], FACES[:12].flip(-1)])
    _, faces, _ = atlas.top_activating_images(network, ["conv2d_1"], doubled, quiet=True)["conv2d_1"]
    assert all(len(set((row % 12).tolist())) == atlas.NUM_TOP_IMAGES for row in faces)


def test_without_faces_the_rest_is_kept(network):
    found = atlas.visualize_layer(network, "dense_3", quiet=True)
    assert found.images.shape == (7, 48, 48) and found.image_indices.shape == (7, 0)
    assert atlas.layer_metrics(found)["ratio_to_best_image"] is None


def test_other_weights_make_it_stale(network, folder, tmp_path):
    """Nothing is read of it any more; a layer that was never made is missing, not stale."""
    copy = tmp_path / "cnn"
    copy.mkdir()
    for file in folder.rglob("*.*"):
        (copy / file.relative_to(folder)).parent.mkdir(exist_ok=True)
        (copy / file.relative_to(folder)).write_bytes(file.read_bytes())
    assert atlas.load_layer(copy, "conv2d_1") is not None and not atlas.is_stale(copy, "conv2d_1")
    torch.manual_seed(1)
    checkpoint.save_model(checkpoint.FERModel("cnn"), copy)
    assert atlas.load_layer(copy, "conv2d_1") is None and atlas.is_stale(copy, "conv2d_1")
    assert not atlas.is_stale(copy, "conv2d_2")


def test_broken_files_are_as_good_as_none(folder, tmp_path):
    checkpoint.save_model(checkpoint.FERModel("cnn"), tmp_path)
    (tmp_path / "feature_vis").mkdir()
    (tmp_path / "feature_vis" / "conv2d_1.npz").write_bytes(b"broken")
    assert atlas.load_layer(tmp_path, "conv2d_1") is None


def test_the_command_goes_on_where_it_was_stopped(network, folder, monkeypatch, capsys):
    """The first convolution is there already, so three of four layers are grown; the second time none."""
    grown = []
    monkeypatch.setattr(
        atlas, "visualize_layer", lambda network, layer, *rest: grown.append(layer) or small(network, layer)
    )
    monkeypatch.setattr("fer.cli.features._public_test", lambda root: None)
    assert main(["atlas", str(folder), "--json"]) == 0
    assert grown == ["conv2d_2", "conv2d_3", "dense_3"] and '"faces": false' in capsys.readouterr().out
    assert main(["atlas", str(folder)]) == 0
    assert len(grown) == 3 and "conv2d_1     64 filters,   0 dead, two seeds agree" in capsys.readouterr().out


def small(network: checkpoint.FERModel, layer: str) -> atlas.LayerVisualization:
    count = len(network[layer].weight)
    rest = np.zeros((count, 0), np.float32), np.zeros((count, 0), np.int32), np.zeros((count, 0, 2), np.uint8)
    return atlas.LayerVisualization(
        np.zeros((count, 8, 8), np.uint8), np.ones((count, 7), np.float32), np.ones(count, np.float32),
        np.zeros(count, bool), *rest,
    )  # fmt: skip

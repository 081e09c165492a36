"""trials: a run is taken for no other, the right splits are at hand, and tables are as by hand."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from fer.data import dataset, duplicates, fer2013
from fer.evaluation import metrics
from fer.models import layers as models_layers
from fer.models import registry as models_registry
from fer.studies import results, runner
from fer.studies.runner import StudyConfig
from fer.training import trainer
from fer.training.config import default_config
from fer.utils import tables


def test_a_study_holds_training_and_public_test_alone(
    folder_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """PrivateTest is not handed on, though it was read; 20 quick faces are the same 20 every time."""
    splits = fer2013.load_fer2013(folder_data)
    monkeypatch.setattr(fer2013, "load_fer2013", lambda _: splits | {"PrivateTest": splits["PublicTest"][:3]})
    assert [len(part) for part in StudyConfig(tmp_path).splits] == [140, 28]
    assert torch.equal(
        dataset.random_subset(splits["Training"], 20).pixels, dataset.random_subset(splits["Training"], 20).pixels
    )
    assert len(dataset.random_subset(splits["Training"], 20)) == 20


def test_a_run_of_other_settings_or_other_faces_is_not_taken_for_this_one(folder_data: Path, tmp_path: Path):
    """The message names the setting, or how many faces there were, and what to do."""
    settings = StudyConfig(tmp_path, folder_data, quick=True, quiet=True)
    with runner.study_architectures():
        config = replace(settings.config("dnn"), epochs=1)
        runner.train_or_load(settings, "a", config, settings.splits[0])
        with pytest.raises(ValueError, match="runs/a holds a run with another epochs: delete it"):
            runner.train_or_load(settings, "a", replace(config, epochs=2), settings.splits[0])
        with pytest.raises(ValueError, match="runs/a holds a run on .*140 faces.*, not .*139 faces"):
            runner.train_or_load(settings, "a", config, settings.splits[0][:139])


def test_a_run_that_was_stopped_goes_on_and_is_judged_on_public_test(
    folder_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """fit() is called again for a folder with resume.pt, on PublicTest's 28 faces; for a finished one not."""
    settings, fit, judged = StudyConfig(tmp_path, folder_data, quick=True, quiet=True), trainer.fit, []

    def spy(config: object, faces: dataset.FaceDataset, validation: dataset.FaceDataset, *rest: object) -> None:
        judged.append(duplicates.fingerprint(validation))
        state = runner.run_folder(settings, "a") / trainer.RESUME_FILE
        state.unlink(missing_ok=True)
        fit(config, faces, validation, *rest)

    monkeypatch.setattr(trainer, "fit", spy)
    with runner.study_architectures():
        config = replace(settings.config("dnn"), epochs=1)
        for stopped in (False, False, True):
            if stopped:
                (runner.run_folder(settings, "a") / trainer.RESUME_FILE).touch()
            runner.train_or_load(settings, "a", config, settings.splits[0])
    assert judged == [duplicates.fingerprint(settings.splits[1])] * 2


def test_one_changed_pixel_changes_the_fingerprint(folder_data: Path):
    """And so does one changed label; the same faces have the same."""
    faces = fer2013.load_fer2013(folder_data)["PublicTest"]
    brighter, other = replace(faces, pixels=faces.pixels.clone()), replace(faces, labels=faces.labels.clone())
    brighter.pixels[7, 40, 40] += 1
    other.labels[7] += 1
    assert len({duplicates.fingerprint(each) for each in (faces, brighter, other, faces[:])}) == 3


def test_the_networks_of_studies_are_registered_only_while_one_runs():
    """Five of them, gone again even after an error."""
    before = list(models_registry.ARCHITECTURES)
    with pytest.raises(KeyError), runner.study_architectures():
        assert len(models_registry.ARCHITECTURES) == len(before) + 5
        raise KeyError
    assert list(models_registry.ARCHITECTURES) == before


@pytest.mark.parametrize("name, raw", [("vgg16-relu-raw", True), ("vgg16-relu-plain", False)])
def test_vgg16_without_normalisation_keeps_its_13_convolutions_and_15_activations(name: str, raw: bool):
    """No batch normalisation; the raw one sees a white pixel as 255."""
    with torch.device("meta"):  # shapes alone: 20 million weights need not be drawn
        layers = list(runner.STUDY_ARCHITECTURES[name].build(7))
    kinds = [type(layer) for layer in layers]
    assert (kinds.count(nn.Conv2d), kinds.count(nn.ReLU)) == (13, 15)
    assert nn.BatchNorm2d not in kinds and nn.BatchNorm1d not in kinds
    assert (models_layers.Normalize in kinds) == raw
    if raw:
        assert layers[0](torch.ones(1, 1, 48, 48)).mean().item() == pytest.approx(255)


def test_scores_are_means_over_seeds_with_the_interval_of_one():
    """3 and 2 of 4 right are .625 on 4 faces; without each seed's own duplicate 2/3 and 1/3 are .5."""
    rights = [torch.tensor([True, True, True, False]), torch.tensor([True, True, False, False])]
    duplicates = [torch.tensor([True, False, False, False]), torch.tensor([True, False, False, False])]
    row = results.scores(rights, duplicates)
    assert (row["accuracy"], row["n"], row["seeds"]) == (0.625, 4, 2)
    assert (row["lowest"], row["highest"]) == (0.5, 0.75)
    assert row["without_duplicates"] == pytest.approx(0.5)
    assert row["ci95"] == metrics.wilson_interval(2, 4)  # Python rounds 2.5 right answers to the even 2
    assert "seeds" not in results.scores(rights[:1], duplicates[:1])


def test_a_table_has_a_column_for_every_key_and_a_dash_where_there_is_nothing():
    """Thousands have commas, accuracies four digits, intervals three."""
    table = tables.markdown([{"network": "cnn", "n": 3589, "ci95": [0.1, 0.25]}, {"network": "dnn", "report_a": 0.5}])
    assert table.splitlines() == [
        "| network | n | ci95 | report a |",
        "| --- | --- | --- | --- |",
        "| cnn | 3,589 | 0.100 to 0.250 | - |",
        "| dnn | - | - | 0.5000 |",
    ]


def test_torchrun_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two processes would write into the same runs."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="WORLD_SIZE is above 1"):
        StudyConfig(tmp_path)


def test_a_recipe_of_before_a_setting_was_added_is_the_same_one():
    """What a stored recipe does not name is the default, in its augmentation too; what it names otherwise is told."""
    config = default_config("cnn")
    stored = asdict(config)
    del stored["augmentation"]["degrade_prob"], stored["seed"]
    assert runner.differences(stored, config) == []
    stored["augmentation"] |= {"hflip_prob": 0.123}
    assert runner.differences(stored, config) == ["augmentation"]

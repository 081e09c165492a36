"""The list of models is read from the heads of files, and says what loading each would."""

import json
from pathlib import Path

import pytest
import torch

from fer.models import checkpoint
from fer.models.summary import count_parameters
from fer.utils.model_files import read_models


def test_the_list_says_what_loading_every_model_says():
    """Names, parameters as Keras counts them, labels and metrics; the ensemble is last."""
    found = {model.name: model for model in read_models(checkpoint.WEIGHTS)}
    loaded = [checkpoint.load_meta(name) for name in checkpoint.list_models()]
    assert set(found) == {model.name for model in loaded}
    for model in loaded:
        row = found[model.name]
        assert (row.parameters, row.labels, row.metrics) == (count_parameters(model), model.labels, model.metrics)
    assert list(found)[0] == "compact" and list(found)[-1].startswith("ensemble:")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    for name in ("dnn", "cnn"):
        checkpoint.save_model(checkpoint.FERModel(name), tmp_path / name)
    return tmp_path


def test_a_broken_file_is_named(folder: Path):
    (folder / "dnn" / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="dnn cannot be used"):
        read_models(folder)


def test_an_ensemble_of_other_weights_is_refused(folder: Path):
    kept = {"members": ["cnn", "dnn"], "metrics": {}, "weights": {"cnn": "0", "dnn": "0"}}
    (folder / "ensemble.json").write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(ValueError, match="other weights of cnn, dnn: `python -m fer ensemble`"):
        read_models(folder)

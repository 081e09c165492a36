"""export: the ONNX file answers as the network does."""

import copy
import json
import multiprocessing
import pickle
from pathlib import Path

import pytest
import torch

from fer.attribution import explain
from fer.cli.main import main
from fer.data import dataset, labels
from fer.data import fer2013 as data_fer2013
from fer.inference import predictor
from fer.models import checkpoint
from fer.release import onnx

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "cnn.onnx"
    onnx.export_onnx(checkpoint.load_model("cnn"), file)
    return file


def test_the_file_answers_as_the_network_does(written: Path):
    """Within 1e-4 on 500 faces of noise, in batches of 256 and 244: no number of faces is built in."""
    pixels = torch.randint(0, 256, (500, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert onnx.largest_difference(checkpoint.load_model("cnn"), written, pixels) < 1e-4


def test_the_file_says_which_probability_is_whose(written: Path):
    """Seven labels in its metadata, and seven probabilities that sum to 1 for a single face."""
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["labels"].split(",") == list(labels.EMOTIONS)
    (found,) = session.run(None, {"faces": torch.full((1, 1, 48, 48), 0.5).numpy()})
    assert found.shape == (1, 7) and found.sum() == pytest.approx(1, abs=1e-5)


def test_a_network_with_another_temperature_differs(written: Path):
    """Calibration is inside the file: at twice the temperature the probabilities are others by more than .001."""
    network = checkpoint.load_model("cnn")
    network.temperature *= 2
    assert onnx.largest_difference(network, written, torch.zeros(1, 48, 48, dtype=torch.uint8)) > 1e-3


def test_the_file_is_a_network_to_read_with(written: Path, tmp_path: Path):
    """`--model cnn.onnx` has cnn's labels, threshold and probabilities; any other file is refused in one line."""
    network, portable = checkpoint.load_model("cnn"), checkpoint.load_model(str(written))
    faces = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    expected = predictor.calibrated_probabilities(network, faces)
    torch.testing.assert_close(predictor.calibrated_probabilities(portable, faces), expected, atol=1e-5, rtol=0)
    assert (portable.labels, portable.confidence_threshold) == (network.labels, network.confidence_threshold)
    (tmp_path / "other.onnx").write_bytes(b"no network")
    for file in ("other.onnx", "none.onnx"):
        with pytest.raises(checkpoint.CheckpointError, match="no network that `python -m fer export` wrote"):
            checkpoint.load_model(str(tmp_path / file))


def test_the_file_answers_in_another_process_too(written: Path):
    """In eval mode; its copy and a forked process answer as it does, within half a minute."""
    portable, faces = checkpoint.load_model(str(written)), torch.rand(1, 1, 48, 48)
    assert not any(module.training for module in portable.modules())
    expected = portable(faces)
    for is_duplicate in (pickle.loads(pickle.dumps(portable)), copy.deepcopy(portable)):
        assert torch.equal(is_duplicate(faces), expected)
    if "fork" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("fork")
        out = context.Queue()
        process = context.Process(target=lambda: out.put(portable(faces).tolist()), daemon=True)
        process.start()
        try:
            assert out.get(timeout=30)[0] == pytest.approx(expected[0].tolist(), abs=1e-5)
        finally:
            process.kill()


def test_the_file_is_explained_by_methods_that_need_no_gradients(written: Path):
    """As the network itself is, within .001; those that need them are left out with a sentence."""
    network, portable, faces = (
        checkpoint.load_model("cnn"),
        checkpoint.load_model(str(written)),
        torch.rand(1, 1, 48, 48),
    )
    assert explain.list_methods(portable) == ["occlusion", "ablation", "region-shap"]
    for against in (None, 4):
        ours = explain.explain(portable, faces, "region-shap", 3, against)
        logits = explain.explain(network, faces, "region-shap", 3, against) / network.temperature
        if against is not None:  # a difference of logarithms of probabilities is one of logits
            torch.testing.assert_close(ours, logits, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="gradient does not hold .* ONNX file, which gives no gradients"):
        explain.explain(portable, faces, "gradient", 3)


def test_without_the_data_set_made_up_faces_are_compared_and_that_is_said(tmp_path, monkeypatch, capsys):
    """By the command, on both streams; a folder that was named has to be there."""
    monkeypatch.setattr(
        data_fer2013, "load_fer2013", lambda root: (_ for _ in ()).throw(dataset.DataError("no FER-2013"))
    )
    assert main(["export", "dnn", "--out", str(tmp_path / "dnn.onnx"), "--json"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["largest_difference"] < 1e-4 and told["compared_on"] == "made-up faces" and "no FER-2013" in err
    assert main(["export", "dnn", "--out", str(tmp_path / "dnn.onnx"), "--data", str(tmp_path)]) == 2


@pytest.mark.data
def test_real_faces_are_read_alike(written: Path, fer2013: dict[str, dataset.FaceDataset]):
    """500 faces of PublicTest, within 1e-4."""
    pixels = dataset.random_subset(fer2013["PublicTest"], 500).pixels
    assert onnx.largest_difference(checkpoint.load_model("cnn"), written, pixels) < 1e-4

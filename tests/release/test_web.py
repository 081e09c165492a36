"""web: a static site with the library's constants, exact float16 models, pinned digests, and what is wrong with one."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from fer.cli.main import main
from fer.data import crop
from fer.faces import detector, framing
from fer.inference import tracker
from fer.inference.predictor import FacePrediction, ImagePrediction
from fer.models import checkpoint
from fer.models.checkpoint import FERModel
from fer.release import space
from fer.release.web import check, constants, models, runtime, site
from tests import sites

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`compact` with weights of its own, a logit adjustment and a temperature; `dnn`, which has no maps."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    adjustment = {"share": 0.5, "prior": [0.2, 0.05, 0.15, 0.2, 0.15, 0.1, 0.15]}
    network = FERModel("compact", temperature=0.5, confidence_threshold=0.6, prediction_set=0.1)
    for layer in network:
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 2)
    network.adjust(adjustment)
    checkpoint.save_model(network, folder / "compact")
    checkpoint.save_model(FERModel("dnn"), folder / "dnn")
    return folder


@pytest.fixture(scope="module")
def network(weights: Path) -> FERModel:
    return checkpoint.load_model("compact", weights)


@pytest.fixture(scope="module")
def exported(network: FERModel) -> bytes:
    return models.export(network)


@pytest.fixture(scope="module")
def written(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of `compact` and `dnn`, without YuNet."""
    out = tmp_path_factory.mktemp("written") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "WEIGHTS", weights)
        patch.setattr(detector, "yunet_file", lambda: None)
        site.write_site(out, ["compact", "dnn"])
    return out


@pytest.fixture
def folder(written: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which a test may spoil."""
    monkeypatch.setattr(checkpoint, "WEIGHTS", weights)
    monkeypatch.setattr(detector, "yunet_file", lambda: None)
    return Path(shutil.copytree(written, tmp_path / "site"))


def faces(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 48, 48, generator=torch.Generator().manual_seed(0))


def run(content: bytes, pixels: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"faces": pixels.numpy()})


def wrong(check_name: str, folder: Path) -> list[str]:
    return [found for good, found in check.CHECKS[check_name](folder) if not good]


def test_half_the_bytes_give_the_same_answers(network: FERModel, exported: bytes):
    """Of 100 faces: probabilities within 1e-5 of PyTorch's, logit adjustment included, in 2.1 bytes a weight."""
    with torch.inference_mode():
        expected = (network(faces(100)).double() / network.temperature).softmax(1)
    logits = torch.from_numpy(run(exported, faces(100))[0]).double()
    torch.testing.assert_close((logits / network.temperature).softmax(1), expected, atol=1e-5, rtol=0)
    assert len(exported) < 2.1 * sum(value.numel() for value in network.state_dict().values())


def test_maps_add_up_to_the_logits(network: FERModel, exported: bytes):
    """The sum of a map and the bias is the logit of its label, to 1e-4; 3 x 3 places for each of seven labels."""
    logits, maps = run(exported, faces(5))
    assert maps.shape == (5, 7, 3, 3)
    bias = network[-1].bias.detach().numpy()
    np.testing.assert_allclose(maps.sum((2, 3)) + bias, logits, atol=1e-4)


def test_maps_are_grad_cam_of_the_last_activation(network: FERModel, exported: bytes):
    """Captum's LayerGradCam and HiResCAM (gradient times activation), to 1e-5, of three faces and every label."""
    attr = pytest.importorskip("captum.attr")
    (*_, last) = [layer for layer in network if isinstance(layer, torch.nn.ReLU)]
    _, maps = run(exported, faces(3))
    for label in range(7):
        cam = attr.LayerGradCam(network, last).attribute(faces(3), label)[:, 0]
        hires = attr.LayerGradientXActivation(network, last).attribute(faces(3), label).sum(1)
        np.testing.assert_allclose(maps[:, label], cam.detach().numpy(), atol=1e-5)
        np.testing.assert_allclose(maps[:, label], hires.detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name, exact", [("compact", True), ("compact-ferplus", True), ("cnn", False), ("dnn", False)])
def test_only_networks_that_end_in_an_average_have_exact_maps(name: str, exact: bool):
    """The registry's four."""
    assert models.has_exact_maps(FERModel(name)) is exact


def test_the_table_has_the_librarys_constants():
    """Crop, framing, detection and tracking, each by the library's own name for it."""
    table = constants.shared()
    yunet = framing.FRAMING["yunet"]
    assert table["crop"] == {"side": 48, "luma": crop.LUMA.tolist(), "bits": crop.LUMA_BITS}
    assert table["framing"] == {"side": yunet.side, "right": yunet.right, "down": yunet.down}
    assert {key: table["detector"][key] for key in detector.YUNET} == detector.YUNET
    assert (table["tracking"]["patience"], table["tracking"]["far"]) == (
        tracker.MAX_UNSEEN_SECONDS,
        tracker.MAX_DISTANCE,
    )
    assert table["tracking"]["smoothing"] == tracker.FaceTracker(None, None).seconds
    json.dumps(table)


def test_the_scripts_take_every_constant_from_the_table():
    """Each key of the detector's table is used in vision.js, and none that is not in it."""
    script = (site.STATIC / "vision.js").read_text(encoding="utf-8")
    used = set(re.findall(r"\bD\.(\w+)", script))
    assert used == set(constants.detector_table())


def test_a_model_brings_its_own_calibration(folder: Path, network: FERModel):
    """Labels, temperature, confidence threshold and prediction set of the first of two models; maps for it alone."""
    first, second = check.table(folder)["models"]
    assert (first["temperature"], first["threshold"], first["setThreshold"]) == (0.5, 0.6, 0.1)
    assert first["labels"] == list(network.labels) and first["title"] == "compact · 3.1 M"
    assert (first["saliency"], second["saliency"]) == (True, False)


def test_the_site_is_a_space_as_it_stands(folder: Path):
    """Nothing is wrong by the command's own checks, and nothing is started."""
    assert [finding for finding in space.check_space(folder) if not finding.good] == []
    assert space.front_matter(folder)["sdk"] == "static"


def test_what_is_wrong_with_a_site_is_named(folder: Path):
    """A missing script, a spoilt model, another host in a script, a policy that lets all through."""
    (folder / "worker.js").write_text(
        (folder / "worker.js").read_text(encoding="utf-8") + "fetch('https://example.org/x')\n", encoding="utf-8"
    )
    assert wrong("hosts", folder) == ["worker.js names https://example.org/x"]
    model = folder / check.table(folder)["models"][0]["file"]
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    assert wrong("digests", folder) == [f"models/{model.name} is another file"]
    (folder / "vision.js").unlink()
    assert wrong("pages", folder) == ["missing: vision.js"]
    index = folder / "index.html"
    index.write_text(index.read_text(encoding="utf-8").replace("default-src 'none'", "default-src *"), encoding="utf-8")
    (folder / "vision.js").write_text("", encoding="utf-8")
    assert wrong("hosts", folder)[0].startswith("policy: default-src *")


def test_a_folder_without_a_site_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    """By the check, which names what is missing, and by the writer, which touches nobody's files."""
    assert main(["check-space", str(tmp_path)]) == 2
    assert "has no README.md" in capsys.readouterr().err
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert main(["web", str(tmp_path)]) == 2
    assert (
        "holds other files" in capsys.readouterr().err and (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    )


def test_a_site_is_written_over_an_earlier_one(folder: Path):
    """Without what only the earlier one had: its second model."""
    before = {file.name for file in (folder / "models").iterdir()}
    site.write_site(folder, ["dnn"])
    after = {file.name for file in (folder / "models").iterdir()}
    assert after < before and len(after) == 1 and wrong("pages", folder) == []


def test_the_policy_names_other_hosts_only_where_files_come_from_them(folder: Path):
    """The CDN's folder of one version without --runtime, the Hub without YuNet; none with both."""
    assert "https:" not in site.policy(True, True)
    assert runtime.CDN in site.policy(False, True) and "huggingface" not in site.policy(False, True)
    index = (folder / "index.html").read_text(encoding="utf-8")
    assert f"connect-src 'self' {runtime.CDN} https://huggingface.co" in index and "unsafe-inline" not in index


def test_another_version_of_the_runtime_is_refused(tmp_path: Path):
    """A folder without its files, and files of another version: one sentence with the command that brings them."""
    with pytest.raises(ValueError, match=f"npm install onnxruntime-web@{runtime.VERSION}"):
        runtime.read(tmp_path)
    for name in runtime.SIZES:
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(ValueError, match="is not of onnxruntime-web"):
        runtime.read(tmp_path)


@pytest.mark.skipif(not sites.runtime(), reason="no onnxruntime-web below $FER_NPM or node_modules")
def test_the_pinned_digests_are_the_npm_packages():
    """Six files of this version: sizes and SHA-384."""
    assert {name: len(content) for name, content in runtime.read(sites.runtime()).items()} == runtime.SIZES


def test_a_foreign_detector_is_not_copied(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch):
    """A file of that name that is not the YuNet whose digest is pinned: the browser then fetches the true one."""
    monkeypatch.setattr(checkpoint, "WEIGHTS", weights)
    (tmp_path / "yunet.onnx").write_bytes(b"other")
    monkeypatch.setenv("FER_YUNET", str(tmp_path / "yunet.onnx"))
    assert site.write_site(tmp_path / "site", ["dnn"])["yunet"] is False
    assert check.table(tmp_path / "site")["yunet"]["file"] == detector.ADDRESS


@pytest.mark.parametrize(
    "address, linked", [("https://o-n.static.hf.space/", True), ("", False), ("javascript:x", False)]
)
def test_the_laboratory_links_to_the_site_where_it_is_published(address: str, linked: bool, monkeypatch):
    """$FER_WEB_PAGE holds an address of https; nothing else becomes a link."""
    from fer.app import page

    monkeypatch.setenv("FER_WEB_PAGE", address)
    assert (f"]({address})" in page.link_to_web_page()) is linked and bool(page.link_to_web_page()) is linked


NODE = shutil.which("node")
CASES = """
import {readFileSync} from 'node:fs';
const {resize, crop, Tracker, predictionSet} = await import(process.argv[2]);
const {picture, sizes, squares, frames} = JSON.parse(readFileSync(0, 'utf8'));
const data = new Uint8ClampedArray(picture.rgb.length / 3 * 4).fill(255);
picture.rgb.forEach((value, at) => { data[4 * Math.floor(at / 3) + at % 3] = value; });
const image = {data, width: picture.width, height: picture.height}, tracker = new Tracker();
const rgb = view => Array.from(view.data).filter((_, at) => at % 4 < 3);
console.log(JSON.stringify({
  resized: sizes.map(([width, height]) => rgb(resize(image, width, height))),
  crops: squares.map(([x, y, side, angle]) => Array.from(crop(image, {x, y, width: side, height: side, angle}))),
  followed: frames.map(({at, faces}) => tracker.follow(faces, at, 0.5, 0.6)),
  set: predictionSet([0.1, 0.6, 0.3], 0.2),
}));
"""


@pytest.fixture
def answered(folder: Path, tmp_path: Path):
    """What the site's vision.js answers under Node."""
    if not NODE:
        pytest.skip("no node")
    (tmp_path / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (tmp_path / "cases.js").write_text(CASES, encoding="utf-8")

    def ask(**cases: object) -> dict:
        command = [NODE, str(tmp_path / "cases.js"), str(folder / "vision.js")]
        done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    return ask


def picture(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def told(pixels: np.ndarray) -> dict:
    return {"width": pixels.shape[1], "height": pixels.shape[0], "rgb": pixels.ravel().tolist()}


def test_resizing_and_cropping_are_the_librarys(answered):
    """Three sizes as OpenCV, two of them to the byte; crops within one grey, turned by 40 degrees within three."""
    cv2 = pytest.importorskip("cv2")
    pixels, squares = picture(192, 128), [(20.3, 11.7, 90.2, 0), (-30, 40, 31, 0), (40, 20, 70, 40)]
    sizes = [(120, 80), (96, 64), (250, 167)]
    found = answered(picture=told(pixels), sizes=sizes, squares=squares, frames=[])
    for size, mine in zip(sizes, found["resized"], strict=True):
        method = cv2.INTER_AREA if size[0] < 192 else cv2.INTER_CUBIC
        expected = cv2.resize(pixels, size, interpolation=method).ravel().astype(int)
        assert np.abs(expected - mine).max() <= (0 if size[0] < 192 else 1)
    for (x, y, side, angle), mine in zip(squares, found["crops"], strict=True):
        expected = framing.crop(pixels, framing.Box(x, y, side, side, angle=angle)).ravel().astype(int)
        assert np.abs(expected - mine).max() <= (3 if angle else 1)


def test_faces_are_followed_as_by_the_library(answered, network: FERModel):
    """Two faces over six frames, one of which goes and comes back late: numbers, smoothing, labels, confidence."""
    random = np.random.default_rng(1)
    frames, expected = [], []
    follower = tracker.FaceTracker(network, None, fresh_numbers=False)
    for number, at in enumerate([0, 0.1, 0.2, 0.15, 0.4, 3.0]):
        boxes = [(10.0 + number, 10.0, 50.0, 60.0), (200.0 - number, 20.0, 40.0, 40.0)][: 1 if number == 4 else 2]
        rows = random.dirichlet(np.full(7, 0.3), len(boxes))
        frames.append({"at": at, "faces": [face(box, row) for box, row in zip(boxes, rows, strict=True)]})
        expected.append(follower.follow(prediction(boxes, rows, network), at).faces)
    found = answered(picture=told(picture(8, 8)), sizes=[], squares=[], frames=frames)
    for ours, theirs in zip(expected, found["followed"], strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.number == other["number"] and one.low_confidence == other["lowConfidence"]
            assert one.emotion == network.labels[other["label"]]
            np.testing.assert_allclose(list(one.probabilities.values()), other["probabilities"], atol=1e-9)
    assert found["set"] == [1, 2]


def face(box: tuple, row: np.ndarray) -> dict:
    x, y, width, height = box
    where = {"x": x, "y": y, "width": width, "height": height, "landmarks": [], "angle": 0, "score": 1}
    return {"box": where, "probabilities": row.tolist()}


def prediction(boxes: list[tuple], rows: np.ndarray, network: FERModel) -> ImagePrediction:
    blank, found = np.zeros((48, 48), np.uint8), []
    for values, row in zip(boxes, rows.tolist(), strict=True):
        box = framing.Box(*values)
        found.append(FacePrediction(box, box, blank, dict(zip(network.labels, row, strict=True)), False))
    return ImagePrediction(tuple(found), "yunet", (320, 240))

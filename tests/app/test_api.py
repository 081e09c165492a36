"""The page as other programs meet it: through Gradio's own client, and through bare HTTP where they mean harm."""

import base64
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio import processing_utils
from gradio.route_utils import delete_files_created_by_app
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from fer.app import api
from fer.app import page as app_page
from fer.app.filters import job as filters_job
from fer.data import ferplus
from tests.pages import HAPPY, sealed_off, served, write_face, write_networks


@pytest.fixture(scope="module", autouse=True)
def uploads_folder(tmp_path_factory) -> Iterator[Path]:
    with sealed_off(tmp_path_factory.mktemp("uploads")) as folder:
        yield folder


@pytest.fixture(scope="module")
def page(tmp_path_factory, uploads_folder):
    with served(write_networks(tmp_path_factory.mktemp("weights"))) as page:
        yield page


@pytest.fixture
def face(tmp_path) -> Path:
    return write_face(tmp_path / "face.png")


def ask(url: str, picture, network="compact") -> httpx.Response:
    """Calls /predict as bare HTTP, so that nothing on our side tidies what is sent."""
    with httpx.Client(base_url=url, timeout=20) as client:
        started = client.post("gradio_api/call/predict", json={"data": [picture, network]})
        return started if started.is_error else client.get(f"gradio_api/call/predict/{started.json()['event_id']}")


PUBLIC = {
    "/predict": ["picture", "network"],
    "/confusion": ["network", "split", "without_duplicates", "threshold", "other"],
    "/saliency": ["picture", "network", "method", "target", "against"],
    "/activations": ["picture", "network", "layer"],
    "/ascend": ["network", "layer", "filters", "steps", "seed"],
}


def test_the_public_api_is_pinned(page):
    """Five endpoints, each with its parameters, and each described in a sentence or two."""
    endpoints = Client(page.url, verbose=False).view_api(return_format="dict", print_info=False)
    named = endpoints["named_endpoints"]
    told = {name: [each["parameter_name"] for each in named[name]["parameters"]] for name in named}
    assert told == PUBLIC and not endpoints["unnamed_endpoints"]
    assert all(len(named[name]["description"]) > 60 for name in named)
    assert named["/predict"]["parameters"][1]["parameter_default"] == "compact"


def shown(address: str) -> tuple[int, int]:
    """The size of a picture in a data address."""
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))).size


def test_saliency_activations_and_ascents_are_plain_answers(page, face):
    """Three pictures of 288 pixels in a row; 64 maps of 46 pixels; two filters and the first frame's values no more."""
    client, picture = Client(page.url, verbose=False), handle_file(face)
    why = client.predict(picture, "compact-ferplus", "gradient", api_name="/saliency")
    assert why["method"] == "gradient" and why["target"] in ferplus.FERPLUS and shown(why["picture"]) == (888, 288)
    assert set(why["scores"]["controls"]) == {"edges", "blob", "noise"}
    maps = client.predict(picture, "cnn", "dense_1", api_name="/activations")
    assert maps["filters"] == len(maps["values"]) == 1024 and maps["size"] == []
    grown = client.predict("compact-ferplus", "conv2d_1", "3,5", 4, 0, api_name="/ascend")
    assert [row["filter"] for row in grown["filters"]] == [3, 5] and shown(grown["picture"])[1] > 90


@pytest.mark.parametrize(
    "endpoint, asked, words",
    [
        ("/saliency", ("compact", "magic"), "no method 'magic'"),
        ("/saliency", ("compact", "gradient", "bored"), "no label 'bored'"),
        ("/saliency", ("nothing",), "There is no network 'nothing' here"),
        ("/activations", ("compact", "conv2d_99"), "no layer 'conv2d_99'"),
        ("/ascend", ("compact-ferplus", "conv2d_1", "0-9999"), "10000 filters: ask for 64 at most"),
        ("/ascend", ("compact-ferplus", "conv2d_1", "40"), "40"),
        ("/ascend", ("compact-ferplus", "conv2d_1", "0-3", -5), "1 to 128 steps"),
        ("/ascend", ("compact-ferplus", "conv2d_7", "0-64"), "ask for 64 at most"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(page, face, endpoint: str, asked: tuple, words: str):
    """As a client gets it."""
    given = asked if endpoint == "/ascend" else (handle_file(face), *asked)
    with pytest.raises(AppError, match=words):
        Client(page.url, verbose=False).predict(*given, api_name=endpoint)


def test_an_ascent_that_takes_too_long_is_refused_and_not_given_half_grown(page, monkeypatch):
    monkeypatch.setattr(filters_job, "MAX_SECONDS", -1)
    with pytest.raises(AppError, match="ask for fewer filters or steps"):
        Client(page.url, verbose=False).predict("compact-ferplus", "conv2d_1", "3,5", 4, 0, api_name="/ascend")


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_readmes_examples_of_the_api_run(page, face, language: str):
    """As they stand but for the page's address and the photograph's name; each tells of a happy face."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split("## From other programs")[1]
    code = text.split(f"```{language}\n")[1].split("```")[0]
    code = code.replace("http://127.0.0.1:7860/", page.url).replace("photo.jpg", str(face))
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-c", code]
    if language == "sh" and not shutil.which("curl"):
        pytest.skip("curl is not installed")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0 and "happy" in ran.stdout, ran.stderr


def test_the_api_answers_plain_json_and_leaves_no_file_but_the_upload(page, face, uploads_folder):
    Image.open(face).point(lambda value: value - 1).save(face)  # no other test has uploaded this one
    before = set(uploads_folder.rglob("*.*"))
    answer = Client(page.url, verbose=False).predict(handle_file(face), api_name="/predict")
    assert answer["detector"] == "haar" and len(answer["faces"]) == 1
    assert set(answer["faces"][0]) == {"box", "angle", "emotion", "probabilities", "low_confidence"}
    assert answer["faces"][0]["emotion"] == "happy" and answer["faces"][0]["low_confidence"] is False
    assert answer["faces"][0]["probabilities"]["happy"] == pytest.approx(HAPPY, abs=1e-3)
    assert sum(answer["faces"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert {path.name for path in set(uploads_folder.rglob("*.*")) - before} == {"face.png"}


def test_the_api_says_in_a_sentence_what_is_wrong(page, tmp_path):
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(AppError) as error:
        Client(page.url, verbose=False).predict(handle_file(tmp_path / "text.png"), api_name="/predict")
    assert "picture" in str(error.value) and str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}], ids=["bare", "marked"])
@pytest.mark.parametrize(
    "name", ["{face}", "{uploads}/../{folder}/face.png", "{uploads}/link.png", "file://{face}", "../{folder}/face.png"]
)
def test_a_file_of_the_server_that_nobody_uploaded_is_not_opened(
    page, face, tmp_path, uploads_folder, monkeypatch, name, meta
):
    opened = []
    monkeypatch.setattr(api, "open_image", opened.append)
    monkeypatch.chdir(uploads_folder)
    link = uploads_folder / "link.png"
    link.unlink(missing_ok=True)
    link.symlink_to(face)
    path = name.format(face=face, uploads=uploads_folder, folder=tmp_path.name)
    answer = ask(page.url, {"path": path} | meta)
    assert opened == []
    assert answer.text.startswith("event: error") and "faces" not in answer.text and str(tmp_path) not in answer.text


@pytest.mark.parametrize(
    "picture", [None, {"url": "data:image/png;base64,AAAA"}, {"path": "data:image/png;base64,AAAA"}]
)
def test_what_is_no_upload_is_refused_with_a_sentence(page, picture):
    answer = ask(page.url, picture)
    assert answer.text.startswith("event: error") and "picture" in answer.text


@pytest.mark.parametrize("as_network", [False, True])
def test_gradio_is_kept_from_fetching_a_web_address(page, monkeypatch, as_network):
    fetched = []
    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", lambda url, **_: fetched.append(url))
    address = {"path": "https://example.com/face.png", "meta": {"_type": "gradio.FileData"}}
    answer = ask(page.url, None if as_network else address, address if as_network else "compact")
    assert fetched == []
    assert answer.status_code == 400 and "must be uploaded" in answer.json()["detail"]


def test_a_page_that_was_started_leaves_the_settings_of_the_next_one_alone(page):
    """Gradio would hand its start on: a page of MCP's, which can be begun once only, and the next one never came up."""
    assert page.url and "app_kwargs" not in app_page.LAUNCH


def test_nothing_is_reported_home_and_nothing_kept_in_the_browser(page):
    config = httpx.get(f"{page.url}config").json()
    assert config["analytics_enabled"] is False and app_page.LAUNCH["run_history"] is False
    assert page.blocks.delete_cache == (600, 600)


def test_uploads_are_deleted_when_their_time_is_up(page, face, uploads_folder):
    Client(page.url, verbose=False).predict(handle_file(face), api_name="/predict")
    assert list(uploads_folder.rglob("face.png"))
    delete_files_created_by_app(page.blocks, age=-1)
    assert not list(uploads_folder.rglob("face.png"))

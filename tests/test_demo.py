"""The page without a browser: handlers as functions, the API through Gradio's own client and through bare HTTP."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
import torch
from gradio import processing_utils
from gradio.route_utils import delete_files_created_by_app
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import demo
from fer import checkpoint
from fer.faces import Box
from fer.prediction import FaceReading, Reading
from fer.tabs import markup, predict, shared, uploads

HAPPY = 0.9  # softmax of one logit of 3.989 among six of 0


def network_that_says(emotion: str, folder: Path, logit: float = 3.989, unsure: float = 0.0) -> None:
    """Saves a network that answers every face with the same emotion."""
    network = checkpoint.Network("dnn", name=folder.name, unsure=unsure)
    last = [layer for layer in network if hasattr(layer, "weight")][-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    last.bias.data[network.labels.index(emotion)] = logit
    checkpoint.save(network, folder)


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    network_that_says("happy", folder / "compact")
    network_that_says("sad", folder / "cnn", logit=1.0, unsure=0.5)
    return folder


@pytest.fixture(scope="module", autouse=True)
def uploads_folder(tmp_path_factory) -> Iterator[Path]:
    """A folder for uploads that is this module's own; and Haar, which needs no download."""
    detector = shared.faces.load_detector("haar")
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("uploads")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setattr(predict, "load_detector", lambda: detector)
        patch.setattr(shared, "load_detector", lambda: detector)
        yield folder


@pytest.fixture
def face(tmp_path) -> Path:
    """An example face of 240 pixels in the middle of a grey picture of 640x480."""
    picture = Image.new("L", (640, 480), 128)
    picture.paste(Image.open(predict.EXAMPLES / "happy.png").convert("L").resize((240, 240)), (200, 120))
    picture.save(tmp_path / "face.png")
    return tmp_path / "face.png"


def uploaded(file: Path) -> dict:
    """What a handler gets for a picture that was uploaded."""
    return {"path": processing_utils.save_file_to_cache(file, get_upload_folder())}


def clicked(index) -> SimpleNamespace:
    return SimpleNamespace(index=index)


def two_faces(unsure: bool = False) -> Reading:
    def one(x: float, emotion: str) -> FaceReading:
        probabilities = {emotion: 0.75, "<b>${alert(1)}</b>": 0.25}
        square = Box(x, 20.0, 40.0, 40.0)
        return FaceReading(square, square, np.full((48, 48), int(x), np.uint8), probabilities, unsure=unsure)

    return Reading((one(10.0, "happy"), one(140.0, "sad")), "haar", (200, 100))


# ---- handlers


def test_a_face_is_found_and_read_with_its_probability_and_its_crop(weights, face):
    view, crop, probabilities, offer, seen, shown = predict.look(uploaded(face), "compact", weights=weights)
    assert "<strong>Happy</strong> 90%" in view.props["sentence"]
    assert probabilities["value"]["happy"] == pytest.approx(HAPPY, abs=1e-3)
    assert crop["visible"] and 'src="data:image/png;base64,' in crop["value"]
    assert not offer["visible"]
    assert shown.shape == (48, 48) and shown.dtype == np.uint8
    assert seen.chosen == 0 and len(seen.reading.faces) == 1


def test_the_box_lies_over_the_face(weights, face):
    answer = predict.predict(uploaded(face), "compact", weights=weights)
    x, y, width, height = answer["faces"][0]["box"]
    assert abs(x + width / 2 - 320) < 25 and abs(y + height / 2 - 240) < 25
    assert 150 < width < 290


def test_a_picture_without_a_face_offers_to_take_it_whole_and_then_reads_its_middle(weights, tmp_path):
    Image.new("L", (300, 200), 77).save(tmp_path / "grey.png")
    picture = uploaded(tmp_path / "grey.png")
    view, crop, _, offer, _, shown = predict.look(picture, "compact", weights=weights)
    assert "No face was found" in view.props["sentence"]
    assert offer["visible"] and not crop["visible"] and shown is None
    view, crop, _, offer, seen, shown = predict.look(picture, "compact", weights=weights, whole=True)
    assert "Happy" in view.props["sentence"]
    assert seen.reading.faces[0].box.to_list() == [50, 0, 200, 200]
    assert (shown == 77).all() and not offer["visible"]


def test_another_network_keeps_the_whole_picture_and_says_when_it_is_unsure(weights, tmp_path):
    Image.new("L", (200, 200), 77).save(tmp_path / "grey.png")
    picture = uploaded(tmp_path / "grey.png")
    seen = predict.look(picture, "compact", weights=weights, whole=True)[4]
    view, *_, seen, _ = predict.look(picture, "cnn", seen, weights=weights)
    assert seen.whole
    assert "<strong>Unsure</strong> perhaps sad (31%), perhaps angry (11%)" in view.props["sentence"]


def test_the_second_face_is_chosen_by_its_number():
    view, _, probabilities, _, seen, shown = predict.choose(predict.Seen(two_faces()), clicked(1))
    assert seen.chosen == 1 and shown[0, 0] == 140
    assert "<strong>Sad</strong> 75%, face 2 of 2" in view.props["sentence"]
    assert list(probabilities["value"]) == ["sad", "<b>${alert(1)}</b>"]
    assert "picture" not in view.props  # the picture itself is not sent again


@pytest.mark.parametrize("index", [2, -1, True, "1", 0.0, None, [0]])
def test_a_face_that_is_not_there_cannot_be_chosen(index):
    with pytest.raises(gr.Error, match="not there any more"):
        predict.choose(predict.Seen(two_faces()), clicked(index))


def test_no_face_can_be_chosen_before_there_is_a_picture():
    with pytest.raises(gr.Error, match="not there any more"):
        predict.choose(None, clicked(0))


def test_removing_the_picture_clears_the_page(weights):
    view, *rest, seen, shown = predict.look(None, "compact", weights=weights)
    assert view.props["picture"] == view.props["sentence"] == "" and view.value == ""
    assert [update["visible"] for update in rest] == [False] * 3
    assert seen is None and shown is None


def test_an_example_is_chosen_by_its_number_alone():
    assert predict.example(clicked(0)).shape[2] == 3
    with pytest.raises(gr.Error):
        predict.example(clicked("../../secret.png"))


@pytest.mark.parametrize("name", ["nothing", "../compact", "/etc", None, ["compact"], {"a": 1}])
def test_an_unknown_network_is_refused_by_naming_the_known(weights, face, name):
    with pytest.raises(gr.Error, match="Choose one of: compact, cnn"):
        predict.predict(uploaded(face), name, weights=weights)


def test_a_broken_network_is_told_to_the_visitor_without_a_path(face, tmp_path, caplog):
    network_that_says("happy", tmp_path / "weights" / "compact")
    (tmp_path / "weights" / "compact" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(gr.Error, match="'compact' is broken") as error:
        predict.predict(uploaded(face), "compact", weights=tmp_path / "weights")
    assert str(tmp_path) not in str(error.value) and str(tmp_path) in caplog.text


def test_a_text_file_named_png_ends_in_a_sentence_without_a_path(weights, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(gr.Error) as error:
        predict.look(uploaded(tmp_path / "text.png"), "compact", weights=weights)
    assert str(tmp_path) not in str(error.value) and not error.value.print_exception


# ---- markup


@pytest.mark.parametrize("unsure", [False, True])
def test_a_label_cannot_bring_markup_into_the_page(unsure):
    face = two_faces(unsure).faces[0]
    face.probabilities["<b>${alert(1)}</b>"] = 0.99
    reading = Reading((face, face), "haar", (200, 100))
    pieces = [draw(reading, 0) for draw in (markup.boxes, markup.strip, markup.answer)]
    assert "&lt;b&gt;" in pieces[0] and not any("<b>" in piece.lower() for piece in pieces)


def test_templates_use_no_handlebars_since_those_would_run_a_value_as_code():
    assert not any("{{" in text for name, text in vars(markup).items() if name.isupper())


@pytest.mark.parametrize(
    "box, place",
    [
        (Box(50.0, 20.0, 100.0, 40.0), "left:25.00%;top:20.00%;width:50.00%;height:40.00%"),
        (Box(-20.0, 50.0, 120.0, 100.0), "left:0.00%;top:50.00%;width:50.00%;height:50.00%"),
    ],
)
def test_boxes_are_placed_in_shares_of_the_picture_and_cut_at_its_edges(box, place):
    face = FaceReading(box, box, np.zeros((48, 48), np.uint8), {"happy": 1.0}, unsure=False)
    drawn = markup.boxes(Reading((face,), "haar", (200, 100)), 0)
    assert place in drawn
    assert drawn.startswith("<div ")  # nothing to choose where there is one face


# ---- the page and its API


@pytest.fixture(scope="module")
def page(weights, uploads_folder):
    page = demo.build(weights)
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **demo.LAUNCH)
    yield SimpleNamespace(url=url, blocks=page)
    page.close(verbose=False)


def ask(url: str, picture, network="compact") -> httpx.Response:
    """Calls /predict as bare HTTP, so that nothing on our side tidies what is sent."""
    with httpx.Client(base_url=url, timeout=20) as client:
        started = client.post("gradio_api/call/predict", json={"data": [picture, network]})
        return started if started.is_error else client.get(f"gradio_api/call/predict/{started.json()['event_id']}")


def test_the_public_api_is_predict_with_a_picture_and_a_network(page):
    endpoints = Client(page.url, verbose=False).view_api(return_format="dict", print_info=False)
    assert list(endpoints["named_endpoints"]) == ["/predict"] and not endpoints["unnamed_endpoints"]
    parameters = endpoints["named_endpoints"]["/predict"]["parameters"]
    assert [parameter["parameter_name"] for parameter in parameters] == ["picture", "network"]
    assert parameters[1]["parameter_default"] == "compact"


def test_the_api_answers_plain_json_and_leaves_no_file_but_the_upload(page, face, uploads_folder):
    Image.open(face).point(lambda value: value - 1).save(face)  # no other test has uploaded this one
    before = set(uploads_folder.rglob("*.*"))
    answer = Client(page.url, verbose=False).predict(handle_file(face), api_name="/predict")
    assert answer["detector"] == "haar" and len(answer["faces"]) == 1
    assert set(answer["faces"][0]) == {"box", "emotion", "probabilities", "unsure"}
    assert answer["faces"][0]["emotion"] == "happy" and answer["faces"][0]["unsure"] is False
    assert answer["faces"][0]["probabilities"]["happy"] == pytest.approx(HAPPY, abs=1e-3)
    assert sum(answer["faces"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert {path.name for path in set(uploads_folder.rglob("*.*")) - before} == {"face.png"}


def test_the_api_says_in_a_sentence_what_is_wrong(page, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
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
    monkeypatch.setattr(predict, "open_picture", opened.append)
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


@pytest.mark.parametrize(
    "body, found",
    [
        (b'{"data": [{"path": "http://x"}]}', True),
        (b'{"data": [[{"a": {"\\u0070ath": "\\u0068ttps://x"}}]]}', True),
        (b'{"data": ["http://x", {"path": "/tmp/http://x"}, {"path": 3}]}', False),
        (b'{"data": [', False),
        (b"[" * 100_000, False),
        (b"\xff\xfe", False),
    ],
)
def test_web_addresses_are_found_wherever_json_can_hide_them(body, found):
    assert uploads.names_an_address(body) is found


def test_an_upload_that_is_gone_asks_for_the_picture_again(weights, face):
    picture = uploaded(face)
    Path(picture["path"]).unlink()
    with pytest.raises(gr.Error, match="choose it again"):
        predict.look(picture, "compact", weights=weights)


def test_nothing_is_reported_home_and_nothing_kept_in_the_browser(page):
    config = httpx.get(f"{page.url}config").json()
    assert config["analytics_enabled"] is False and demo.LAUNCH["run_history"] is False
    assert page.blocks.delete_cache == (600, 600)


def test_uploads_are_deleted_when_their_time_is_up(page, face, uploads_folder):
    Client(page.url, verbose=False).predict(handle_file(face), api_name="/predict")
    assert list(uploads_folder.rglob("face.png"))
    delete_files_created_by_app(page.blocks, age=-1)
    assert not list(uploads_folder.rglob("face.png"))


def test_a_page_without_networks_starts_and_says_that_there_are_none(face, tmp_path):
    (tmp_path / "empty").mkdir()
    demo.build(tmp_path / "empty")
    with pytest.raises(gr.Error, match="none yet"):
        predict.look(uploaded(face), None, weights=tmp_path / "empty")


# ---- starting


@pytest.mark.parametrize("space, host", [(None, "127.0.0.1"), ("someone/fer", "0.0.0.0")])
def test_it_listens_to_this_computer_alone_except_on_a_space(monkeypatch, weights, space, host):
    monkeypatch.setattr(checkpoint, "WEIGHTS", weights)
    monkeypatch.setenv("SPACE_ID", space) if space else monkeypatch.delenv("SPACE_ID", raising=False)
    launched = {}
    monkeypatch.setattr(gr.Blocks, "launch", lambda self, **options: launched.update(options))
    demo.main(["--port", "7999"])
    assert launched["server_name"] == host and launched["server_port"] == 7999 and launched["share"] is False


def test_importing_the_page_writes_no_file_opens_no_connection_and_parses_nothing(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("demo", "fer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "argv", ["demo.py", "--nonsense"])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    seen, importing = [], True

    def hook(event: str, details: tuple) -> None:
        if importing and event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir"):
            seen.append((event, str(details)))
        elif importing and event == "open" and set(str(details[1])) & set("wax+"):
            seen.append((event, str(details)))

    sys.addaudithook(hook)  # cannot be taken off again, hence `importing`
    assert importlib.import_module("demo") is not demo
    importing = False
    assert seen == []

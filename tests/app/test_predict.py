"""The page's handlers as functions, its markup, and its start."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from fer.app import api, lifecycle, static
from fer.app import page as app_page
from fer.app.examples import example_files, example_name
from fer.app.predict import handlers
from fer.app.predict import view as predict_view
from fer.data.image_io import open_image
from fer.faces import detector as faces_detector
from fer.faces.framing import Box
from fer.inference import predictor
from fer.inference.predictor import FacePrediction, ImagePrediction
from fer.models import checkpoint
from tests.pages import network_that_says, sealed_off, uploaded, write_face, write_networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_networks(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module", autouse=True)
def uploads_folder(tmp_path_factory) -> Iterator[Path]:
    with sealed_off(tmp_path_factory.mktemp("uploads")) as folder:
        yield folder


@pytest.fixture
def face(tmp_path) -> Path:
    return write_face(tmp_path / "face.png")


def clicked(index) -> SimpleNamespace:
    return SimpleNamespace(index=index)


def two_faces(unsure: bool = False) -> ImagePrediction:
    """A happy face and a sad one, whose network has a label that is markup."""

    def one(x: float, emotion: str) -> FacePrediction:
        probabilities = {emotion: 0.75, "<b>${alert(1)}</b>": 0.25}
        square = Box(x, 20.0, 40.0, 40.0)
        return FacePrediction(square, square, np.full((48, 48), int(x), np.uint8), probabilities, low_confidence=unsure)

    return ImagePrediction((one(10.0, "happy"), one(140.0, "sad")), "haar", (200, 100))


# ---- handlers


def test_a_face_is_found_and_read_with_its_probability_and_its_crop(weights, face):
    found = handlers.predict(uploaded(face), "compact", weights=weights)
    assert "<strong>Happy</strong> 90%" in found.verdict.value
    assert "<output>90%</output>" in found.verdict.props["details"]
    assert 'src="data:image/png;base64,' in found.verdict.props["details"]
    assert not found.skip_detection["visible"] and found.upload["visible"] == "hidden"
    assert found.face.shape == (48, 48) and found.face.dtype == np.uint8
    assert found.state.chosen == 0 and len(found.state.prediction.faces) == 1


def test_the_box_lies_over_the_face(weights, face):
    answer = api.readings(weights, uploaded(face), "compact")
    x, y, width, height = answer["faces"][0]["box"]
    assert abs(x + width / 2 - 320) < 25 and abs(y + height / 2 - 240) < 25
    assert 150 < width < 290


def test_a_picture_without_a_face_offers_to_skip_detection_and_then_reads_its_middle(weights, tmp_path):
    Image.new("L", (300, 200), 77).save(tmp_path / "grey.png")
    picture = uploaded(tmp_path / "grey.png")
    found = handlers.predict(picture, "compact", weights=weights)
    assert "No face was found" in found.verdict.value
    assert found.skip_detection["visible"] and example_name(found.face) == "happy"
    found = handlers.predict(picture, "compact", weights=weights, whole_picture=True)
    assert "Happy" in found.verdict.value
    assert found.state.prediction.faces[0].box.to_list() == [50, 0, 200, 200]
    assert (found.face == 77).all() and not found.skip_detection["visible"]


def test_another_model_predicts_for_the_same_faces_without_the_picture_and_says_when_confidence_is_low(weights):
    state = handlers.PredictState(two_faces(), chosen=1)
    found = handlers.predict_again(state, "cnn", weights=weights)
    assert "<strong>Sad</strong> 31%" in found.verdict.value and "low confidence" in found.verdict.value
    assert found.state.chosen == 1 and "picture" not in found.view.props


def test_a_wide_prediction_set_is_named_and_its_width_explained():
    """All labels that reach the model's threshold; without one, nothing is said."""
    face = replace(two_faces().faces[0], probabilities={"fear": 0.5, "sad": 0.3, "angry": 0.2}, set_threshold=0.25)
    said = predict_view.label_set(face)
    assert "<b>fear</b>, <b>sad</b>" in said and "angry" not in said
    assert "It holds 2 labels" in said and "fear has 50%, sad has 30%" in said
    assert predict_view.label_set(replace(face, set_threshold=0.0)) == ""


def test_the_second_face_is_chosen_by_its_number():
    found = handlers.choose(handlers.PredictState(two_faces()), clicked(1))
    assert found.state.chosen == 1 and found.face[0, 0] == 140
    assert "<strong>Sad</strong> 75%" in found.verdict.value and "face 2 of 2" in found.verdict.value
    assert "picture" not in found.view.props  # the picture itself is not sent again


@pytest.mark.parametrize("index", [2, -1, True, "1", 0.0, None, [0]])
def test_a_face_that_is_not_there_cannot_be_chosen(index):
    with pytest.raises(gr.Error, match="not there any more"):
        handlers.choose(handlers.PredictState(two_faces()), clicked(index))


def test_no_face_can_be_chosen_before_there_is_a_picture():
    with pytest.raises(gr.Error, match="not there any more"):
        handlers.choose(None, clicked(0))


def test_removing_the_picture_clears_the_page(weights):
    found = handlers.predict(None, "compact", weights=weights)
    assert found.view.props["picture"] == found.view.value == found.verdict.props["details"] == ""
    assert found.upload["visible"] is True and found.state is None
    assert example_name(found.face) == "happy"


def test_an_example_is_chosen_by_its_number_alone():
    assert handlers.example(clicked(0)).shape[2] == 3
    with pytest.raises(gr.Error):
        handlers.example(clicked("../../secret.png"))


@pytest.mark.parametrize("name", ["nothing", "../compact", "/etc", None, ["compact"], {"a": 1}])
def test_an_unknown_network_is_refused_by_naming_the_known(weights, face, name):
    with pytest.raises(gr.Error, match="Choose one of: compact, cnn"):
        api.readings(weights, uploaded(face), name)


def test_a_broken_network_is_told_to_the_visitor_without_a_path(face, tmp_path, caplog):
    network_that_says("happy", tmp_path / "weights" / "compact")
    (tmp_path / "weights" / "compact" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(gr.Error, match="'compact' is broken") as error:
        api.readings(tmp_path / "weights", uploaded(face), "compact")
    assert str(tmp_path) not in str(error.value) and str(tmp_path) in caplog.text


def test_a_text_file_named_png_ends_in_a_sentence_without_a_path(weights, tmp_path):
    """Where the prediction would stand."""
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    found = handlers.predict(uploaded(tmp_path / "text.png"), "compact", weights=weights)
    assert "refused" in found.verdict.value and str(tmp_path) not in found.verdict.value and found.state is None


def test_an_upload_that_is_gone_asks_for_the_picture_again(weights, face):
    picture = uploaded(face)
    Path(picture["path"]).unlink()
    assert "choose it again" in handlers.predict(picture, "compact", weights=weights).verdict.value


# ---- markup


@pytest.mark.parametrize("unsure", [False, True])
def test_a_label_cannot_bring_markup_into_the_page(unsure):
    face = two_faces(unsure).faces[0]
    face.probabilities["<b>${alert(1)}</b>"] = 0.99
    reading = ImagePrediction((face, face), "haar", (200, 100))
    pieces = [draw(reading, 0) for draw in (predict_view.boxes, predict_view.strip)]
    pieces += predict_view.verdict(reading, 0).values()
    assert "&lt;b&gt;" in pieces[0] and not any("<b>" in piece.lower() for piece in pieces)


@pytest.mark.parametrize("file", sorted(static.FOLDER.glob("*.*ml")) + sorted(static.FOLDER.glob("*.css")), ids=str)
def test_templates_hold_no_code_by_accident(file):
    """Handlebars would run a value as code, and CSS is a JavaScript template to Gradio."""
    text = file.read_text(encoding="utf-8")
    assert "{{" not in text and (file.suffix != ".css" or not {"`", "${"} & set(text))


@pytest.mark.parametrize(
    "box, place",
    [
        (Box(50.0, 20.0, 100.0, 40.0), "left:25.00%;top:20.00%;width:50.00%;height:40.00%"),
        (Box(-20.0, 50.0, 120.0, 100.0), "left:0.00%;top:50.00%;width:50.00%;height:50.00%"),
    ],
)
def test_boxes_are_placed_in_shares_of_the_picture_and_cut_at_its_edges(box, place):
    face = FacePrediction(box, box, np.zeros((48, 48), np.uint8), {"happy": 1.0}, low_confidence=False)
    drawn = predict_view.boxes(ImagePrediction((face,), "haar", (200, 100)), 0)
    assert place in drawn
    assert drawn.startswith("<div ")  # nothing to choose where there is one face


# ---- starting


def test_a_page_without_networks_starts_and_says_that_there_are_none(face, tmp_path):
    (tmp_path / "empty").mkdir()
    app_page.build(tmp_path / "empty")
    assert "none yet" in handlers.predict(uploaded(face), None, weights=tmp_path / "empty").verdict.value


@pytest.mark.parametrize("space, host", [(None, "127.0.0.1"), ("someone/fer", "0.0.0.0")])
def test_it_listens_to_this_computer_alone_except_on_a_space(monkeypatch, weights, space, host):
    monkeypatch.setattr(checkpoint, "WEIGHTS", weights)
    monkeypatch.setenv("SPACE_ID", space) if space else monkeypatch.delenv("SPACE_ID", raising=False)
    launched = {}
    monkeypatch.setattr(gr.Blocks, "launch", lambda self, **options: launched.update(options))
    monkeypatch.setattr(lifecycle, "wait", lambda page, told: None)
    monkeypatch.setattr(lifecycle, "listen", lambda: None)
    app_page.main(["--port", "7999"])
    assert launched["server_name"] == host and launched["server_port"] == 7999 and launched["share"] is False


def test_the_page_has_one_model_menu_and_one_event_for_all_that_is_quick(tmp_path):
    page = app_page.build(write_networks(tmp_path))
    (menu,) = (block for block in page.blocks.values() if getattr(block, "label", None) == "Model")
    (strip,) = (block for block in page.blocks.values() if getattr(block, "elem_id", None) == "strip")
    following = [part for part in page.fns.values() if (menu._id, "change") in part.targets and strip in part.outputs]
    assert len(following) == 1 and len(following[0].outputs) > 3


@pytest.fixture
def started(monkeypatch, tmp_path) -> list[dict]:
    """How `app_page.main` launches the page, which is none and comes up as if it served MCP."""
    launched: list[dict] = []
    page = SimpleNamespace(launch=lambda **how: launched.append(how), listening=None, share_url=None, mcp_server=True)
    monkeypatch.setattr(app_page, "build", lambda: page)
    monkeypatch.setattr(lifecycle, "wait", lambda page, told: None)
    monkeypatch.setattr(lifecycle, "listen", lambda: None)
    monkeypatch.setattr(lifecycle, "own_uploads", lambda: tmp_path)
    monkeypatch.setattr(app_page.tempfile, "tempdir", None)
    monkeypatch.setattr(app_page, "import_module", lambda name: None)
    return launched


@pytest.mark.parametrize("flags, asked", [([], None), (["--mcp"], True)])
def test_mcp_is_served_where_it_is_asked_for_and_left_to_gradio_s_variable_else(started, flags, asked):
    """None is what lets GRADIO_MCP_SERVER decide, as on a Space."""
    app_page.main(flags)
    assert started[0]["mcp_server"] is asked


def test_where_mcp_cannot_be_imported_the_page_does_not_start_without_it(started, monkeypatch, capsys):
    """It ends with 2 and says why, whatever the package of another version raises."""

    def unfit(name: str):
        raise AttributeError("module 'mcp' has no attribute 'types'")

    monkeypatch.setattr(app_page, "import_module", unfit)
    with pytest.raises(SystemExit) as ended:
        app_page.main(["--mcp"])
    assert ended.value.code == 2 and "no attribute 'types'" in capsys.readouterr().err and not started


def test_where_mcp_cannot_be_begun_the_page_ends(started, monkeypatch, capsys):
    """Gradio would go on without it."""
    app_page.build().mcp_server, app_page.build().mcp_error = False, "Error launching MCP server: no tools"
    with pytest.raises(SystemExit) as ended:
        app_page.main(["--mcp"])
    assert ended.value.code == 2 and "no tools" in capsys.readouterr().err


def test_the_page_answers_to_the_host_names_that_are_allowed(started):
    app_page.main(["--allow-host", "lab.example"])
    assert started[0]["_app"].hosts.own("lab.example") and not started[0]["_app"].hosts.own("evil.example")


@pytest.mark.parametrize("detector", ["yunet", "haar"])
def test_every_example_is_predicted_as_what_it_is_called(detector):
    """By `compact`, with whichever detector: the first click of a newcomer."""
    try:
        found = faces_detector.load_detector(detector)
    except ValueError:
        pytest.skip("YuNet's model is not at hand")
    network = checkpoint.load_model("compact")
    for file in example_files():
        (face,) = predictor.predict_image(open_image(file), network, found).faces
        assert face.emotion == file.stem

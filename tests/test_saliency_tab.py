"""The Saliency tab's handlers as functions, and its markup."""

import base64
import io
import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from pages import example_face, write_networks
from PIL import Image

from fer import attributions, data, reasons, trust
from fer.tabs import maps, saliency
from fer.tabs.shared import load_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact-ferplus` looks at the face; `compact`, a dnn, answers happy whatever it sees."""
    return write_networks(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def face() -> np.ndarray:
    return np.asarray(example_face(48))


def ask(face, weights, name="compact-ferplus", method="gradient", target="", against="", keep=20) -> tuple:
    return saliency.show(face, name, method, target, against, keep, False, weights=weights)


def test_a_question_gives_the_face_its_map_the_masked_face_and_the_scores(weights, face):
    """Two pictures and one, four bars, the FER+ labels to ask about, and the answer in the state."""
    method, target, against, hint, explained, left, trust, *rest, shown = ask(face, weights, target="sad")
    assert method["value"] == "gradient" and method["choices"] == list(attributions.METHODS)
    assert target["value"] == "sad" and target["choices"] == [("its answer", ""), *data.FERPLUS]
    assert against["value"] == "" and "small change" in hint
    assert explained.count("<img") == 2 and left.count("<img") == 1 and trust.count('class="bar') == 4
    assert "Why sad? Red speaks for it" in explained and "highest 20% kept: sad" in left and rest == ["", "", ""]
    assert shown.network == "compact-ferplus" and (shown.reason.face == face).all()


def test_before_there_is_a_face_the_tab_says_where_to_choose_one(weights):
    """And computes nothing."""
    _, explained, *rest, shown = ask(None, weights)[3:]
    assert "in the Predict tab" in explained and rest == [""] * 5 and shown is None


def test_a_method_that_the_network_does_not_offer_is_not_shown_as_another(weights, face):
    """Its menu lacks it, the first of those offered is chosen for all to see, and a sentence says why."""
    method, _, _, hint, *_, shown = ask(face, weights, "compact", "grad-cam")
    assert method["value"] == shown.reason.method == "integrated-gradients" and "grad-cam" not in method["choices"]
    assert "Not for compact: hirescam, grad-cam, guided-grad-cam. It has no convolution" in hint


def test_a_network_that_looks_at_nothing_has_a_map_of_zeros_and_says_so(weights, face):
    """Its answer is the same for every face: no colour, and no correlation."""
    _, _, _, _, explained, *_, shown = ask(face, weights, "compact")
    assert "The map is 0 everywhere." in explained and shown.reason.correlation == pytest.approx(0, abs=1e-6)


def test_an_opened_tab_asks_anew_only_for_another_face_or_network(weights, face):
    """The target is the network's own answer then, for the old one may be no label of the new network."""
    shown = ask(face, weights, target="sad")[-1]
    same = saliency.opened(face, "compact-ferplus", "gradient", 20, True, shown, weights=weights)
    assert same == gr.skip()
    for other in ((255 - face, "compact-ferplus"), (face, "compact")):
        _, target, *_, new = saliency.opened(*other, "gradient", 20, True, shown, weights=weights)
        assert target["value"] == "" and new.reason is not shown.reason


def test_the_network_reads_the_masked_face_again_for_every_share(weights, face):
    """All of it has the probability of the face, and none of it that of its blurred self."""
    shown = ask(face, weights)[-1]
    whole, none = (saliency.remask(shown, keep, weights=weights) for keep in (100, 0))
    assert f"highest 100% kept: {shown.reason.target} {shown.reason.chances[0]:.0%}" in whole
    assert whole.split("figcaption")[0] != none.split("figcaption")[0]
    network = load_network(weights, "compact-ferplus")
    values = saliency.torch.from_numpy(shown.reason.map)[None, None]
    pixels, chances = reasons.mask(network, face, values, 1.0)
    assert (pixels == face).all() and max(chances) == pytest.approx(shown.reason.chances[0], abs=1e-5)


@pytest.mark.parametrize("which, words", [("last", "its last layer"), ("all", "all its layers")])
def test_a_network_forgets_on_demand(weights, face, which, words):
    """A copy does: the next map is the old one."""
    shown = ask(face, weights)[-1]
    assert words in saliency.forget(shown, which=which, weights=weights)
    assert (ask(face, weights)[-1].reason.map == shown.reason.map).all()


@pytest.mark.parametrize("rank, badge", [(0.79, False), (0.81, True)])
def test_a_map_that_survives_forgetting_gets_a_badge(weights, face, rank, badge):
    """Above a rank correlation of .8."""
    reason = ask(face, weights)[-1].reason
    drawn = maps.forgot(reason, reason.map, rank, "last")
    assert ("does not depend on what the network learnt" in drawn) is badge and f"{rank:.2f}" in drawn


@pytest.mark.parametrize(
    "question, words", [({"target": "sad", "against": "sad"}, "against itself"), ({"name": "../x"}, "no network")]
)
def test_what_cannot_be_asked_is_told(weights, face, question, words):
    """In a message, without a trace."""
    with pytest.raises(gr.Error, match=words):
        ask(face, weights, **question)


def test_all_methods_come_one_by_one_and_the_best_stands_first(weights, face):
    """Thirteen of them for a chain of convolutions with ReLU; the map of the first is there before the others."""
    shown = ask(face, weights)[-1]
    pages = list(saliency.compare(shown, False, weights=weights))
    assert [page.count("<figure>") for page in pages] == list(range(1, 14))
    scores = [float(part.split("</figcaption>")[0]) for part in pages[-1].split("</b>")[1:]]
    assert scores == sorted(scores, reverse=True)


def test_the_curves_begin_and_end_with_the_face_and_its_blurred_self(weights, face):
    """Deletion at 0 and insertion at 1 are the face: the same height, 100 less its probability in per cent."""
    shown = ask(face, weights)[-1]
    goes, comes = (part.split('"')[0].split() for part in saliency.curve(shown, weights=weights).split('points="')[1:])
    top = f"{100 - 100 * shown.reason.chances[0]:.1f}"
    assert len(goes) == len(comes) == 17 and goes[0] == f"0.0,{top}" and comes[-1] == f"100.0,{top}"
    assert goes[-1].split(",")[1] == comes[0].split(",")[1]


def test_the_three_pictures_are_taken_away_as_one_png(weights, face):
    """48 pixels each, six times as large, and two white columns between them: 888 by 288."""
    left = ask(face, weights, target="sad")[5]
    assert 'download="gradient-sad.png"' in left
    png = base64.b64decode(left.split('<a href="data:image/png;base64,')[1].split('"')[0])
    assert Image.open(io.BytesIO(png)).size == (888, 288)


def test_the_map_is_drawn_with_its_grain_or_without(weights, face):
    """The face beside it stays."""
    shown = ask(face, weights)[-1]
    grain, without = (saliency.redraw(shown, smooth).split("<img")[1:] for smooth in (False, True))
    assert grain[0] == without[0] and grain[1] != without[1]


def test_without_a_map_nothing_can_be_masked_or_forgotten(weights):
    """The slider does nothing, the button says what is missing."""
    assert saliency.remask(None, 50, weights=weights) == gr.skip()
    assert saliency.redraw(None, True) == gr.skip() and saliency.curve(None, weights=weights) == ""
    with pytest.raises(gr.Error, match="no map yet"):
        saliency.forget(None, which="last", weights=weights)
    with pytest.raises(gr.Error, match="no map yet"):
        next(saliency.compare(None, True, weights=weights))


def test_what_was_measured_orders_the_methods_and_is_told(face, tmp_path):
    """The most faithful method is chosen when the tab is first opened; the best control stands in its sentence."""
    weights = write_networks(tmp_path)
    scores = {"occlusion": 0.61, "gradient": 0.2, "blob": 0.12, "noise": 0.0}
    rows = [{"method": name, "correlation": score, "faces": 200} for name, score in scores.items()]
    (weights / "compact-ferplus" / trust.FILE).write_text(json.dumps(rows))
    found = saliency.opened(face, "compact-ferplus", "deeplift", 20, True, None, weights=weights)
    assert found[0]["choices"][:2] == ["occlusion", "gradient"] and found[0]["value"] == "occlusion"
    assert "Over 200 faces its region correlation is +0.61" in found[3] and "'blob'" in found[3]


def test_every_method_has_a_sentence():
    """In plain words, for the page."""
    assert list(saliency.METHODS) == list(attributions.METHODS)


def test_labels_cannot_bring_markup_into_the_tab(face):
    """Whatever a checkpoint calls its labels."""
    bad = "<b>${x}</b>"
    reason = reasons.Reason(face, "gradient", bad, bad, np.eye(48), 0.2, face, (0.5, 0.5), 0.1, {bad: 0.2})
    drawn = [maps.explained(reason), maps.left(reason, face, 0.5, 0.2), maps.trust(reason)]
    assert all("&lt;b&gt;" in text and "<b>" not in text for text in drawn)

"""The Saliency tab's handlers as functions, and its markup."""

import base64
import io
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from captum import attr
from PIL import Image

from fer.app import jobs
from fer.app.model_cache import load_network
from fer.app.saliency import handlers as saliency_handlers
from fer.app.saliency import method_menu
from fer.app.saliency import view as saliency_view
from fer.app.saliency.handlers import CurrentRequest
from fer.app.saliency.view import Drawing
from fer.attribution import baselines, benchmark, explanation, methods
from fer.data import ferplus
from tests.pages import example_face, write_networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact-ferplus` looks at the face; `compact`, a dnn, answers happy whatever it sees."""
    return write_networks(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def face() -> np.ndarray:
    return np.asarray(example_face(48))


def ask(
    face, weights, name="compact-ferplus", method="gradient", target="", against="", keep=20, layer="", drawn=(),
    baseline="blurred", wish=None,
) -> tuple:  # fmt: skip
    """What stands on the page at last: (method, target, against, layer, hint, explained, left, shown)."""
    question = (face, name, method, target, against, baseline, layer, keep, list(drawn), wish or CurrentRequest())
    return list(saliency_handlers.show(*question, weights=weights))[-1][:8]


def test_a_question_gives_the_face_its_map_and_the_masked_face(weights, face):
    """Two pictures and one, the FER+ labels to ask about, and the answer in the state."""
    method, target, against, layer, hint, explained, left, shown = ask(face, weights, target="sad")
    assert method["value"] == "gradient" and method["choices"] == list(methods.METHODS)
    assert target["value"] == "sad" and target["choices"] == [("its answer", ""), *ferplus.FERPLUS]
    assert against["value"] == "" and layer["visible"] is False and "small change" in hint
    assert explained.count("<img") == 2 and left.count("<img") == 1
    assert "Why sad?" in explained and "legend" in explained and "highest 20% alone: sad" in left
    assert shown.network == "compact-ferplus" and (shown.reason.face == face).all()


def test_the_scores_and_curves_come_after_the_map(weights, face):
    """Two bars with three ticks each and a verdict; what stood there belonged to another map and goes with it."""
    wish = CurrentRequest()
    question = (face, "compact-ferplus", "gradient", "", "", "blurred", "", 20, [], wish)
    *_, shown, before, _, forgot, everything, found = list(saliency_handlers.show(*question, weights=weights))[-1]
    assert "Measuring" in before and forgot["visible"] is everything["visible"] is False and found is None
    second, third = saliency_handlers.measure(shown, None, wish, weights=weights)
    trust, _, known = second
    assert trust.count('class="bar own') == 2 and trust.count("<u ") == 6 and "maps that know nothing" in trust
    assert third[1].count("<polyline") == 2 and known.shown is shown
    again = next(saliency_handlers.measure(shown, known, wish, weights=weights))
    assert again == (gr.skip(),) * 3  # an opened tab brings the same map: nothing is measured twice


def test_what_breaks_within_captum_is_told_in_a_sentence_and_the_next_visitor_gets_their_map(
    weights, face, monkeypatch
):
    """In the worker's thread; the network that all visitors share has no hook afterwards, and answers as before."""
    network, before = load_network(weights, "compact-ferplus"), ask(face, weights)[-1].reason.map
    question = (face, "compact-ferplus", "gradient", "", "", "blurred", "", 20, [], CurrentRequest())
    with monkeypatch.context() as patch:
        patch.setattr(attr.Saliency, "attribute", lambda *_, **__: [][0])
        with pytest.raises(IndexError):  # the page says what `guarded.UNFORESEEN` says
            list(saliency_handlers.show(*question, weights=weights))
    assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())
    assert (ask(face, weights)[-1].reason.map == before).all()


def test_what_becomes_of_a_changed_face_is_found_once_for_all_methods(weights, face):
    """And anew for another question."""
    first, second, third = (ask(face, weights, **more)[-1] for more in ({}, {"method": "hirescam"}, {"target": "fear"}))
    network = load_network(weights, "compact-ferplus")
    known = saliency_handlers.changes_of(network, first, None)
    assert saliency_handlers.changes_of(network, second, known).changes is known.changes
    assert saliency_handlers.changes_of(network, third, known).changes is not known.changes


def test_before_there_is_a_face_the_tab_says_where_to_choose_one(weights):
    """And computes nothing."""
    hint, explained, left, shown = ask(None, weights)[4:]
    assert "in the Predict tab" in explained and (hint, left, shown) == ("", "", None)
    (scored,) = saliency_handlers.measure(None, None, CurrentRequest(), weights=weights)
    assert scored == ("", "", None)


def test_a_method_that_the_network_does_not_offer_is_not_shown_as_another(weights, face):
    """Its menu lacks it, the first of those offered is chosen for all to see, and a sentence says why."""
    method, *_, hint, _, _, shown = ask(face, weights, "compact", "grad-cam")
    assert method["value"] == shown.reason.method == "integrated-gradients" and "grad-cam" not in method["choices"]
    assert "Not for compact: hirescam, grad-cam, guided-grad-cam. It has no convolution" in hint


def test_a_network_that_looks_at_nothing_has_a_map_of_zeros_and_says_so(weights, face):
    """Its answer is the same for every face: no colour, and no better than chance."""
    wish = CurrentRequest()
    *_, explained, _, shown = ask(face, weights, "compact", wish=wish)
    assert "The map is 0 everywhere." in explained
    (trust, *_), _ = saliency_handlers.measure(shown, None, wish, weights=weights)
    assert "no better than" in trust and "+0.00" in trust


def test_an_opened_tab_asks_anew_only_for_another_face_or_network(weights, face):
    """The target is the network's own answer then, for the old one may be no label of the new network."""
    shown = ask(face, weights, target="sad")[-1]

    def opened(face, name) -> tuple:
        question = (face, name, "gradient", "blurred", 20, [], CurrentRequest(), shown)
        return list(saliency_handlers.opened(*question, weights=weights))[-1][:8]

    assert opened(face, "compact-ferplus") == (gr.skip(),) * 8
    for other in ((255 - face, "compact-ferplus"), (face, "compact")):
        _, target, *_, new = opened(*other)
        assert target["value"] == "" and new.reason is not shown.reason


def test_the_layer_and_the_baseline_are_the_visitor_s_choice(weights, face):
    """Grad-CAM's menu holds its layers, another method has none; other choices, other maps."""
    _, _, _, layer, *_, late = ask(face, weights, method="grad-cam")
    assert layer["visible"] and layer["value"] == "" and ("conv2d_2") in layer["choices"]
    early = ask(face, weights, method="grad-cam", layer="conv2d_2")
    assert early[3]["value"] == "conv2d_2" and (early[-1].reason.map != late.reason.map).any()
    assert ask(face, weights, method="gradient", layer="conv2d_2")[3]["value"] == ""
    three = [ask(face, weights, method="ablation", baseline=name)[-1].reason.map for name in baselines.BASELINES]
    assert (three[0] != three[1]).any() and (three[1] != three[2]).any()


@pytest.fixture
def slow(monkeypatch) -> list[str]:
    """Every step of work shows, and what is wanted changes to the gradient at the first; lists the methods that ran."""
    monkeypatch.setattr(
        saliency_handlers,
        "run_with_progress",
        lambda work, wanted=lambda: True: jobs.run_with_progress(work, wanted, 0.001),
    )
    ran, of = [], explanation.explain_face
    monkeypatch.setattr(explanation, "explain_face", lambda *asked: (ran.append(asked[2]), of(*asked))[1])
    return ran


def test_a_slow_method_shows_how_far_it_is_and_can_be_stopped(weights, face, slow):
    """A bar, a button, and then the map; nothing is left of it when the page stops listening."""
    question = (face, "compact-ferplus", "occlusion", "", "", "blurred", "", 20, [])
    pages = list(saliency_handlers.show(*question, CurrentRequest(), weights=weights))
    assert "progressbar" in pages[0][5] and "data-choice" in pages[0][5] and pages[0][7] is None
    assert "legend" in pages[-1][5] and pages[-1][7] is not None
    stopped = saliency_handlers.show(*question, CurrentRequest(), weights=weights)
    next(stopped)
    stopped.close()
    network = load_network(weights, "compact-ferplus")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert "No map." in saliency_handlers.stop(face, CurrentRequest())[1]


def test_what_fails_leaves_no_map_of_an_earlier_question_and_takes_nothing_from_a_later_one(weights, face, monkeypatch):
    """13 outputs, the menus as they were; once another question is wanted, a failure says nothing of the page."""
    wish = CurrentRequest()
    question = (face, "compact-ferplus", "gradient", "", "", "blurred", "", 20, [], wish)

    def failing(*_, **__):
        raise RuntimeError("no memory")

    monkeypatch.setattr(explanation, "explain_face", failing)
    asked = saliency_handlers.show(*question, weights=weights)
    menus, (hint, explained, *_, found) = (lambda left: (left[:4], left[4:]))(next(asked))
    assert menus == (gr.skip(),) * 4 and hint == "" and "No map." in explained and found is None
    with pytest.raises(RuntimeError, match="no memory"):
        next(asked)

    def overtaken(*_, **__):
        wish.asked = "another question"
        raise RuntimeError("no memory")

    monkeypatch.setattr(explanation, "explain_face", overtaken)
    with pytest.raises(RuntimeError, match="no memory"):
        next(saliency_handlers.show(*question, weights=weights))
    assert wish.asked == "another question"


def test_a_question_that_was_sent_away_leaves_no_map_and_one_that_is_worked_on_is_left_alone(face):
    """What follows a failure follows a Stop as well, when the next question may have begun."""
    wish = CurrentRequest(asked="the next", begun="the last")
    hint, explained, *_ = saliency_handlers.refused(face, wish)
    assert "No map." in explained and hint == "" and wish.asked is None
    wish = CurrentRequest(asked="the next", begun="the next")
    assert saliency_handlers.refused(face, wish) == (gr.skip(),) * 9 and wish.asked == "the next"


def test_a_visitor_who_asks_for_something_else_is_not_kept_waiting(weights, face, slow):
    """The old work leaves the page as it is; the handlers share what is wanted."""
    wish = CurrentRequest()
    asked = saliency_handlers.show(
        face, "compact-ferplus", "occlusion", "", "", "blurred", "", 20, [], wish, weights=weights
    )
    next(asked)
    saliency_handlers.hurry(face, "compact-ferplus", "gradient", "", "", "blurred", "", wish)
    assert list(asked)[-1] == (gr.skip(),) * 13 and slow == ["occlusion"]
    saliency_handlers.hurry(face, "compact-ferplus", "gradient", "", "", "blurred", "", wish)
    assert ask(face, weights, wish=wish)[-1].asked == wish.asked


def test_the_network_reads_the_masked_face_again_for_every_share(weights, face):
    """All of it has the probability of the face, and none of it that of its blurred self."""
    shown = ask(face, weights)[-1]
    whole, none = (saliency_handlers.remask(shown, keep, weights=weights) for keep in (100, 0))
    assert f"highest 100% alone: {shown.reason.target} {shown.reason.probabilities[0]:.0%}" in whole
    assert whole.split("figcaption")[0] != none.split("figcaption")[0]
    network = load_network(weights, "compact-ferplus")
    values = torch.from_numpy(shown.reason.map)[None, None]
    pixels, chances = explanation.masked_face(network, reason_face := shown.reason.face, values, 1.0)
    assert (pixels == reason_face).all() and max(chances) == pytest.approx(shown.reason.probabilities[0], abs=1e-5)


def test_a_share_that_is_set_while_the_map_is_made_is_taken_up_once_it_is_there(weights, face):
    """A slider that stands where it stood costs nothing."""
    shown = ask(face, weights)[-1]  # at 20 %
    assert "highest 70% alone" in saliency_handlers.catch_up(shown, 70, weights=weights)
    assert saliency_handlers.catch_up(shown, 20, weights=weights) == gr.skip()
    assert saliency_handlers.catch_up(None, 70, weights=weights) == gr.skip()


@pytest.mark.parametrize("which, words", [("last", "its last layer"), ("all", "all its layers")])
def test_a_network_forgets_on_demand(weights, face, which, words):
    """A copy does: the next map is the old one."""
    shown = ask(face, weights)[-1]
    assert words in saliency_handlers.forget(shown, [], which=which, weights=weights)["value"]
    assert (ask(face, weights)[-1].reason.map == shown.reason.map).all()


@pytest.mark.parametrize("rank, badge", [(0.79, False), (0.81, True)])
def test_a_map_that_survives_forgetting_gets_a_badge(weights, face, rank, badge):
    """Above a rank correlation of .8."""
    reason = ask(face, weights)[-1].reason
    drawn = saliency_view.forgot(reason, reason.map, rank, "last", Drawing())
    assert ("does not depend on what the network learnt" in drawn) is badge and f"{rank:.2f}" in drawn


@pytest.mark.parametrize(
    "question, words", [({"target": "sad", "against": "sad"}, "against itself"), ({"name": "../x"}, "no network")]
)
def test_what_cannot_be_asked_is_told(weights, face, question, words):
    """In a message, without a trace."""
    with pytest.raises(gr.Error, match=words):
        ask(face, weights, **question)


def comparing(shown, weights, which, drawn=()) -> list[tuple]:
    return list(
        saliency_handlers.compare(shown, None, list(drawn), CurrentRequest(shown.asked), which=which, weights=weights)
    )


def test_all_methods_come_one_by_one_and_the_best_stands_first(weights, face):
    """Fourteen of them for a chain of convolutions with ReLU; the map of the first is there before the others."""
    shown = ask(face, weights)[-1]
    *pages, (grid, (found, which)), last = comparing(shown, weights, "methods")
    counts = [page["value"].count("<img") for page, _ in pages]
    assert counts == sorted(counts) and set(counts) - {0} == set(range(1, 14)) and last == (gr.skip(), gr.skip())
    scores = [float(part.split("</figcaption>")[0]) for part in grid["value"].split("</b>")[1:]]
    assert len(scores) == len(found) == 14 and scores == sorted(scores, reverse=True) and which == "methods"


def test_all_emotions_stand_side_by_side_with_their_chances(weights, face):
    """One method, in the network's order; on request on one scale, which pales all maps but the strongest."""
    shown = ask(face, weights)[-1]
    own, common = (
        comparing(shown, weights, "emotions", drawn)[-2][0]["value"] for drawn in ((), [saliency_handlers.COMMON])
    )
    names = [part.split("</b>")[0] for part in own.split("<figcaption><b>")[1:]]
    assert names == list(ferplus.FERPLUS) and own.count("%</figcaption>") == 8
    pairs = zip(own.split("<img")[1:], common.split("<img")[1:], strict=True)
    assert 1 <= sum(first != second for first, second in pairs) <= 8


def test_the_curves_begin_and_end_with_the_face_and_its_blurred_self(weights, face):
    """Deletion at 0 and insertion at 1 are the face: the same height, 100 less its probability in per cent."""
    reason = ask(face, weights)[-1].reason
    drawn = saliency_view.curves(
        reason.target, *explanation.deletion_insertion(load_network(weights, "compact-ferplus"), reason)
    )
    goes, comes = (part.split('"')[0].split() for part in drawn.split('points="')[1:])
    top = f"{100 - 100 * reason.probabilities[0]:.1f}"
    assert len(goes) == len(comes) == 17 and goes[0] == f"0.0,{top}" and comes[-1] == f"100.0,{top}"
    assert goes[-1].split(",")[1] == comes[0].split(",")[1]


def test_the_three_pictures_are_taken_away_as_one_png(weights, face):
    """48 pixels each, six times as large, and two white columns between them: 888 by 288."""
    shown = ask(face, weights, target="sad")[-1]
    address, name = saliency_handlers.download(shown, 20, [], weights=weights)
    assert name == "gradient-sad.png"
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (888, 288)


def test_the_map_is_drawn_with_its_grain_or_without_and_with_its_face_or_alone(weights, face):
    """The face beside it stays."""
    shown = ask(face, weights)[-1]
    ways = ([], [saliency_handlers.GRAIN], [saliency_handlers.ALONE])
    faces, drawn = zip(*(saliency_handlers.redraw(shown, None, way)[0].split("<img")[1:] for way in ways), strict=True)
    assert len(set(faces)) == 1 and len(set(drawn)) == 3


def test_a_flat_map_is_drawn_flat_without_its_grain_too(face):
    """Blurring rounds, and what is left of a constant must not become a pattern."""
    flat = np.full((48, 48), 0.3)
    assert len(np.unique(Drawing(alone=True).of(face, flat).reshape(-1, 3), axis=0)) == 1


def test_without_a_map_nothing_can_be_masked_or_forgotten(weights):
    """The slider does nothing, the buttons say what is missing."""
    assert saliency_handlers.remask(None, 50, weights=weights) == gr.skip()
    assert saliency_handlers.redraw(None, None, []) == (gr.skip(), gr.skip())
    with pytest.raises(gr.Error, match="no map yet"):
        saliency_handlers.forget(None, [], which="last", weights=weights)
    with pytest.raises(gr.Error, match="no map yet"):
        next(saliency_handlers.compare(None, None, [], CurrentRequest(), which="methods", weights=weights))
    with pytest.raises(gr.Error, match="no map yet"):
        saliency_handlers.download(None, 20, [], weights=weights)


def test_what_was_measured_orders_the_methods_and_is_told(face, tmp_path):
    """The most faithful method is chosen when the tab is first opened; the best control stands in its sentence."""
    weights = write_networks(tmp_path)
    scores = {"occlusion": 0.61, "gradient": 0.2, "blob": 0.12, "noise": 0.0}
    numbers = {"ci95_half_width": 0.1, "infidelity_score": 0.1, "randomization_rank_corr": 0.9, "n": 200}
    rows = [{"method": name, "faithfulness_correlation": score} | numbers for name, score in scores.items()]
    benchmark.save_benchmark(rows, weights / "compact-ferplus")
    question = (face, "compact-ferplus", "deeplift", "blurred", 20, [], CurrentRequest(), None)
    found = list(saliency_handlers.opened(*question, weights=weights))[-1]
    assert found[0]["choices"][:2] == ["occlusion", "gradient"] and found[0]["value"] == "occlusion"
    assert "Over 200 faces its region correlation is +0.61" in found[4] and "'blob'" in found[4]
    assert "do not depend on what the network learnt: rank correlation 0.90" in found[4]


def test_every_method_has_a_sentence():
    """In plain words, for the page."""
    assert all(method.description.endswith(".") for method in methods.METHODS.values())


def test_a_method_that_was_added_says_the_first_line_of_its_docstring(weights, monkeypatch):
    """As CONTRIBUTING.md promises."""
    monkeypatch.setattr(methods, "METHODS", methods.METHODS.copy())
    monkeypatch.setattr(method_menu, "METHODS", methods.METHODS)

    @methods.register_method(kind="perturbation")
    def darkness(question) -> torch.Tensor:
        """Dark pixels count.

        More than bright ones."""
        return 1 - question.faces

    network = load_network(weights, "compact-ferplus")
    assert method_menu.hint(network, "darkness", []) == "Dark pixels count."


def test_labels_cannot_bring_markup_into_the_tab(face):
    """Whatever a checkpoint calls its labels."""
    bad = "<b>${x}</b>"
    reason = explanation.Explanation(face, "gradient", bad, bad, np.eye(48), 0.2, face, (0.5, 0.5))
    drawn = [
        saliency_view.explained(reason, Drawing()),
        saliency_view.left(reason, face, 0.5, 0.2),
        saliency_view.waiting(face, bad, 1, 2),
    ]
    drawn += [saliency_view.side_by_side(face, [explanation.ComparedMap(bad, np.eye(48), 0.5)], "emotions", Drawing())]
    assert all("&lt;b&gt;" in text and "<b>${" not in text for text in drawn)

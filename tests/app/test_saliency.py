"""The Saliency tab's handlers as functions, and its markup."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from captum import attr
from PIL import Image

from fer.app import jobs
from fer.app.model_cache import load_network
from fer.app.saliency import handlers, method_menu, view
from fer.app.saliency.handlers import CurrentRequest, ExplainRequest
from fer.app.saliency.view import Drawing
from fer.attribution import baselines, benchmark, explanation, methods
from fer.data import ferplus
from tests.pages import example_face, write_networks


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """`compact-ferplus` looks at the face; `compact`, a dnn, predicts happy whatever it sees."""
    return write_networks(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def face() -> np.ndarray:
    return np.asarray(example_face(48))


def request(face, model="compact-ferplus", method="gradient", **changes) -> ExplainRequest:
    """target, contrast, baseline, layer, top_percent and drawn are the others."""
    usual = {"target": "", "contrast": "", "baseline": "blurred", "layer": "", "top_percent": 20, "drawn": ()}
    return ExplainRequest.of(face, model, method, *(usual | changes).values())


def explained(face, weights, current=None, **choices) -> dict:
    """What is on the page at last."""
    return list(handlers.explain(request(face, **choices), current or CurrentRequest(), weights))[-1]


def test_a_request_gives_the_input_its_map_and_the_masked_input(weights, face):
    """Two pictures and one with legend and alternatives, and the FER+ labels in the menus."""
    values = explained(face, weights, target="sad")
    assert values["method"]["value"] == "gradient"
    assert [method for _, method in values["method"]["choices"]] == list(methods.METHODS)
    assert values["target"]["value"] == "sad" and values["target"]["choices"] == [
        ("predicted class", ""), *ferplus.FERPLUS,
    ]  # fmt: skip
    assert values["contrast"]["value"] == "" and values["layer"]["visible"] is False
    pictures, masked = values["pictures"], values["masked"]
    assert pictures.count("<img") == 2 and masked.count("<img") == 1 and 'alt=""' not in pictures + masked
    assert "Saliency for sad" in pictures and "lowers score" in pictures and "Masked input (top 20%)" in masked
    assert values["shown"].model == "compact-ferplus" and (values["shown"].explanation.face == face).all()


def test_the_method_has_its_published_name_a_sentence_and_its_paper(weights, face):
    hint = explained(face, weights)["hint"]
    assert methods.METHODS["gradient"].description in hint and "](https://arxiv.org/abs/1312.6034)" in hint
    assert method_menu.name("gradient") == "Vanilla gradient"
    assert set(method_menu.PAPERS) == set(methods.METHODS)


def test_scores_and_curves_come_after_the_map(weights, face):
    """Two bars with three ticks each; what was shown belonged to another map and goes with it."""
    current = CurrentRequest()
    values = explained(face, weights, current)
    assert "Measuring" in values["scores"] and values["randomised"] == "" and values["compared"] is None
    second, third = handlers.measure(values["shown"], None, current, weights)
    scores, known = second["scores"], second["known"]
    assert scores.count('class="bar own') == 2 and scores.count("<u ") == 6 and "centre Gaussian" in scores
    assert third["curves"].count("<polyline") == 2 and known.shown is values["shown"]
    assert list(handlers.measure(values["shown"], known, current, weights)) == []  # nothing is measured twice


def test_the_badge_is_the_method_s_rank_over_many_faces_and_not_this_face_s(weights, face):
    """The best method got red for one saturated face, and only deconvolution green."""
    numbers = {"ci95_half_width": 0.1, "infidelity_score": 0.1, "randomization_rank_corr": 0.1, "n": 200}
    rows = [{"method": "occlusion", "faithfulness_correlation": 0.6} | numbers]
    rows += [{"method": "gradient", "faithfulness_correlation": 0.05} | numbers]
    rows += [{"method": "blob", "faithfulness_correlation": 0.1} | numbers]
    text, above = method_menu.rank_text("occlusion", rows)
    assert "Occlusion ranks 1 of 2 methods over 200 faces" in text and "+0.60" in text and above is True
    assert method_menu.rank_text("gradient", rows)[1] is False
    assert method_menu.rank_text("deeplift", rows)[1] is None
    failed = [rows[0] | {"randomization_rank_corr": 0.9}, *rows[1:]]
    assert "fails parameter randomisation" in method_menu.rank_text("occlusion", failed)[0]
    poor = explanation.FaithfulnessScores(-0.2, 0.0, {"blob": (0.5, 0.5)})
    assert "badge good" in view.scores(poor, text, above) and "above the baselines" in view.scores(poor, text, above)


def test_a_saturated_prediction_says_that_its_scores_mean_little():
    saturated = view.curves("happy", [1.0] * 12 + [0.5] * 5, [0.4] * 17)
    assert "scores on this face mean little" in saturated
    assert "mean little" not in view.curves("happy", [0.9] + [0.3] * 16, [0.4] * 17)


def test_the_curves_have_axes_auc_and_dashes_besides_colours(weights, face):
    """Deletion at 0 and insertion at 1 are the face: the same height."""
    found = explained(face, weights)["shown"].explanation
    deletion, insertion = explanation.deletion_insertion(load_network(weights, "compact-ferplus"), found)
    drawn = view.curves(found.target, deletion, insertion)
    assert deletion[0] == pytest.approx(insertion[-1]) == pytest.approx(found.probabilities[0], abs=1e-5)
    assert "deletion, AUC" in drawn and "insertion, AUC" in drawn and ">probability<" in drawn
    assert "share of pixels" in drawn and 'class="deletion"' in drawn
    assert view.curves("happy", [0.5] * 17, [0.25] * 17).count("AUC 0.50") == 1


def test_what_breaks_within_captum_leaves_no_hook_and_the_next_visitor_gets_their_map(weights, face, monkeypatch):
    model, before = load_network(weights, "compact-ferplus"), explained(face, weights)["shown"].explanation.map
    with monkeypatch.context() as patch:
        patch.setattr(attr.Saliency, "attribute", lambda *_, **__: [][0])
        with pytest.raises(IndexError):
            explained(face, weights)
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert (explained(face, weights)["shown"].explanation.map == before).all()


def test_how_the_output_changes_is_measured_once_for_all_methods(weights, face):
    first, second, third = (
        explained(face, weights, **more)["shown"] for more in ({}, {"method": "hirescam"}, {"target": "fear"})
    )
    model = load_network(weights, "compact-ferplus")
    known = handlers.output_changes(model, first, None)
    assert handlers.output_changes(model, second, known).changes is known.changes
    assert handlers.output_changes(model, third, known).changes is not known.changes


def test_without_a_face_nothing_is_computed(weights):
    values = explained(None, weights)
    assert "in the Predict tab" in values["pictures"] and values["shown"] is None and values["masked"] == ""
    assert list(handlers.measure(None, None, CurrentRequest(), weights)) == [
        {"scores": "", "curves": "", "known": None}
    ]  # fmt: skip


def test_a_method_that_does_not_hold_for_the_model_gives_way_and_the_hint_says_why(weights, face):
    values = explained(face, weights, model="compact", method="grad-cam")
    assert values["method"]["value"] == values["shown"].explanation.method == "integrated-gradients"
    assert "grad-cam" not in [method for _, method in values["method"]["choices"]]
    assert "Not for compact: HiResCAM, Grad-CAM, Guided Grad-CAM. It has no convolution" in values["hint"]


def test_a_map_of_zeros_is_named_as_one(weights, face):
    assert "The map is 0 everywhere." in explained(face, weights, model="compact")["pictures"]


def test_an_opened_tab_computes_anew_only_for_another_face_or_model(weights, face):
    """The target is the predicted class then, for the old one may be no label of the new model."""
    shown = explained(face, weights, target="sad")["shown"]

    def opened(face, model) -> list[dict]:
        return list(handlers.open_tab(request(face, model, target="sad"), CurrentRequest(), shown, weights))

    assert opened(face, "compact-ferplus") == []
    for other in ((255 - face, "compact-ferplus"), (face, "compact")):
        *_, values = opened(*other)
        assert values["target"]["value"] == "" and values["shown"] is not shown


def test_layer_and_baseline_are_the_visitor_s_choice(weights, face):
    late = explained(face, weights, method="grad-cam")
    assert late["layer"]["visible"] and late["layer"]["value"] == "" and "conv2d_2" in late["layer"]["choices"]
    early = explained(face, weights, method="grad-cam", layer="conv2d_2")
    assert early["layer"]["value"] == "conv2d_2"
    assert (early["shown"].explanation.map != late["shown"].explanation.map).any()
    assert explained(face, weights, layer="conv2d_2")["layer"]["value"] == ""
    three = [
        explained(face, weights, method="ablation", baseline=name)["shown"].explanation.map
        for name in baselines.BASELINES
    ]
    assert (three[0] != three[1]).any() and (three[1] != three[2]).any()


@pytest.fixture
def slow(monkeypatch) -> Iterator[list[str]]:
    """Every step of work is shown; lists the methods that ran."""
    monkeypatch.setattr(
        handlers, "run_with_progress", lambda work, wanted=lambda: True: jobs.run_with_progress(work, wanted, 0.001)
    )
    ran, explain_face = [], explanation.explain_face
    monkeypatch.setattr(
        explanation, "explain_face", lambda *choices: (ran.append(choices[2]), explain_face(*choices))[1]
    )
    return ran


def test_a_slow_method_shows_its_progress_and_can_be_stopped(weights, face, slow):
    pages = list(handlers.explain(request(face, method="occlusion"), CurrentRequest(), weights))
    assert "progressbar" in pages[0]["pictures"] and "data-choice" in pages[0]["pictures"]
    assert pages[0]["shown"] is None and pages[-1]["shown"] is not None
    stopped = handlers.explain(request(face, method="occlusion"), CurrentRequest(), weights)
    next(stopped)
    stopped.close()
    model = load_network(weights, "compact-ferplus")
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert "No map." in handlers.stop(request(face), CurrentRequest())["pictures"]


def test_what_fails_leaves_no_map_of_an_earlier_request_and_takes_nothing_from_a_later_one(weights, face, monkeypatch):
    current = CurrentRequest()

    def failing(*_, **__):
        raise RuntimeError("no memory")

    monkeypatch.setattr(explanation, "explain_face", failing)
    steps = handlers.explain(request(face), current, weights)
    values = next(steps)
    assert "method" not in values and "No map." in values["pictures"] and values["shown"] is None
    with pytest.raises(RuntimeError, match="no memory"):
        next(steps)

    def overtaken(*_, **__):
        current.request = "another request"
        raise RuntimeError("no memory")

    monkeypatch.setattr(explanation, "explain_face", overtaken)
    with pytest.raises(RuntimeError, match="no memory"):
        next(handlers.explain(request(face), current, weights))
    assert current.request == "another request"


def test_a_request_that_was_refused_leaves_no_map_and_one_that_is_worked_on_is_left_alone(face):
    current = CurrentRequest(request="the next", begun="the last")
    assert "No map." in handlers.fail(request(face), current)["pictures"] and current.request is None
    current = CurrentRequest(request="the next", begun="the next")
    assert handlers.fail(request(face), current) == {} and current.request == "the next"


def test_a_visitor_who_changes_the_request_is_not_kept_waiting(weights, face, slow):
    current = CurrentRequest()
    steps = handlers.explain(request(face, method="occlusion"), current, weights)
    next(steps)
    handlers.note(request(face), current)
    assert all("shown" not in step or step["shown"] is None for step in steps) and slow == ["occlusion"]
    handlers.note(request(face), current)
    assert explained(face, weights, current)["shown"].request == current.request


def test_the_masked_input_is_predicted_again_for_every_share(weights, face):
    """All of it has the probability of the face."""
    shown = explained(face, weights)["shown"]
    whole, none = (handlers.remask(shown, percent, weights)["masked"] for percent in (100, 0))
    assert (
        f"(top 100%)</b>{shown.explanation.target} {shown.explanation.probabilities[0]:.0%}" in whole and whole != none
    )
    assert "top 70%" in handlers.catch_up(shown, 70, weights)["masked"]
    assert handlers.catch_up(shown, 20, weights) == handlers.catch_up(None, 70, weights) == {}


@pytest.mark.parametrize("which, text", [("last", "Last layer"), ("all", "All layers")])
def test_parameters_are_randomised_in_a_copy(weights, face, which, text):
    shown = explained(face, weights)["shown"]
    assert f"{text} re-initialised" in handlers.randomise(shown, [], which, weights)["randomised"]
    assert (explained(face, weights)["shown"].explanation.map == shown.explanation.map).all()


@pytest.mark.parametrize("rank, fails", [(0.79, False), (0.81, True)])
def test_a_map_that_survives_randomisation_fails_the_check(weights, face, rank, fails):
    found = explained(face, weights)["shown"].explanation
    drawn = view.randomised(found, found.map, rank, "last", Drawing())
    assert ("fails parameter randomisation" in drawn) is fails and f"{rank:.2f}" in drawn


@pytest.mark.parametrize(
    "choices, text", [({"target": "sad", "contrast": "sad"}, "against itself"), ({"model": "../x"}, "no network")]
)
def test_what_cannot_be_explained_is_refused_in_a_message(weights, face, choices, text):
    with pytest.raises(gr.Error, match=text):
        explained(face, weights, **choices)


def compared(shown, weights, which, drawn=()) -> list[dict]:
    return list(handlers.compare(shown, None, list(drawn), CurrentRequest(shown.request), which, weights))


def test_all_methods_come_one_by_one_and_the_best_stands_first(weights, face):
    shown = explained(face, weights)["shown"]
    pages = compared(shown, weights, "methods")
    counts = [page["compared_methods"].count("<img") for page in pages]
    assert counts == sorted(counts) and counts[-1] == 14
    maps, which = pages[-1]["compared"]
    scores = [float(part.split("<")[0].split()[0]) for part in pages[-1]["compared_methods"].split("</b>")[1:]]
    assert len(scores) == len(maps) == 14 and scores == sorted(scores, reverse=True) and which == "methods"


def test_all_classes_are_compared_with_their_probabilities(weights, face):
    shown = explained(face, weights)["shown"]
    own, common = (
        compared(shown, weights, "classes", drawn)[-1]["compared_classes"] for drawn in ((), [handlers.SHARED_SCALE])
    )
    names = [part.split("</b>")[0] for part in own.split("<figcaption><b>")[1:]]
    assert names == list(ferplus.FERPLUS) and own.count("%</figcaption>") == 8 and own != common


def test_the_figure_is_downloaded_as_one_png(weights, face):
    """48 pixels each, six times as large, and two white columns between them: 888 by 288."""
    shown = explained(face, weights, target="sad")["shown"]
    address, name = handlers.download(shown, 20, [], weights)
    assert name == "gradient-sad.png"
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (888, 288)


def test_the_map_is_drawn_smooth_or_not_and_with_its_photo_or_without(weights, face):
    shown = explained(face, weights)["shown"]
    ways = ([], [handlers.SMOOTH], [handlers.HIDE_PHOTO])
    faces, drawn = zip(*(handlers.redraw(shown, None, way)["pictures"].split("<img")[1:] for way in ways), strict=True)
    assert len(set(faces)) == 1 and len(set(drawn)) == 3


def test_a_constant_map_is_drawn_constant_when_smoothed_too(face):
    flat = np.full((48, 48), 0.3)
    assert len(np.unique(Drawing(hide_photo=True).of(face, flat).reshape(-1, 3), axis=0)) == 1


def test_without_a_map_nothing_can_be_masked_randomised_or_compared(weights):
    assert handlers.remask(None, 50, weights) == handlers.redraw(None, None, []) == {}
    for call in (
        lambda: handlers.randomise(None, [], "last", weights),
        lambda: next(handlers.compare(None, None, [], CurrentRequest(), "methods", weights)),
        lambda: handlers.download(None, 20, [], weights),
    ):
        with pytest.raises(gr.Error, match="no map yet"):
            call()


def test_the_benchmark_orders_the_methods_and_the_most_faithful_is_chosen_first(face, tmp_path):
    weights = write_networks(tmp_path)
    scores = {"occlusion": 0.61, "gradient": 0.2, "blob": 0.12, "noise": 0.0}
    numbers = {"ci95_half_width": 0.1, "infidelity_score": 0.1, "randomization_rank_corr": 0.9, "n": 200}
    rows = [{"method": name, "faithfulness_correlation": score} | numbers for name, score in scores.items()]
    benchmark.save_benchmark(rows, weights / "compact-ferplus")
    *_, values = handlers.open_tab(request(face, method="deeplift"), CurrentRequest(), None, weights)
    assert values["method"]["choices"][:2] == [
        ("Occlusion · rank 1", "occlusion"),
        ("Vanilla gradient · rank 2", "gradient"),
    ]
    assert values["method"]["value"] == "occlusion"


def test_a_method_that_was_added_says_the_first_line_of_its_docstring(weights, monkeypatch):
    """As CONTRIBUTING.md promises."""
    monkeypatch.setattr(methods, "METHODS", methods.METHODS.copy())
    monkeypatch.setattr(method_menu, "METHODS", methods.METHODS)

    @methods.register_method(kind="perturbation")
    def darkness(request) -> torch.Tensor:
        """Dark pixels count.

        More than bright ones."""
        return 1 - request.faces

    assert method_menu.hint(load_network(weights, "compact-ferplus"), "darkness", []) == "Dark pixels count."


def test_labels_bring_no_markup_into_the_tab(face):
    bad = "<b>${x}</b>"
    found = explanation.Explanation(face, "gradient", bad, bad, np.eye(48), 0.2, face, (0.5, 0.5))
    compared_map = explanation.ComparedMap(bad, np.eye(48), 0.5)
    drawn = [
        view.input_and_map(found, Drawing()),
        view.masked_input(found, face, 0.5, 0.2),
        view.progress(face, bad, 1, 2),
        view.compared_maps(face, [compared_map], "classes", Drawing()),
    ]
    assert all("&lt;b&gt;" in text and "<b>${" not in text for text in drawn)

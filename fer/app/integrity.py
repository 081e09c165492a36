"""What of ``weights/`` is not as it should be: the page starts with what is sound, and says what is not.

for trouble in look(weights):
    print(trouble.network, trouble.left_out, trouble.words)
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio as gr

from fer.attribution import benchmark, concept_benchmark, region_benchmark, training_examples_benchmark
from fer.evaluation import predictions
from fer.features import atlas, redundancy
from fer.models import checkpoint
from fer.models.checkpoint import CheckpointError
from fer.training import history
from fer.utils.model_files import SELECTED

# What is measured of a network and kept beside it, but for its predictions and its atlas.
_MEASURED = (benchmark.ARTIFACT, region_benchmark.ARTIFACT, redundancy.ARTIFACT)
_MEASURED += (concept_benchmark.ARTIFACT, training_examples_benchmark.ARTIFACT)


@dataclass(frozen=True)
class Trouble:
    """A network of which something is broken or stale; left_out: the network itself. words: what, and what mends it,
    with commands in backticks and no path but those within the folder.
    """

    network: str
    left_out: bool
    words: str


def look(weights: Path) -> list[Trouble]:
    """All that is broken or stale in a folder of networks, in their order. Every file is read once."""
    return [trouble for name in checkpoint.list_models(weights) for trouble in _of(name, weights)]


def sound(weights: Path, troubles: list[Trouble]) -> list[str]:
    """The networks, and the selected ensemble, that are not left out."""
    left_out = {trouble.network for trouble in troubles if trouble.left_out}
    return [name for name in checkpoint.list_models(weights) if name not in left_out]


def _of(name: str, weights: Path) -> Iterator[Trouble]:
    try:
        checkpoint.verify(name, weights)
    except CheckpointError as error:
        yield Trouble(name, True, str(error).replace(f"{weights}/", ""))
        return
    if name == SELECTED:
        return
    for words in (_history(weights / name), *_predictions(name, weights), *_measured(weights / name)):
        if words:
            yield Trouble(name, False, words.replace(f"{weights}/", ""))


def _history(folder: Path) -> str:
    try:
        history.read_history(folder)
    except CheckpointError as error:
        return str(error)
    return ""


def _predictions(name: str, weights: Path) -> Iterator[str]:
    network = checkpoint.load_meta(name, weights)
    for split in predictions.SPLITS:
        try:
            predictions.load_predictions(network, split, weights)
        except predictions.NotMeasuredError:
            continue
        except ValueError as error:
            yield str(error)


def _measured(folder: Path) -> Iterator[str]:
    """Of each file that is of other weights, or broken: which, why, and the command that makes it anew."""
    for artifact in _MEASURED:
        yield artifact.problem(folder)
    yield from atlas.find_problems(folder)[:1]  # one command makes all layers anew


log = logging.getLogger(__name__)

CSS = """
ul { margin: 0; padding-left: 20px; list-style: disc; line-height: 1.6; color: var(--body-text-color); }
"""
_BROKEN = "its files are broken, so it cannot be chosen"
_STALE = "some of its measurements are missing or out of date, and are not shown"


def section(troubles: Sequence[Trouble]) -> None:
    if not troubles:
        return
    for trouble in troubles:
        log.warning("%s: %s", trouble.network, trouble.words)
    with gr.Accordion(title(troubles), open=False, elem_id="unsound"):
        gr.HTML(listed(troubles), css_template=CSS, apply_default_css=False)


def title(troubles: Sequence[Trouble]) -> str:
    left_out = [trouble.network for trouble in troubles if trouble.left_out]
    if left_out:
        return f"Not all models are available: {', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} left out"
    names = ", ".join(dict.fromkeys(trouble.network for trouble in troubles))
    return f"Some measurements are not available: {names}"


def listed(troubles: Sequence[Trouble]) -> str:
    """A line for each model, as markup for visitors; what mends it stands in the log, for whoever deploys the page."""
    left_out = {one.network: one.left_out for one in troubles}
    lines = (f"<li><b>{escape(name)}</b>: {_BROKEN if out else _STALE}.</li>" for name, out in left_out.items())
    return f"<ul>{''.join(lines)}</ul>"

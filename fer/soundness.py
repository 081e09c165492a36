"""What of ``weights/`` is not as it should be: the page starts with what is sound, and says what is not.

for trouble in look(weights):
    print(trouble.network, trouble.left_out, trouble.words)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fer import answers, atlas, checkpoint, evaluation, redundancy, regions, trust
from fer.checkpoint import CheckpointError
from fer.committee import ELECTED

# What is measured of a network and kept beside it, but for its predictions and its atlas.
_MEASURED = (trust.ARTIFACT, regions.ARTIFACT, redundancy.ARTIFACT)


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
    return [trouble for name in checkpoint.shipped(weights) for trouble in _of(name, weights)]


def sound(weights: Path, troubles: list[Trouble]) -> list[str]:
    """The networks, and the elected committee, that are not left out."""
    left_out = {trouble.network for trouble in troubles if trouble.left_out}
    return [name for name in checkpoint.shipped(weights) if name not in left_out]


def _of(name: str, weights: Path) -> Iterator[Trouble]:
    try:
        checkpoint.verify(name, weights)
    except CheckpointError as error:
        yield Trouble(name, True, str(error).replace(f"{weights}/", ""))
        return
    if name == ELECTED:
        return
    for words in (_history(weights / name), *_predictions(name, weights), *_measured(weights / name)):
        if words:
            yield Trouble(name, False, words.replace(f"{weights}/", ""))


def _history(folder: Path) -> str:
    try:
        checkpoint.read_history(folder)
    except CheckpointError as error:
        return str(error)
    return ""


def _predictions(name: str, weights: Path) -> Iterator[str]:
    network = checkpoint.outline(name, weights)
    for split in answers.SPLITS:
        try:
            answers.kept(network, split, weights)
        except evaluation.NotMeasuredError:
            continue
        except ValueError as error:
            yield str(error)


def _measured(folder: Path) -> Iterator[str]:
    """Of each file that is of other weights, or broken: which, why, and the command that makes it anew."""
    for artifact in _MEASURED:
        yield artifact.problem(folder)
    yield from atlas.problems(folder)[:1]  # one command makes all layers anew

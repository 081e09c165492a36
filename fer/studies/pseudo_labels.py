"""Report 1's semi-supervised experiment: a network's own sure answers, learnt as if they were labels."""

from dataclasses import replace
from statistics import mean

import torch
from torch import Generator

from fer.data import duplicates
from fer.data.dataset import FaceDataset
from fer.evaluation import inference
from fer.models.checkpoint import FERModel
from fer.studies.registry import register_study
from fer.studies.results import Result, comparison_bars, scores
from fer.studies.runner import StudyConfig, correct, init_path, train_or_load

REPORT = {"40 epochs": 0.6443, "50 epochs without": 0.6518, "50 epochs with": 0.6602}  # on its sixth of Training
ABOVE = 0.9  # the top probability from which report 1 takes an answer for a label


@register_study("pseudo-labels", seeds=3)
def pseudo_labels(settings: StudyConfig) -> Result:
    """Do a network's own sure answers on unlabelled faces, learnt as if they were labels, make it better?

    Report 1: Training is split 4 : 1 : 1 into labelled, unlabelled and validation; 40 epochs on the labelled faces;
    unlabelled ones read with a probability above 0.9 are added for 10 epochs more.
    """
    runs = [_pseudo_run(settings, seed) for seed in range(settings.seeds)]
    rows = [
        {"training": name}
        | scores([run[name] for run in runs], [run["duplicates"] for run in runs])
        | {"report": figure}
        for name, figure in REPORT.items()
    ]
    rows[-1]["pseudo_labels"] = mean(run["kept"] for run in runs)
    rows[-1]["share_right"] = sum(run["kept_right"] for run in runs) / max(1, sum(run["kept"] for run in runs))
    notes = [
        f"Seed {seed}: {run['kept']:,} of {run['unlabelled']:,} unlabelled faces were read with a probability above "
        f"{ABOVE} and became pseudo-labels; {run['kept_right']:,} of them are right."
        for seed, run in enumerate(runs)
    ]
    notes += [
        "Accuracies are on the sixth of Training that nothing was learnt from or chosen on (each seed draws its own); "
        '"without duplicates" leaves out its faces that are also in the other five sixths. Epochs are chosen on '
        "PublicTest. Both runs of 50 epochs go on from the same 40, for 10 epochs with the optimiser begun anew.",
    ]
    return Result(rows, notes, bars=comparison_bars("training", rows, "report"))


def _pseudo_run(settings: StudyConfig, seed: int) -> dict:
    """Which validation faces are read right after 40 epochs, 50 without and 50 with; and the pseudo-labels' counts."""
    labelled, unlabelled, held = parts(settings.splits[0], seed)
    first = train_or_load(settings, f"{seed}-40", settings.config("cnn", epochs=40, seed=seed), labelled)
    sure, sure_right = pseudo_labelled(first, unlabelled)
    more = settings.config("cnn", epochs=10, seed=seed, init_from=init_path(settings, f"{seed}-40"))
    without = train_or_load(settings, f"{seed}-50-without", more, labelled)
    with_them = train_or_load(settings, f"{seed}-50-with", more, joined(labelled, sure))
    seen = {"Training": joined(labelled, unlabelled), "held": held}
    found = dict(zip(REPORT, (correct(network, held) for network in (first, without, with_them)), strict=True))
    counts = {"unlabelled": len(unlabelled), "kept": len(sure), "kept_right": sure_right}
    return found | counts | {"duplicates": duplicates.mark_duplicates(seen)["held"].is_duplicate}


def parts(faces: FaceDataset, seed: int) -> tuple[FaceDataset, FaceDataset, FaceDataset]:
    """Labelled, unlabelled and validation, 4 : 1 : 1, drawn by ``seed``."""
    order = torch.randperm(len(faces), generator=Generator().manual_seed(seed))
    sixth = len(faces) // 6
    return faces[order[2 * sixth :]], faces[order[sixth : 2 * sixth]], faces[order[:sixth]]


def pseudo_labelled(network: FERModel, faces: FaceDataset, above: float = ABOVE) -> tuple[FaceDataset, int]:
    """The faces whose top probability is above ``above``, labelled with the answer, and how many answers are right."""
    confidence, answer = inference.predict_logits(network, faces.pixels).softmax(1).max(1)
    sure = confidence > above
    return replace(faces, labels=answer, votes=None)[sure], int((answer == faces.labels)[sure].sum())


def joined(first: FaceDataset, second: FaceDataset) -> FaceDataset:
    """Both, one after the other, without FER+'s votes."""
    pairs = ((getattr(first, part), getattr(second, part)) for part in ("pixels", "labels", "is_duplicate"))
    pixels, labels, is_duplicate = (torch.cat(pair) for pair in pairs)
    return FaceDataset(pixels, labels, None, is_duplicate)

from dataclasses import replace

from torch import Tensor

from fer.evaluation import inference, predictions
from fer.models import checkpoint
from fer.studies.registry import register_study
from fer.studies.results import SPLITS, GroupedBars, Result, share
from fer.studies.runner import PLAIN, StudyConfig, train_or_load


@register_study("duplicates")
def duplicates(settings: StudyConfig) -> Result:
    """How much better is a test face read whose duplicate is in Training, and does a network need the duplicates at
    all?

    Shipped networks by the answers that ``evaluate`` kept; and compact trained with and without the faces of Training
    that have a duplicate in a test split.
    """
    rows, notes = [], []
    for name in checkpoint.list_checkpoints():
        for split in SPLITS:
            try:
                rows.append(duplicate_row(name, split, *predictions.load_logits(checkpoint.WEIGHTS / name, split)))
            except ValueError as error:
                notes.append(f"Left out: {error}.")
    rows += _with_and_without(settings)
    public = [row for row in rows if row["split"] == "PublicTest"]
    series = {key.replace("_", " "): [row[key] for row in public] for key in ("with_duplicate", "without_duplicate")}
    notes.append(
        "A duplicate is the same picture in Training, mirrored ones included, with a correlation above .99. Faces with "
        "a duplicate may also be easier ones: what is learnt by heart shows between the last two networks, trained in "
        "the same way from fresh weights, one on all of Training, one without the faces that have a duplicate in a "
        "test split."
    )
    return Result(rows, notes, bars=GroupedBars([row["network"] for row in public], series, "accuracy on PublicTest"))


def _with_and_without(settings: StudyConfig) -> list[dict]:
    """Rows of compact trained on all faces and on those without a duplicate, for every seed, measured on PublicTest."""
    faces, public = settings.splits
    rows = []
    for seed in range(settings.seeds):
        config = replace(settings.config("compact", **PLAIN, epochs=34, low_res_epochs=28), seed=seed)
        for kind, taught in (("with", faces), ("without", faces[~faces.is_duplicate])):
            network = train_or_load(settings, f"{kind}-duplicates-{seed}", config, taught)
            logits = inference.predict_logits(network, public.pixels)
            name = f"{config.network} trained {kind} duplicates" + (f", seed {seed}" if seed else "")
            rows.append(duplicate_row(name, "PublicTest", logits, public.labels, public.is_duplicate))
    return rows


def duplicate_row(name: str, split: str, logits: Tensor, labels: Tensor, is_duplicate: Tensor) -> dict:
    """Accuracy on all faces, on those with a duplicate and on those without, None where there are none of them.

    logits: (N, K). labels: (N,). is_duplicate: bool (N,).
    """
    right = logits.argmax(1) == labels
    row = {"network": name, "split": split} | share(right.float().mean().item(), len(right))
    for key, part in (("with_duplicate", right[is_duplicate]), ("without_duplicate", right[~is_duplicate])):
        found = share(part.float().mean().item(), len(part)) if len(part) else {"accuracy": None, "n": 0, "ci95": None}
        row |= {key: found["accuracy"], f"n_{key}": found["n"], f"ci95_{key}": found["ci95"]}
    return row

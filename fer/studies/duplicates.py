from dataclasses import replace

from torch import Tensor

from fer.evaluation import inference, predictions
from fer.models import checkpoint
from fer.studies.dead_units import _SPLITS
from fer.studies.runner import PLAIN, Bars, Result, StudyConfig, share, train_or_load


def duplicates(settings: StudyConfig) -> Result:
    """How much better is a test face read whose twin is in Training, and does a network need the twins at all?

    Shipped networks by the answers that ``evaluate`` kept; and compact trained with and without the faces of Training
    that have a twin in a test split.
    """
    rows, notes = [], []
    for name in checkpoint.list_checkpoints():
        for split in _SPLITS:
            try:
                rows.append(duplicate_row(name, split, *predictions.load_logits(checkpoint.WEIGHTS / name, split)))
            except ValueError as error:
                notes.append(f"Left out: {error}.")
    rows += _with_and_without(settings)
    public = [row for row in rows if row["split"] == "PublicTest"]
    series = {key.replace("_", " "): [row[key] for row in public] for key in ("with_twin", "without_twin")}
    notes.append(
        "A twin is the same picture in Training, mirrored ones included, with a correlation above .99. Faces with a "
        "twin may also be easier ones: what is learnt by heart shows between the last two networks, trained in the "
        "same way from fresh weights, one on all of Training, one without the faces that have a twin in a test split."
    )
    return Result(rows, notes, bars=Bars([row["network"] for row in public], series, "accuracy on PublicTest"))


def _with_and_without(settings: StudyConfig) -> list[dict]:
    """Rows of compact trained on all faces and on those without a twin, for every seed, measured on PublicTest."""
    faces, public = settings.splits
    rows = []
    for seed in range(settings.seeds):
        config = replace(settings.config("compact", **PLAIN, epochs=34, small_epochs=28), seed=seed)
        for kind, taught in (("with", faces), ("without", faces[~faces.twin])):
            network = train_or_load(settings, f"{kind}-twins-{seed}", config, taught)
            logits = inference.predict_logits(network, public.pixels)
            name = f"{config.network} trained {kind} twins" + (f", seed {seed}" if seed else "")
            rows.append(duplicate_row(name, "PublicTest", logits, public.labels, public.twin))
    return rows


def duplicate_row(name: str, split: str, logits: Tensor, labels: Tensor, twin: Tensor) -> dict:
    """Accuracy on all faces, on those with a twin and on those without, None where there are none of them.

    logits: (N, K). labels: (N,). twin: bool (N,).
    """
    right = logits.argmax(1) == labels
    row = {"network": name, "split": split} | share(right.float().mean().item(), len(right))
    for key, part in (("with_twin", right[twin]), ("without_twin", right[~twin])):
        found = share(part.float().mean().item(), len(part)) if len(part) else {"accuracy": None, "n": 0, "ci95": None}
        row |= {key: found["accuracy"], f"n_{key}": found["n"], f"ci95_{key}": found["ci95"]}
    return row

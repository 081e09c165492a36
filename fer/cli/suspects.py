"""The command suspects: faces whose label is probably wrong."""

from dataclasses import dataclass
from pathlib import Path

import torch

from fer.cli.output import file_for, files_of, print_json, print_report
from fer.cli.settings import DataSettings, Subparsers, add_command, argument
from fer.data import fer2013
from fer.data.dataset import FaceDataset
from fer.data.ferplus import contradicted, given_votes
from fer.data.labels import EMOTIONS
from fer.models import checkpoint
from fer.utils import tables
from fer.utils.io import write_text

_TRAINING, _OWN = "Training", "own"


@dataclass(frozen=True, kw_only=True)
class SuspectsSettings(DataSettings):
    model: str
    """A model in weights/, or a folder."""
    out_of_fold: str | None = argument(None, "FOLDER")
    """Also ask the teachers of `train --folds`, which have not seen their fold."""
    out: str | None = argument(None, "FILE")
    """Write all faces to this CSV file, the most suspect first."""
    count: int = 20
    """How many of each split are printed."""


def suspects(settings: SuspectsSettings) -> None:
    """List faces whose label is probably wrong, in FER-2013 beside FER+'s votes, or in a folder of your own."""
    root, out = settings.data, settings.out
    file = file_for(out, "", files_of(settings.model)) if out else None
    model = checkpoint.load_model(settings.model)
    own = fer2013.find_source(root) if root else None
    if own and own.is_dir():
        splits = [_own_faces(own)]
    else:
        splits = [_Labelled(name, faces) for name, faces in fer2013.load_fer2013(root).items()]
    found = []
    for part in splits:
        asked = settings.out_of_fold and part.name in (_TRAINING, _OWN)
        teachers = Path(settings.out_of_fold) if asked else None
        found.append(_audited(part, model, settings.model, teachers, settings.json))
    if not splits[0].paths and (folder := checkpoint.resolve_path(settings.model)):
        _keep(found, folder)
    if file:
        rows = [row for part in found for row in part["rows"]]
        write_text(file, tables.line(rows[0]) + "".join(tables.line(row.values()) for row in rows))
    shown = [part | {"rows": part["rows"][: settings.count]} for part in found]
    if settings.json:
        return print_json({"model": settings.model, "splits": shown} | ({"file": str(file)} if file else {}))
    for part in shown:
        print("\n".join(_suspect_lines(part)))
    if file:
        print(f"written to {file}")
    return None


def _keep(found: list[dict], folder: Path) -> None:
    """The most suspect faces of FER-2013, beside the weights, for the page to show; without a picture."""
    from fer.attribution import label_quality

    splits = [part | {"rows": part["rows"][: label_quality.KEPT]} for part in found]
    label_quality.ARTIFACT.save(folder, {"splits": splits})


@dataclass(frozen=True)
class _Labelled:
    """Faces whose labels are doubted. name: of the split, or "own". paths: of each file, () where there are none."""

    name: str
    faces: FaceDataset
    paths: tuple[str, ...] = ()
    labels: tuple[str, ...] = EMOTIONS


def _own_faces(folder: Path) -> _Labelled:
    from fer.data import image_folder
    from fer.data.labels import ALL_LABELS

    own = image_folder.read_labelled(folder, ALL_LABELS)
    print_report(own.report)
    labels = tuple(label for label in ALL_LABELS if label in own.names)
    if len(labels) < 2:
        raise ValueError(f"{folder} has faces of {', '.join(labels) or 'no label'}: expected two labels or more")
    truth = torch.tensor([labels.index(name) for name in own.names])
    faces = FaceDataset(own.pixels, truth, None, torch.zeros(len(truth), dtype=torch.bool))
    return _Labelled(_OWN, faces, own.paths, labels)


def _audited(part: _Labelled, trained: checkpoint.FERModel, name: str, teachers: Path | None, quiet: bool) -> dict:
    from fer.attribution import feature_table, label_quality
    from fer.training import distillation

    faces, folder = part.faces, checkpoint.resolve_path(name)
    if part.name == _TRAINING:
        features = feature_table.find_or_make(trained, folder, lambda: faces, quiet).features
    else:
        features = feature_table.extract(trained, faces.pixels, quiet)
    other = distillation.load_out_of_fold(teachers, faces) if teachers else None
    folds = distillation.split_folds(faces.pixels, 5)
    found = label_quality.audit(features, faces.labels, folds, len(part.labels), other)
    order = found.suspicion.argsort(descending=True).tolist()
    return {
        "split": part.name,
        "n": len(faces),
        "confident_errors": int(found.confident_error.sum()),
        "annotators": _against_annotators(part, found),
        "rows": [_suspect(part, found, row) for row in order],
    }


def _suspect(part: _Labelled, found, row: int) -> dict:
    label = int(part.faces.labels[row])
    where = {"path": part.paths[row]} if part.paths else {"split": part.name, "row": row}
    votes = given_votes(part.faces.votes, row)
    return where | {
        "label": part.labels[label],
        "suggested": part.labels[int(found.suggested[row])],
        "suspicion": round(float(found.suspicion[row]), 4),
        "probability_of_label": round(float(found.probabilities[row, label]), 4),
        "probability_of_suggested": round(float(found.probabilities[row, found.suggested[row]]), 4),
        "self_influence": round(float(found.self_influence[row]), 4),
        "confident_error": bool(found.confident_error[row]),
        "annotators": ", ".join(f"{name} {count}" for name, count in (votes or {}).items()),
    }


def _against_annotators(part: _Labelled, found) -> dict | None:
    """Of the most suspect faces, by several orders, the share whose label FER+'s annotators agree is another one."""
    from fer.attribution import label_quality
    from fer.evaluation.metrics import wilson_interval

    if part.faces.votes is None:
        return None
    wrong = contradicted(part.faces.votes, part.faces.labels, part.labels)
    count = max(1, min(1000, len(wrong) // 28))
    rows = {}
    for name, values in label_quality.orders(found).items():
        hits = int(wrong[values.topk(count).indices].sum())
        rows[name] = {"share": round(hits / count, 4), "ci95": wilson_interval(hits, count)}
    return {"most_suspect": count, "all_faces": round(wrong.double().mean().item(), 4), "contradicted": rows}


def _suspect_lines(part: dict) -> list[str]:
    lines = [f"{part['split']}: {part['n']:,} faces, {part['confident_errors']:,} by confident learning"]
    if judged := part["annotators"]:
        lines.append(f"FER+'s annotators contradict {judged['all_faces']:.1%} of all labels, and of the "
                     f"{judged['most_suspect']:,} most suspect by")  # fmt: skip
        for name, row in judged["contradicted"].items():
            low, high = row["ci95"]
            lines.append(f"  {name.replace('_', ' '):20} {row['share']:.1%} ({low:.1%} to {high:.1%})")
    for row in part["rows"]:
        where = row.get("path") or f"{row['split']} {row['row']}"
        doubt = f"{row['probability_of_label']:.0%} {row['label']}, {row['probability_of_suggested']:.0%} "
        lines.append(f"  {where:18} {doubt}{row['suggested']}; {row['annotators']}".rstrip("; "))
    return lines


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, suspects, SuspectsSettings)

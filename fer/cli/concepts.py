"""The command concepts: what a network's last activation maps are made of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fer.cli.output import file_for, files_of, largest_face, print_json
from fer.cli.settings import DataSettings, Subparsers, add_command, argument
from fer.data import fer2013
from fer.data.dataset import FaceDataset, random_subset, to_unit
from fer.data.labels import EMOTIONS
from fer.models import checkpoint
from fer.utils import tables


@dataclass(frozen=True, kw_only=True)
class ConceptsSettings(DataSettings):
    model: str
    """A model in weights/, or a folder."""
    image: str | None = argument(None, "IMAGE", positional=True)
    """A photograph whose prediction is split into the concepts' shares. By default the concepts are found anew."""
    rank: int = 20
    """How many concepts."""
    faces: int = 3000
    """How many faces of Training they are found in."""
    no_detect: bool = False
    """Take the whole picture as the face, without face detection."""
    out: str | None = argument(None, "FILE")
    """Also write a picture of the concepts, each an average of faces."""


def concepts(settings: ConceptsSettings) -> None:
    """Find the concepts in a model's last activation maps; with a photograph, each one's share in its prediction."""
    from fer.attribution import concept_benchmark

    model, folder = checkpoint.load_model(settings.model), checkpoint.resolve_path(settings.model)
    if settings.image:
        known = _known(folder, settings.model)
        crop = largest_face(settings.image, model, settings.no_detect).crop
        found = _concepts_of(to_unit(torch.from_numpy(crop.copy())[None]), model, known)  # (1, 1, 48, 48)
        return print_json(found) if settings.json else print("\n".join(_share_lines(found)))
    out = settings.out
    file = file_for(out, f"concepts-{model.name}.png", files_of(settings.model)) if out else None
    training, others = _concept_faces(settings.data, settings.faces)
    made = concept_benchmark.measure(
        model, training.pixels, training.labels, others.pixels, settings.rank, quiet=settings.json
    )
    if folder:
        concept_benchmark.write(made, folder)
    if file:
        _write_sheet(made.mean_faces, file)
    rows = made.rows(EMOTIONS)
    if settings.json:
        return print_json({"concepts": rows, "figures": made.figures} | ({"file": str(file)} if file else {}))
    print("\n".join([*map(_concept_line, rows), *_figure_lines(made.figures)]))
    return None


def _known(folder: Path | None, network: str):
    """The concepts that were found in a network; ValueError where none were, or of other weights."""
    from fer.attribution import concept_benchmark

    try:
        return concept_benchmark.ARTIFACT.load(folder or Path(network))
    except FileNotFoundError:
        raise ValueError(f"there are no concepts of {network}: `python -m fer concepts {network}` finds them") from None


def _concept_faces(root: str | None, count: int) -> tuple[FaceDataset, FaceDataset]:
    """Training faces to factorise, each picture once, and 500 of PublicTest to measure on; none is in both splits."""
    from fer.data.duplicates import duplicate_groups

    training, validation = fer2013.get_splits(fer2013.load_fer2013(root), "Training", "PublicTest")
    drawn = random_subset(training[~training.is_duplicate], count)
    groups = duplicate_groups(drawn.pixels)
    first = torch.tensor([int((groups == group).nonzero()[0]) for group in groups.unique()])
    return drawn[first.sort().values], random_subset(validation[~validation.is_duplicate], 500)


def _concepts_of(face: Tensor, trained: checkpoint.FERModel, known) -> dict:
    from fer.attribution import concepts as factors

    body, tail = factors.split_at_linear_tail(trained)
    shares = factors.concept_shares(body, tail, known.basis, face)
    answer = int(shares.logits.argmax())
    each = shares.contributions[0, :, answer]
    order = each.argsort(descending=True).tolist()
    rows = {row["concept"]: row for row in known.rows(trained.labels)}
    without = [factors.without(shares, _all_but(len(each), number))[0].softmax(0)[answer].item() for number in order]
    return {
        "model": trained.name,
        "prediction": trained.labels[answer],
        "logit": round(float(shares.logits[0, answer]), 4),
        "constant": round(float(shares.constant[answer]), 4),
        "residual": round(float(shares.residual[0, answer]), 4),
        "unexplained": round(float(shares.unexplained[0]), 4),
        "probability": round(float(shares.logits.softmax(1)[0, answer]), 4),
        "concepts": [
            {
                "concept": number,
                "share": round(float(each[number]), 4),
                "probability_without": round(less, 4),
                "regions": rows[number]["regions"],
            }
            for number, less in zip(order, without, strict=True)
        ],
    }


def _all_but(count: int, number: int) -> Tensor:
    kept = torch.ones(count)
    kept[number] = 0
    return kept


def _share_lines(found: dict) -> list[str]:
    lines = [f"{found['model']} reads {found['prediction']}, {found['probability']:.0%}: its logit is the sum of"]
    for row in found["concepts"]:
        place = max(row["regions"], key=row["regions"].get)
        where = f"{place} {row['regions'][place]:.0%}"
        rest = f"without it {row['probability_without']:.0%}"
        lines.append(f"  concept {row['concept']:3} {row['share']:+8.3f}  {where:12} {rest}")
    return [
        *lines,
        f"  residual    {found['residual']:+8.3f}  {found['unexplained']:.0%} of the maps",
        f"  constant    {found['constant']:+8.3f}",
        f"  logit       {found['logit']:+8.3f}",
    ]


def _concept_line(row: dict) -> str:
    place = max(row["regions"], key=row["regions"].get)
    label = max(row["best_faces"], key=row["best_faces"].get)
    of = sum(row["best_faces"].values())
    best = f"{row['best_faces'][label]} of its {of} best faces are {label}"
    return f"concept {row['concept']:3}  {place:7}{row['regions'][place]:5.0%}  {best}"


def _figure_lines(figures: dict) -> list[str]:
    return [f"{name.replace('_', ' ')}: {tables.cell(value)}" for name, value in figures.items()]


def _write_sheet(mean_faces: np.ndarray, file: Path) -> None:
    from fer.plotting import encode, maps

    encode.save_image(maps.tile_images(mean_faces.astype(float), columns=5, scale=3), file)


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, concepts, ConceptsSettings)

"""The command influence: which training faces made an answer, and how far that can be trusted."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from fer.cli.output import largest_face, print_json
from fer.cli.settings import DataSettings, Subparsers, add_command, argument
from fer.data import fer2013
from fer.data.dataset import FaceDataset, random_subset, to_unit
from fer.data.ferplus import given_votes
from fer.data.labels import EMOTIONS
from fer.models import checkpoint
from fer.utils import tables

_TRAINING = "Training"


@dataclass(frozen=True, kw_only=True)
class InfluenceSettings(DataSettings):
    image: str | None = argument(None, "IMAGE", positional=True)
    """A photograph; its largest face is taken."""
    model: str = "compact"
    """A model in weights/, or a folder."""
    target: str | None = argument(None, "LABEL")
    """The emotion that is explained. By default the model's prediction."""
    checkpoints: list[str] = argument((), "FOLDER")
    """Earlier checkpoints of the same training."""
    count: int = 10
    """How many training faces of each kind."""
    no_detect: bool = False
    """Take the whole picture as the face, without face detection."""
    benchmark: bool = False
    """In place of IMAGE: measure what training without the proponents does."""
    faces: int = 20
    """How many misclassified faces of PublicTest the benchmark takes."""
    against: str | None = argument(None, "MODEL")
    """Another model whose proponents the benchmark compares."""

    def __post_init__(self) -> None:
        if self.benchmark == bool(self.image):
            raise ValueError("expected a photograph, or --benchmark without one")


def influence(settings: InfluenceSettings) -> None:
    """Name the training faces that made a prediction, by TracIn of the last layer, and those most like the face."""
    if settings.benchmark:
        return _benchmark_influence(settings.model, settings.against, settings.faces, settings.data, settings.json)
    began, names = time.perf_counter(), [*settings.checkpoints, settings.model]
    models = [checkpoint.load_model(name) for name in names]
    crop = largest_face(settings.image, models[-1], settings.no_detect).crop
    face = to_unit(torch.from_numpy(crop.copy())[None])  # (1, 1, 48, 48)
    seen = [_seen(model, name, settings.data, settings.json) for model, name in zip(models, names, strict=True)]
    found = _influence_of(face, models, seen, settings.target, settings.count)
    found["seconds"] = round(time.perf_counter() - began, 2)
    return print_json(found) if settings.json else print("\n".join(_influence_lines(found)))


@dataclass(frozen=True, eq=False)
class _Seen:
    """A checkpoint and the training faces as it sees them."""

    table: object
    features: object


def _seen(trained: checkpoint.FERModel, name: str, root: str | None, quiet: bool) -> _Seen:
    from fer.attribution import feature_table
    from fer.attribution.last_layer import last_layer
    from fer.attribution.training_examples import CheckpointFeatures

    def training() -> FaceDataset:
        return fer2013.get_splits(fer2013.load_fer2013(root), _TRAINING)[0]

    layer = last_layer(trained)
    table = feature_table.find_or_make(trained, checkpoint.resolve_path(name), training, quiet)
    return _Seen(table, CheckpointFeatures.of(layer, table.features, table.labels))


def _influence_of(
    face: Tensor, models: list[checkpoint.FERModel], seen: list[_Seen], target: str | None, count: int
) -> dict:
    from fer.attribution import training_examples
    from fer.attribution.last_layer import features_of

    trained, table = models[-1], seen[-1].table
    if tuple(trained.labels) != EMOTIONS:
        raise ValueError(f"{trained.name} reads {', '.join(trained.labels)}: expected FER-2013's labels")
    if target is not None and target not in EMOTIONS:
        raise ValueError(f"target is {target!r}: expected one of {', '.join(EMOTIONS)}")
    features = [features_of(model, face) for model in models]
    began = time.perf_counter()
    answer = int(trained[-1](features[-1]).argmax())
    wanted = EMOTIONS.index(target) if target else answer
    checkpoints = [part.features for part in seen]
    evidence = training_examples.evidence(checkpoints, features, table.labels, wanted, count)
    took = 1000 * (time.perf_counter() - began)
    prototypes = training_examples.prototypes(checkpoints[-1], table.labels)
    shares = {"influence": evidence.total}
    return {
        "model": trained.name,
        "prediction": EMOTIONS[answer],
        "target": EMOTIONS[wanted],
        "checkpoints": len(models),
        "training_faces": len(table),
        "proponents": _rows(evidence.proponents, table, "influence", **shares),
        "opponents": _rows(evidence.opponents, table, "influence", **shares),
        "nearest": _rows(evidence.nearest, table, "cosine"),
        "nearest_unlike": _rows(evidence.unlike, table, "cosine"),
        "prototypes": [row for found in prototypes for row in _rows(found, table, "cosine")],
        "controls": _controls(checkpoints[-1], table.labels, features[-1], wanted, evidence.proponents.rows),
        "milliseconds": round(took, 1),
    }


def _rows(found, table, what: str, **total: float) -> list[dict]:
    """Training faces by split, row and label, with FER+'s votes, a value and its share of the total."""
    rows = []
    for row, value in zip(found.rows, found.values, strict=True):
        facts = {"split": _TRAINING, "row": row, "label": EMOTIONS[int(table.labels[row])], what: round(value, 4)}
        facts |= {"share": round(value / (total[what] or 1), 5)} if what in total else {}
        rows.append(facts | {"votes": given_votes(table.votes, row), "is_duplicate": bool(table.is_duplicate[row])})
    return rows


def _controls(seen, labels: Tensor, features: Tensor, target: int, rows: list[int]) -> dict:
    """The share of the strongest proponents that a network with a random last layer names as well, and chance's."""
    from fer.attribution import training_examples
    from fer.attribution.faithfulness import randomize_parameters
    from fer.attribution.training_examples_benchmark import overlap

    layer = randomize_parameters(torch.nn.Sequential(seen.layer), "last")[0]
    other = training_examples.CheckpointFeatures.of(layer, seen.features, labels)
    values = training_examples.influence([other], [features], torch.tensor([target]))[0]
    return {
        "overlap_randomised_last_layer": round(overlap(rows, values.topk(len(rows)).indices), 3),
        "overlap_random": round(len(rows) / len(labels), 5),
    }


def _influence_lines(found: dict) -> list[str]:
    lines = [f"{found['model']} reads {found['prediction']}; influence on {found['target']}"]
    if found["checkpoints"] == 1:
        lines.append("one checkpoint, the final weights: --checkpoints adds earlier ones of the same training")
    for name in ("proponents", "opponents", "nearest", "nearest_unlike", "prototypes"):
        lines.append(name.replace("_", " "))
        for row in found[name]:
            value = f"{row['share']:+9.3%}" if "share" in row else f"{row['cosine']:9.3f}"
            votes = ", ".join(f"{key} {votes}" for key, votes in (row["votes"] or {}).items())
            lines.append(f"  {row['split']} {row['row']:6} {row['label']:9}{value}  {votes}")
    overlap = found["controls"]["overlap_randomised_last_layer"]
    lines.append(f"with a random last layer {overlap:.0%} of the proponents are the same")
    return [*lines, f"{found['milliseconds']} ms, {found['seconds']} s with reading"]


def _benchmark_influence(network: str, against: str | None, count: int, root: str | None, as_json: bool) -> None:
    from fer.attribution import training_examples_benchmark as benchmark
    from fer.attribution.last_layer import features_of

    trained = checkpoint.load_model(network)
    training, validation = fer2013.get_splits(fer2013.load_fer2013(root), _TRAINING, "PublicTest")
    own, targets = _misread(trained, validation, count)
    seen, features = _seen(trained, network, root, as_json).features, features_of(trained, own)
    control = benchmark.randomised_control(trained, training.pixels, training.labels, own, as_json)
    removal = benchmark.measure(seen, training.labels, features, targets, control, quiet=as_json)
    agreement = {"randomised_weights": benchmark.agreement(seen, features, targets, control)}
    if against:
        other = checkpoint.load_model(against)
        table = _seen(other, against, root, as_json).features
        agreement[against] = benchmark.agreement(
            seen, features, targets, benchmark.Control(table, features_of(other, own))
        )
    found = {"n": len(own), "training_faces": len(training), "removal": [row.row() for row in removal]}
    found |= {"agreement": agreement | {"random": round(100 / len(training), 4)}}
    if folder := checkpoint.resolve_path(network):
        benchmark.ARTIFACT.save(folder, found)
    if as_json:
        return print_json(found)
    print(tables.markdown(found["removal"]))
    for name, share in found["agreement"].items():
        print(f"of the 100 strongest proponents {tables.cell(share)} are those of {name.replace('_', ' ')}")
    return None


def _misread(trained: checkpoint.FERModel, validation: FaceDataset, count: int) -> tuple[Tensor, Tensor]:
    """Faces (n, 1, 48, 48) of PublicTest without duplicates that are misread, always the same ones, and the answers."""
    from fer.evaluation.inference import predict_logits

    alone = validation[~validation.is_duplicate]
    answers = predict_logits(trained, alone.pixels).argmax(1)
    wrong = random_subset(FaceDataset(alone.pixels, answers, None, answers != alone.labels), len(alone))
    wrong = wrong[wrong.is_duplicate][:count]
    return to_unit(wrong.pixels), wrong.labels


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, influence, InfluenceSettings)

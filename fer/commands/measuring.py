"""Commands that train and measure: networks, summary, train, evaluate, confusion, committee, study."""

import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from torch import nn

from fer import cards, checkpoint, data, evaluation, networks, outputs
from fer.commands.printing import files_of, print_json, print_report
from fer.image_folder import LabelledFaces
from fer.read_report import ReadReport

TRAINED = ("config.json", "model.safetensors", "history.csv", "predictions.npz", "README.md", "unfinished.pt")
STUDIED = ("table.json", "curves.csv", "figure.png", "README.md")
README = Path(__file__).resolve().parent.parent.parent / "README.md"


def list_networks(readme: bool, as_json: bool) -> None:
    """Lists what weights/ holds."""
    shipped = [checkpoint.load(name) for name in checkpoint.shipped()]
    rows = [_describe(network) for network in shipped]
    if readme:
        cards.write_readme(shipped, README)
    if as_json:
        return print_json(rows)
    print(f"{'network':16} {'parameters':>12} {'PublicTest':>11} {'PrivateTest':>26} {'without twins':>14}")
    for row in rows:
        private = row["private_test"]
        print(
            f"{row['name']:16} {row['parameters']:12,} {_share(row['public_test']):>11} "
            f"{_with_interval(private):>26} {_share(private, 'accuracy_without_twins'):>14}"
        )
    return None


def summary(network: str, as_json: bool) -> None:
    """Prints the layer table of an architecture."""
    chain = networks.Chain(networks.layers(network, len(networks.labels_of(network))))
    rows, total = networks.table(chain), networks.count(chain)
    if as_json:
        return print_json({"layers": [vars(row) for row in rows], "parameters": total})
    print(f"{'layer':30} {'type':18} {'shape':18} {'parameters':>12}")
    for row in rows:
        print(f"{row.name:30} {row.type:18} {' x '.join(map(str, row.shape)):18} {row.parameters:12,}")
    print(f"{'total':68} {total:12,}")
    return None


def train(
    network: str, root: str | None, out: str | None, restart: bool, teachers: str | None, fold: int | None,
    as_json: bool, **changes: object,
) -> None:  # fmt: skip
    """Trains a network, or goes on with a run that was stopped, and writes weights/<name>/."""
    from fer import distillation, recipes, training

    config = recipes.recipe(network, **{key: value for key, value in changes.items() if value is not None})
    folder = Path(out) if out else checkpoint.WEIGHTS / network
    earlier = [file for name in (config.start, config.teacher) if name for file in files_of(name)]
    _check_folder(folder, TRAINED, out, root, earlier)
    alone = fold is None and os.environ.get("RANK", "0") == "0"  # a fold locks its own; torchrun's first process writes
    with outputs.one_writer(folder) if alone else nullcontext():
        (faces, validation), report = _labelled_splits(root, networks.labels_of(network), "Training", "PublicTest")
        if restart and alone:
            (folder / training.UNFINISHED).unlink(missing_ok=True)
        teachers = Path(teachers) if teachers else None
        trained = distillation.fit(config, faces, validation, folder, as_json, teachers, fold)
        if trained is None:
            return  # a single fold's teacher, or another process measures and writes
        _calibrate(trained, root)
        figures = evaluation.evaluate(trained, "PublicTest", validation, folder=folder)
        cards.record(trained, folder, figures)
    _print_figures(figures, trained.labels, as_json)
    print_report(report)


def _check_folder(folder: Path, names: Iterable[str], out: str | None, root: str | None, inputs: list[Path]) -> None:
    """Raises ValueError where the files called ``names`` may not be written to ``folder``.

    A link that leads to weights/ itself is how somebody arranged this machine; one in --out may be a mistake.
    """
    if root and folder.exists() and Path(root).exists() and folder.samefile(root):
        raise ValueError(f"out is {str(folder)!r}, the folder that the faces are read from: name another")
    folder = folder if out else folder.resolve()
    outputs.check_outputs(inputs, [folder / name for name in names])


def evaluate(
    network: str, split: str, tta: bool, corruptions: bool, calibrate: bool, speed: bool, keep: bool,
    root: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Measures a network on real data; keeps its logits in predictions.npz and its figures in config.json and card.

    What was kept of the same weights and faces stays as it is where only rounding differs, unless --keep is given.
    """
    if tta and corruptions:
        raise ValueError("--tta and --corruptions exclude each other: robust accuracy is that of one view")
    trained = checkpoint.load(network)
    (faces,), report = _labelled_splits(root, trained.labels, split)
    folder = checkpoint.find(network)
    if calibrate:
        _calibrate(trained, root)
    figures = _measured(trained, split, faces, tta, corruptions, folder, keep)
    if folder is not None:
        if not tta and not corruptions:
            cards.record(trained, folder, evaluation.kept_figures(trained, split, folder))
        elif keep or not cards.is_recorded(trained, figures):
            cards.record(trained, folder, figures)
        if speed:
            cards.record_speed(trained, folder, evaluation.milliseconds_a_face(trained))
    _print_figures(figures, trained.labels, as_json)
    print_report(report)


def _calibrate(trained: checkpoint.Network, root: str | None) -> None:
    """Fits what makes the network's answers honest on PublicTest and PublicTest-C."""
    from fer import calibration

    splits = data.require(data.load(root), "Training", "PublicTest")
    faces, validation = (data.labelled_by_most(split, trained.labels) for split in splits)
    prior = calibration.label_frequencies(faces.labels, len(trained.labels))
    calibration.calibrate_network(trained, validation, prior)


def _measured(
    trained: nn.Module, split: str, faces: data.Faces, tta: bool, corrupted: bool, folder: Path | None, keep: bool
) -> dict:
    if not corrupted:
        return evaluation.evaluate(trained, split, faces, tta, folder, keep)
    from fer.corruptions import corrupted_logits, robust_figures

    logits = corrupted_logits(trained, faces.pixels)
    figures = robust_figures(logits, faces, trained.temperature, trained.prediction_set)
    return {"network": trained.name, "split": f"{split}-C", "tta": False} | figures


def confusion(
    network: str, split: str, without_twins: bool, threshold: float, against: str | None, faces: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Prints what the Confusion tab says, from the kept answers or on faces of your own: no data set is needed."""
    from fer import answers

    own = _own_faces(faces) if faces else None

    def found(name: str) -> answers.Answers:
        if own is None:
            kept = answers.kept(checkpoint.outline(name), split)
        else:
            trained = checkpoint.load(name)
            kept = answers.of_own(own, trained, evaluation.answers(trained, own.pixels))
        return kept.asked(without_twins).surer_than(threshold)

    report = answers.report(found(network), found(against) if against else None)
    if as_json:
        print_json(report)
    else:
        _print_figures(report | {"split": own.title if own else split, "tta": False}, report["labels"], as_json)
        for name in ("taggers", "compared"):
            if facts := report.get(name):
                print(f"  {name}: " + ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items()))
    if own is not None:
        print_report(own.report.restricted(report["labels"]))


def _own_faces(place: str) -> LabelledFaces:
    """The faces of a folder or a zip."""
    from fer import image_folder, zip_dataset
    from fer.labels import ALL_LABELS

    if not Path(place).is_dir():
        return zip_dataset.read(place)
    own = image_folder.read_labelled(Path(place), ALL_LABELS)
    if not own.names:
        raise ValueError(f"there is no face in {place}: {own.report.line()}")
    return own


def _labelled_splits(root: str | None, labels: Sequence[str], *names: str) -> tuple[list[data.Faces], ReadReport]:
    """The named splits, their faces that carry one of ``labels``, and what was read and left out."""
    dataset = data.read_dataset(root)
    try:
        splits = data.require(dataset.splits, *names)
    except data.DataError as error:
        raise data.DataError(f"{error} ({dataset.report.line()})") from None
    kept = [data.relabelled(split, labels) for split in splits]
    report = dataset.report
    if dropped := sum(map(len, splits)) - sum(map(len, kept)):
        remark = f"{dropped:,} of {' and '.join(names)} are not used, as FER+'s annotators do not agree on them"
        report = replace(report, remarks=(*report.remarks, remark))
    return kept, report


def committee(as_json: bool) -> None:
    """Elects the default committee on PublicTest without twins, by the kept answers; writes weights/committee.json."""
    from fer import election

    rows = election.hold(checkpoint.WEIGHTS)
    elected = election.elect(rows, checkpoint.WEIGHTS)
    if as_json:
        figures = {"elected": elected.name, **elected.figures} if elected else {"elected": None}
        return print_json(figures | {"sets": rows})
    print(f"{'PublicTest without twins':>24}  {'all faces':>9}")
    for row in rows:
        print(f"{row['accuracy_without_twins']:24.4f}  {row['accuracy']:9.4f}  {' + '.join(row['members'])}")
    if elected is None:
        print(f"none is elected: {rows[0]['members'][0]} alone reads more than any of them together")
    else:
        print(f"elected: {elected.name}; PrivateTest {_with_interval(elected.figures['private_test'])}")
    return None


def study(name: str, quick: bool, root: str | None, out: str | None, seeds: int | None, as_json: bool) -> None:
    """Repeats an experiment of the reports; writes its table, its page and its figure to weights/studies/NAME/."""
    from fer import studies, trials

    settings = studies.settings_for(name, out, root, quick, seeds, quiet=as_json)
    _check_folder(settings.folder, STUDIED, out, root, [])
    with outputs.one_writer(settings.folder):
        question, result = studies.run(name, settings)
        table = trials.keep(name, question, result, settings)
        try:
            studies.draw(result, settings.folder / "figure.png")
        except ModuleNotFoundError as error:
            print(f"no figure.png: {error.name} is not installed; repeat the command where it is", file=sys.stderr)
    if as_json:
        return print_json(table)
    notes = "".join(f"\n- {note}" for note in table["notes"])
    print(f"{question}\n\n{trials.markdown(table['rows'])}\n{notes}\nwritten to {settings.folder}")
    return None


# ------------------------------------------------------------------------------------------------ printing


def _describe(network: checkpoint.Network) -> dict:
    measured = {
        key: network.figures.get(key) for key in ("public_test", "private_test", "private_test_tta", cards.SPEED)
    }
    return {"name": network.name, "parameters": networks.count(network), "labels": network.labels, **measured}


def _share(figures: dict | None, key: str = "accuracy") -> str:
    return f"{figures[key]:.4f}" if figures else "-"


def _with_interval(figures: dict | None) -> str:
    return "{:.4f} ({:.3f} to {:.3f})".format(figures["accuracy"], *figures["ci95"]) if figures else "-"


def _print_figures(figures: dict, labels: Iterable[str], as_json: bool) -> None:
    if as_json:
        return print_json(figures)
    print(f"{figures['network']} on {figures['split']}{', ten views' if figures['tta'] else ''}")
    for suffix, words in (("", "all faces"), ("_without_twins", "without twins")):
        low, high = figures[f"ci95{suffix}"]
        print(f"  {words:14} {figures[f'accuracy{suffix}']:.4f}  (n {figures[f'n{suffix}']}, {low:.4f} to {high:.4f})")
    for key in ("macro_f1", "balanced_accuracy", "ece", "set_coverage", "set_size", "set_single"):
        if key in figures:
            print(f"  {key.replace('_', ' '):17} {figures[key]:.4f}")
    print(f"  {'':10} precision  recall      F1  support   read as")
    for label, row, counts in zip(labels, figures["per_class"], figures["confusion"], strict=True):
        numbers = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:7.3f} {row['support']:8}"
        print(f"  {label:10} {numbers}   {' '.join(f'{count:4}' for count in counts)}")
    for row in figures.get("corruptions", []):
        low, high = row["ci95"]
        kind = f"{row['corruption']} {row['setting']:g} ({row['unit']})"
        print(f"  {kind:40} {row['accuracy']:.4f}  (n {row['n']}, {low:.4f} to {high:.4f})")
    return None

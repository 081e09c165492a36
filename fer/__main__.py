"""The command line: ``python -m fer COMMAND``. Each command is a thin call into one module.

Every command prints for a person and, with ``--json``, one JSON value for a program. An error is one line on standard
error and exit status 2.
"""

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from fer import cards, checkpoint, data, evaluation, networks
from fer.flags import parser_for


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0, or 2 after an error that the caller can mend."""
    arguments = vars(parser_for(COMMANDS).parse_args(argv))
    command = arguments.pop("command")
    try:
        COMMANDS[command](**arguments)
    except BrokenPipeError:
        return 0
    except (ValueError, OSError) as error:
        print(f"fer {command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def list_networks(readme: bool, as_json: bool) -> None:
    """Lists what weights/ holds."""
    shipped = [checkpoint.load(name) for name in checkpoint.shipped()]
    rows = [_describe(network) for network in shipped]
    if readme:
        cards.write_readme(shipped, Path(__file__).resolve().parent.parent / "README.md")
    if as_json:
        return _print_json(rows)
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
        return _print_json({"layers": [vars(row) for row in rows], "parameters": total})
    print(f"{'layer':30} {'type':18} {'shape':18} {'parameters':>12}")
    for row in rows:
        print(f"{row.name:30} {row.type:18} {' x '.join(map(str, row.shape)):18} {row.parameters:12,}")
    print(f"{'total':68} {total:12,}")
    return None


def train(network: str, root: str | None, out: str | None, restart: bool, as_json: bool, **changes: object) -> None:
    """Trains a network, or goes on with a run that was stopped, and writes weights/<name>/."""
    from fer import recipes, training

    config = recipes.recipe(network, **{key: value for key, value in changes.items() if value is not None})
    folder = Path(out) if out else checkpoint.WEIGHTS / network
    splits = data.require(data.load(root), "Training", "PublicTest")
    faces, validation = (data.relabelled(split, networks.labels_of(network)) for split in splits)
    if restart:
        (folder / training.UNFINISHED).unlink(missing_ok=True)
    trained = training.fit(config, faces, validation, folder, quiet=as_json)
    if trained is None:
        return  # another process of the team measures and writes
    figures = evaluation.evaluate(trained, "PublicTest", validation, folder=folder)
    cards.record(trained, folder, figures)
    _print_figures(figures, trained.labels, as_json)


def evaluate(network: str, split: str, tta: bool, speed: bool, root: str | None, as_json: bool) -> None:
    """Measures a network on real data; keeps its logits in predictions.npz and its figures in config.json and card."""
    trained = checkpoint.load(network)
    (faces,) = data.require(data.load(root), split)
    faces = data.relabelled(faces, trained.labels)
    folder = checkpoint.find(network)
    figures = evaluation.evaluate(trained, split, faces, tta, folder)
    if folder is not None:
        cards.record(trained, folder, figures)
        if speed:
            cards.record_speed(trained, folder, evaluation.milliseconds_a_face(trained))
    _print_figures(figures, trained.labels, as_json)


def committee(as_json: bool) -> None:
    """Elects the default committee on PublicTest without twins, by the kept answers; writes weights/committee.json."""
    from fer import election

    rows = election.hold(checkpoint.WEIGHTS)
    elected = election.write(rows[0]["members"], checkpoint.WEIGHTS)
    if as_json:
        return _print_json({"elected": elected.name, **elected.figures, "sets": rows})
    print(f"{'PublicTest without twins':>24}  {'all faces':>9}")
    for row in rows:
        print(f"{row['accuracy_without_twins']:24.4f}  {row['accuracy']:9.4f}  {' + '.join(row['members'])}")
    print(f"elected: {elected.name}; PrivateTest {_with_interval(elected.figures['private_test'])}")
    return None


def predict(paths: list[str], network: str, as_json: bool) -> None:
    """Reads the emotions in photographs, or in folders of them."""
    from fer import faces, prediction

    readings = list(prediction.predict_paths(paths, checkpoint.load(network), faces.load_detector()))
    unread = [f"{reading['path']}: {reading['error']}" for reading in readings if "error" in reading]
    if as_json:
        _print_json(readings)
    for reading in readings if not as_json else ():
        _print_reading(reading)
    if unread:
        raise ValueError("; ".join(unread))


def saliency(image: str, network: str, out: str | None, whole: bool, as_json: bool, **question: object) -> None:
    """Writes three pictures side by side: a face, why it got its answer, and what is left of it when the rest blurs."""
    from fer import faces, plots, prediction, reasons

    trained = checkpoint.load(network)
    found = prediction.read(faces.open_picture(image), trained, faces.load_detector(), whole).faces
    if not found:
        raise ValueError(f"no face was found in {image}; --whole takes the whole picture as a face")
    reason = reasons.of(trained, found[0].crop, **question)
    file = out or f"{Path(image).stem}-saliency.png"
    plots.titled(reasons.pictures(reason)).savefig(file, dpi=150)
    if as_json:
        return _print_json(reason.summary() | {"file": file})
    print("\n".join([*reasons.sentences(reason), f"written to {file}"]))


def trust(network: str, faces: int, root: str | None, as_json: bool) -> None:
    """Measures how far each saliency method's maps of a network can be trusted; writes weights/<name>/trust.json."""
    from fer import trust

    trained = checkpoint.load(network)
    (validation,) = data.require(data.load(root), "PublicTest")
    rows = trust.measure(trained, trust.some(validation, faces), quiet=as_json)
    if folder := checkpoint.find(network):
        trust.write(rows, folder)
    if as_json:
        return _print_json(rows)
    print(f"{'method':22} {'region correlation':>18} {'forgetful network':>18}")
    for row in rows:
        forgot = "" if row["forgotten"] is None else f"{row['forgotten']:18.3f}"
        print(f"{row['method']:22} {row['correlation']:+10.3f} +- {row['error']:.3f} {forgot}")
    return None


def regions(network: str, each: int, root: str | None, as_json: bool) -> None:
    """Measures which parts of the face a network looks at, by emotion; writes weights/<name>/regions.npz."""
    from fer import regions

    trained = checkpoint.load(network)
    (validation,) = data.require(data.load(root), "PublicTest")
    validation = data.relabelled(validation, trained.labels)
    look = regions.measure(trained, regions.some(validation, each), trained.labels, quiet=as_json)
    if folder := checkpoint.find(network):
        regions.write(look, folder)
    if as_json:
        return _print_json({"rows": look.rows(), "density": look.density()})
    print(f"{'':16}{'faces':>6}", *(f"{name:>8}" for name in regions.REGIONS))
    for row in look.rows():
        print(f"{row['label']:16}{row['faces']:6}", *(f"{row[name]:8.1%}" for name in regions.REGIONS))
    print(f"{'as much as area':22}", *(f"{value:7.2f}x" for value in look.density().values()))
    return None


def ascend(
    network: str, layer: str, filters: str | None, preset: str, steps: int | None, seed: int, out: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Grows the picture that each filter of a layer answers most, and writes them as one."""
    from fer import ascent, plots

    began, chain = time.perf_counter(), checkpoint.load(network)
    numbers = ascent.listed(filters) if filters else None
    *_, frame = ascent.ascend(chain, layer, numbers, ascent.PRESETS[preset], seed=seed, steps=steps)
    file = Path(out or f"ascent-{chain.name}-{layer}.png")
    tiles = frame.images[:, 0].numpy()
    plots.save(plots.sheet(tiles, columns=16, scale=max(1, 96 // tiles.shape[-1])), file)
    rows = [
        {"filter": number, "ascent": round(value, 4), "dead": dead}
        for number, value, dead in zip(
            numbers or range(len(tiles)), frame.values.tolist(), frame.dead.tolist(), strict=True
        )
    ]
    seconds = round(time.perf_counter() - began, 2)
    if as_json:
        return _print_json({"layer": layer, "filters": rows, "seconds": seconds, "file": str(file)})
    for row in rows:
        print(f"{layer} filter {row['filter']:4} {row['ascent']:10.3f}{'  dead' if row['dead'] else ''}")
    print(f"{file}, row by row, in {seconds} s")
    return None


def study(name: str, quick: bool, root: str | None, out: str | None, seeds: int | None, as_json: bool) -> None:
    """Repeats an experiment of the reports; writes its table, its page and its figure to weights/studies/NAME/."""
    from fer import studies, trials

    settings = studies.settings_for(name, out, root, quick, seeds, quiet=as_json)
    question, result = studies.run(name, settings)
    table = trials.keep(name, question, result, settings)
    try:
        studies.draw(result, settings.folder / "figure.png")
    except ModuleNotFoundError as error:
        print(f"no figure.png: {error.name} is not installed; repeat the command where it is", file=sys.stderr)
    if as_json:
        return _print_json(table)
    notes = "".join(f"\n- {note}" for note in table["notes"])
    print(f"{question}\n\n{trials.markdown(table['rows'])}\n{notes}\nwritten to {settings.folder}")
    return None


def export(network: str, out: str | None, root: str | None, as_json: bool) -> None:
    """Writes a network as ONNX, and compares its answers with PyTorch's on 500 faces."""
    from fer import export

    trained, file = checkpoint.load(network), Path(out or f"{Path(network).name.replace(':', '-')}.onnx")
    (validation,) = data.require(data.load(root), "PublicTest")
    export.to_onnx(trained, file)
    difference = export.largest_difference(trained, file, data.drawn(validation, 500).pixels)
    if as_json:
        return _print_json({"file": str(file), "largest_difference": difference})
    print(f"{file}: at most {difference:.1e} from PyTorch's probabilities on 500 faces of PublicTest")
    return None


def push(network: str, repository: str, private: bool, as_json: bool) -> None:
    """Uploads a checkpoint to the Hugging Face Hub, from where `--network OWNER/NAME` reads it back."""
    from fer import hub

    address = hub.push(network, repository, private)
    _print_json({"repository": repository, "address": address}) if as_json else print(f"{network} is at {address}")


COMMANDS = {
    "networks": list_networks,
    "summary": summary,
    "train": train,
    "evaluate": evaluate,
    "committee": committee,
    "predict": predict,
    "saliency": saliency,
    "trust": trust,
    "regions": regions,
    "ascend": ascend,
    "study": study,
    "export": export,
    "push": push,
}


# ------------------------------------------------------------------------------------------------ printing


def _print_json(value: object) -> None:
    print(json.dumps(value))


def _describe(network: checkpoint.Network) -> dict:
    measured = {
        key: network.figures.get(key) for key in ("public_test", "private_test", "private_test_tta", cards.SPEED)
    }
    return {"name": network.name, "parameters": networks.count(network), "labels": network.labels, **measured}


def _share(figures: dict | None, key: str = "accuracy") -> str:
    return f"{figures[key]:.4f}" if figures else "-"


def _with_interval(figures: dict | None) -> str:
    return "{:.4f} ({:.3f} to {:.3f})".format(figures["accuracy"], *figures["ci95"]) if figures else "-"


def _print_reading(reading: dict) -> None:
    found = reading.get("faces")
    print(reading["path"] + ("" if found else ": no face found" if found == [] else ": not read"))
    for face in found or ():
        top = sorted(face["probabilities"].items(), key=lambda item: -item[1])[:3]
        print(f"  {face['box']}  " + ", ".join(f"{name} {share:.0%}" for name, share in top))


def _print_figures(figures: dict, labels: Iterable[str], as_json: bool) -> None:
    if as_json:
        return _print_json(figures)
    print(f"{figures['network']} on {figures['split']}{', ten views' if figures['tta'] else ''}")
    for suffix, words in (("", "all faces"), ("_without_twins", "without twins")):
        low, high = figures[f"ci95{suffix}"]
        print(f"  {words:14} {figures[f'accuracy{suffix}']:.4f}  (n {figures[f'n{suffix}']}, {low:.4f} to {high:.4f})")
    for key in ("macro_f1", "balanced_accuracy", "ece"):
        print(f"  {key.replace('_', ' '):17} {figures[key]:.4f}")
    print(f"  {'':10} precision  recall      F1  support   read as")
    for label, row, counts in zip(labels, figures["per_class"], figures["confusion"], strict=True):
        numbers = f"{row['precision']:9.3f} {row['recall']:7.3f} {row['f1']:7.3f} {row['support']:8}"
        print(f"  {label:10} {numbers}   {' '.join(f'{count:4}' for count in counts)}")
    return None


if __name__ == "__main__":
    sys.exit(main())

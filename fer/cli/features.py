"""Commands that look at the filters of a network: activations, redundancy."""

from pathlib import Path

from fer.cli.output import file_for, files_of, load_detector, print_json
from fer.data import fer2013
from fer.models import checkpoint


def activations(
    image: str, layer: str, network: str, common: bool, whole: bool, out: str | None, as_json: bool
) -> None:
    """Writes what every filter of a layer answers to a face, as one picture."""
    from fer.data import image_io
    from fer.features import layer_report, redundancy
    from fer.inference import predictor

    file = file_for(out, f"{Path(image).stem}-{layer}.png", [image, *files_of(network)])
    trained, folder = checkpoint.load_model(network), checkpoint.resolve_path(network)
    found = predictor.predict_image(image_io.open_image(image), trained, load_detector(quiet=whole), whole).faces
    if not found:
        raise ValueError(f"no face was found in {image}; --whole takes the whole picture as a face")
    answer = layer_report.layer_report(
        trained, layer, found[0].crop, redundancy.load_redundancy(folder) if folder else None
    )
    layer_report.save_picture(answer, file, common)
    if as_json:
        return print_json(answer.summary() | {"file": str(file)})
    print("\n".join([*answer.lines(), f"written to {file}"]))


def redundancy(network: str, faces: int, thin: str | None, root: str | None, as_json: bool) -> None:
    """Measures which filters are redundant and what pruning them costs; writes weights/<name>/filter_redundancy.npz."""
    from fer.features import pruning_curve
    from fer.release import model_card

    trained, splits, folder = (
        checkpoint.load_model(network),
        fer2013.load_fer2013(root),
        checkpoint.resolve_path(network),
    )
    found = pruning_curve.update_redundancy(trained, folder, splits, faces, thin, quiet=as_json)
    if folder:
        model_card.write_redundancy_section(folder, pruning_curve.card_section(found))
    if as_json:
        return print_json({"faces": found.faces, "layers": found.rows(), "pruned": found.pruned})
    print("\n".join(pruning_curve.format_lines(found)))

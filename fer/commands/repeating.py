"""Commands that look at the filters of a network: activations, redundancy."""

from pathlib import Path

from fer import checkpoint, data
from fer.commands.printing import file_for, files_of, print_json


def activations(
    image: str, layer: str, network: str, common: bool, whole: bool, out: str | None, as_json: bool
) -> None:
    """Writes what every filter of a layer answers to a face, as one picture."""
    from fer import faces, prediction, redundancy, responses

    file = file_for(out, f"{Path(image).stem}-{layer}.png", [image, *files_of(network)])
    trained, folder = checkpoint.load(network), checkpoint.find(network)
    found = prediction.read(faces.open_picture(image), trained, faces.load_detector(), whole).faces
    if not found:
        raise ValueError(f"no face was found in {image}; --whole takes the whole picture as a face")
    answer = responses.of(trained, layer, found[0].crop, redundancy.read(folder) if folder else None)
    responses.draw(answer, file, common)
    if as_json:
        return print_json(answer.summary() | {"file": str(file)})
    print("\n".join([*answer.lines(), f"written to {file}"]))


def redundancy(network: str, faces: int, thin: str | None, root: str | None, as_json: bool) -> None:
    """Measures which filters say the same and what is lost without them; writes weights/<name>/redundancy.npz."""
    from fer import thinning

    trained, splits = checkpoint.load(network), data.load(root)
    found = thinning.record(trained, checkpoint.find(network), splits, faces, thin, quiet=as_json)
    if as_json:
        return print_json({"faces": found.faces, "layers": found.rows(), "thinned": found.thinned})
    print("\n".join(thinning.lines(found)))

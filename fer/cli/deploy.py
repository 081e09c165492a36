import sys
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from fer.cli.output import file_for, files_of, print_json
from fer.data import dataset, fer2013
from fer.models import checkpoint
from fer.utils import outputs


def export(network: str, out: str | None, root: str | None, as_json: bool) -> None:
    """Writes a network as ONNX, and compares its answers with PyTorch's on 500 faces, made-up ones without FER-2013."""
    from fer.release import onnx

    trained = checkpoint.load_model(network)
    file = file_for(out, f"{Path(network).name.replace(':', '-')}.onnx", files_of(network))
    pixels, which = _compared(root)
    onnx.export_onnx(trained, file)
    difference = onnx.largest_difference(trained, file, pixels)
    if as_json:
        return print_json({"file": str(file), "largest_difference": difference, "compared_on": which})
    print(f"{file}: at most {difference:.1e} from PyTorch's probabilities on 500 {which}")
    return None


def _compared(root: str | None) -> tuple[Tensor, str]:
    """500 faces, uint8 (500, 48, 48), and what they are; a data set that was asked for by name has to be there."""
    from fer.release import onnx

    try:
        (validation,) = fer2013.get_splits(fer2013.load_fer2013(root), "PublicTest")
        return dataset.random_subset(validation, 500).pixels, "faces of PublicTest"
    except dataset.DataError as error:
        if root:
            raise
        print(f"fer export: compared on made-up faces: {error}", file=sys.stderr)
        return onnx.synthetic_faces(500), "made-up faces"


def push(network: str, repository: str, private: bool, as_json: bool) -> None:
    """Uploads a checkpoint to the Hugging Face Hub, from where `--network OWNER/NAME` reads it back."""
    from fer.release import hub

    address = hub.push_to_hub(network, repository, private)
    print_json({"repository": repository, "address": address}) if as_json else print(f"{network} is at {address}")


def space(action: str, folder: str | None, as_json: bool) -> None:
    """Checks whether this repository, or a static site, is a Hugging Face Space as it stands; starts its page once."""
    from fer.release import space

    findings = {"check": space.check_space}[action](Path(folder) if folder else space.ROOT)
    if as_json:
        print_json([vars(finding) for finding in findings])
    for finding in findings if not as_json else ():
        print(f"{'ok ' if finding.good else 'BAD'}  {finding.check}: {finding.found}")
    if bad := [finding.found for finding in findings if not finding.good]:
        raise ValueError("; ".join(bad))


def web(out: str, networks: str, runtime: str | None, serve: bool, port: int, as_json: bool) -> None:
    """Writes a page that needs no server: camera, photograph and saliency map run in the browser alone."""
    from fer.release.web import site

    folder, names = Path(out), networks.split(",")
    outputs.check_outputs([file for name in names for file in files_of(name)], [folder / "index.html"])
    found = site.write_site(folder, names, Path(runtime) if runtime else None)
    print_json({"folder": out} | found) if as_json else print(_told(out, found))
    if serve:
        _show(folder, port)


def _told(out: str, found: dict) -> str:
    faces = "in it" if found["yunet"] else "fetched from the Hub by the browser"
    engine = "in it" if found["runtime"] else "fetched from a public CDN by the browser, and compared with its digest"
    size = f"{found['files']} files, {found['bytes'] / 1e6:.1f} MB"
    return f"{out}: {size}: {', '.join(found['models'])}; YuNet {faces}; ONNX Runtime Web {engine}"


def _show(folder: Path, port: int) -> None:
    """Serves the site on this computer until Ctrl+C."""
    from fer.release.web import site

    with site.server(folder, port) as server:
        print(f"http://127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()

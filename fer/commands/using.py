"""Commands that use a network, here and elsewhere: predict, export, push, space."""

import sys
from pathlib import Path

from tqdm import tqdm

from fer import checkpoint, data
from fer.commands.printing import print_json


def predict(paths: list[str], network: str, whole: bool, out: str | None, as_json: bool) -> int:
    """Reads the emotions in photographs, or in folders of them; with --out, goes on where it was stopped."""
    from fer import album, faces

    trained = checkpoint.load(network)
    answers = album.Answers(Path(out), trained.labels) if out else None
    files = [file for file in album.pictures(paths) if not answers or str(file) not in answers.done]
    rows, unread = [], []
    reading = album.read(files, trained, faces.load_detector(), whole)
    for row in tqdm(reading, total=len(files), unit=" pictures", disable=None if len(files) > 1 else True):
        unread += [f"{row['path']}: {row['error']}"] if "error" in row else []
        answers.add(row) if answers else rows.append(row)
    if as_json:
        print_json({"file": out, "pictures": len(answers.done)} if answers else rows)
    elif answers:
        print(f"{out} has the answers to {len(answers.done):,} pictures")
    for row in rows if not as_json else ():
        _print_reading(row)
    for sentence in unread:
        print(f"fer predict: {sentence}", file=sys.stderr)
    return 1 if unread else 0


def export(network: str, out: str | None, root: str | None, as_json: bool) -> None:
    """Writes a network as ONNX, and compares its answers with PyTorch's on 500 faces."""
    from fer import export

    trained, file = checkpoint.load(network), Path(out or f"{Path(network).name.replace(':', '-')}.onnx")
    (validation,) = data.require(data.load(root), "PublicTest")
    export.to_onnx(trained, file)
    difference = export.largest_difference(trained, file, data.drawn(validation, 500).pixels)
    if as_json:
        return print_json({"file": str(file), "largest_difference": difference})
    print(f"{file}: at most {difference:.1e} from PyTorch's probabilities on 500 faces of PublicTest")
    return None


def push(network: str, repository: str, private: bool, as_json: bool) -> None:
    """Uploads a checkpoint to the Hugging Face Hub, from where `--network OWNER/NAME` reads it back."""
    from fer import hub

    address = hub.push(network, repository, private)
    print_json({"repository": repository, "address": address}) if as_json else print(f"{network} is at {address}")


def space(action: str, as_json: bool) -> None:
    """Checks whether this repository is a Hugging Face Space as it stands; starts the page once, without network."""
    from fer import space

    findings = {"check": space.check}[action]()
    if as_json:
        print_json([vars(finding) for finding in findings])
    for finding in findings if not as_json else ():
        print(f"{'ok ' if finding.good else 'BAD'}  {finding.check}: {finding.found}")
    if bad := [finding.found for finding in findings if not finding.good]:
        raise ValueError("; ".join(bad))


def _print_reading(reading: dict) -> None:
    found = reading.get("faces")
    print(reading["path"] + ("" if found else ": no face found" if found == [] else ": not read"))
    for face in found or ():
        top = sorted(face["probabilities"].items(), key=lambda item: -item[1])[:3]
        print(f"  {face['box']}  " + ", ".join(f"{name} {share:.0%}" for name, share in top))

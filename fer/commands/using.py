"""Commands that use a network, here and elsewhere: predict, crop, export, push, space."""

import sys
from contextlib import closing
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from fer import checkpoint, data, image_folder
from fer.commands.printing import print_json, print_report
from fer.read_report import counted, plain


def predict(
    paths: list[str], network: str, whole: bool, out: str | None, films: str, smoothing: float, as_json: bool,
    fps: float | None = None,
) -> int:  # fmt: skip
    """Reads the emotions in photographs, folders of them, or videos; with --out, goes on where it was stopped."""
    from fer import album, faces

    if fps is not None and not 0 < fps < float("inf"):
        raise ValueError(f"fps is {fps}: expected a number of frames a second above 0")
    trained = checkpoint.load(network)
    answers = album.Answers(Path(out), trained.labels) if out else None
    moving = [path for path in paths if Path(path).suffix.lower() in album.VIDEOS]
    still = [path for path in paths if path not in moving]
    found, left_out = album.find_pictures(still)
    files = [file for file in found if not answers or str(file) not in answers.done]
    detector = None if whole and not moving else faces.load_detector()  # which may look for YuNet for three seconds
    rows = []
    for path in moving:
        rows.append(_watch(path, trained, detector, Path(films), smoothing, fps, as_json))
        if "stopped" in rows[-1]:
            print_json(rows) if as_json else [_print_reading(row) for row in rows]
            raise KeyboardInterrupt
    unread = [f"{row['path']}: {row['error']}" for row in rows if "error" in row]
    reading = album.read(files, trained, detector, whole)
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
    empty = sum(file.is_dir() for file in files)  # has a sentence of its own, and is no file
    _report_pictures(len(files) + len(moving) - len(unread), len(unread) - empty, left_out, len(found) - len(files))
    return 1 if unread or any(why in image_folder.UNREAD_PICTURES for _, why in left_out) else 0


def _report_pictures(read: int, unread: int, left_out: list[image_folder.Reason], before: int = 0) -> None:
    reasons = counted([*left_out, *[("unreadable", "named above")] * unread])
    remarks = [f"{before:,} more were read before"] if before else []
    print_report(plain(read, reasons, remarks), "pictures")


def _watch(
    path: str, trained: checkpoint.Network, detector, out: Path, smoothing: float, fps: float | None, quiet: bool
) -> dict:  # fmt: skip
    """What was read off a video, with a progress bar; Ctrl-C keeps what was read so far."""
    from fer import video
    from fer.threads import one_thread

    step, stopped = None, None
    steps = video.follow(path, out, trained, detector, smoothing, fps=fps)
    try:  # one face is too little to share among threads, and the film is being written beside it
        with one_thread(), closing(steps), tqdm(desc=Path(path).name, unit=" frames", disable=quiet) as bar:
            for step in steps:
                bar.total = step.of
                bar.update()
    except video.VideoError as error:
        return {"path": path, "error": str(error)}
    except KeyboardInterrupt:
        if step is None:
            raise
        stopped = f"Stopped by Ctrl+C: {step.seconds:.1f}{step.of_length} seconds were read."
    files = {kind: str(file) for kind, file in step.files.items() if file.exists()}
    read = {"frames": step.frames, "seconds": round(step.seconds, 3)} | ({"stopped": stopped} if stopped else {})
    return {"path": path, **read, "faces": step.faces.rows(), "files": files}


def crop(folder: str, out: str, as_json: bool) -> int:
    """Cuts the largest face out of every photograph of a folder, 48x48 and grey, for `train --data` to read."""
    from fer import album, faces

    if not Path(folder).is_dir():
        raise ValueError(f"folder is {folder!r}: expected a folder of photographs, as in FOLDER/happy/1.jpg")
    told = list(tqdm(album.cut(Path(folder), Path(out), faces.load_detector()), unit=" pictures", disable=as_json))
    wrong = {str(file): words for file, words in told if words}
    written = len(told) - len(wrong)
    print_json({"folder": out, "faces": written, "left_out": wrong}) if as_json else print(f"{out} has {written} faces")
    for file, words in wrong.items():
        print(f"fer crop: {file}: {words}", file=sys.stderr)
    _, left_out = image_folder.find_pictures(Path(folder))
    _report_pictures(written, sum(not Path(file).is_dir() for file in wrong), left_out)
    return 1 if wrong or any(why in image_folder.UNREAD_PICTURES for _, why in left_out) else 0


def export(network: str, out: str | None, root: str | None, as_json: bool) -> None:
    """Writes a network as ONNX, and compares its answers with PyTorch's on 500 faces, made-up ones without FER-2013."""
    from fer import export

    trained, file = checkpoint.load(network), Path(out or f"{Path(network).name.replace(':', '-')}.onnx")
    pixels, which = _compared(root)
    export.to_onnx(trained, file)
    difference = export.largest_difference(trained, file, pixels)
    if as_json:
        return print_json({"file": str(file), "largest_difference": difference, "compared_on": which})
    print(f"{file}: at most {difference:.1e} from PyTorch's probabilities on 500 {which}")
    return None


def _compared(root: str | None) -> tuple[Tensor, str]:
    """500 faces, uint8 (500, 48, 48), and what they are; a data set that was asked for by name has to be there."""
    from fer import export

    try:
        (validation,) = data.require(data.load(root), "PublicTest")
        return data.drawn(validation, 500).pixels, "faces of PublicTest"
    except data.DataError as error:
        if root:
            raise
        print(f"fer export: compared on made-up faces: {error}", file=sys.stderr)
        return export.made_up_faces(500), "made-up faces"


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
    if "stopped" in reading:
        print(f"  {reading['stopped']}")
    for face in found or ():
        top = sorted(face["probabilities"].items(), key=lambda item: -item[1])[:3]
        what = face["box"] if "box" in face else f"face {face['number']}, {face['frames']} frames:"
        print(f"  {what}  " + ", ".join(f"{name} {share:.0%}" for name, share in top))
    for kind, file in reading.get("files", {}).items():
        print(f"  {kind:8} {file}")

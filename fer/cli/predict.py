"""Commands that use a network, here and elsewhere: predict, crop, export, push, space."""

import sys
from collections.abc import Iterable
from contextlib import closing, nullcontext
from pathlib import Path

from tqdm import tqdm

from fer.cli.output import files_of, load_detector, print_json, print_report
from fer.data import image_folder
from fer.data.read_report import counted, plain
from fer.models import checkpoint
from fer.utils import outputs


def predict(
    paths: list[str], network: str, whole: bool, out: str | None, films: str, smoothing: float, as_json: bool,
    fps: float | None = None,
) -> int:  # fmt: skip
    """Reads the emotions in photographs, folders of them, or videos; with --out, goes on where it was stopped."""
    from fer.data import image_folder
    from fer.inference import batch

    if fps is not None and not 0 < fps < float("inf"):
        raise ValueError(f"fps is {fps}: expected a number of frames a second above 0")
    trained = checkpoint.load_model(network)
    moving = _once(Path(path) for path in paths if Path(path).suffix.lower() in image_folder.VIDEOS)
    if whole and moving:
        raise ValueError(f"--whole takes photographs as faces, and {str(moving[0])!r} is a film: read it without")
    still, left_out = batch.find_pictures(
        path for path in paths if Path(path).suffix.lower() not in image_folder.VIDEOS
    )
    names = _check_outputs(moving, [*still, *files_of(network)], out, films)
    before = 0
    with outputs.one_writer(Path(out)) if out else nullcontext():
        answers = batch.ResumableResults(Path(out), trained.labels) if out else None
        if answers:
            before = len(moving) + len(_once(still))
            moving, still = _unanswered(moving, answers), _unanswered(still, answers)
            before -= len(moving) + len(still)
        detector = None if whole or not (moving or still) else load_detector()
        rows = []
        for path in moving:
            settings = {"smoothing": smoothing, "fps": fps, "name": names[path]}
            rows.append(_watch(path, Path(films), trained, detector, settings, as_json, answers))
            if "stopped" in rows[-1]:
                print_json(rows) if as_json else [_print_reading(row) for row in rows]
                raise KeyboardInterrupt
        unread = [f"{row['path']}: {row['error']}" for row in rows if "error" in row]
        reading = batch.predict_files(still, trained, detector, whole)
        for row in tqdm(reading, total=len(still), unit=" pictures", disable=None if len(still) > 1 else True):
            unread += [f"{row['path']}: {row['error']}"] if "error" in row else []
            answers.add(row) if answers else rows.append(row)
    _tell(rows, unread, answers, as_json)
    empty = sum(file.is_dir() for file in still)  # has a sentence of its own, and is no file
    left_out += [("unreadable", "named above")] * (len(unread) - empty)
    _report_pictures(len(still) + len(moving) - len(unread), left_out, before)
    return 1 if unread or any(why in image_folder.UNREAD_PICTURES for _, why in left_out) else 0


def _check_outputs(moving: list[Path], others: list[Path], out: str | None, films: str) -> dict[Path, str]:
    """The name that each film's files get; raises ValueError where a file that is read would be written over."""
    files = [Path(out)] if out else []
    names = {}
    if moving:
        from fer.inference import video

        distinct = outputs.distinct([Path(file.name) for file in moving])
        names = {file: str(name) for file, name in zip(moving, distinct, strict=True)}
        files += [file for name in names.values() for file in video.output_files(Path(films), name).values()]
    outputs.check_outputs([*moving, *others], files)
    return names


def _unanswered(files: list[Path], answers) -> list[Path]:
    done = {outputs.identity(Path(path)) for path in answers.done}
    return [file for file in _once(files) if outputs.identity(file) not in done]


def _once(files: Iterable[Path]) -> list[Path]:
    """Each file once, by the first of its names."""
    kept: dict[Path, Path] = {}
    for file in files:
        kept.setdefault(outputs.identity(file), file)
    return list(kept.values())


def _tell(rows: list[dict], unread: list[str], answers, as_json: bool) -> None:
    """Prints what was read and what could not be."""
    if as_json:
        films = {"films": rows} if rows else {}
        print_json({"file": str(answers.file), "pictures": len(answers.done)} | films if answers else rows)
    elif answers:
        print(f"{answers.file} has the answers to {len(answers.done):,} pictures")
    for row in rows if not as_json else ():
        _print_reading(row)
    for sentence in unread:
        print(f"fer predict: {sentence}", file=sys.stderr)


def _report_pictures(read: int, left_out: list[image_folder.Reason], before: int = 0) -> None:
    remarks = [f"{before:,} more were read before"] if before else []
    print_report(plain(read, counted(left_out), remarks), "pictures")


def _watch(
    path: Path, out: Path, trained: checkpoint.FERModel, detector, settings: dict, quiet: bool, answers
) -> dict:  # fmt: skip
    """What was read off a video, with a progress bar; Ctrl-C keeps what was read so far.

    Every frame is added to ``answers``, if there are any. settings: those of `video.follow`.
    """
    from fer.inference import frames, video
    from fer.utils.threads import one_thread

    step, stopped = None, None
    steps = video.process_video(path, out, trained, detector, **settings)
    try:  # one face is too little to share among threads, and the film is being written beside it
        with one_thread(), closing(steps), tqdm(desc=path.name, unit=" frames", disable=quiet) as bar:
            for step in steps:
                bar.total = step.of
                bar.update()
                if answers and not step.stopped:
                    answers.add(_frame_row(path, step))
    except frames.VideoError as error:
        row = {"path": str(path), "error": str(error)}
        if answers:
            answers.add(row)
        return row
    except KeyboardInterrupt:
        if step is None:
            raise
        stopped = f"Stopped by Ctrl+C: {step.seconds:.1f}{step.of_length} seconds were read."
    files = {kind: str(file) for kind, file in step.files.items() if file.exists()}
    read = {"frames": step.frames, "seconds": round(step.seconds, 3)} | ({"stopped": stopped} if stopped else {})
    return {"path": str(path), **read, "detector": detector.name, "faces": step.faces.rows(), "files": files}


def _frame_row(path: Path, step) -> dict:
    faces = [
        {
            "number": face.number,
            "box": face.box.to_list(),
            "emotion": face.emotion,
            "prediction_set": face.prediction_set,
            "probabilities": face.probabilities,
        }
        for face in step.reading.faces
    ]
    return {"path": str(path), "frame": step.number, "seconds": round(step.seconds, 3), "faces": faces}


def crop(folder: str, out: str, as_json: bool) -> int:
    """Cuts the largest face out of every photograph of a folder, 48x48 and grey, for `train --data` to read."""
    from fer.inference import batch

    if not Path(folder).is_dir():
        raise ValueError(f"folder is {folder!r}: expected a folder of photographs, as in FOLDER/happy/1.jpg")
    _, left_out = image_folder.find_pictures(Path(folder))
    detector = load_detector()
    with outputs.one_writer(Path(out)):
        told = list(tqdm(batch.crop_folder(Path(folder), Path(out), detector), unit=" pictures", disable=as_json))
    wrong = {str(file): words for file, words in told if words}
    written = len(told) - len(wrong)
    found = {"folder": out, "faces": written, "detector": detector.name, "left_out": wrong}
    print_json(found) if as_json else print(f"{out} has {written} faces")
    for file, words in wrong.items():
        print(f"fer crop: {file}: {words}", file=sys.stderr)
    unread = [words for file, words in wrong.items() if not Path(file).is_dir()]
    faceless = sum(words.startswith("No face") for words in unread)
    left_out += [("without a face", "named above")] * faceless
    left_out += [("unreadable", "named above")] * (len(unread) - faceless)
    _report_pictures(written, left_out)
    return 1 if wrong or any(why in image_folder.UNREAD_PICTURES for _, why in left_out) else 0


def _print_reading(reading: dict) -> None:
    found = reading.get("faces")
    print(reading["path"] + ("" if found else ": no face found" if found == [] else ": not read"))
    if "note" in reading:
        print(f"  {reading['note']}")
    if "stopped" in reading:
        print(f"  {reading['stopped']}")
    for face in found or ():
        top = sorted(face["probabilities"].items(), key=lambda item: -item[1])[:3]
        what = face["box"] if "box" in face else f"face {face['number']}, {face['frames']} frames:"
        what = f"{what} turned by {face['angle']} degrees" if face.get("angle") else what
        labels = face.get("prediction_set") or []
        told = f"  ({' or '.join(labels)})" if len(labels) > 1 else ""
        print(f"  {what}  " + ", ".join(f"{name} {share:.0%}" for name, share in top) + told)
    for kind, file in reading.get("files", {}).items():
        print(f"  {kind:8} {file}")

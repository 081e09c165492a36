"""Commands that take photographs and videos: predict, crop."""

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.cli.output import files_of, load_detector, print_json, print_report
from fer.cli.settings import Settings, Subparsers, add_command, argument
from fer.data.read_report import counted, plain
from fer.utils import outputs

if TYPE_CHECKING:
    from fer.data.image_folder import Reason
    from fer.faces.detector import Detector
    from fer.inference.batch import ResumableResults
    from fer.models.checkpoint import FERModel


# ------------------------------------------------------------------------------------------------ predict


@dataclass(frozen=True, kw_only=True)
class PredictSettings(Settings):
    paths: list[str] = argument(metavar="PATH")
    """Photographs, folders of them, or videos."""
    model: str = "compact"
    """A model in weights/, a folder, OWNER/NAME on the Hub, an .onnx file, or an ensemble as in ensemble:a+b."""
    out: str | None = argument(None, "FILE")
    """Write predictions to a .csv or .jsonl file; the same command again goes on where it was stopped."""
    no_detect: bool = False
    """Take each whole photograph as a face, without face detection."""
    video_out: str = argument(".", "FOLDER")
    """Where the four files of a video go: the annotated video, a timeline, CSV and JSON. By default here."""
    fps: float | None = argument(None, "F")
    """Read at most F frames of a second of video. By default all."""
    smoothing: float = argument(0.5, "SECONDS")
    """Over how long the predictions for a face in a video are averaged."""

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f"fps is {self.fps}: expected a number of frames a second above 0")
        if self.no_detect and (videos := _videos(self.paths)):
            raise ValueError(f"--no-detect is for photographs, and {str(videos[0])!r} is a video: read it without")


def predict(settings: PredictSettings) -> int:
    """Predict the emotion of every face in photographs, folders of them, or videos."""
    from fer.data import image_folder
    from fer.inference import batch
    from fer.models import checkpoint

    model = checkpoint.load_model(settings.model)
    videos = _videos(settings.paths)
    pictures, left_out = batch.find_pictures(path for path in settings.paths if not _is_video(path))
    names = _check_outputs(videos, [*pictures, *files_of(settings.model)], settings)
    with outputs.one_writer(Path(settings.out)) if settings.out else nullcontext():
        stored = batch.ResumableResults(Path(settings.out), model.labels) if settings.out else None
        count = len(videos) + len(_once(pictures))
        if stored:
            videos, pictures = _not_in(stored, videos), _not_in(stored, pictures)
        before = count - len(videos) - len(pictures) if stored else 0
        detector = None if settings.no_detect or not (videos or pictures) else load_detector()
        rows = list(_predict_videos(videos, names, model, detector, settings, stored))
        failed = [f"{row['path']}: {row['error']}" for row in rows if "error" in row]
        for row in _predict_pictures(pictures, model, detector, settings):
            failed += [f"{row['path']}: {row['error']}"] if "error" in row else []
            stored.add(row) if stored else rows.append(row)
    _print_predictions(rows, failed, stored, settings.json)
    empty = sum(file.is_dir() for file in pictures)  # has a sentence of its own, and is no file
    left_out += [("unreadable", "named above")] * (len(failed) - empty)
    _report_pictures(len(pictures) + len(videos) - len(failed), left_out, before)
    return 1 if failed or any(why in image_folder.UNREAD_PICTURES for _, why in left_out) else 0


def _is_video(path: str) -> bool:
    from fer.data import image_folder

    return Path(path).suffix.lower() in image_folder.VIDEOS


def _videos(paths: Iterable[str]) -> list[Path]:
    return _once(Path(path) for path in paths if _is_video(path))


def _predict_pictures(
    pictures: list[Path], model: "FERModel", detector: "Detector | None", settings: PredictSettings
) -> Iterable[dict]:
    from tqdm import tqdm

    from fer.inference import batch

    rows = batch.predict_files(pictures, model, detector, settings.no_detect)
    return tqdm(rows, total=len(pictures), unit=" pictures", disable=None if len(pictures) > 1 else True)


def _predict_videos(
    videos: list[Path],
    names: dict[Path, str],
    model: "FERModel",
    detector: "Detector | None",
    settings: PredictSettings,
    stored: "ResumableResults | None",
) -> Iterator[dict]:
    """A row for each video; after one that Ctrl+C stopped, what was read so far is printed and the command ends."""
    rows = []
    for path in videos:
        options = {"smoothing": settings.smoothing, "fps": settings.fps, "name": names[path]}
        rows.append(_read_video(path, Path(settings.video_out), model, detector, options, settings.json, stored))
        if "stopped" in rows[-1]:
            print_json(rows) if settings.json else [_print_row(row) for row in rows]
            raise KeyboardInterrupt
        yield rows[-1]


def _check_outputs(videos: list[Path], others: list[Path], settings: PredictSettings) -> dict[Path, str]:
    """The name that each video's files get; raises ValueError where a file that is read would be written over."""
    files = [Path(settings.out)] if settings.out else []
    names = {}
    if videos:
        from fer.inference import video

        distinct = outputs.distinct([Path(file.name) for file in videos])
        names = {file: str(name) for file, name in zip(videos, distinct, strict=True)}
        files += [
            file for name in names.values() for file in video.output_files(Path(settings.video_out), name).values()
        ]
    outputs.check_outputs([*videos, *others], files)
    return names


def _not_in(stored: "ResumableResults", files: list[Path]) -> list[Path]:
    done = {outputs.identity(Path(path)) for path in stored.done}
    return [file for file in _once(files) if outputs.identity(file) not in done]


def _once(files: Iterable[Path]) -> list[Path]:
    """Each file once, by the first of its names."""
    kept: dict[Path, Path] = {}
    for file in files:
        kept.setdefault(outputs.identity(file), file)
    return list(kept.values())


def _print_predictions(rows: list[dict], failed: list[str], stored: "ResumableResults | None", as_json: bool) -> None:
    """Prints what was predicted, and on standard error what could not be read."""
    if as_json:
        videos = {"videos": rows} if rows else {}
        print_json({"file": str(stored.file), "pictures": len(stored.done)} | videos if stored else rows)
    elif stored:
        print(f"{stored.file} has the predictions for {len(stored.done):,} pictures")
    for row in rows if not as_json else ():
        _print_row(row)
    for sentence in failed:
        print(f"fer predict: {sentence}", file=sys.stderr)


def _report_pictures(read: int, left_out: "list[Reason]", before: int = 0) -> None:
    remarks = [f"{before:,} more were read before"] if before else []
    print_report(plain(read, counted(left_out), remarks), "pictures")


def _read_video(
    path: Path,
    folder: Path,
    model: "FERModel",
    detector: "Detector | None",
    options: dict[str, Any],
    quiet: bool,
    stored: "ResumableResults | None",
) -> dict:
    """What was predicted for a video, with a progress bar; Ctrl+C keeps what was read so far.

    Every frame is added to ``stored``, if there is any. options: those of `video.process_video`.
    """
    from tqdm import tqdm

    from fer.inference import frames, video
    from fer.utils.threads import one_thread

    step, stopped = None, None
    steps = video.process_video(path, folder, model, detector, **options)
    try:  # one face is too little to share among threads, and the video is being written beside it
        with one_thread(), closing(steps), tqdm(desc=path.name, unit=" frames", disable=quiet) as bar:
            for step in steps:
                bar.total = step.of
                bar.update()
                if stored and not step.stopped:
                    stored.add(_frame_row(path, step))
    except frames.VideoError as error:
        row = {"path": str(path), "error": str(error)}
        if stored:
            stored.add(row)
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


def _print_row(row: dict) -> None:
    found = row.get("faces")
    print(row["path"] + ("" if found else ": no face found" if found == [] else ": not read"))
    if "note" in row:
        print(f"  {row['note']}")
    if "stopped" in row:
        print(f"  {row['stopped']}")
    for face in found or ():
        top = sorted(face["probabilities"].items(), key=lambda item: -item[1])[:3]
        where = face["box"] if "box" in face else f"face {face['number']}, {face['frames']} frames:"
        where = f"{where} turned by {face['angle']} degrees" if face.get("angle") else where
        labels = face.get("prediction_set") or []
        likely = f"  ({' or '.join(labels)})" if len(labels) > 1 else ""
        print(f"  {where}  " + ", ".join(f"{name} {share:.0%}" for name, share in top) + likely)
    for kind, file in row.get("files", {}).items():
        print(f"  {kind:8} {file}")


# ------------------------------------------------------------------------------------------------ crop


@dataclass(frozen=True, kw_only=True)
class CropSettings(Settings):
    folder: str
    """A folder of photographs, in folders named after emotions."""
    out: str
    """The folder to write the faces to."""

    def __post_init__(self) -> None:
        if not Path(self.folder).is_dir():
            raise ValueError(f"folder is {self.folder!r}: expected a folder of photographs, as in FOLDER/happy/1.jpg")


def crop(settings: CropSettings) -> int:
    """Cut the largest face out of every photograph of a folder, 48x48 and grey, for `train --data`."""
    from tqdm import tqdm

    from fer.data import image_folder
    from fer.inference import batch

    folder, out = Path(settings.folder), Path(settings.out)
    _, left_out = image_folder.find_pictures(folder)
    detector = load_detector()
    with outputs.one_writer(out):
        told = list(tqdm(batch.crop_folder(folder, out, detector), unit=" pictures", disable=settings.json))
    wrong = {str(file): words for file, words in told if words}
    written = len(told) - len(wrong)
    found = {"folder": settings.out, "faces": written, "detector": detector.name, "left_out": wrong}
    print_json(found) if settings.json else print(f"{settings.out} has {written} faces")
    for file, words in wrong.items():
        print(f"fer crop: {file}: {words}", file=sys.stderr)
    unread = [words for file, words in wrong.items() if not Path(file).is_dir()]
    faceless = sum(words.startswith("No face") for words in unread)
    left_out += [("without a face", "named above")] * faceless
    left_out += [("unreadable", "named above")] * (len(unread) - faceless)
    _report_pictures(written, left_out)
    return 1 if wrong or any(why in image_folder.UNREAD_PICTURES for _, why in left_out) else 0


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, predict, PredictSettings)
    add_command(subparsers, crop, CropSettings)

"""Disks that are full and writers that meet: what was there stays whole, and what fails is one line."""

import ast
import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import fer
from fer.attribution import benchmark, region_benchmark
from fer.data import dataset, fer2013, labels
from fer.data.read_report import ReadReport
from fer.evaluation import predictions
from fer.features import atlas
from fer.models import checkpoint
from fer.plotting import encode
from fer.release import model_card
from fer.studies import results
from fer.studies import run as studies_run
from fer.training import config as training_config
from fer.training import history, trainer
from fer.training.distributed import DistributedContext
from fer.utils import io
from fer.utils.io import atomic_write

REPORT = ReadReport({})


@contextmanager
def full_disk(most: int = 2048) -> Iterator[None]:
    """No file may grow beyond so many bytes: what is longer fails half way, as on a full disk."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def faces(count: int = 40) -> dataset.FaceDataset:
    pixels = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))
    return dataset.FaceDataset(pixels, torch.zeros(count).long(), None, torch.zeros(count).bool())


def save_run(folder: Path) -> None:
    config = training_config.default_config("dnn", epochs=1)
    trainer.TrainState(config, DistributedContext(torch.device("cpu"))).save(folder / trainer.RESUME_FILE, config)


def write_look(folder: Path) -> None:
    maps = np.random.default_rng(0).random((7, 2, 48, 48))
    claim = region_benchmark.RegionClaim(1.0, 1.0, 1.0, 1.0)
    look = region_benchmark.RegionAttribution(
        labels.EMOTIONS, np.zeros((48, 48), np.uint8), maps, np.ones((7, 2)), np.ones((7, 6)), claim
    )
    region_benchmark.save_region_attribution(look, folder)


def write_layer(folder: Path) -> None:
    noise = np.random.default_rng(0)
    rest = np.zeros(64, bool), np.zeros((64, 0)), np.zeros((64, 0), int), np.zeros((64, 0, 2), np.uint8)
    images = noise.integers(0, 256, (64, 48, 48), dtype=np.uint8)
    atlas.save_layer(
        folder, "dense_1", atlas.LayerVisualization(images, noise.random((64, 7)), noise.random(64), *rest)
    )


def save_config(folder: Path) -> None:
    checkpoint.save_config(checkpoint.FERModel("dnn", train_config={"a": list(range(999))}), folder)


def write_history(folder: Path) -> None:
    history.write_rows([{"epoch": number} for number in range(999)], folder / "history.csv")


def keep(folder: Path) -> None:
    predictions.save_predictions(folder / "predictions.npz", "PublicTest", torch.rand(999, 7), faces(999))


def write_table(folder: Path) -> None:
    rows = [{"row": number, "accuracy": 0.5} for number in range(99)]
    results.write_results("duplicates", "Which?", results.Result(rows), folder, False, 1)


def draw_figure(folder: Path) -> None:
    epochs = [{"epoch": number, "accuracy": number / 9, "public_accuracy": 0.5} for number in range(9)]
    studies_run.draw_figure(results.Result([], curves={"run": epochs}), folder / "figure.png")


def save_noise(folder: Path) -> None:
    encode.save_image(np.random.default_rng(0).integers(0, 255, (99, 99), np.uint8), folder / "a.png")


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weights": ("model.safetensors", lambda folder: checkpoint.save_model(checkpoint.FERModel("dnn"), folder)),
    "config": ("config.json", save_config),
    "history": ("history.csv", write_history),
    "predictions": ("predictions.npz", keep),
    "trust": (
        "attribution_benchmark.json",
        lambda folder: benchmark.save_benchmark([{"method": str(n)} for n in range(999)], folder),
    ),
    "regions": ("attribution_regions.npz", write_look),
    "atlas": ("feature_vis/dense_1.webp", write_layer),
    "card": ("README.md", lambda folder: model_card.write_redundancy_section(folder, "x" * 9999)),
    "table": ("results.json", write_table),
    "figure": ("figure.png", draw_figure),
    "picture": ("a.png", save_noise),
    "unfinished training": ("resume.pt", save_run),
}


@pytest.mark.parametrize("name, write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, name: str, write: Callable):
    """An OSError, which the command line tells in one line; the earlier file byte for byte; nothing half written."""
    (tmp_path / "feature_vis").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / name).write_bytes(b"previous_stage")
    before = sorted(tmp_path.rglob("*"))
    with full_disk(), pytest.raises(OSError) as error:
        write(tmp_path)
    assert "\n" not in str(error.value)
    assert (tmp_path / name).read_bytes() == b"previous_stage"
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "config.json") == [
        path for path in before if path.name != "config.json"
    ]


def test_a_folder_that_cannot_be_written_only_costs_the_cache(folder_data: Path, tmp_path: Path):
    """The faces are read all the same, on a full disk too, and no half cache is left."""
    root = tmp_path / "faces"
    root.mkdir()
    for part in ("train", "test"):
        (root / part).symlink_to(folder_data / part)
    with full_disk():
        assert len(fer2013.load_fer2013(root)["Training"]) == 140
    assert sorted(path.name for path in root.iterdir()) == ["test", "train"]
    assert len(fer2013.load_fer2013(root)["Training"]) == 140 and (root / "cache.safetensors").exists()


def write_cache(cache: Path, count: int) -> None:
    fer2013._write_cache(cache, "stamp", {"Training": faces(count)}, REPORT)


def write_often(cache: Path, count: int) -> None:
    for _ in range(20):
        write_cache(cache, count)


def test_two_processes_that_write_a_cache_at_once_leave_a_whole_one(tmp_path: Path):
    """Whatever is read meanwhile is nothing, or all of what one of them wrote."""
    cache, fork = tmp_path / "cache.safetensors", multiprocessing.get_context("fork")
    writers = [fork.Process(target=write_often, args=(cache, count)) for count in (30, 50)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        found = fer2013._read_cache(cache, "stamp")
        if found is not None:
            count = len(found[0]["Training"])
            assert torch.equal(found[0]["Training"].pixels, faces(count).pixels)
            seen.add(count)
    assert [writer.exitcode for writer in writers] == [0, 0] and seen <= {30, 50}
    assert [path.name for path in tmp_path.iterdir()] == ["cache.safetensors"]
    assert len(fer2013._read_cache(cache, "stamp")[0]["Training"]) in (30, 50)


def test_a_cache_that_is_replaced_while_it_is_read_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """safe_open opens its file twice: 30 faces' places in 50 faces' bytes are nobody's faces."""
    cache, opened = tmp_path / "cache.safetensors", fer2013.safe_open
    write_cache(cache, 30)

    def overtaken(path: Path, framework: str):
        write_cache(cache, 50)
        return opened(path, framework)

    monkeypatch.setattr(fer2013, "safe_open", overtaken)
    assert fer2013._read_cache(cache, "stamp") is None
    monkeypatch.undo()
    assert len(fer2013._read_cache(cache, "stamp")[0]["Training"]) == 50


@pytest.mark.parametrize("spoil", [{}, {"Training.pixels": torch.zeros(3, 48, 48)}])
def test_a_cache_that_lacks_something_is_read_anew(tmp_path: Path, spoil: dict):
    """One of the right stamp, but without any labels."""
    with atomic_write(tmp_path / "cache.safetensors") as partial:
        fer2013.save_file(spoil, partial, {"stamp": "stamp", "report": REPORT.dumped()})
    assert fer2013._read_cache(tmp_path / "cache.safetensors", "stamp") is None


def test_what_fails_half_way_is_taken_away(tmp_path: Path):
    """An exception within the block: the earlier file, and nothing beside it."""
    (tmp_path / "a").write_text("earlier", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a") as partial:
        partial.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text(encoding="utf-8") == "earlier" and len(list(tmp_path.iterdir())) == 1


# ------------------------------------------------------------------------------------------------ no other way

WRITING = {
    "write_text", "write_bytes", "savefig", "imsave", "imwrite", "VideoWriter", "save", "save_file", "save_model",
    "savez", "savez_compressed", "savetxt", "tofile", "dump", "to_csv", "copy", "copy2", "copyfile", "move", "touch",
}  # fmt: skip
# Where a file is written otherwise, and why.
OTHERWISE = {
    "batch.ResumableResults.add": "a row is appended; a cut one is left out when the next run begins",
    "outputs._locked": "the lock's own file, which nobody reads as a result",
    "video._VideoOutputs.__enter__": "into a file beside, for as long as a film is read; put into place at the end",
    "video._VideoOutputs._finish": "the same",
    "frames._source": "a copy for OpenCV to read, in a temporary folder",
    "video_writer.WebMWriter.close": "the same: into the file that `video._VideoOutputs` names",
    "video_writer.WebMWriter._opened": "the same",
}


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _opens_to_write(call: ast.Call) -> bool:
    """open(file, "w") and file.open("w"), also with a mode that is not written out; os.open."""
    if _name(call) not in ("open", "fdopen"):
        return False
    words = ast.unparse(call)
    if words.startswith("os.open("):
        return "os.O_RDONLY" not in words
    if "os.devnull" in words:
        return False
    modes = call.args[1:2] if isinstance(call.func, ast.Name) else call.args[:2]
    modes = [*modes, *(word.value for word in call.keywords if word.arg == "mode")]
    return any(isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) & set("wax+")
               and len(mode.value) <= 3 for mode in modes)  # fmt: skip


def _safe(scope: ast.AST) -> set[str]:
    """The names in a function that stand for a partial file of the writer, for memory, or for what is no file."""
    names = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            call = node.context_expr
            of_the_writer = isinstance(call, ast.Call) and _name(call) in ("atomic_write", "whole_file")
            if of_the_writer or names & {part.id for part in ast.walk(call) if isinstance(part, ast.Name)}:
                names.add(node.optional_vars.id)  # also what opens the partial file
        elif isinstance(node, ast.Assign) and any(
            isinstance(part, ast.Call) and _name(part) in ("BytesIO", "StringIO") for part in ast.walk(node.value)
        ):
            names |= {part.id for target in node.targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def plain_writes(source: str, module: str) -> set[str]:
    """The functions of a module in which a file is written otherwise than by `io.atomic_write`, by their full names."""
    found = set()

    def visit(node: ast.AST, scope: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                visit(child, child, f"{name}.{child.name}")
                continue
            if isinstance(child, ast.Call) and _writes(child):
                used = {part.id for part in ast.walk(child) if isinstance(part, ast.Name)}
                if not used & _safe(scope):
                    found.add(name)
            visit(child, scope, name)

    visit(ast.parse(source), ast.parse(source), module)
    return found


def _writes(call: ast.Call) -> bool:
    return _opens_to_write(call) or _name(call) in WRITING and _to_a_file(call)


def _to_a_file(call: ast.Call) -> bool:
    """Not `frame.copy()`, nor our own functions that write by the writer: `checkpoint.save(network, folder)`."""
    owner = ast.unparse(call.func).rpartition(".")[0]
    if _name(call) == "write_text":
        return isinstance(call.func, ast.Attribute) and owner != "writing"  # the function is the writer's own
    if _name(call) in ("copy", "move"):
        return owner == "shutil"
    if _name(call) == "dump":
        return owner in ("json", "pickle", "yaml")
    own = owner in ("checkpoint", "encode", "maps", "state") or "artifact" in owner.lower()
    return not own or _name(call) not in ("save", "save_model", "save_image")


def test_no_file_is_written_but_by_the_writer():
    """By syntax tree: all writes of the package go to a partial file of `io.atomic_write` but for those listed."""
    found = set()
    for path in sorted(Path(fer.__file__).parent.rglob("*.py")):
        if path != Path(io.__file__):
            found |= plain_writes(path.read_text(encoding="utf-8"), path.stem)
    assert found == set(OTHERWISE)


@pytest.mark.parametrize(
    "line",
    [
        "path.write_text('x')", "path.write_bytes(b'x')", "open(path, 'w')", "path.open('a', newline='')",
        "open(path, mode='xb')", "path.open(mode='r+')", "figure.savefig(path)", "np.save(path, x)",
        "np.savez_compressed(path, x=x)", "save_file(x, path)", "torch.save(x, path)", "cv2.imwrite(path, x)",
        "image.save(path)", "Image.fromarray(x).save(path)", "json.dump(x, path)", "os.open(path, os.O_CREAT)",
        "shutil.copyfile(a, path)", "x.tofile(path)", "cv2.VideoWriter(path, 0, 1, x)",
    ],
)  # fmt: skip
def test_every_other_way_is_found(line: str):
    """Each of them in a function of its own; the same to a partial file is fine."""
    assert plain_writes(f"def one():\n    {line}\n", "m") == {"m.one"}
    inside = line.replace("path", "partial")
    assert plain_writes(f"def one():\n    with atomic_write(path) as partial:\n        {inside}\n", "m") == set()

"""Disks that are full and writers that meet: what was there stays whole, and what fails is one line."""

import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from fer import atlas, checkpoint, data, evaluation, recipes, regions, training, trust
from fer.team import Team
from fer.writing import whole


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


def faces(count: int = 40) -> data.Faces:
    pixels = torch.randint(0, 256, (count, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(count))
    return data.Faces(pixels, torch.zeros(count).long(), None, torch.zeros(count).bool())


def save_run(folder: Path) -> None:
    config = recipes.recipe("dnn", epochs=1)
    training.Run(config, Team(torch.device("cpu"))).save(folder / training.UNFINISHED, config)


def write_look(folder: Path) -> None:
    maps = np.random.default_rng(0).random((7, 2, 48, 48))
    look = regions.Look(data.EMOTIONS, np.zeros((48, 48), np.uint8), maps, np.ones((7, 2)), np.ones((7, 6)),
                        regions.Claim(1.0, 1.0, 1.0, 1.0))  # fmt: skip
    regions.write(look, folder)


def write_layer(folder: Path) -> None:
    noise = np.random.default_rng(0)
    rest = np.zeros(64, bool), np.zeros((64, 0)), np.zeros((64, 0), int), np.zeros((64, 0, 2), np.uint8)
    images = noise.integers(0, 256, (64, 48, 48), dtype=np.uint8)
    atlas.write(folder, "dense_1", atlas.Layer(images, noise.random((64, 7)), noise.random(64), *rest))


def save_config(folder: Path) -> None:
    checkpoint.save_config(checkpoint.Network("dnn", recipe={"a": list(range(999))}), folder)


def write_history(folder: Path) -> None:
    checkpoint.write_rows([{"epoch": number} for number in range(999)], folder / "history.csv")


def keep(folder: Path) -> None:
    evaluation.keep_predictions(folder / "predictions.npz", "PublicTest", torch.rand(999, 7), faces(999))


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "weights": ("model.safetensors", lambda folder: checkpoint.save(checkpoint.Network("dnn"), folder)),
    "config": ("config.json", save_config),
    "history": ("history.csv", write_history),
    "predictions": ("predictions.npz", keep),
    "trust": ("trust.json", lambda folder: trust.write([{"method": str(n)} for n in range(999)], folder)),
    "regions": ("regions.npz", write_look),
    "atlas": ("atlas/dense_1.webp", write_layer),
    "unfinished training": ("unfinished.pt", save_run),
}


@pytest.mark.parametrize("name, write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, name: str, write: Callable):
    """An OSError, which the command line tells in one line; the earlier file byte for byte; nothing half written."""
    (tmp_path / "atlas").mkdir()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / name).write_bytes(b"earlier")
    before = sorted(tmp_path.rglob("*"))
    with full_disk(), pytest.raises(OSError) as error:
        write(tmp_path)
    assert "\n" not in str(error.value)
    assert (tmp_path / name).read_bytes() == b"earlier"
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
        assert len(data.load(root)["Training"]) == 140
    assert sorted(path.name for path in root.iterdir()) == ["test", "train"]
    assert len(data.load(root)["Training"]) == 140 and (root / "cache.safetensors").exists()


def write_often(cache: Path, count: int) -> None:
    for _ in range(20):
        data._write_cache(cache, "stamp", {"Training": faces(count)})


def test_two_processes_that_write_a_cache_at_once_leave_a_whole_one(tmp_path: Path):
    """Whatever is read meanwhile is nothing, or all of what one of them wrote."""
    cache, fork = tmp_path / "cache.safetensors", multiprocessing.get_context("fork")
    writers = [fork.Process(target=write_often, args=(cache, count)) for count in (30, 50)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        found = data._read_cache(cache, "stamp")
        if found is not None:
            count = len(found["Training"])
            assert torch.equal(found["Training"].pixels, faces(count).pixels)
            seen.add(count)
    assert [writer.exitcode for writer in writers] == [0, 0] and seen <= {30, 50}
    assert [path.name for path in tmp_path.iterdir()] == ["cache.safetensors"]
    assert len(data._read_cache(cache, "stamp")["Training"]) in (30, 50)


def test_a_cache_that_is_replaced_while_it_is_read_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """safe_open opens its file twice: 30 faces' places in 50 faces' bytes are nobody's faces."""
    cache, opened = tmp_path / "cache.safetensors", data.safe_open
    data._write_cache(cache, "stamp", {"Training": faces(30)})

    def overtaken(path: Path, framework: str):
        data._write_cache(cache, "stamp", {"Training": faces(50)})
        return opened(path, framework)

    monkeypatch.setattr(data, "safe_open", overtaken)
    assert data._read_cache(cache, "stamp") is None
    monkeypatch.undo()
    assert len(data._read_cache(cache, "stamp")["Training"]) == 50


@pytest.mark.parametrize("spoil", [{}, {"Training.pixels": torch.zeros(3, 48, 48)}])
def test_a_cache_that_lacks_something_is_read_anew(tmp_path: Path, spoil: dict):
    """One of the right stamp, but without any labels."""
    with whole(tmp_path / "cache.safetensors") as partial:
        data.save_file(spoil, partial, {"stamp": "stamp"})
    assert data._read_cache(tmp_path / "cache.safetensors", "stamp") is None


def test_what_fails_half_way_is_taken_away(tmp_path: Path):
    """An exception within the block: the earlier file, and nothing beside it."""
    (tmp_path / "a").write_text("earlier")
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "a") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_text() == "earlier" and len(list(tmp_path.iterdir())) == 1

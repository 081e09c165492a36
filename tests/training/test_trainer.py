"""training: it learns, it repeats itself, and a kill at any moment changes nothing."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fer.data import dataset, fer2013
from fer.evaluation import inference
from fer.models import checkpoint
from fer.studies.runner import PLAIN
from fer.training import trainer
from fer.training.config import SCHEDULES, TrainConfig, default_config, training_commands

QUICK = {"epochs": 2, "batch_size": 32, "aux_votes_weight": 0.0}


@pytest.fixture(scope="module")
def splits(folder_data: Path) -> dict[str, dataset.FaceDataset]:
    return fer2013.load_fer2013(folder_data)


def rows(folder: Path) -> list[dict]:
    with (folder / "history.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fit(config: TrainConfig, splits: dict[str, dataset.FaceDataset], folder: Path) -> checkpoint.FERModel:
    return trainer.fit(config, splits["Training"], splits["PublicTest"], folder, quiet=True)


def test_a_network_learns_what_can_be_learnt(splits: dict, tmp_path: Path):
    """A bright band that moves with the emotion: 12 epochs of dnn read at least 90 % of faces never trained on."""
    network = fit(default_config("dnn", epochs=12, batch_size=16, ema_decay=0.9, hflip_prob=0.0), splits, tmp_path)
    logits = inference.predict_logits(network, splits["PublicTest"].pixels)
    assert (logits.argmax(1) == splits["PublicTest"].labels).float().mean() >= 0.9


def test_one_batch_can_be_learnt_by_heart(splits: dict, tmp_path: Path):
    """compact's training loss on 14 faces falls below a tenth of log(7): forward, backward and step fit together."""
    batch = splits["Training"][:14]
    quiet = {
        "label_smoothing": 0.0,
        "hflip_prob": 0.0,
        "degrees": 0.0,
        "translate": 0.0,
        "scale": 0.0,
        "jitter": 0.0,
        "erase_prob": 0.0,
    }
    config = default_config(
        "compact", **PLAIN | quiet, epochs=16, low_res_epochs=0, aux_votes_weight=0.0, learning_rate=0.02
    )
    trainer.fit(config, batch, batch, tmp_path, quiet=True)
    assert float(rows(tmp_path)[-1]["loss"]) < 0.19


def test_faces_that_are_all_trained_on_are_nothing_to_choose_on(splits: dict, tmp_path: Path):
    """If every held-out face has a duplicate in Training, no epoch can honestly be chosen."""
    seen = replace(splits["PublicTest"], is_duplicate=torch.ones(28, dtype=torch.bool))
    with pytest.raises(ValueError, match="all 28 validation faces are also in Training"):
        trainer.fit(default_config("dnn", **QUICK), splits["Training"], seen, tmp_path, quiet=True)


def test_the_same_seed_gives_the_same_network(splits: dict, tmp_path: Path):
    """Bit by bit, with dropout, order and augmentation drawn; another seed gives another."""
    config = default_config("dnn", **QUICK, degrees=10.0, erase_prob=0.5, mixup_alpha=0.2)
    first, again = (fit(config, splits, tmp_path / name).state_dict() for name in ("first", "again"))
    other = fit(replace(config, seed=1), splits, tmp_path / "other").state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["dense_1.weight"], other["dense_1.weight"])


def test_the_folder_holds_the_best_whole_face_epoch_and_its_recipe(splits: dict, tmp_path: Path):
    """config.json, model.safetensors and a history with a line an epoch; small epochs are never shipped."""
    config = default_config("compact", **PLAIN, epochs=3, low_res_epochs=2, batch_size=64, aux_votes_weight=0.0)
    network = fit(config, splits, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "history.csv", "model.safetensors"]
    assert [row["size"] for row in rows(tmp_path)] == ["32", "32", "48"]
    shipped = checkpoint.load_model(str(tmp_path))
    assert shipped.train_config["low_res_epochs"] == 2 and shipped.train_config["augmentation"]["degrees"] == 10
    accuracy = trainer.eval_model(network, splits["PublicTest"])["public_accuracy"]
    assert float(rows(tmp_path)[2]["public_accuracy"]) == pytest.approx(accuracy, abs=1e-5)


def test_votes_teach_through_a_second_head(splits: dict, tmp_path: Path):
    """FER+'s votes change what is learnt, and the head does not ship; without votes the setting is refused."""
    voted = replace(splits["Training"], votes=torch.eye(10, dtype=torch.uint8)[splits["Training"].labels] * 10)
    config = default_config("dnn", **QUICK | {"aux_votes_weight": 1.0})
    with pytest.raises(ValueError, match="fer2013new.csv is not beside FER-2013"):
        fit(config, splits, tmp_path / "none")
    with_votes = fit(config, splits | {"Training": voted}, tmp_path / "with").state_dict()
    without = fit(replace(config, aux_votes_weight=0.0), splits, tmp_path / "without").state_dict()
    assert with_votes.keys() == without.keys()
    assert not torch.equal(with_votes["dense_1.weight"], without["dense_1.weight"])


def test_a_run_begins_with_an_earlier_checkpoint_and_goes_on_counting_its_epochs(splits: dict, tmp_path: Path):
    """At a rate of nearly nothing its weights stay, the history has both runs' lines, and the recipe both settings."""
    before = fit(default_config("dnn", **QUICK), splits, tmp_path / "before")
    settings = {"init_from": str(tmp_path / "before"), "learning_rate": 1e-9, "ema_decay": 0.0}
    after = fit(default_config("dnn", **QUICK | settings), splits, tmp_path / "after")
    torch.testing.assert_close(after["dense_4"].weight, before["dense_4"].weight, atol=1e-3, rtol=0)  # float16 between
    assert [row["epoch"] for row in rows(tmp_path / "after")] == ["1", "2", "3", "4"]
    assert after.train_config["previous_stage"]["learning_rate"] == 1.0
    with pytest.raises(ValueError, match="init_from is a dnn: its layers are not those of cnn"):
        fit(default_config("cnn", **QUICK | settings), splits, tmp_path / "other")


def test_a_network_of_other_labels_begins_with_all_of_an_earlier_one_but_its_last_layer(tmp_path: Path):
    """compact-ferplus takes compact-small's convolutions over, to float16, and draws eight rows of its own."""
    earlier = checkpoint.FERModel("compact-small")
    checkpoint.save_model(earlier, tmp_path)
    pixels = torch.zeros(2, 48, 48, dtype=torch.uint8)
    begun = trainer._init_model(default_config("compact-ferplus", init_from=str(tmp_path)), pixels)
    torch.testing.assert_close(begun["conv2d_7"].weight, earlier["conv2d_7"].weight, atol=1e-3, rtol=0)
    assert begun["dense_1"].weight.shape == (8, 512)


# A busy machine may time bfloat16 as faster in one process and as slower in another.
IN_FLOAT32 = (
    "import sys; from fer.cli.main import main; from fer.utils import precision; "
    "precision.bf16_is_faster = lambda: False; sys.exit(main(sys.argv[1:]))"
)


def train_and_kill(arguments: list[str], state: Path, epochs: int) -> None:
    """Starts the command and kills it, with SIGKILL, once it has finished ``epochs`` more epochs."""
    process = subprocess.Popen([sys.executable, "-c", IN_FLOAT32, *arguments], stderr=subprocess.DEVNULL)
    seen, deadline = 0, time.monotonic() + 120
    last = state.stat().st_mtime_ns if state.exists() else 0
    while seen < epochs and process.poll() is None and time.monotonic() < deadline:
        now = state.stat().st_mtime_ns if state.exists() else 0
        seen, last = seen + (now != last), now
        time.sleep(0.002)  # leave the core to the training
    assert process.poll() is None, "the training ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_twice_and_resumed_gives_the_unbroken_history(folder_data: Path, splits: dict, tmp_path: Path):
    """SIGKILL during the second and during the fifth epoch; history and weights equal those of a run left alone."""
    flags = ["--epochs", "8", "--batch-size", "70", "--degrees", "10", "--ema-decay", "0.9"]
    killed, whole = tmp_path / "killed" / "dnn", tmp_path / "unbroken" / "dnn"
    arguments = ["train", "dnn", "--data", str(folder_data), "--out", str(killed), "--json", *flags]
    for epochs in (1, 3):
        train_and_kill(arguments, killed / trainer.RESUME_FILE, epochs)
    unbroken = [*arguments[:5], str(whole), *arguments[6:]]
    for command in (arguments, unbroken):
        subprocess.run([sys.executable, "-c", IN_FLOAT32, *command], check=True, stdout=subprocess.DEVNULL)
    for name in ("history.csv", "model.safetensors", "config.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert len(rows(killed)) == 8
    assert not (killed / trainer.RESUME_FILE).exists()


def test_a_resumed_run_keeps_its_number_format(splits: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Begun in bfloat16 and stopped after 1 of 2 epochs, it goes on in bfloat16 though float32 is now timed faster."""
    formats, save = [], trainer.TrainState.save
    autocast = trainer.autocast

    def save_and_stop(*given: object) -> None:
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "autocast", lambda device, bf16: formats.append(bf16) or autocast(device, False))
    monkeypatch.setattr(trainer, "use_bf16", lambda device: True)
    monkeypatch.setattr(trainer.TrainState, "save", save_and_stop)
    config = default_config("dnn", **QUICK | {"epochs": 2})
    with pytest.raises(KeyboardInterrupt):
        fit(config, splits, tmp_path)
    first, _ = len(formats), formats.clear()
    monkeypatch.setattr(trainer, "use_bf16", lambda device: False)
    monkeypatch.setattr(trainer.TrainState, "save", save)
    fit(config, splits, tmp_path)
    assert formats == [True] * first


def test_a_run_is_not_mixed_with_other_settings(splits: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A half-finished run stays as it is when called with another learning rate, and the change is named."""
    monkeypatch.setattr(trainer, "_save_best", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        fit(default_config("dnn", **QUICK), splits, tmp_path)
    with pytest.raises(ValueError, match="begun with another learning_rate"):
        fit(default_config("dnn", **QUICK, learning_rate=0.5), splits, tmp_path)


def test_the_reports_settings_are_the_defaults_of_their_networks():
    """Adadelta, 25 epochs, batches of 128, flips and nothing else."""
    for name in ("cnn", "dnn"):
        config = default_config(name)
        assert (config.optimizer, config.epochs, config.batch_size) == ("adadelta", 25, 128)
        assert {key: value for key, value in vars(config.augmentation).items() if value} == {"hflip_prob": 0.5}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"optimizer": "adam"}, "optimizer is 'adam': expected one of sgd"),
        ({"network": "resnet"}, "network is 'resnet': expected one of cnn"),
        ({"epochs": 0}, "epochs is 0: expected more than 0"),
        ({"ema_decay": 1.0}, "ema_decay 1.0"),
        ({"low_res_epochs": 100}, "low_res_epochs 100"),
        ({"crop_size": 20}, "crop_size 20"),
        ({"folds": 1}, "folds is 1"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_read(changes: dict, words: str):
    """The message names the field, the value and what would be right."""
    with pytest.raises(ValueError, match=words):
        replace(default_config("compact"), **changes)


def test_one_cycle_rises_then_falls_to_nothing():
    """A twentieth at the start, all of it at 15 %, half of it midway down, nothing at the end."""
    one_cycle = SCHEDULES["one-cycle"]
    assert [round(one_cycle(progress), 6) for progress in (0, 0.15, 0.575, 1)] == [0.05, 1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    "faces, size, processes, sizes",
    [
        (129, 128, 1, [129]),
        (257, 128, 1, [128, 129]),
        (130, 128, 1, [128, 2]),
        (128, 128, 1, [128]),
        (131, 128, 2, [131]),
        (1, 128, 1, [1]),
        (3, 1, 1, [1, 1, 1]),
    ],
)
def test_a_last_batch_of_one_is_added_to_the_one_before(faces: int, size: int, processes: int, sizes: list[int]):
    """As it is wherever it would leave a process fewer than two faces."""
    assert trainer._batch_sizes(faces, size, processes) == sizes


def test_batch_normalisation_trains_on_a_set_that_leaves_one_face_over(splits: dict, tmp_path: Path):
    """3 faces in batches of 2: vgg16-selu, whose dense layers are normalised, learns from all of them."""
    config = default_config("vgg16-selu", epochs=1, batch_size=2, aux_votes_weight=0.0, init_from="")
    trainer.fit(config, splits["Training"][:3], splits["PublicTest"][:2], tmp_path, quiet=True)
    assert len(rows(tmp_path)) == 1


def test_batches_of_one_face_are_refused_before_an_epoch_where_they_cannot_be_normalised(splits: dict, tmp_path: Path):
    config = default_config("vgg16-selu", epochs=1, batch_size=1, aux_votes_weight=0.0, init_from="")
    with pytest.raises(ValueError, match="batch_size is 1 for 3 faces"):
        trainer.fit(config, splits["Training"][:3], splits["PublicTest"], tmp_path, quiet=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["a file in its place", "a file above", "no permission"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_an_epoch(splits, tmp_path, monkeypatch, place: str):
    """In one sentence that names it."""
    (tmp_path / "file").touch()
    folder = {"a file in its place": tmp_path / "file", "a file above": tmp_path / "file" / "x"}.get(place, tmp_path)

    def denied(dir: Path):
        raise PermissionError(13, "Permission denied")

    if place == "no permission":
        monkeypatch.setattr(trainer.tempfile, "TemporaryFile", denied)
    monkeypatch.setattr(trainer, "_train", None)
    with pytest.raises(ValueError, match="cannot be written to"):
        trainer.fit(
            default_config("dnn", aux_votes_weight=0.0, folds=0),
            splits["Training"],
            splits["PublicTest"],
            folder,
            quiet=True,
        )


def test_an_epoch_with_mirror_images_takes_twice_the_steps(
    splits: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """140 faces in batches of 70 are two steps an epoch, and four with each face's mirror image."""
    steps, step = [], trainer.train_step
    monkeypatch.setattr(trainer, "train_step", lambda *given: steps.append(given[3]) or step(*given))
    for mirror in (False, True):
        fit(
            default_config("dnn", epochs=1, batch_size=70, mirror=mirror, hflip_prob=0.0),
            splits,
            tmp_path / str(mirror),
        )
    assert [len(batch) for batch in steps] == [70] * 6


def test_mirror_is_a_switch_on_the_command_line_and_in_a_cards_command():
    """--mirror and --no-mirror; without either it is the recipe's own."""
    from dataclasses import asdict

    from fer.cli.main import parser_for

    parser = parser_for("train")
    told = [parser.parse_args(["train", "cnn", *flags]).mirror for flags in ([], ["--mirror"], ["--no-mirror"])]
    assert told == [None, True, False]
    assert training_commands(asdict(default_config("dnn", mirror=True))) == "python -m fer train dnn --mirror"

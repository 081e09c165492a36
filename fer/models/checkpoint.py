"""``weights/<name>/`` <-> a network in eval mode and what is known of it.

A checkpoint is a folder, or a repository of the Hugging Face Hub, with ``config.json`` (architecture, labels,
temperature, recipe, figures) and ``model.safetensors`` (float16; never a pickle). Loading is strict: a missing,
broken or mismatched file ends in one line that names it and the command that makes it.
"""

import json
import reprlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from fer.data.labels import EMOTIONS
from fer.models.config import check_fields, read_config
from fer.models.ensemble import Ensemble
from fer.models.layers import NamedSequential
from fer.models.onnx import OnnxModel
from fer.models.registry import ARCHITECTURES, build_layers
from fer.utils import artifacts
from fer.utils.io import atomic_write, write_text
from fer.utils.model_files import PACKAGED, PREFIX, SELECTED, weights_folder
from fer.utils.threads import allow_fork

WEIGHTS = weights_folder()
_CONFIG, _TENSORS = "config.json", artifacts.WEIGHTS_FILE


class CheckpointError(ValueError):
    """A checkpoint is missing, broken or does not match. One line: which file, and the command that makes it."""


def logit_offsets(adjustment: dict) -> Tensor:
    """Minus the share of the logarithm of the prior (Menon et al. 2021), (K,), to be added to logits."""
    return -adjustment["share"] * torch.tensor(adjustment["prior"]).log()


class FERModel(
    NamedSequential, PyTorchModelHubMixin, library_name="fer", license="mit", pipeline_tag="image-classification"
):
    """A chain of layers with what is known of it: pixels (B, 1, 48, 48) in 0..1 -> logits (B, K).

    labels: the K names. temperature: what logits are divided by before the softmax, to make probabilities honest.
    confidence_threshold: a prediction below it is one of low confidence; 0 for none. train_config: the settings of its
    training.
    prediction_set: the probability from which on a label is in the prediction set. logit_adjustment: what the last
    layer's bias has added to the stored one (see ``calibration``). metrics: what ``evaluate`` measured, by split.
    """

    architecture: str
    name: str
    labels: tuple[str, ...]
    temperature: float
    confidence_threshold: float
    prediction_set: float
    logit_adjustment: dict | None
    train_config: dict
    metrics: dict

    def __init__(
        self,
        architecture: str,
        labels: Sequence[str] = EMOTIONS,
        name: str | None = None,
        temperature: float = 1.0,
        confidence_threshold: float = 0.0,
        train_config: dict | None = None,
        metrics: dict | None = None,
        prediction_set: float = 0.0,
        logit_adjustment: dict | None = None,
    ) -> None:
        check_fields({"architecture": architecture, "labels": labels, "name": name, "temperature": temperature})
        check_fields({"confidence_threshold": confidence_threshold, "train_config": train_config, "metrics": metrics})
        check_fields({"prediction_set": prediction_set, "logit_adjustment": logit_adjustment})
        if logit_adjustment and len(logit_adjustment["prior"]) != len(labels):
            raise ValueError(f"a prior of {len(logit_adjustment['prior'])} labels: expected {len(labels)}")
        super().__init__(build_layers(architecture, len(labels)))
        self.architecture, self.name, self.labels = architecture, name or architecture, tuple(labels)
        self.temperature, self.confidence_threshold = temperature, confidence_threshold
        self.train_config, self.metrics = train_config or {}, metrics or {}
        self.prediction_set = prediction_set
        self.logit_adjustment = None
        self.adjust(logit_adjustment)

    def offsets(self) -> Tensor:
        """What the logit adjustment has added to the last layer's bias, (K,)."""
        return logit_offsets(self.logit_adjustment) if self.logit_adjustment else torch.zeros(len(self.labels))

    def adjust(self, logit_adjustment: dict | None) -> None:
        """Makes this the logit adjustment, in place of the one that the last layer's bias holds already."""
        before, self.logit_adjustment = self.offsets(), logit_adjustment
        with torch.no_grad():
            self[-1].bias += (self.offsets() - before).to(self[-1].bias)

    def config(self) -> dict:
        """What ``config.json`` holds: the arguments that make this network again."""
        keys = ["architecture", "name", "labels", "temperature", "confidence_threshold", "prediction_set"]
        keys += ["logit_adjustment", "train_config", "metrics"]
        return {key: getattr(self, key) for key in keys}

    def _save_pretrained(self, save_directory: Path) -> None:
        save_config(self, save_directory)
        tensors = dict(self.state_dict())
        tensors[list(tensors)[-1]] = self[-1].bias.detach().cpu() - self.offsets()  # the file's own is not adjusted
        tensors = {key: _halved(value) for key, value in tensors.items()}
        with atomic_write(save_directory / _TENSORS) as partial:
            save_file(tensors, partial, {"format": "pt"})
            partial.chmod(0o644)  # safetensors keeps its files from other users

    @classmethod
    def _from_pretrained(cls, *, model_id: str, map_location: str = "cpu", **kwargs) -> "FERModel":
        download = {
            key: kwargs.pop(key, None)
            for key in ("revision", "cache_dir", "force_download", "local_files_only", "token")
        }
        kwargs.pop("strict", None)
        local = Path(model_id)
        path = local / _TENSORS if local.is_dir() else hf_hub_download(model_id, _TENSORS, **download)
        network = cls(**kwargs)
        network.load_state_dict(_checked(load_file(path), network.state_dict()))
        adjustment, network.logit_adjustment = network.logit_adjustment, None  # what was loaded is not adjusted
        network.adjust(adjustment)
        return network.eval().to(map_location)


def load_model(name: str | Path, folder: str | Path | None = None) -> FERModel | Ensemble | OnnxModel:
    """The network of ``weights/<name>/``, of a folder, or of the Hub repository ``owner/name``; in eval mode.

    A ``Path`` is a file or folder here, never a repository. folder: what stands for ``weights/``.

    ``ensemble:a+b`` is the ensemble of the networks ``a`` and ``b``, ``ensemble`` the elected one; ``NAME.onnx`` is
    a file that ``export`` wrote, to read with and for nothing else.

    Raises:
        CheckpointError: nothing of that name, or one of its files is broken or of another network.
        TypeError: what is neither a name nor a path.
    """
    allow_fork()
    name, folder, here = _text(name), None if folder is None else Path(folder), isinstance(name, Path)
    if name.endswith(".onnx"):
        return _load_onnx(Path(name))
    if name == SELECTED:
        return load_ensemble((folder or WEIGHTS) / f"{SELECTED}.json")
    if name.startswith(PREFIX):
        return _ensemble(name, [load_model(member, folder) for member in name.removeprefix(PREFIX).split("+")])
    path = resolve_path(name, folder)
    if path is None and (here or name.count("/") != 1):
        raise CheckpointError(_missing(name, folder))
    if path is not None:
        _check_config(path / _CONFIG)
    try:
        network = FERModel.from_pretrained(str(path or name))
        network.name = path.absolute().name if path else network.name  # a folder may have been moved
        return network
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError):
        raise CheckpointError(f"{name!r} is no folder here, and no such repository could be had from the Hub") from None
    except (OSError, SafetensorError, RuntimeError, TypeError, KeyError, ValueError) as error:
        file = path / _TENSORS if path else f"{name}/{_TENSORS}"
        reason = str(error).splitlines()[0][:200]
        raise CheckpointError(f"{file} cannot be used ({reason}); `{_remedy(name)}` makes it anew") from error


def _text(name: str | Path) -> str:
    if not isinstance(name, str | Path):
        raise TypeError(f"the network is {shown(name)}: expected a name such as 'compact', a path, or OWNER/NAME")
    return str(name)


def shown(value: object) -> str:
    """A value and its type for a message, cut to a few words."""
    return f"{reprlib.repr(value)[:40]} ({type(value).__name__})" if value is not None else "None"


def load_network(name: str | Path, folder: str | Path | None = None) -> FERModel:
    """As `load_model`, for a single network. Raises CheckpointError for an ensemble or an ONNX file too."""
    model = load_model(name, folder)
    if not isinstance(model, FERModel):
        raise CheckpointError(f"{name!r} is no single network: expected one of {', '.join(list_checkpoints())}")
    return model


def _load_onnx(file: Path) -> OnnxModel:
    try:
        return OnnxModel(file)
    except ValueError as error:
        raise CheckpointError(str(error)) from error


def load_ensemble(path: Path, load: Callable[[str, Path], Any] = load_model) -> Ensemble:
    """The ensemble that ``python -m fer ensemble`` wrote."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        told = {key: kept[key] for key in ("temperature", "confidence_threshold", "metrics")}
        told |= {"prediction_set": kept.get("prediction_set", 0.0)}
        check_fields(told)
        members = load(PREFIX + "+".join(kept["members"]), path.parent).members
        stamps = kept.get("weights") or {}
        digests = {member.name: artifacts.digest_or_none(path.parent / member.name) for member in members}
        changed = [name for name, digest in digests.items() if stamps.get(name) != digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is missing or broken: `python -m fer ensemble` makes it") from error
    if changed:
        raise CheckpointError(
            f"{path} was made with other weights of {', '.join(changed)}: `python -m fer ensemble` makes it anew"
        )
    return Ensemble(members, **told).eval()


def load_meta(name: str, folder: Path | None = None) -> Any:
    """The same without its weights, which are on the device "meta": labels, figures and shapes, in milliseconds.

    Of the weights' file only the names and shapes are read. Raises CheckpointError as ``load`` does.
    """
    if name == SELECTED:
        return load_ensemble((folder or WEIGHTS) / f"{SELECTED}.json", load_meta)
    if name.startswith(PREFIX):
        return _ensemble(name, [load_meta(member, folder) for member in name.removeprefix(PREFIX).split("+")])
    if name not in list_checkpoints(folder):
        raise CheckpointError(_missing(name, folder))
    path = next(place / name for place in _places(folder) if (place / name / _CONFIG).is_file())
    config = _check_config(path / _CONFIG)
    try:
        with torch.device("meta"):
            network = FERModel(**config | {"name": path.name}).eval()
        with safe_open(path / _TENSORS, "pt") as file:
            stored = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 (no dict)
    except (OSError, SafetensorError, TypeError) as error:
        file = path / (_CONFIG if isinstance(error, TypeError) else _TENSORS)
        raise CheckpointError(f"{file} cannot be used ({error}); `{_remedy(name)}` makes it anew") from error
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    if stored != expected:
        raise CheckpointError(f"{path / _TENSORS} is of another network; `{_remedy(name)}` makes it anew")
    return network


def verify(name: str, folder: Path | None = None) -> None:
    """Raises CheckpointError as ``load`` would, in a small part of its time: every weight is looked at, none kept."""
    network = load_meta(name, folder)
    for member in [network] if isinstance(network, FERModel) else network.members:
        path = (resolve_path(member.name, folder) or Path()) / _TENSORS
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118 (no dict)
                if not file.get_tensor(key).isfinite().all():
                    raise CheckpointError(f"{path} holds NaN or infinity; `{_remedy(member.name)}` makes it anew")


def _ensemble(name: str, members: list[Any]) -> Ensemble:
    try:
        return Ensemble(members).eval()
    except ValueError as error:
        raise CheckpointError(f"{name!r}: {error}") from None


def resolve_path(name: str, folder: Path | None = None) -> Path | None:
    """The folder of the checkpoint ``name``; None where it can only be one of the Hub, ``owner/name``.

    It is looked for in ``folder``, by default in `WEIGHTS` ($FER_WEIGHTS, a checkout's weights/, or weights/ here) and
    then in what an installed wheel brings (`PACKAGED`); last, ``name`` is taken as a path.
    """
    if not name:
        return None  # the folder of all of them is none
    return next((path for path in (*(place / name for place in _places(folder)), Path(name)) if path.is_dir()), None)


def _places(folder: Path | None) -> tuple[Path, ...]:
    return (folder,) if folder else (WEIGHTS, PACKAGED)


def save_model(network: FERModel, folder: Path) -> None:
    """Writes ``config.json`` and ``model.safetensors`` (float16); other files of the folder stay as they are."""
    network._save_pretrained(folder)


def save_config(network: FERModel, folder: Path) -> None:
    """Writes ``config.json`` alone."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _CONFIG, json.dumps(network.config(), indent=2) + "\n")


def list_checkpoints(folder: Path | None = None) -> list[str]:
    """The networks in ``weights/``: ``compact``, the demo's default, first, then in the registry's order."""
    order = ["compact", *(name for name in ARCHITECTURES if name != "compact")]
    names = {path.parent.name for place in _places(folder) for path in place.glob(f"*/{_CONFIG}")}
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def list_models(folder: Path | None = None) -> list[str]:
    """What ``load`` takes of ``weights/``: its networks, and the elected ensemble where there is one."""
    elected = (folder or WEIGHTS) / f"{SELECTED}.json"
    return list_checkpoints(folder) + [SELECTED] * elected.is_file()


def _check_config(path: Path) -> dict:
    """What config.json holds; stops at one that is missing, no JSON, or speaks of a network that cannot be."""
    try:
        return read_config(path)
    except ValueError as error:
        raise CheckpointError(f"{error}; `{_remedy(path.parent.name)}` makes it anew") from error


def _checked(stored: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The stored tensors in the types of the network, or a ValueError that names the first that does not fit."""
    for key in expected.keys() ^ stored.keys():
        raise ValueError(f"{key} is {'missing' if key in expected else 'not of this network'}")
    for key, value in stored.items():
        if value.shape != expected[key].shape:
            raise ValueError(f"{key} is {tuple(value.shape)}, expected {tuple(expected[key].shape)}")
        if not value.isfinite().all():
            raise ValueError(f"{key} holds NaN or infinity")
    return {key: value.to(expected[key].dtype) for key, value in stored.items()}


def _halved(value: Tensor) -> Tensor:
    """Floats to float16, in a layout of their own, as safetensors wants them."""
    return (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()


def _missing(name: str, folder: Path | None) -> str:
    names = ", ".join(list_checkpoints(folder)) or "none yet"
    known = f"no network {name!r} in {folder or WEIGHTS} (there: {names}); `{_remedy(name)}` makes it"
    return f"{known}, $FER_WEIGHTS names another folder of networks, OWNER/NAME is one of the Hub"


def _remedy(name: str) -> str:
    return f"python -m fer train {name if name in ARCHITECTURES else 'NETWORK'}"

"""Saving and loading of models in ``weights/<name>/``.

A checkpoint is a folder, or a repository of the Hugging Face Hub, with ``config.json`` (architecture, labels,
temperature, training settings, metrics) and ``model.safetensors`` (float16; never a pickle). Loading is strict: the
error for a missing, broken or mismatched file is one line that names it and the command that makes it.
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
    """A network with its metadata: faces (B, 1, 48, 48) in 0..1 -> logits (B, K).

    labels: the K names. temperature: logits are divided by it before the softmax, so that probabilities are calibrated.
    confidence_threshold: predictions below it have low confidence; 0 for none. prediction_set: labels with at least
    this probability are in the prediction set. logit_adjustment: share and prior, part of the last layer's bias here
    but not in the file (see `fer.evaluation.calibration`). train_config: the settings of its training. metrics: those
    of ``evaluate``, by split.
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
        """What the logit adjustment adds to the last layer's bias, (K,)."""
        return logit_offsets(self.logit_adjustment) if self.logit_adjustment else torch.zeros(len(self.labels))

    def adjust(self, logit_adjustment: dict | None) -> None:
        """Replaces the logit adjustment that the last layer's bias contains."""
        before, self.logit_adjustment = self.offsets(), logit_adjustment
        with torch.no_grad():
            self[-1].bias += (self.offsets() - before).to(self[-1].bias)

    def config(self) -> dict:
        """The content of ``config.json``: the arguments that make this network again."""
        keys = ["architecture", "name", "labels", "temperature", "confidence_threshold", "prediction_set"]
        keys += ["logit_adjustment", "train_config", "metrics"]
        return {key: getattr(self, key) for key in keys}

    def _save_pretrained(self, save_directory: Path) -> None:
        save_config(self, save_directory)
        tensors = dict(self.state_dict())
        tensors[list(tensors)[-1]] = self[-1].bias.detach().cpu() - self.offsets()  # the file's bias is not adjusted
        tensors = {key: _to_float16(value) for key, value in tensors.items()}
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
        adjustment, network.logit_adjustment = network.logit_adjustment, None  # the loaded bias is not adjusted
        network.adjust(adjustment)
        return network.eval().to(map_location)


def load_model(name: str | Path, folder: str | Path | None = None) -> FERModel | Ensemble | OnnxModel:
    """A model in eval mode: of ``weights/<name>/``, of a folder, or of the Hub repository ``owner/name``.

    name: ``ensemble:a+b`` is the ensemble of the networks ``a`` and ``b``, ``ensemble`` the selected one; ``NAME.onnx``
    a file that ``export`` wrote. A ``Path`` is local, never a repository. folder: in place of ``weights/``.

    Raises:
        CheckpointError: nothing of that name, or one of its files is broken or of another network.
        TypeError: neither a name nor a path.
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
    """The ensemble that ``python -m fer ensemble`` selected, of the file ``path``. Raises CheckpointError."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        fields = {key: kept[key] for key in ("temperature", "confidence_threshold", "metrics")}
        fields |= {"prediction_set": kept.get("prediction_set", 0.0)}
        check_fields(fields)
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
    return Ensemble(members, **fields).eval()


def load_meta(name: str, folder: Path | None = None) -> Any:
    """A model without its weights, on the device "meta": labels, metrics and shapes, in milliseconds.

    Only names and shapes are read of the weights' file. Raises CheckpointError as `load_model` does.
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
    """Raises CheckpointError as `load_model` would, faster and with less memory: reads every weight, keeps none."""
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
    """The folder of the checkpoint ``name``; None where it can only be a repository of the Hub.

    Searched in ``folder``, by default `WEIGHTS` ($FER_WEIGHTS, a checkout's weights/, or weights/ in the current
    folder) and `PACKAGED` of an installed wheel; last, ``name`` is taken as a path.
    """
    if not name:
        return None  # the parent folder is no checkpoint
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
    """The checkpoints in ``weights/``: ``compact``, the demo's default, first, then in the registry's order."""
    order = ["compact", *(name for name in ARCHITECTURES if name != "compact")]
    names = {path.parent.name for place in _places(folder) for path in place.glob(f"*/{_CONFIG}")}
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def list_models(folder: Path | None = None) -> list[str]:
    """The names in ``weights/`` that `load_model` takes: checkpoints, and the selected ensemble if there is one."""
    selected = (folder or WEIGHTS) / f"{SELECTED}.json"
    return list_checkpoints(folder) + [SELECTED] * selected.is_file()


def _check_config(path: Path) -> dict:
    """The content of a config.json. Raises CheckpointError for one that is missing, no JSON, or invalid."""
    try:
        return read_config(path)
    except ValueError as error:
        raise CheckpointError(f"{error}; `{_remedy(path.parent.name)}` makes it anew") from error


def _checked(stored: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The stored tensors in the dtypes of the network. Raises ValueError with the first that does not fit."""
    for key in expected.keys() ^ stored.keys():
        raise ValueError(f"{key} is {'missing' if key in expected else 'not of this network'}")
    for key, value in stored.items():
        if value.shape != expected[key].shape:
            raise ValueError(f"{key} is {tuple(value.shape)}, expected {tuple(expected[key].shape)}")
        if not value.isfinite().all():
            raise ValueError(f"{key} holds NaN or infinity")
    return {key: value.to(expected[key].dtype) for key, value in stored.items()}


def _to_float16(value: Tensor) -> Tensor:
    """Floating-point tensors as float16, contiguous, on the CPU."""
    return (value.half() if value.is_floating_point() else value).detach().cpu().contiguous()


def _missing(name: str, folder: Path | None) -> str:
    names = ", ".join(list_checkpoints(folder)) or "none yet"
    known = f"no network {name!r} in {folder or WEIGHTS} (there: {names}); `{_remedy(name)}` makes it"
    return f"{known}, $FER_WEIGHTS names another folder of networks, OWNER/NAME is one of the Hub"


def _remedy(name: str) -> str:
    return f"python -m fer train {name if name in ARCHITECTURES else 'NETWORK'}"

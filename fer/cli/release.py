"""Commands that take a model, or this project, elsewhere: export, push, check-space."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fer.cli.output import file_for, files_of, print_json
from fer.cli.settings import DataSettings, Settings, Subparsers, add_command, argument

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ExportSettings(DataSettings):
    model: str
    """A model in weights/, a folder, OWNER/NAME on the Hub, or an ensemble as in ensemble:a+b."""
    out: str | None = argument(None, "FILE")
    """Where to write, instead of MODEL.onnx."""


def export(settings: ExportSettings) -> None:
    """Write a model as ONNX.

    Its probabilities are compared with PyTorch's on 500 faces of PublicTest, or of noise where FER-2013 is not at hand.
    """
    from fer.models import checkpoint
    from fer.release import onnx

    model = checkpoint.load_model(settings.model)
    file = file_for(settings.out, f"{Path(settings.model).name.replace(':', '-')}.onnx", files_of(settings.model))
    pixels, which = _compared_faces(settings.data)
    onnx.export_onnx(model, file)
    difference = onnx.largest_difference(model, file, pixels)
    if settings.json:
        return print_json({"file": str(file), "largest_difference": difference, "compared_on": which})
    print(f"{file}: at most {difference:.1e} from PyTorch's probabilities on 500 {which}")
    return None


def _compared_faces(root: str | None) -> tuple["Tensor", str]:
    """500 faces, uint8 (500, 48, 48), and what they are; a data set that was asked for by name has to be there."""
    from fer.data import dataset, fer2013
    from fer.release import onnx

    try:
        (validation,) = fer2013.get_splits(fer2013.load_fer2013(root), "PublicTest")
        return dataset.random_subset(validation, 500).pixels, "faces of PublicTest"
    except dataset.DataError as error:
        if root:
            raise
        print(f"fer export: compared on made-up faces: {error}", file=sys.stderr)
        return onnx.synthetic_faces(500), "made-up faces"


@dataclass(frozen=True, kw_only=True)
class PushSettings(Settings):
    model: str
    """A model in weights/, or a folder."""
    repository: str = argument(metavar="OWNER/NAME")
    """A repository of the Hugging Face Hub; it is made if there is none."""
    private: bool = False
    """Make the repository a private one."""


def push(settings: PushSettings) -> None:
    """Upload a model to the Hugging Face Hub, from where `--model OWNER/NAME` loads it."""
    from fer.release import hub

    address = hub.push_to_hub(settings.model, settings.repository, settings.private)
    if settings.json:
        return print_json({"repository": settings.repository, "address": address})
    print(f"{settings.model} is at {address}")
    return None


@dataclass(frozen=True, kw_only=True)
class CheckSpaceSettings(Settings):
    out: str | None = argument(None, "OUT", positional=True)
    """The folder of a static site that `web` wrote. By default this checkout."""


def check_space(settings: CheckSpaceSettings) -> None:
    """Check whether this checkout, or a static site, works as a Hugging Face Space; starts its page once."""
    from fer.release import space

    findings = space.check_space(Path(settings.out) if settings.out else space.ROOT)
    if settings.json:
        print_json([vars(finding) for finding in findings])
    for finding in findings if not settings.json else ():
        print(f"{'ok ' if finding.good else 'BAD'}  {finding.check}: {finding.found}")
    if bad := [finding.found for finding in findings if not finding.good]:
        raise ValueError("; ".join(bad))


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, export, ExportSettings)
    add_command(subparsers, push, PushSettings)
    add_command(subparsers, check_space, CheckSpaceSettings)

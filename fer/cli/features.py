"""Commands that look at filters: activations, redundancy, ascend, atlas."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer.cli.output import file_for, files_of, largest_face, print_json
from fer.cli.settings import DataSettings, Settings, Subparsers, add_command, argument

if TYPE_CHECKING:
    from torch import Tensor


# ------------------------------------------------------------------------------------------------ activations


@dataclass(frozen=True, kw_only=True)
class ActivationsSettings(Settings):
    image: str
    """A photograph; its largest face is taken."""
    layer: str
    """A layer's name in `summary NETWORK`."""
    model: str = "compact"
    """A model in weights/, a folder, or OWNER/NAME on the Hub."""
    common: bool = False
    """One grey scale for the whole layer, in place of one for each map."""
    no_detect: bool = False
    """Take the whole picture as the face, without face detection."""
    out: str | None = argument(None, "FILE")
    """Where to write, instead of IMAGE-LAYER.png here."""


def activations(settings: ActivationsSettings) -> None:
    """Write the activation map of every filter of a layer for a face, as one picture."""
    from fer.features import layer_report, redundancy
    from fer.models import checkpoint

    inputs = [settings.image, *files_of(settings.model)]
    file = file_for(settings.out, f"{Path(settings.image).stem}-{settings.layer}.png", inputs)
    model, folder = checkpoint.load_model(settings.model), checkpoint.resolve_path(settings.model)
    face = largest_face(settings.image, model, settings.no_detect)
    report = layer_report.layer_report(
        model, settings.layer, face.crop, redundancy.load_redundancy(folder) if folder else None
    )
    layer_report.save_picture(report, file, settings.common)
    if settings.json:
        return print_json(report.summary() | {"file": str(file)})
    print("\n".join([*report.lines(), f"written to {file}"]))
    return None


# ------------------------------------------------------------------------------------------------ redundancy


@dataclass(frozen=True, kw_only=True)
class RedundancySettings(DataSettings):
    model: str
    """A model in weights/, a folder, or OWNER/NAME on the Hub."""
    faces: int = 2000
    """How many faces of PublicTest."""
    prune_layers: str | None = argument(None, "LAYERS")
    """The layers whose filters are pruned, as in conv2d_1,conv2d_2. By default the first one."""


def redundancy(settings: RedundancySettings) -> None:
    """Measure which filters are redundant, and what accuracy is lost by pruning them.

    What is found is kept beside the weights and in the model card.
    """
    from fer.data import fer2013
    from fer.features import pruning_curve
    from fer.models import checkpoint
    from fer.release import model_card

    model, folder = checkpoint.load_model(settings.model), checkpoint.resolve_path(settings.model)
    splits = fer2013.load_fer2013(settings.data)
    found = pruning_curve.update_redundancy(
        model, folder, splits, settings.faces, settings.prune_layers, quiet=settings.json
    )
    if folder:
        model_card.write_redundancy_section(folder, pruning_curve.card_section(found))
    if settings.json:
        return print_json({"faces": found.faces, "layers": found.rows(), "pruned": found.pruned})
    print("\n".join(pruning_curve.format_lines(found)))
    return None


# ------------------------------------------------------------------------------------------------ ascend


@dataclass(frozen=True, kw_only=True)
class AscendSettings(Settings):
    model: str
    """A model in weights/, a folder, or OWNER/NAME on the Hub."""
    layer: str
    """A layer's name in `summary NETWORK`; the last one for the emotions."""
    filters: str | None = argument(None, "0-63,70")
    """Numbers and ranges of filters. By default all of them."""
    preset: str = argument("clear", "PRESET")
    """clear, or report for the settings of report 1."""
    parametrise: str | None = argument(None, "NAME")
    """What is optimised: pixels, waves, 'coarse waves' or faces (eigenfaces). By default the preset's own."""
    transform: str | None = argument(None, "NAME")
    """Random shifts at each step: still, small or large. By default the preset's own."""
    objective: str | None = argument(None, "NAME")
    """What is maximised of a map: centre, mean or sum. By default the preset's own."""
    loop: str | None = argument(None, "NAME")
    """The optimiser: plain (normalised gradient steps) or adam. By default the preset's own."""
    steps: int | None = None
    """Gradient steps. By default the preset's own number."""
    seed: int = 0
    """Of the noise that the images begin with."""
    out: str | None = argument(None, "FILE")
    """Where to write, instead of ascent-MODEL-LAYER.png here."""


def ascend(settings: AscendSettings) -> None:
    """Visualize filters by gradient ascent: writes the image that maximises each filter, all as one picture."""
    from fer.features import presets, visualization
    from fer.models import checkpoint
    from fer.plotting import encode, maps

    began, model = time.perf_counter(), checkpoint.load_model(settings.model)
    numbers = visualization.parse_filters(settings.filters) if settings.filters else None
    file = file_for(settings.out, f"ascent-{model.name}-{settings.layer}.png", files_of(settings.model))
    parts = {name: getattr(settings, name) for name in presets.PARTS}
    preset = presets.preset_with(settings.preset, **parts)
    *_, last = visualization.visualize(model, settings.layer, numbers, preset, seed=settings.seed, steps=settings.steps)
    tiles = last.images[:, 0].numpy()
    encode.save_image(maps.tile_images(tiles, columns=16, scale=max(1, 96 // tiles.shape[-1])), file)
    rows = _ascent_rows(numbers or range(len(tiles)), last)
    seconds = round(time.perf_counter() - began, 2)
    if settings.json:
        return print_json({"layer": settings.layer, "filters": rows, "seconds": seconds, "file": str(file)})
    for row in rows:
        print(f"{settings.layer} filter {row['filter']:4} {row['ascent']:10.3f}{'  dead' if row['dead'] else ''}")
    print(f"{file}, row by row, in {seconds} s")
    return None


def _ascent_rows(numbers: Any, last: Any) -> list[dict]:
    values = zip(numbers, last.values.tolist(), last.dead.tolist(), strict=True)
    return [{"filter": number, "ascent": round(value, 4), "dead": dead} for number, value, dead in values]


# ------------------------------------------------------------------------------------------------ atlas


@dataclass(frozen=True, kw_only=True)
class AtlasSettings(DataSettings):
    model: str
    """A model in weights/, or a folder."""


def atlas(settings: AtlasSettings) -> None:
    """Visualize every filter of a model; keeps the images in weights/MODEL/feature_vis/ for the page."""
    from fer.features import atlas
    from fer.models import checkpoint

    began, model = time.perf_counter(), checkpoint.load_model(settings.model)
    folder = checkpoint.resolve_path(settings.model)
    if folder is None:
        raise ValueError(f"{settings.model!r} is no folder here, so there is no place beside its weights")
    pixels = _public_test(settings.data)
    rows = []
    for layer, found in atlas.build_atlas(model, folder, pixels, quiet=settings.json):
        rows.append({"layer": layer} | atlas.layer_metrics(found))
        if not settings.json:
            print(
                "{layer:10} {filters:4} filters, {dead:3} dead, two seeds agree {seed_agreement:.2f}".format(**rows[-1])
            )
    told = {
        "seconds": round(time.perf_counter() - began, 1),
        "bytes": atlas.total_bytes(folder),
        "faces": pixels is not None,
    }
    if settings.json:
        return print_json({"layers": rows} | told)
    print(f"{folder}: {told['bytes'] / 1e6:.2f} MB in {told['seconds']} s")
    return None


def _public_test(root: str | None) -> "Tensor | None":
    """Its pixels; without the data set None, which is said, unless the data set was asked for by name."""
    from fer.data import dataset, fer2013

    try:
        return fer2013.get_splits(fer2013.load_fer2013(root), "PublicTest")[0].pixels
    except dataset.DataError as error:
        if root:
            raise
        print(f"the best real faces are left out: {error}", file=sys.stderr)
        return None


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, activations, ActivationsSettings)
    add_command(subparsers, redundancy, RedundancySettings)
    add_command(subparsers, ascend, AscendSettings)
    add_command(subparsers, atlas, AtlasSettings)

"""Commands that explain predictions: saliency, benchmark-saliency, benchmark-regions."""

from dataclasses import dataclass
from pathlib import Path

from fer.cli.output import file_for, files_of, largest_face, print_json
from fer.cli.settings import DataSettings, Settings, Subparsers, add_command, argument


@dataclass(frozen=True, kw_only=True)
class SaliencySettings(Settings):
    image: str
    """A photograph; its largest face is explained."""
    model: str = "compact"
    """A model in weights/, a folder, or OWNER/NAME on the Hub."""
    method: str | None = argument(None, "METHOD")
    """The saliency method; an unknown one lists them all. By default the first that applies to the model."""
    target: str | None = argument(None, "LABEL")
    """The emotion that is explained. By default the model's prediction."""
    against: str | None = argument(None, "LABEL")
    """Explain the target against this emotion: the difference of their logits."""
    baseline: str = argument("blurred", "NAME")
    """The face that stands for no evidence: blurred, black or mean."""
    layer: str | None = argument(None, "LAYER")
    """For Grad-CAM and methods like it: the layer whose maps are weighted."""
    top_fraction: float = 0.2
    """The fraction of the face that the masked image keeps: the highest pixels of the map."""
    no_detect: bool = False
    """Take the whole picture as the face, without face detection."""
    out: str | None = argument(None, "FILE")
    """Where to write, instead of IMAGE-saliency.png here."""


def saliency(settings: SaliencySettings) -> None:
    """Explain the prediction for a face: writes the face, its saliency map and the masked image as one picture.

    The scores stand beside those of control maps that know nothing of the model.
    """
    from fer.attribution import explanation
    from fer.attribution.explain import list_methods
    from fer.models import checkpoint
    from fer.plotting import maps
    from fer.utils.io import atomic_write

    inputs = [settings.image, *files_of(settings.model)]
    file = file_for(settings.out, f"{Path(settings.image).stem}-saliency.png", inputs)
    model = checkpoint.load_model(settings.model)
    face = largest_face(settings.image, model, settings.no_detect)
    found = explanation.explain_face(
        model, face.crop, settings.method or list_methods(model)[0], target=settings.target, against=settings.against,
        baseline=settings.baseline, layer=settings.layer, top_fraction=settings.top_fraction,
    )  # fmt: skip
    with atomic_write(file) as partial:
        maps.titled_images(explanation.labelled_images(found)).savefig(partial, dpi=150)
    scores = explanation.score_explanation(found, explanation.measure_output_changes(model, found))
    if settings.json:
        return print_json(explanation.to_json(found, scores) | {"file": str(file)})
    print("\n".join([*explanation.describe(found, scores), f"written to {file}"]))
    return None


@dataclass(frozen=True, kw_only=True)
class BenchmarkSaliencySettings(DataSettings):
    model: str
    """A model in weights/, a folder, or OWNER/NAME on the Hub."""
    faces: int = 200
    """How many faces of PublicTest, without duplicates."""


def benchmark_saliency(settings: BenchmarkSaliencySettings) -> None:
    """Measure how faithful each saliency method is to a model; kept beside its weights for the page."""
    from fer.attribution import benchmark
    from fer.models import checkpoint

    model, validation = _load_model_and_validation(settings)
    rows = benchmark.run_benchmark(model, benchmark.sample_faces(validation, settings.faces), quiet=settings.json)
    if folder := checkpoint.resolve_path(settings.model):
        benchmark.save_benchmark(rows, folder)
    if settings.json:
        return print_json(rows)
    print(f"{'method':22} {'faithfulness corr.':>24} {'infidelity score':>16} {'randomized rank corr.':>25}")
    for row in rows:
        rank = row["randomization_rank_corr"]
        print(
            f"{row['method']:22} {row['faithfulness_correlation']:+15.3f} +- {row['ci95_half_width']:.3f} "
            f"{row['infidelity_score']:16.3f} {'' if rank is None else f'{rank:25.3f}'}"
        )
    return None


@dataclass(frozen=True, kw_only=True)
class BenchmarkRegionsSettings(DataSettings):
    model: str
    """A model in weights/, a folder, or OWNER/NAME on the Hub."""
    per_class: int = 50
    """How many faces of every emotion, without duplicates."""


def benchmark_regions(settings: BenchmarkRegionsSettings) -> None:
    """Measure which face regions a model relies on, by emotion; kept beside its weights for the page."""
    from fer.attribution import region_benchmark
    from fer.data import dataset
    from fer.models import checkpoint

    model, validation = _load_model_and_validation(settings)
    faces = region_benchmark.sample_faces(dataset.with_label_set(validation, model.labels), settings.per_class)
    found = region_benchmark.measure_regions(model, faces, model.labels, quiet=settings.json)
    if folder := checkpoint.resolve_path(settings.model):
        region_benchmark.save_region_attribution(found, folder)
    if settings.json:
        return print_json({"rows": found.rows(), "density": found.density(), "claim": vars(found.claim)})
    print(f"{'':16}{'faces':>6}", *(f"{name:>8}" for name in found.density()))
    for row in found.rows():
        print(f"{row['label']:16}{row['faces']:6}", *(f"{row[name]:8.1%}" for name in found.density()))
    print(f"{'relative to its area':22}", *(f"{value:7.2f}x" for value in found.density().values()))
    print(region_benchmark.claim_sentence(found))
    return None


def _load_model_and_validation(settings: BenchmarkSaliencySettings | BenchmarkRegionsSettings) -> tuple:
    """The model, and PublicTest's faces."""
    from fer.data import fer2013
    from fer.models import checkpoint

    model = checkpoint.load_model(settings.model)
    (validation,) = fer2013.get_splits(fer2013.load_fer2013(settings.data), "PublicTest")
    return model, validation


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, saliency, SaliencySettings)
    add_command(subparsers, benchmark_saliency, BenchmarkSaliencySettings)
    add_command(subparsers, benchmark_regions, BenchmarkRegionsSettings)

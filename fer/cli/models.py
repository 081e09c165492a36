"""Commands that describe models: models, summary."""

from dataclasses import dataclass
from pathlib import Path

from fer.cli.output import print_json, share, with_interval
from fer.cli.settings import Settings, Subparsers, add_command

README = Path(__file__).resolve().parents[2] / "README.md"
_LISTED = ("public_test", "private_test", "private_test_tta", "latency_ms")


@dataclass(frozen=True, kw_only=True)
class ModelsSettings(Settings):
    readme: bool = False
    """Also renew the table of models in README.md."""


def models(settings: ModelsSettings) -> None:
    """List the models in weights/ with their size and accuracy."""
    from fer.utils.model_files import read_models

    found = read_models()
    if settings.readme:
        _write_readme()
    if settings.json:
        keys = ("name", "parameters", "labels")
        rows = ({key: getattr(model, key) for key in keys} | _metrics(model.metrics) for model in found)
        return print_json(list(rows))
    print(f"{'model':32} {'parameters':>12} {'PublicTest':>11} {'PrivateTest':>26} {'without duplicates':>19}")
    for model in found:
        metrics = _metrics(model.metrics)
        private = metrics["private_test"]
        print(
            f"{model.name:32} {model.parameters:12,} {share(metrics['public_test']):>11} "
            f"{with_interval(private):>26} {share(private, 'accuracy_deduplicated'):>19}"
        )
    return None


def _metrics(metrics: dict) -> dict:
    return {key: metrics.get(key) for key in _LISTED}


def _write_readme() -> None:
    from fer.models import checkpoint
    from fer.release import model_card

    model_card.write_readme([checkpoint.load_meta(name) for name in checkpoint.list_models()], README)


@dataclass(frozen=True, kw_only=True)
class SummarySettings(Settings):
    network: str
    """An architecture, as in `cnn` or `vgg19-selu`; an unknown one lists them all."""


def summary(settings: SummarySettings) -> None:
    """Print the layers of a network with their shapes and parameters."""
    from fer.models import layers, registry
    from fer.models.summary import count_parameters, layer_table

    classes = len(registry.label_set(settings.network))
    chain = layers.NamedSequential(registry.build_layers(settings.network, classes))
    rows, total = layer_table(chain), count_parameters(chain)
    if settings.json:
        return print_json({"layers": [vars(row) for row in rows], "parameters": total})
    print(f"{'layer':30} {'type':18} {'shape':18} {'parameters':>12}")
    for row in rows:
        print(f"{row.name:30} {row.type:18} {' x '.join(map(str, row.shape)):18} {row.parameters:12,}")
    print(f"{'total':68} {total:12,}")
    return None


def add_parser(subparsers: Subparsers) -> None:
    add_command(subparsers, models, ModelsSettings)
    add_command(subparsers, summary, SummarySettings)

from pathlib import Path

from fer.cli.output import _describe, _share, _with_interval, print_json
from fer.models import checkpoint, layers
from fer.models import registry as models_registry
from fer.models.summary import count_parameters, layer_table
from fer.release import model_card

README = Path(__file__).resolve().parents[2] / "README.md"


def list_networks(readme: bool, as_json: bool) -> None:
    """Lists what weights/ holds."""
    shipped = [checkpoint.load_model(name) for name in checkpoint.list_models()]
    rows = [_describe(network) for network in shipped]
    if readme:
        model_card.write_readme(shipped, README)
    if as_json:
        return print_json(rows)
    print(f"{'network':16} {'parameters':>12} {'PublicTest':>11} {'PrivateTest':>26} {'without duplicates':>14}")
    for row in rows:
        private = row["private_test"]
        print(
            f"{row['name']:16} {row['parameters']:12,} {_share(row['public_test']):>11} "
            f"{_with_interval(private):>26} {_share(private, 'accuracy_deduplicated'):>14}"
        )
    return None


def summary(network: str, as_json: bool) -> None:
    """Prints the layer table of an architecture."""
    chain = layers.NamedSequential(models_registry.build_layers(network, len(models_registry.label_set(network))))
    rows, total = layer_table(chain), count_parameters(chain)
    if as_json:
        return print_json({"layers": [vars(row) for row in rows], "parameters": total})
    print(f"{'layer':30} {'type':18} {'shape':18} {'parameters':>12}")
    for row in rows:
        print(f"{row.name:30} {row.type:18} {' x '.join(map(str, row.shape)):18} {row.parameters:12,}")
    print(f"{'total':68} {total:12,}")
    return None

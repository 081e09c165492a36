"""What the Saliency tab says of its methods: one sentence each, how faithful they were found, and which do not hold."""

from torch import nn

from fer.attribution import faithfulness
from fer.attribution.explain import list_methods, method_applicability
from fer.attribution.methods import METHODS


def order(network: nn.Module, measured: list[dict]) -> list[str]:
    """The methods that hold for the network: those that were measured first, the most faithful of them foremost."""
    known = list_methods(network)
    ranked = [row["method"] for row in measured if row["method"] in known]
    return ranked + [method for method in known if method not in ranked]


def hint(network: nn.Module, method: str, measured: list[dict]) -> str:
    """What the method does, how faithful it was found, and which others do not hold for this network, and why."""
    missing: dict[str, list[str]] = {}
    for other, reason in method_applicability(network).items():
        if reason:
            missing.setdefault(reason, []).append(other)
    left_out = [f"Not for {network.name}: {', '.join(names)}. {reason}" for reason, names in missing.items()]
    return "\n\n".join([METHODS[method].description, *_measured(method, measured), *left_out])


def _measured(method: str, rows: list[dict]) -> list[str]:
    """Its mean region correlation over many faces beside that of the best map that knows nothing of the network."""
    scores = {row["method"]: row for row in rows}
    if method not in scores:
        return []
    control = max(
        (name for name in scores if name in faithfulness.CONTROL_MAPS),
        key=lambda n: scores[n]["faithfulness_correlation"],
    )
    row = scores[method]
    words = (
        f"Over {row['n']} faces its region correlation is {row['faithfulness_correlation']:+.2f} on average; the map "
        f"{control!r}, which knows nothing of the network, has {scores[control]['faithfulness_correlation']:+.2f}."
    )
    rank = row["randomization_rank_corr"] or 0
    if rank > faithfulness.INSENSITIVE_CORRELATION:
        words += f" Its maps do not depend on what the network learnt: rank correlation {rank:.2f}."
    return [words]

"""The commands of ``python -m fer``, by name: each a thin call into one module, which it imports when it is called."""

from collections.abc import Callable

from fer.commands import explaining, measuring, using

COMMANDS: dict[str, Callable[..., None]] = {
    "networks": measuring.list_networks,
    "summary": measuring.summary,
    "train": measuring.train,
    "evaluate": measuring.evaluate,
    "committee": measuring.committee,
    "predict": using.predict,
    "saliency": explaining.saliency,
    "trust": explaining.trust,
    "regions": explaining.regions,
    "ascend": explaining.ascend,
    "study": measuring.study,
    "export": using.export,
    "push": using.push,
    "space": using.space,
}

"""The commands of ``python -m fer``, by name: each a thin call into one module, which it imports when it is called."""

from collections.abc import Callable

from fer.cli import (
    concepts,
    data,
    deploy,
    evaluate,
    explain,
    features,
    influence,
    models,
    predict,
    study,
    suspects,
    train,
)

COMMANDS: dict[str, Callable[..., int | None]] = {
    "data": data.data,
    "networks": models.list_networks,
    "summary": models.summary,
    "train": train.train,
    "evaluate": evaluate.evaluate,
    "confusion": evaluate.confusion,
    "ensemble": evaluate.ensemble,
    "predict": predict.predict,
    "crop": predict.crop,
    "saliency": explain.saliency,
    "trust": explain.trust,
    "regions": explain.regions,
    "influence": influence.influence,
    "concepts": concepts.concepts,
    "suspects": suspects.suspects,
    "activations": features.activations,
    "redundancy": features.redundancy,
    "ascend": explain.ascend,
    "atlas": explain.atlas,
    "study": study.study,
    "export": deploy.export,
    "push": deploy.push,
    "space": deploy.space,
    "web": deploy.web,
}

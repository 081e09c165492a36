"""The registry of studies: ``@register_study`` on a function from a StudyConfig to a Result."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from fer.studies.results import Result
from fer.studies.runner import StudyConfig

RunStudy = Callable[[StudyConfig], Result]


@dataclass(frozen=True)
class Study:
    """What is registered under a name: the function, and how many seeds it trains with unless told otherwise."""

    run: RunStudy
    seeds: int = 1

    @property
    def question(self) -> str:
        """What the study asks: the first line of the function's docstring."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]


STUDIES: dict[str, Study] = {}


def register_study(name: str, seeds: int = 1) -> Callable[[RunStudy], RunStudy]:
    """Registers a function as the study ``name``. Raises ValueError: there is one of that name."""

    def register(run: RunStudy) -> RunStudy:
        if name in STUDIES:
            raise ValueError(f"study {name!r} is registered twice")
        STUDIES[name] = Study(run, seeds)
        return run

    return register


def get_study(name: str) -> Study:
    """The study registered as ``name``. Raises ValueError with the names there are."""
    if name not in STUDIES:
        raise ValueError(f"no study {name!r}: expected one of {', '.join(STUDIES)}")
    return STUDIES[name]

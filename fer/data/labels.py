"""Names of folders and cells -> emotions and splits, in the spellings that data sets use."""

import functools
import re
from collections.abc import Iterable

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # FER-2013's order
ALL_LABELS = (*EMOTIONS, "contempt")  # FER+ and CK+48 have the eighth
_RAF_DB = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")  # its folders are named 1 to 7
_SPELLINGS = {
    "angry": "anger angrily ang mad rage",
    "disgust": "disgusted disgusting digust disgut dis",
    "fear": "fearful afraid scared fea",
    "happy": "happiness happily joy joyful smile smiling hap",
    "sad": "sadness sorrow unhappy",
    "surprise": "surprised surprising suprise suprised surprize surprized sur",
    "neutral": "neutrality natural normal neu",
    "contempt": "contemptuous contemt",
}
_SPLITS = {
    "Training": "train training",
    "PublicTest": "publictest valid val validation dev validate",
    "PrivateTest": "privatetest test testing",
}
_ADDED = r"(emotions?|expressions?|faces?|images?|imgs?|pictures?|photos?|data|set|split)*$"


def label_named(name: str) -> str | None:
    """The emotion that a word means, as we spell it: "Joy", "suprise", "0_angry", "happy faces"; None for none."""
    return _found(name, _table("labels"))


def split_named(name: str) -> str | None:
    """The split that a word means: "train", "Valid", "dev", "test_set", "PublicTest"; None for no split."""
    return _found(name, _table("splits"))


def numbered_labels(names: Iterable[str]) -> dict[str, str]:
    """What sibling folders that are named by numbers mean.

    Two or more of 0 to 6 are in FER-2013's order. With a 7 and no 0 they are in RAF-DB's. Others are not known.
    """
    numbers = {name: int(name) for name in names if re.fullmatch(r"[0-9]{1,3}", name)}
    present = set(numbers.values())
    if len(present) > 1 and present <= set(range(7)):
        return {name: EMOTIONS[number] for name, number in numbers.items()}
    if 7 in present and len(present) > 1 and present <= set(range(1, 8)):
        return {name: _RAF_DB[number - 1] for name, number in numbers.items()}
    return {}


def _found(name: str, table: dict[str, str]) -> str | None:
    letters = re.sub(r"[\W\d_]+", "", name.casefold())
    return table.get(letters) or table.get(re.sub(_ADDED, "", letters))


@functools.cache
def _table(which: str) -> dict[str, str]:
    owners = _SPELLINGS if which == "labels" else _SPLITS
    return {word: name for name, words in owners.items() for word in (name.casefold(), *words.split())}

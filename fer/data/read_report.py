"""What was read of somebody's files and what was not, and why: the line with which commands that read files end."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class LeftOut:
    """Files or rows that were not read.

    what: their kind, as in ".heic" or "unreadable". count: how many. why: the reason, and what would help.
    """

    what: str
    count: int
    why: str


@dataclass(frozen=True)
class ReadReport:
    """What was read and what was not.

    splits: how many faces of each label, by split; or the one entry of ``plain``. left_out: the rest, so that the two
    together are all files of a folder, or all rows of a table. remarks: what is unusual, each a sentence without its
    full stop.
    """

    splits: Mapping[str, Mapping[str, int]]
    left_out: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return sum(sum(labels.values()) for labels in self.splits.values())

    def line(self, unit: str = "faces") -> str:
        """As in "read 84 faces; left out 3: 2 .heic (install pillow-heif), 1 unreadable (happy/1.png)"."""
        parts = [f"read {self.count:,} {unit[:-1] if self.count == 1 else unit}"]
        if self.left_out:
            each = ", ".join(f"{part.count:,} {part.what} ({part.why})" for part in self.left_out)
            parts.append(f"left out {sum(part.count for part in self.left_out):,}: {each}")
        else:
            parts.append("left out none")
        return "; ".join([*parts, *self.remarks])

    def restricted(self, labels: Collection[str]) -> "ReadReport":
        """The same with the faces of other labels left out."""
        kept = {
            name: {label: count for label, count in counts.items() if label in labels}
            for name, counts in self.splits.items()
        }
        others: Counter[str] = Counter()
        for counts in self.splits.values():
            others.update({label: count for label, count in counts.items() if label not in labels})
        left_out = [LeftOut(label, count, "the network has no such label") for label, count in others.items()]
        return ReadReport(kept, (*left_out, *self.left_out), self.remarks)

    def as_json(self) -> dict:
        splits = {name: {"faces": sum(labels.values()), "labels": dict(labels)} for name, labels in self.splits.items()}
        return {
            "splits": splits,
            "left_out": [asdict(part) for part in self.left_out],
            "remarks": list(self.remarks),
        }

    def dumped(self) -> str:
        """For a file; ``loaded`` reads it back."""
        return json.dumps({"splits": self.splits, "left_out": self.as_json()["left_out"], "remarks": self.remarks})


def loaded(text: str) -> ReadReport:
    """The report that ``ReadReport.dumped`` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    parts = json.loads(text)
    left_out = tuple(LeftOut(**part) for part in parts["left_out"])
    return ReadReport(parts["splits"], left_out, tuple(parts["remarks"]))


def plain(count: int, left_out: Iterable[LeftOut] = (), remarks: Iterable[str] = ()) -> ReadReport:
    """The report on pictures without labels and splits."""
    return ReadReport({"all": {"all": count}}, tuple(left_out), tuple(remarks))


def counted(reasons: Mapping[tuple[str, str], int] | Iterable[tuple[str, str]]) -> tuple[LeftOut, ...]:
    """(what, why) pairs, or their counts -> one LeftOut for each, the most frequent first."""
    return tuple(LeftOut(what, count, why) for (what, why), count in Counter(reasons).most_common())


def shown(name: str) -> str:
    """A file's name on one line: what cannot be printed is written as an escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)

"""Where a command writes: never over what it reads, never twice to one file, never through a link, never two at once.

check_outputs(inputs, outputs)                    # before the first write
with one_writer(Path("answers.csv")):             # ValueError where another process has it
"""

import errno
import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
    import msvcrt

_HELD = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


def check_outputs(inputs: Iterable[str | Path], outputs: Iterable[str | Path], folder: Path | None = None) -> None:
    """Looks, before anything is written, whether `outputs` are files that may be written.

    Two names are one file where they lead to the same place, through links, hard links or another case too.
    folder: the one that the outputs lie in, if a folder was named; below it no link is allowed at all.

    Raises:
        ValueError: an output is an input or another output, is a link or no ordinary file, or would replace a file
            that lies behind a link.
    """
    read = {key: Path(path) for path in inputs for key in _keys(Path(path))}
    written: dict[object, Path] = {}
    for path in map(Path, outputs):
        if link := _link(path, folder):
            raise ValueError(f"{_shown(path)} would be written through the link {_shown(link)}: name the place itself")
        if path.exists() and not path.is_file():
            raise ValueError(f"{_shown(path)} is to be written and is no ordinary file: name another one")
        for key in _keys(path):
            if source := read.get(key):
                raise ValueError(
                    f"{_shown(path)} would be written over {_shown(source)}, which is read: name a new one"
                )
            if written.setdefault(key, path) is not path:
                raise ValueError(f"{_shown(written[key])} and {_shown(path)} would be written to the same file")


def check_folder(out: Path, source: Path) -> None:
    """Raises ValueError where the folder `out`, which is to be written, is the folder `source` or lies in it."""
    out = Path(os.path.realpath(out))
    for parent in (out, *out.parents):
        if parent.exists() and source.exists() and parent.samefile(source):
            raise ValueError(f"out is {_shown(out)}, within {_shown(source)}, which is read: name a folder elsewhere")


def identity(path: Path) -> Path:
    """The same for all ways to write the path of a file; two links to one file remain two."""
    return Path(os.path.realpath(path.parent)) / path.name


def distinct(files: Sequence[Path]) -> list[Path]:
    """For each of `files` a name of its own to write to, without ending: a/b.jpg becomes a/b.

    Files whose names differ in their ending alone, or in its and their case, keep it: b.jpg and b.png. Where these are
    still the same, as of files from two folders, they are numbered: b.jpg, b.jpg-2.
    """
    stems = [file.with_suffix("") for file in files]
    count = Counter(map(_folded, stems))
    taken = {stem for stem, times in count.items() if times == 1}
    names = []
    for file, stem in zip(files, stems, strict=True):
        name, number = stem if count[_folded(stem)] == 1 else file, 2
        while name is not stem and _folded(name) in taken:
            name, number = file.with_name(f"{file.name}-{number}"), number + 1
        taken.add(_folded(name))
        names.append(name)
    return names


@contextmanager
def one_writer(target: Path) -> Iterator[None]:
    """Holds the file or folder `target` for this process as long as the block lasts.

    The lock is a file beside the target with the process's number in it; the system frees it when the process dies.

    Raises:
        ValueError: another process holds it; its number is in the message.
    """
    target = Path(os.path.abspath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    path = _lock_file(target)
    lock = _locked(path, target)
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0) if fcntl else os.write(lock, f"{os.getpid()}\n".encode())
        yield
    finally:
        if fcntl:
            path.unlink(missing_ok=True)  # while it is held: who waits for this file then looks for a new one
        os.close(lock)
        if not fcntl:
            with suppress(OSError):  # Windows deletes no file that is open, here or elsewhere
                path.unlink(missing_ok=True)


def _lock_file(target: Path) -> Path:
    long = len(os.fsencode(target.name)) > 240  # a name has at most 255 bytes
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:32] if long else target.name
    return target.with_name(f".{name}.lock")


def _locked(path: Path, target: Path) -> int:
    """The descriptor of the lock file, held by this process."""
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            _hold(lock)
            if not fcntl or _is_at(lock, path):
                return lock
        except OSError as error:
            holder = os.read(lock, 20).decode(errors="replace").strip() if error.errno in _HELD else ""
            os.close(lock)
            if error.errno not in _HELD:
                raise
            by = f" by process {holder}" if holder else " by another process"
            raise ValueError(f"{_shown(target)} is being written{by}: wait for it, or name another") from None
        os.close(lock)


def _is_at(lock: int, path: Path) -> bool:
    """Whether the open file is still the one of that name: who held it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def _hold(lock: int) -> None:
    """Raises OSError at once where another process holds it."""
    if fcntl:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                raise  # else a file system without locks
    else:
        os.lseek(lock, 1 << 30, os.SEEK_SET)  # beyond the number, which others may then read
        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        os.lseek(lock, 0, os.SEEK_SET)


def _keys(path: Path) -> Iterator[object]:
    """What two paths have in common where they lead to one file."""
    yield os.path.realpath(path)
    with suppress(OSError):
        status = path.stat()
        if status.st_ino:
            yield status.st_dev, status.st_ino


def _link(path: Path, folder: Path | None) -> Path | None:
    """The symbolic link that writing to `path` would follow to a file that is there."""
    if path.is_symlink():
        return path
    there = os.path.lexists(path)
    for parent in path.parents:
        below = folder is not None and parent != folder and parent.is_relative_to(folder)
        if (there or below) and parent.is_symlink() and not _of_the_system(parent):
            return parent
    return None


def _of_the_system(link: Path) -> bool:
    """As /tmp and /var are on macOS."""
    if link.is_absolute() and link.parent == Path(link.anchor):
        return True
    return hasattr(os, "geteuid") and os.geteuid() != 0 and link.lstat().st_uid == 0


def _folded(path: Path) -> str:
    """The same for names that a file system which ignores case, or spelling in Unicode, takes for one."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


def _shown(path: Path) -> str:
    return repr(str(path))

"""How fast ``python -m fer predict FOLDER`` goes through thousands of pictures, and that a kill loses none of them.

    python -m tests.benchmarks.album [--data DIR] [--faces 2000]

FER-2013 faces are written as PNGs into a temporary folder, with files beside them that are no pictures. The command
reads them whole, is killed midway and started again; then once more in one go, for its speed, beside a loop that does
nothing but open the pictures and send them through the network. Aim: 150 a second on two cores.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from fer.data import dataset, fer2013

HOSTILE = {
    "empty.png": b"", "text.png": b"hello", "web.jpg": b"<html>", "drawing.png": b"<svg/>", "paper.png": b"%PDF-1.4",
    "archive.jpg": b"PK\x03\x04", "film.jpg": b"\x1aE\xdf\xa3film", "zeros.gif": bytes(1000), "head.gif": b"GIF89a",
    "head.bmp": b"BM" + bytes(20), "head.tif": b"II*\0" + bytes(8), "head.webp": b"RIFF\0\0\0\0WEBP",
    "head.jpg": b"\xff\xd8\xff\xe0" + bytes(30), "head.png": b"\x89PNG\r\n\x1a\n" + bytes(30), "film.mp4.png": b"\0",
    "noise.png": bytes(range(256)) * 9,
}  # fmt: skip
# What anybody would write who has only good pictures of 48x48.
PLAIN = """import sys, torch, numpy as np
from pathlib import Path
from PIL import Image
from fer.models import checkpoint
network, files = checkpoint.load_model("compact"), sorted(Path(sys.argv[1]).glob("[0-9]*.png"))
with torch.inference_mode():
    for start in range(0, len(files), 64):
        faces = np.stack([np.asarray(Image.open(file).convert("L")) for file in files[start : start + 64]])
        network(torch.from_numpy(faces)[:, None] / 255).softmax(1).tolist()
"""
SIZES = {"dot.png": (1, 1), "line.png": (1, 20_000), "bomb.png": (12_000, 12_000), "small.png": (47, 47)}


def write(pixels, folder: Path) -> list[str]:
    """The faces and the hostile files; the names of the latter."""
    for number, face in enumerate(pixels.numpy()):
        Image.fromarray(face).save(folder / f"{number}.png")
    for name, content in HOSTILE.items():
        (folder / f"bad-{name}").write_bytes(content)
    for name, size in SIZES.items():
        Image.new("1", size).save(folder / f"bad-{name}")
    return [f"bad-{name}" for name in (*HOSTILE, *SIZES)]


def start(folder: Path, out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "fer", "predict", str(folder), "--no-detect", "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="DIR", help="where FER-2013 lies (default: $FER2013_ROOT, else data/)")
    parser.add_argument("--faces", type=int, default=2000)
    arguments = parser.parse_args()
    pixels = dataset.random_subset(fer2013.load_fer2013(arguments.data)["PublicTest"], arguments.faces).pixels
    with tempfile.TemporaryDirectory() as place:
        folder, out = Path(place, "pictures"), Path(place, "answers.csv")
        folder.mkdir()
        bad = write(pixels, folder)
        first = start(folder, out)
        while not out.exists() or len(out.read_text(encoding="utf-8").splitlines()) < arguments.faces // 2:
            time.sleep(0.05)
        first.kill()
        first.communicate()
        *_, told = start(folder, out).communicate()
        with out.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = [Path(row["path"]).name for row in rows]
        named = sum(row["error"] != "" and Path(row["path"]).name in bad for row in rows)
        print(f"killed midway and started again: {len(rows)} lines for {len(pixels) + len(bad)} files, "
              f"{len(set(names))} of them different, {named} of {len(bad)} bad ones with their sentence")  # fmt: skip
        out.unlink()
        began = time.perf_counter()
        again = start(folder, out)
        again.communicate()
        seconds = time.perf_counter() - began
        print(
            f"in one go, start included: {len(pixels) / seconds:.0f} pictures a second, exit status {again.returncode}"
        )
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", PLAIN, str(folder)], check=True)
        plain = time.perf_counter() - began
        print(
            f"a plain loop of the same pictures, start included: {len(pixels) / plain:.0f}; ratio {plain / seconds:.2f}"
        )
        began = time.perf_counter()
        loading = "import torch; from fer.models import checkpoint; checkpoint.load_model('compact')"
        subprocess.run([sys.executable, "-c", loading])
        start_up = time.perf_counter() - began
        rate = len(pixels) / (seconds - start_up)
        print(f"without the {start_up:.1f} s that loading torch and the network take: {rate:.0f}")


if __name__ == "__main__":
    main()

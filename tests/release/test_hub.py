"""hub: what is pushed is what is loaded, through a stand-in for the Hub on this machine."""

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from fer.models import checkpoint
from fer.models.checkpoint import FERModel

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """The few answers of the Hub that a push and a load ask for; files are kept in memory."""

    files: dict[str, bytes] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/repos/create"):
            return self.say({"url": "https://huggingface.co/someone/small"})
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            regular = {"uploadMode": "regular", "shouldIgnore": False}
            return self.say({"files": [{"path": name, **regular} for name in names]})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            return self.say({"commitUrl": "https://huggingface.co/someone/small/commit/0", "commitOid": COMMIT})
        return self.say({"errors": [], "warnings": []})

    def do_GET(self) -> None:
        name = self.path.split("?")[0].rpartition("/")[2]
        if "/resolve/" in self.path and name in self.files:
            return self.say(self.files[name])
        return self.say({"sha": COMMIT, "id": "someone/small", "siblings": []}, 200 if "/api/" in self.path else 404)

    do_HEAD = do_GET

    def say(self, answer: bytes | dict, status: int = 200) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for key, value in {"Content-Length": len(body), "ETag": f'"{hash(body)}"', "X-Repo-Commit": COMMIT}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process that takes the stand-in for the Hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "cache")}
    yield os.environ | told | {"HF_TOKEN": "hf_made_up", "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    server.shutdown()
    server.server_close()


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_what_is_pushed_is_what_is_loaded(hub: dict[str, str], tmp_path: Path):
    """`push` sends the folder but for an unfinished run, and `load` of OWNER/NAME gives the same logits back."""
    network = FERModel("dnn").eval()
    checkpoint.save_model(network, tmp_path / "small")
    (tmp_path / "small" / "resume.pt").write_bytes(b"half")
    pushed = command(hub, "-m", "fer", "push", str(tmp_path / "small"), "someone/small", "--json")
    assert json.loads(pushed.stdout)["repository"] == "someone/small", pushed.stderr
    assert sorted(Hub.files) == ["config.json", "model.safetensors"]
    face = "torch.full((1, 1, 48, 48), 0.5)"
    ask = "import torch; from fer.models import checkpoint; "
    ask += f"print(checkpoint.load_model('someone/small')({face}).tolist()[0])"
    loaded = command(hub, "-c", ask)
    expected = checkpoint.load_model(str(tmp_path / "small"))(torch.full((1, 1, 48, 48), 0.5))[0].tolist()
    assert json.loads(loaded.stdout) == pytest.approx(expected, abs=1e-5), loaded.stderr


def test_a_name_that_the_hub_does_not_take_is_one_line(hub: dict[str, str], tmp_path: Path):
    """Exit status 2, and what was expected; so for a network that is not there."""
    checkpoint.save_model(FERModel("dnn"), tmp_path / "small")
    for network, repository, words in (
        (str(tmp_path / "small"), "a/b/c", "OWNER/NAME"),
        ("nothing", "a/b", "no folder"),
    ):
        found = command(hub, "-m", "fer", "push", network, repository)
        assert found.returncode == 2 and words in found.stderr and found.stderr.count("\n") == 1

"""The page as a language model meets it: by MCP, as the README's settings have it, through that protocol's client."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp.client.stdio import stdio_client  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402

from tests.app.test_api import PUBLIC
from tests.pages import sealed_off, served, write_face, write_networks

mcp = pytest.importorskip("mcp", reason="MCP is not installed: pip install 'gradio[mcp]'")

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:7860/"


@pytest.fixture(scope="module")
def uploads(tmp_path_factory) -> Iterator[Path]:
    with sealed_off(tmp_path_factory.mktemp("uploads")) as folder:
        yield folder


@pytest.fixture(scope="module")
def page(tmp_path_factory, uploads):
    with served(write_networks(tmp_path_factory.mktemp("weights")), mcp_server=True) as page:
        yield page


@pytest.fixture
def settings(page, tmp_path) -> dict:
    """The README's, for this page and a folder of our own."""
    text = re.search(r"```json\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    text = text.replace(ADDRESS, page.url).replace("/path/to/photographs", str(tmp_path))
    return json.loads(text)["mcpServers"]


@asynccontextmanager
async def connected(server: dict):
    if "url" in server:
        transport = streamable_http_client(server["url"])
    else:
        command = str(Path(sys.executable).with_name(server["command"]))
        transport = stdio_client(mcp.StdioServerParameters(command=command, args=server["args"]))
    async with transport as (read, write, *_), mcp.ClientSession(read, write) as session:
        await session.initialize()
        yield session


def call(server: dict, tool: str, **arguments: object) -> tuple[bool, str]:
    """Whether the tool refused, and its text."""

    async def ask():
        async with connected(server) as session:
            return await session.call_tool(tool, arguments)

    answer = asyncio.run(ask())
    return answer.isError, "".join(part.text for part in answer.content)


def test_the_tools_are_the_public_functions(settings):
    """By the same names, with the same parameters, and described."""

    async def ask():
        async with connected(settings["fer"]) as session:
            return (await session.list_tools()).tools

    tools = asyncio.run(ask())
    assert {f"/{tool.name}": list(tool.inputSchema["properties"]) for tool in tools} == PUBLIC
    assert all(len(tool.description) > 60 for tool in tools)


def test_a_photograph_is_uploaded_and_read(settings, tmp_path, uploads):
    """By the two servers of the README: one puts a file of the folder on the page, the other reads its face."""
    face = write_face(tmp_path / "face.png")
    refused, address = call(settings["photographs"], "upload_file_to_gradio", file=str(face))
    assert not refused and "/gradio_api/file=" in address
    refused, told = call(settings["fer"], "predict", picture=address)
    assert not refused and "'emotion': 'happy'" in told
    assert [path.name for path in uploads.rglob("*.*")] == ["face.png"]  # Gradio's, which deletes it in time


def test_a_picture_may_come_as_a_data_address_which_no_file_is_made_of(settings, tmp_path, uploads):
    before = list(uploads.rglob("*.*"))
    picture = base64.b64encode(write_face(tmp_path / "face.png").read_bytes()).decode()
    asked = {"picture": f"data:image/png;base64,{picture}", "network": "compact-ferplus", "method": "gradient"}
    refused, told = call(settings["fer"], "saliency", **asked)
    assert not refused and "'method': 'gradient'" in told and "base64" not in told
    assert list(uploads.rglob("*.*")) == before


@pytest.mark.parametrize(
    "picture", ["https://example.com/face.png", "/etc/passwd", "data:image/png;base64,?", "http://x/gradio_api/file=/etc/passwd"]
)  # fmt: skip
def test_nothing_else_is_opened_or_fetched(settings, picture):
    refused, told = call(settings["fer"], "predict", picture=picture)
    assert refused and len(told) < 200 and "root:" not in told

"""The page. `python demo.py` shows it on http://127.0.0.1:7860; `--host`, `--port` and `--share` show it to others."""

import argparse
import os
import re
import tempfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr

from fer.app import address, api, integrity, lifecycle, memory, static, strip
from fer.app.activations import tab as activations_tab
from fer.app.blocks import Guarded, Server
from fer.app.confusion import tab as confusion_tab
from fer.app.events import QUIET, bind_changes
from fer.app.filters import tab as filters_tab
from fer.app.models import tab as models_tab
from fer.app.predict import tab as predict_tab
from fer.app.queue import MOST, bound
from fer.app.saliency import tab as saliency_tab
from fer.app.security import own_hosts
from fer.app.session import Session
from fer.app.uploads import discard_broken_uploads
from fer.models import checkpoint

TITLE = "Facial-expression laboratory"
INTRO = "Predict facial expressions and inspect the CNNs behind them (FER-2013: 48×48 web images, 7 labels)"

# What `Blocks.launch` takes, apart from where to listen.
LAUNCH = {
    "theme": gr.themes.Default(primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"]).set(
        # Gradio's are grey 400, with a contrast of 2.6 on white; these have 4.8.
        body_text_color_subdued="*neutral_500",
        block_label_text_color="*neutral_600",
        input_placeholder_color="*neutral_500",
        block_title_text_color="*neutral_600",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    ),
    "footer_links": ["api", "settings"],
    "run_history": False,  # it would keep visitors' pictures in their browser
    "show_error": False,  # traces name paths of the server; gr.Error is shown all the same
    "max_file_size": "16mb",
    "state_session_capacity": 100,  # visitors; who was here longest ago is forgotten first
    "max_threads": 16,
    "ssr_mode": False,
}

TABS = {
    "Predict": predict_tab.tab,
    "Saliency": saliency_tab.tab,
    "Activations": activations_tab.tab,
    "Filters": filters_tab.tab,
    "Confusion": confusion_tab.tab,
    "Models": models_tab.tab,
}


def build(weights: Path | None = None) -> gr.Blocks:
    """The page over the networks of a folder, by default `weights/`."""
    weights = Path(weights or checkpoint.WEIGHTS)
    troubles = integrity.look(weights)
    names = integrity.sound(weights, troubles)
    with Guarded(title=TITLE, analytics_enabled=False, delete_cache=(600, 600)) as page:
        gr.Markdown(f"# {TITLE}\n{INTRO}{link_to_web_page()}", elem_id="title")
        integrity.section(troubles)
        model, face, shown = strip.layout(weights, names)
        filter_request = gr.State(None)
        with gr.Tabs(elem_id="tabs") as tabs:
            session = Session(weights, names, model, face, filter_request, shown, tabs)
            parts = {}
            for name, tab in TABS.items():
                with gr.Tab(name, id=name, elem_id=f"tab-{name.lower()}") as parts[name]:
                    tab(session)
        session.address["model"] = model
        strip.wire(session)
        bind_changes(session)
        api.publish(session)
        session.filter_request.change(lambda: gr.Tabs(selected="Filters"), None, tabs, **QUIET)
        address.bind(session, parts, {view.id: view for view in parts["Predict"].children[0].children})
    return bound(page.queue(max_size=MOST, default_concurrency_limit=2, api_open=False))


def link_to_web_page() -> str:
    """A link to the static site of `python -m fer web` where $FER_WEB_PAGE says that it is published, else nothing."""
    address = os.environ.get("FER_WEB_PAGE", "")
    fits = re.fullmatch(r"https://[\w.~/-]+", address)
    return f" [Camera and photos without a server, in your browser alone]({address})" if fits else ""


def launch(page: gr.Blocks, allowed: Iterable[str] = (), **where: object) -> tuple:
    """Starts the page as `LAUNCH` has it and goes on; gives what `Blocks.launch` does.

    allowed: host names that it answers to besides its own, "*" for every one. See `security.own_hosts`.
    """
    discard_broken_uploads()
    hosts = own_hosts(str(where.get("server_name") or "127.0.0.1"), allowed)
    started = page.launch(
        **where, prevent_thread_lock=True, css=static.text("page.css"), _app=Server(hosts, page.listening), **LAUNCH
    )
    if page.share_url:
        hosts.add(urlsplit(page.share_url).hostname)
    return started


def check_mcp(parser: argparse.ArgumentParser) -> None:
    """Ends the program with 2 where the page cannot be served by MCP."""
    try:
        import_module("gradio.mcp")
    except Exception as error:  # whatever another version of it raises when it is imported
        return parser.error(f"--mcp needs a fitting package mcp ({error}): `pip install 'gradio[mcp]'` brings it")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    on_space = "SPACE_ID" in os.environ
    parser.add_argument("--host", default="0.0.0.0" if on_space else "127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="another host name that the page answers to, as behind a proxy; '*' for every one, which lets other web "
        "sites use the page from the browsers of those who can reach it",
    )  # fmt: skip
    parser.add_argument("--share", action="store_true", help="a public address through gradio.live, for 72 hours")
    parser.add_argument("--mcp", action="store_true", help="also serve the public functions to language models, by MCP")
    args = parser.parse_args(argv)
    if args.mcp:
        check_mcp(parser)
    tempfile.tempdir = str(lifecycle.own_uploads() / lifecycle.WORK)
    page = build()
    where = {"server_name": args.host, "server_port": args.port, "share": args.share}
    told = lifecycle.listen()
    launch(page, args.allow_host, **where, mcp_server=args.mcp or None)
    if args.mcp and not page.mcp_server:
        parser.exit(2, f"{parser.prog}: error: --mcp: {page.mcp_error}\n")
    memory.keep()
    lifecycle.wait(page, told)


if __name__ == "__main__":
    main()

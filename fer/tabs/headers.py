"""What every answer of the page tells browsers: to ask no other host for anything, and to guess at no file's kind.

Gradio's own scripts and templates need `unsafe-inline` and `unsafe-eval`; what they load is all on this host.
"""

import os

RULES = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' data: blob:",
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
}
HUB = "https://huggingface.co https://*.hf.space"  # a Space's page has its header from there, and is framed by it


def policy(on_space: bool) -> str:
    """The Content-Security-Policy."""
    rules = {name: f"{what} {HUB}" if on_space and "'none'" not in what else what for name, what in RULES.items()}
    rules["frame-ancestors"] = f"'self' {HUB}" if on_space else "'self'"
    return "; ".join(f"{name} {what}" for name, what in rules.items())


class Strict:
    """ASGI middleware that adds the headers to every answer."""

    def __init__(self, app):
        self.app = app
        self.headers = [
            (b"content-security-policy", policy("SPACE_ID" in os.environ).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope, receive, send):
        async def strictly(message):
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message.get("headers", ()), *self.headers]}
            await send(message)

        await self.app(scope, receive, strictly if scope["type"] == "http" else send)

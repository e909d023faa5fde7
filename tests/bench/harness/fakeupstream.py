"""The fake upstream: nginx with its echo module, answering from its configuration.

nginx because it must not be what is measured: it answers several times faster than any gateway here.
The `sse` stream leaves each event as an HTTP chunk of its own but lets nginx join them in its packets: with a
flush per event, nginx itself would be the limit (about 2,700 streams/s, measured).
"""

from __future__ import annotations

from pathlib import Path

from harness.answers import PACE_S, completion, stream_events
from harness.children import HOST, LOAD_CPU, BenchError, Child

ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")

_FRAME = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
load_module {module};
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    client_max_body_size 64m;
    client_body_buffer_size 4m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port} backlog=4096;
{locations}
    }}
}}
"""


def quoted(text: str) -> str:
    """`text` as an argument of nginx's; raises `BenchError` for a `$`, which nginx would expand."""
    if "$" in text:
        raise BenchError("nginx expands a dollar sign: leave it out of the answers")
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _location(path: str, content_type: str, directives: list[str]) -> str:
    head = [f"default_type {content_type};", "echo_read_request_body;"]
    lines = "\n".join(f"            {directive}" for directive in [*head, *directives])
    return f"        location = {path} {{\n{lines}\n        }}"


def configuration(folder: Path, port: int) -> str:
    """nginx.conf for the three kinds of answer, at `/{kind}/chat/completions`, and for one that fails."""
    events = [f"echo -n {quoted(event)};" for event in stream_events()]
    paced: list[str] = []
    for event in events[:-3]:
        paced += [event, "echo_flush;", f"echo_sleep {PACE_S};"]
    # The finish, the usage and [DONE] come together, as they do from OpenAI.
    paced += [*events[-3:], "echo_flush;"]
    locations = [
        _location("/json/chat/completions", "application/json", [f"echo -n {quoted(completion())};"]),
        _location("/sse/chat/completions", "text/event-stream", events),
        _location("/paced/chat/completions", "text/event-stream", paced),
        "        location = /failing/chat/completions { return 500; }",
        "        location = /readyz { return 200; }",
        "        location /v1/ { return 200; }",  # a receiver of traces and metrics
    ]
    return _FRAME.format(
        folder=folder, module=ECHO_MODULE, host=HOST, port=port, locations="\n".join(locations)
    )


def fake_upstream(folder: Path, port: int) -> Child:
    """The child to start; raises `BenchError` when the module is not installed."""
    if not ECHO_MODULE.exists():
        raise BenchError("nginx has no echo module; on Debian: apt-get install libnginx-mod-http-echo")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nginx.conf"
    path.write_text(configuration(folder, port))
    return Child(
        ["nginx", "-p", str(folder), "-e", str(folder / "nginx.log"), "-c", str(path)],
        LOAD_CPU,
        folder / "out.log",
    )

"""Stands in for the gateway, the engine or a worker (`batch`) under `parley up`.

    NAME [--fails STATUS] [--says TEXT] [--ignores-stop] [--fd N]

It answers /healthz and /readyz on the inherited socket, or on the one of its settings, appends `started PID` and
`stopped` to DATA/events, and writes its environment to DATA/NAME.env and DATA/NAME-PORT.env.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("name")
parser.add_argument("--fails", type=int)
parser.add_argument("--says", default="")  # & stands for a blank
parser.add_argument("--ignores-stop", action="store_true")
parser.add_argument("--fd", type=int)
arguments = parser.parse_args()
data = Path(os.environ["PARLEY_DATA"])


def note(event: str) -> None:
    with (data / "events").open("a") as file:
        file.write(f"{arguments.name} {event} {os.getpid()} {time.monotonic()}\n")


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = {
            "status": "ready",
            "version": "scripted",
            "engine": arguments.name,
            "pid": os.getpid(),
            "recognizer": {"name": "scripted", "model": "none"},
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


def stop(*_: object) -> None:
    note("stopped")
    if not arguments.ignores_stop:
        os._exit(0)


signal.signal(signal.SIGTERM, stop)
note("started")
host, port = (os.environ[f"PARLEY_{arguments.name.upper()}__{name}"] for name in ("HOST", "PORT"))
for path in (data / f"{arguments.name}.env", data / f"{arguments.name}-{port}.env"):
    path.write_text(json.dumps(dict(os.environ)))
if arguments.fails is not None:
    print(arguments.says.replace("&", " ") or f"the {arguments.name} says why it cannot go on", file=sys.stderr)
    sys.exit(arguments.fails)
server = HTTPServer((host, int(port)), Answers, bind_and_activate=arguments.fd is None)
if arguments.fd is not None:
    server.socket.close()
    server.socket = socket.socket(fileno=arguments.fd)
    server.socket.setblocking(True)
server.serve_forever()

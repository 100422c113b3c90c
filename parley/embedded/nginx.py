"""nginx before several gateways: its program, and its configuration made from the folder `nginx/` of the project.

It inherits its listening socket as nginx inherits one from itself when it is upgraded: by the variable `NGINX`. So the
port is taken before anything starts, and connections wait while nginx restarts.
Source: nginx, src/core/nginx.c, ngx_add_inherited_sockets.
"""

import grp
import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path
from string import Template

from parley.embedded.sockets import Place
from parley.errors import SetupError

CONFIGURATION = Path(__file__).parents[2] / "nginx"
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin", "/opt/homebrew/bin")
"""Where packages put nginx, which are not on everyone's PATH."""
_FAILURES = "max_fails=2 fail_timeout=2s"
"""A gateway that refuses costs nothing, one whose machine is silent costs `proxy_connect_timeout`: often enough to pass
it over for a moment, and a moment short enough that a rolling restart never finds all of them passed over."""


def binary() -> Path | None:
    """nginx's program; None where it is not installed."""
    found = shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)))
    return Path(found) if found else None


def stands_before(wanted: bool | None, gateways: int) -> bool:
    """Whether nginx is used: where it is wanted, or nothing is said, gateways are several and it is there.

    Raises SetupError where it is wanted and cannot be.
    """
    if wanted is None:
        return gateways > 1 and binary() is not None and CONFIGURATION.is_dir()
    if wanted and binary() is None:
        raise SetupError("nginx is not installed: install it (Debian: apt install nginx-light), or leave --nginx out.")
    if wanted and not CONFIGURATION.is_dir():
        raise SetupError(f"nginx cannot be used: its configuration comes with the sources, in {CONFIGURATION}.")
    return wanted


def server_lines(gateways: Sequence[Place]) -> str:
    """The gateways as lines of nginx's `upstream`."""
    return "\n".join(f"server {gateway.address.removeprefix('http://')} {_FAILURES};" for gateway in gateways)


def render(folder: Path, template: str, values: dict[str, str]) -> None:
    """Writes `folder/nginx.conf` from the template of that name, which includes the other files where they are.

    Only `${NAME}` of `values` is replaced: nginx's own variables look alike.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    text = Template((CONFIGURATION / template).read_text("utf-8"))
    known = {"PARLEY_FILES": str(CONFIGURATION), **values}
    (folder / "nginx.conf").write_text(text.safe_substitute(known), "utf-8")


def render_embedded(folder: Path, place: Place, gateways: Sequence[Place]) -> None:
    """The configuration for `parley up`: the one address `place`, and the gateways behind it."""
    bind = f"[{place.bind}]" if ":" in place.bind else place.bind
    listen = f"{bind}:{place.port}"
    values = {"PARLEY_LISTEN": listen, "PARLEY_GATEWAYS": server_lines(gateways), "PARLEY_USER": _user()}
    render(folder, "embedded.conf.template", values)


def _user() -> str:
    """The directive that keeps nginx's workers in root's account, as the gateway is; others cannot change it."""
    if os.geteuid() != 0:
        return ""
    account = pwd.getpwuid(0)
    return f"user {account.pw_name} {grp.getgrgid(account.pw_gid).gr_name};"


def command(folder: Path) -> tuple[str, ...]:
    """In the foreground, with its log on stderr and every path of the configuration below `folder`."""
    return (str(binary()), "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr", "-g", "daemon off;")

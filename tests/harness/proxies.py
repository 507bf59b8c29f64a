"""Reverse proxies that run the configurations of the page "behind a proxy", on ports and paths of a test.

What the page says stays as it is: only ports, the domain, and paths of certificates are replaced. A proxy
ends with the block that started it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.harness.ports import free_ports, has_listener
from tests.harness.server_process import DOMAIN, ServerProcess

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "behind-a-proxy.md"
FILES = dict(re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
"""What the page shows, by the path that it gives the file."""

Kind = Literal["nginx", "haproxy", "caddy"]
KINDS: tuple[Kind, ...] = ("nginx", "haproxy", "caddy")

LOWERED_SECONDS = 1
"""What a time-out is that the page leaves at the proxy's default, or lowers for everything else."""

_PATHS = {
    "nginx": "/etc/nginx/conf.d/tidings.conf",
    "haproxy": "/etc/haproxy/haproxy.cfg",
    "caddy": "/etc/caddy/Caddyfile",
}
_START_SECONDS = 20

_NGINX = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_read_timeout {seconds}s;
    proxy_send_timeout {seconds}s;
    {page}
}}
"""
"""What Debian's nginx.conf is around the page's file, with lower time-outs where that file sets none."""


class Proxy:
    """A running proxy: where it listens."""

    def __init__(self, folder: Path, http_port: int, https_port: int) -> None:
        self.folder = folder
        self.http_port = http_port
        self.https_port = https_port

    @property
    def url(self) -> str:
        """What the server's `public_url` is."""
        return f"https://{DOMAIN}:{self.https_port}"


def page_file(path: str) -> str:
    """Give a file that the page shows."""
    return FILES[path]


@contextlib.contextmanager
def running(
    kind: Kind, folder: Path, server: ServerProcess, ports: tuple[int, int], *, without: str = ""
) -> Iterator[Proxy]:
    """Run a proxy in front of a server on two ports, without the lines that match `without`."""
    proxy = Proxy(folder, *ports)
    command, environment = _prepare(kind, proxy, server, without)
    with _process(command, folder, environment) as process:
        _wait(process, folder, ports)
        yield proxy


@contextlib.contextmanager
def passing_through(folder: Path, server: ServerProcess) -> Iterator[tuple[int, int]]:
    """Run HAProxy in front of ports 5222 and 5223 of a server; give the ports that it listens on."""
    ports = (tcp, tls) = tuple(free_ports(2))
    text = page_file("xmpp.cfg")
    for standard, own, target in ((5222, tcp, server.tcp_port), (5223, tls, server.tls_port)):
        text = text.replace(f":{standard},[::]:{standard} v6only", f"127.0.0.1:{own}")
        text = text.replace(f"10.0.0.5:{standard}", f"127.0.0.1:{target}")
    file = folder / "xmpp.cfg"
    file.write_text(f"defaults\n    timeout connect 5s\n{text}")
    with _process([_program("haproxy"), "-db", "-f", file], folder, {}) as process:
        _wait(process, folder, ports)
        yield tcp, tls


def judged_by_haproxy(folder: Path, certificate: Path) -> subprocess.CompletedProcess[str]:
    """Let HAProxy look at all that the page shows of it, with the page's ports; nothing is bound."""
    both = folder / "both.pem"
    both.write_bytes(certificate.read_bytes() + certificate.with_suffix(".key").read_bytes())
    text = page_file(_PATHS["haproxy"]) + "\n" + page_file("xmpp.cfg")
    file = folder / "haproxy.cfg"
    file.write_text(text.replace("/etc/haproxy/example.org.pem", str(both)))
    return subprocess.run(
        [_program("haproxy"), "-c", "-f", file], capture_output=True, text=True, check=False
    )


def _prepare(
    kind: Kind, proxy: Proxy, server: ServerProcess, without: str
) -> tuple[list[str | Path], dict[str, str]]:
    """Write the configuration; give the command that runs it and variables for it."""
    text = page_file(_PATHS[kind]).replace("example.org", DOMAIN)
    text = text.replace("127.0.0.1:5280", f"127.0.0.1:{server.http_port}")
    if without:
        text, count = re.subn(rf"^.*{without}.*\n", "", text, flags=re.MULTILINE)
        assert count, f"the page has no {without}"
    file = proxy.folder / kind
    certificate, key = server.authority, server.authority.with_suffix(".key")
    match kind:
        case "nginx":
            text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.MULTILINE)
            text = re.sub(r"listen 80\b", f"listen 127.0.0.1:{proxy.http_port}", text)
            text = re.sub(r"listen 443\b", f"listen 127.0.0.1:{proxy.https_port}", text)
            text = text.replace(f"/etc/letsencrypt/live/{DOMAIN}/fullchain.pem", str(certificate))
            text = text.replace(f"/etc/letsencrypt/live/{DOMAIN}/privkey.pem", str(key))
            user = "user root;" if os.getuid() == 0 else ""  # who may write into a test's folder
            around = {"folder": proxy.folder, "seconds": LOWERED_SECONDS, "user": user}
            file.write_text(_NGINX.format(page=text, **around))
            return [_program("nginx"), "-c", file, "-p", proxy.folder], {}
        case "haproxy":
            both = proxy.folder / "both.pem"
            both.write_bytes(certificate.read_bytes() + key.read_bytes())
            text = text.replace(":80,[::]:80 v6only", f"127.0.0.1:{proxy.http_port}")
            text = text.replace(":443,[::]:443 v6only", f"127.0.0.1:{proxy.https_port}")
            text = text.replace(f"/etc/haproxy/{DOMAIN}.pem", str(both))
            text = re.sub(r"(timeout (?:client|server)) 30s", rf"\1 {LOWERED_SECONDS}s", text)
            if os.getuid() != 0:
                text = re.sub(r"^ +(?:user|group) haproxy\n", "", text, flags=re.MULTILINE)
            file.write_text(text)
            return [_program("haproxy"), "-db", "-f", file], {}
        case "caddy":
            text = text.replace(f"http://{DOMAIN} ", f"http://{DOMAIN}:{proxy.http_port} ")
            text = text.replace(f"https://{DOMAIN} ", f"https://{DOMAIN}:{proxy.https_port} ")
            text = text.replace("/etc/caddy/fullchain.pem", str(certificate))
            text = text.replace("/etc/caddy/privkey.pem", str(key))
            file.write_text("{\n\tadmin off\n\tauto_https disable_redirects\n}\n" + text)
            home = {"HOME": str(proxy.folder), "XDG_DATA_HOME": str(proxy.folder)}
            return [_program("caddy"), "run", "--config", file, "--adapter", "caddyfile"], home


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip(f"{name.upper()} IS NOT TESTED: install Debian's package {name}")
    return found


@contextlib.contextmanager
def _process(
    command: list[str | Path], folder: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    # The proxy gets the signal when this process dies, however it dies.
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", *map(str, command)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _wait(process: subprocess.Popen[bytes], folder: Path, ports: tuple[int, ...]) -> None:
    """Wait until the proxy accepts connections."""
    deadline = time.monotonic() + _START_SECONDS
    while not all(map(has_listener, ports)):
        log = (folder / "proxy.log").read_text(errors="replace")
        assert process.poll() is None, f"the proxy ended at its start:\n{log}"
        assert time.monotonic() < deadline, f"the proxy does not listen:\n{log}"
        time.sleep(0.02)

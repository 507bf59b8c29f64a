"""What options must satisfy together; types and ranges are checked before, each option by itself."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
from collections.abc import Iterator
from typing import Final

from tidings.app.files_options import FilesOptions
from tidings.app.listen_options import ListenerOptions
from tidings.app.options import MEMORY_URL, Config
from tidings.app.telemetry_options import TelemetryOptions
from tidings.base.jid import Jid, JidError
from tidings.base.network import is_loopback, parse_address
from tidings.gateways.http_options import ANY, HttpOptions

BrokenRule = tuple[tuple[str, ...], str]
"""The option that is wrong, and the sentence that says why."""

DATABASES: Final = ("sqlite", "postgresql", "mysql", "mariadb")
EVERY_ADDRESS: Final = "*"

_NAME_OCTETS: Final = 255
"""What the systems of files of Linux allow."""

_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\sA-Z]+")
"""What a browser sends (RFC 6454 §6.2); programs that are made of web pages have schemes of their own."""
_NO_ORIGIN: Final = "null"
"""What a page sends that was opened from a file."""
_WEB_ADDRESS: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")


def domain(name: str) -> str:
    """Give the canonical form of a domain; raises `JidError` when it is none."""
    jid = Jid(name)
    if jid.local or jid.resource:
        raise JidError(f"{name!r} is an address, not a domain")
    return str(jid)


def split_admin(entry: str) -> tuple[str, str]:
    """Split `name:password`; the name ends at the first colon, which no name can contain."""
    name, _, password = entry.partition(":")
    return name, password


def is_local_only(listener: ListenerOptions) -> bool:
    """Tell whether only programs on this machine can reach the listener."""
    return all(_is_loopback_address(address) for address in listener.addresses)


def find_mistakes(config: Config) -> Iterator[BrokenRule]:
    """Give every rule that the configuration breaks."""
    yield from _data_directory(config)
    yield from _hosts(config)
    yield from _log_in(config)
    yield from _admins(config)
    yield from _listeners(config)
    yield from _loopback_only(config)
    yield from _certificates(config)
    yield from _acme(config)
    yield from _database(config)
    yield from _limits(config)
    yield from _networks(("metrics", "networks"), config.metrics.networks)
    yield from _telemetry(config.telemetry)
    yield from _networks(("http", "trusted_proxies"), config.http.trusted_proxies)
    yield from _web_addresses(config.http)
    yield from _files(config.files)


def _telemetry(telemetry: TelemetryOptions) -> Iterator[BrokenRule]:
    endpoint = telemetry.otlp_endpoint
    if not endpoint:
        return
    place = ("telemetry", "otlp_endpoint")
    if _WEB_ADDRESS.fullmatch(endpoint) is None:
        text = (
            '`otlp_endpoint` in [telemetry] must be an address such as "http://127.0.0.1:4318", '
            f'not "{endpoint}"'
        )
        yield place, text
    if importlib.util.find_spec("opentelemetry") is None:
        text = (
            "[telemetry] needs OpenTelemetry's Python packages: install tidings with them, as tidings[otel]"
        )
        yield place, text


def _files(files: FilesOptions) -> Iterator[BrokenRule]:
    if not files.s3_bucket:
        return
    if files.directory:
        text = "`directory` and `s3_bucket` in [files] are both given; leave one of them away"
        yield ("files", "s3_bucket"), text
    if files.s3_endpoint and _WEB_ADDRESS.fullmatch(files.s3_endpoint) is None:
        text = (
            '`s3_endpoint` in [files] must be an address such as "https://s3.example.org", '
            f'not "{files.s3_endpoint}"'
        )
        yield ("files", "s3_endpoint"), text
    if bool(files.s3_access_key) != bool(files.s3_secret_key):
        text = "`s3_access_key` and `s3_secret_key` in [files] belong together; give both or none"
        yield ("files", "s3_access_key"), text
    if importlib.util.find_spec("aiobotocore") is None:
        text = "`s3_bucket` in [files] needs more Python packages: install tidings with them, as tidings[s3]"
        yield ("files", "s3_bucket"), text


def _networks(place: tuple[str, str], networks: tuple[str, ...]) -> Iterator[BrokenRule]:
    section, option = place
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield place, f'`{option}` in [{section}] must be networks such as "10.0.0.0/8", not "{network}"'


def _web_addresses(http: HttpOptions) -> Iterator[BrokenRule]:
    """Find what browsers would never send as `Origin`, and what is no address of a web server."""
    for origin in http.origins:
        if origin not in {ANY, _NO_ORIGIN} and _ORIGIN.fullmatch(origin) is None:
            text = (
                '`origins` in [http] must be web origins such as "https://chat.example.org": scheme and host '
                f'in lower case, and nothing behind; not "{origin}"'
            )
            yield ("http", "origins"), text
    if http.public_url and _WEB_ADDRESS.fullmatch(http.public_url) is None:
        text = (
            '`public_url` in [http] must be an address such as "https://chat.example.org", '
            f'not "{http.public_url}"'
        )
        yield ("http", "public_url"), text


def _limits(config: Config) -> Iterator[BrokenRule]:
    limits = config.limits
    if 0 < limits.outbound_total_bytes < limits.outbound_queue_bytes:
        yield (
            ("limits", "outbound_total_bytes"),
            (
                "`outbound_total_bytes` in [limits] is for all clients together; it must be at least "
                f"`outbound_queue_bytes`, which is {limits.outbound_queue_bytes} for one"
            ),
        )


def _data_directory(config: Config) -> Iterator[BrokenRule]:
    name = config.server.data_dir
    if "\0" in name or any(len(os.fsencode(part)) > _NAME_OCTETS for part in config.data_dir.parts):
        text = f"`data_dir` in [server] cannot be the name of a directory: {_NAME_OCTETS} octets are the most"
        yield ("server", "data_dir"), text


def _hosts(config: Config) -> Iterator[BrokenRule]:
    if not config.hosts and not config.server.domains:
        yield (
            ("server", "domains"),
            '`domains` in [server] is empty; name one, such as ["example.org"]',
        )


def _log_in(config: Config) -> Iterator[BrokenRule]:
    """Find where nobody could log in. The options of hosts are not completed yet."""
    server = config.server
    if not server.sasl and not server.sasl2:
        yield ("server", "sasl2"), "`sasl` and `sasl2` in [server] are both false; nobody could log in"
        return
    for name, host in config.hosts.items():
        sasl = server.sasl if host.sasl is None else host.sasl
        sasl2 = server.sasl2 if host.sasl2 is None else host.sasl2
        if not sasl and not sasl2:
            option = "sasl" if host.sasl is False else "sasl2"
            text = f'[host."{name}"] has neither `sasl` nor `sasl2`; nobody could log in to it'
            yield ("host", name, option), text


def _admins(config: Config) -> Iterator[BrokenRule]:
    for admin in config.server.admins:
        if reason := _no_account(admin):
            yield (
                ("server", "admins"),
                f'`admins` in [server] must be addresses such as "alice@example.org": {reason}',
            )
    for name, host in config.hosts.items():
        for admin in host.admins:
            if reason := _no_account(admin if "@" in admin else f"{admin}@{name}"):
                yield (
                    ("host", name, "admins"),
                    f'`admins` in [host."{name}"] must be names or addresses: {reason}',
                )
    for entry in config.server.create_admins:
        admin, password = split_admin(entry)
        here = ("server", "create_admins")
        if not password:
            yield here, f"an administrator to create is written `name:password`; `{admin}` has no password"
        elif reason := _no_account(admin if "@" in admin else f"{admin}@localhost"):
            yield here, f"an administrator to create is written `name:password`: {reason}"
        elif "@" in admin and Jid(admin).domain not in config.hosts:
            yield here, f"`{admin}` cannot be created: this server does not serve {Jid(admin).domain}"


def _no_account(address: str) -> str:
    try:
        jid = Jid(address)
    except JidError as error:
        return str(error)
    if jid.local and not jid.resource:
        return ""
    return f"{address!r} has {'a resource' if jid.local else 'no name before an @'}"


def _listeners(config: Config) -> Iterator[BrokenRule]:
    taken: dict[tuple[str, int], str] = {}
    listeners = config.listen.enabled()
    if not listeners:
        yield (
            ("listen", "tcp", "enabled"),
            "every listener is switched off; enable one of tcp, tls, http, https",
        )
    for name, listener in listeners.items():
        if not listener.addresses:
            text = f'`addresses` in [listen.{name}] is empty; write ["*"] or enabled = false'
            yield ("listen", name, "addresses"), text
        for address in listener.addresses:
            if not _is_address(address):
                text = f'`addresses` in [listen.{name}] are IP addresses, "localhost" or "*", not "{address}"'
                yield ("listen", name, "addresses"), text
            for (other_address, port), other in taken.items():
                if port == listener.port != 0 and other != name and _overlap(address, other_address):
                    text = f"`port` in [listen.{name}] is {port}, as in [listen.{other}]; give each its own"
                    yield ("listen", name, "port"), text
            taken[address, listener.port] = name


def _loopback_only(config: Config) -> Iterator[BrokenRule]:
    reasons = []
    if config.profile == "interop":
        reasons.append("the profile `interop`")
    if config.server.authentication == "any" or any(
        host.authentication == "any" for host in config.hosts.values()
    ):
        reasons.append('authentication = "any"')
    if config.server.reset_when_empty:
        reasons.append("reset_when_empty")
    if not reasons:
        return
    for name, listener in config.listen.enabled().items():
        if not is_local_only(listener):
            text = f'{reasons[0]} is for tests: write addresses = ["localhost"] in [listen.{name}]'
            yield ("listen", name, "addresses"), text


def _certificates(config: Config) -> Iterator[BrokenRule]:
    pairs: dict[tuple[str, ...], tuple[str, str]] = {("tls",): (config.tls.certificate, config.tls.key)}
    pairs |= {("host", name): (host.certificate, host.key) for name, host in config.hosts.items()}
    for section, (certificate, key) in pairs.items():
        title = section[0] if len(section) == 1 else f'host."{section[1]}"'
        if certificate and not key:
            yield (*section, "certificate"), f"`certificate` in [{title}] needs a `key` beside it"
        if key and not certificate:
            yield (*section, "key"), f"`key` in [{title}] needs a `certificate` beside it"


def _acme(config: Config) -> Iterator[BrokenRule]:
    acme = config.acme
    for host, options in config.hosts.items():
        for name in options.certificate_names:
            try:
                domain(name)
            except JidError as error:
                text = f'`certificate_names` in [host."{host}"] must be domains: {error}'
                yield ("host", host, "certificate_names"), text
    if bool(acme.key_id) != bool(acme.key_file):
        missing = "key_file" if acme.key_id else "key_id"
        yield ("acme", missing), f"`{missing}` in [acme] is missing: an authority gives both or neither"
    if not acme.enabled:
        return
    if importlib.util.find_spec("acme") is None:
        text = "[acme] needs the Python package `acme`: install tidings with it, as tidings[acme]"
        yield ("acme", "enabled"), text
    if not acme.accept_terms:
        text = "`accept_terms` in [acme] must be true: without that no authority issues anything"
        yield ("acme", "accept_terms"), text
    if not acme.directory.startswith("https://"):
        yield ("acme", "directory"), f'`directory` in [acme] must begin with https://, not "{acme.directory}"'
    doors = {"http-01": ("http",), "tls-alpn-01": ("https", "tls")}[acme.challenge]
    if not set(doors) & set(config.listen.enabled()):
        places = " or ".join(f"[listen.{door}]" for door in doors)
        yield ("acme", "challenge"), f'`challenge` in [acme] is "{acme.challenge}", which needs {places}'


def _database(config: Config) -> Iterator[BrokenRule]:
    url = config.database.url
    scheme, separator, rest = url.partition("://")
    known = scheme.partition("+")[0] in DATABASES and separator
    if url and url != MEMORY_URL and not known:
        text = "`url` in [database] must be memory: or begin with sqlite://, postgresql:// or mysql://"
        yield ("database", "url"), text
    elif not scheme.startswith("sqlite") and rest.count("@") > 1:
        # The rest of the password would be read as the host, and be printed as one. Nothing of it is shown.
        text = (
            "`url` in [database] has more than one @: percent-encode what stands in its user name, password "
            "and options, an @ as %40 (also : / ? # % as %3A %2F %3F %23 %25)"
        )
        yield ("database", "url"), text


def _is_address(text: str) -> bool:
    if text in {EVERY_ADDRESS, "localhost"}:
        return True
    return parse_address(text) is not None


def _is_loopback_address(text: str) -> bool:
    if text == "localhost":
        return True
    return bool(text) and is_loopback(text)


def _overlap(one: str, other: str) -> bool:
    return one == other or bool({one, other} & {EVERY_ADDRESS, "0.0.0.0", "::"})  # noqa: S104  # compared, not bound

"""`tidings check`: looks for what would keep the server from working, and says how to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from tidings.app import (
    admin_client,
    check_certificates,
    check_clock,
    check_database,
    check_dns,
    check_domains,
    check_files,
    check_machine,
    check_network,
    check_versions,
    check_world,
    extensions,
    permissions,
)
from tidings.app.finding import Finding
from tidings.app.mistakes import ConfigError
from tidings.app.options import Config
from tidings.operations.errors import OperationError


def configuration_read(config: Config) -> Finding:
    """Tell which configuration is used."""
    source = config.file or (f"profile {config.profile}" if config.profile else "no file, defaults")
    domains = ", ".join(config.domains)
    return Finding(status="ok", subject="configuration", text=f"{source}; domains: {domains}")


def extensions_loaded(config: Config) -> list[Finding]:
    """Tell what the extensions are that the configuration names."""
    loaded, _ = extensions.load(config.server.extensions)
    return [
        Finding(
            status="ok",
            subject="extension",
            text=f"{each.name}, of {each.package}: "
            + ", ".join(f"`{feature.name()}`" for feature in each.features),
        )
        for each in loaded
    ]


def configuration_mistakes(error: ConfigError) -> list[Finding]:
    """Tell every mistake of a configuration that cannot be used; nothing else can be checked then."""
    return [Finding(status="fail", subject="configuration", text=str(mistake)) for mistake in error.mistakes]


async def examine(
    config: Config, now: datetime | None = None, *, resolver: str = check_dns.NOT
) -> list[Finding]:
    """Look at everything that the configuration names; changes nothing.

    `resolver` is whom to ask for names: "" the machine's, `none` nobody, else an address.
    """
    now = now or datetime.now(UTC)
    process = _running_process(config)
    findings = [
        *check_machine.data_directory(config),
        *check_certificates.found(config, now),
        *check_network.ports(config, process),
        *_permissions(config),
        *check_machine.files(config),
        *check_machine.memory_held(config),
        *check_clock.clock(now, is_kept=check_clock.is_kept_right()),
        *check_versions.versions(config),
    ]
    stored = await check_database.database(config)
    findings += stored.findings
    findings += await check_files.bucket(config)
    findings += check_domains.administrators(config, stored.added_domains)
    findings += check_domains.former(config, stored.added_domains, stored.accounts)
    findings += check_network.security(config)
    findings += await check_dns.names(config, resolver)
    findings += await check_world.seen(config, process, resolver)
    return findings


def _running_process(config: Config) -> int:
    """Give the process id of the server on this data directory, or 0."""
    try:
        return int(admin_client.call(config.admin_socket, "server", "status", {})["process"])
    except (admin_client.UnreachableError, OperationError):
        return 0


def _permissions(config: Config) -> Iterator[Finding]:
    for subject, text, mend in permissions.open_files(config):
        yield Finding(status="warn", subject=subject, text=text, mend=mend)

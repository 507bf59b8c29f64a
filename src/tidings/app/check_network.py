"""What `tidings check` finds out about the listeners."""

from __future__ import annotations

from collections.abc import Iterator

from tidings.app import listening, rules
from tidings.app.finding import Finding
from tidings.app.options import Config


def ports(config: Config, process: int) -> Iterator[Finding]:
    """Tell whether each listener has its port; `process` is the server that runs, or 0."""
    for name, listener in config.listen.enabled().items():
        subject = f"port {listener.port}" if listener.port else f"listen.{name}"
        try:
            for bound in listening.bind(name, listener):
                bound.close()
        except listening.ListenError as error:
            holder = listening.holder_of(error.port)
            if process and holder is not None and holder[0] == process:
                text = f"{name}: in use by the running server (process {process})"
                yield Finding(status="ok", subject=subject, text=text)
            else:
                yield Finding(status="fail", subject=subject, text=f"{name}: {error.text}", mend=error.mend)
            continue
        yield Finding(status="ok", subject=subject, text=f"{name}: free on {', '.join(listener.addresses)}")


def security(config: Config) -> Iterator[Finding]:
    """Tell whether passwords may be seen on the network."""
    open_ones = [
        name for name, listener in config.listen.enabled().items() if not rules.is_local_only(listener)
    ]
    if config.tls.required == "never" and open_ones:
        yield Finding(
            status="warn",
            subject="security",
            text="passwords may cross the network in the clear: [tls] required is never",
            mend='write required = "off-loopback" in [tls]',
        )

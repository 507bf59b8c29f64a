"""MongooseIM's names: figures that a dashboard made for MongooseIM finds again, beside Tidings' own.

Given is what means the same here. Where MongooseIM has one figure for each kind of connection, the label
`connection_type` is `c2s`, since clients are all that connects; `host_type` is not given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_CLIENTS: Final = {"connection_type": "c2s"}


_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Alias(NamedTuple):
    """A figure under MongooseIM's name."""

    name: str
    source: str
    """The sample of Tidings that it is the sum of."""
    only: Mapping[str, str] = _NONE
    """The labels that a summand must have."""
    labels: Mapping[str, str] = _NONE
    """The labels under this name."""


ALIASES: Final = (
    Alias("c2s_auth_failed_count", "tidings_login_failures_total"),
    Alias("sm_session_count", "tidings_sessions"),
    Alias("sm_total_sessions_count", "tidings_sessions"),
    Alias("sm_node_sessions_count", "tidings_sessions"),
    Alias("sm_unique_sessions_count", "tidings_accounts_connected"),
    Alias("sm_session_logins", "tidings_sessions_begun_total"),
    Alias("sm_session_logouts", "tidings_sessions_ended_total"),
    Alias("xmpp_element_in_stanza_count", "tidings_stanzas_received_total", labels=_CLIENTS),
    Alias("xmpp_element_in_message_count", "tidings_stanzas_received_total", {"name": "message"}, _CLIENTS),
    Alias("xmpp_element_in_iq_count", "tidings_stanzas_received_total", {"name": "iq"}, _CLIENTS),
    Alias("xmpp_element_in_presence_count", "tidings_stanzas_received_total", {"name": "presence"}, _CLIENTS),
    Alias("xmpp_element_out_stanza_count", "tidings_stanzas_sent_total", labels=_CLIENTS),
    Alias("mod_mam_pm_lookup_count", "tidings_archive_page_seconds_count"),
    Alias("system_tcp_ports_count", "tidings_connections"),
    Alias("system_up_time_seconds", "tidings_uptime_seconds"),
)
"""The figures that are given, each with what it is."""

NOT_GIVEN: Final = (
    (
        (
            "s2s_auth_failed_count, component_auth_failed_count, mod_http_upload_…, mod_event_pusher_…, "
            "mod_muc_…, mod_mam_muc_…, mod_blocklist_…, mod_broadcast_…, wpool_rabbit_…"
        ),
        "there is nothing of that kind here that could be counted",
    ),
    (
        "c2s_message_processed_time, mod_mam_pm_lookup_time, mod_mam_pm_archive_message_time, mod_…_time",
        (
            "durations are histograms in seconds here, with other buckets: `tidings_delivery_seconds`, "
            "`tidings_archive_page_seconds`, `tidings_ledger_commit_seconds`"
        ),
    ),
    (
        "xmpp_element_…_count by message, iq and presence that are sent, and of errors",
        (
            "what goes out is counted without looking at its kind; errors by condition: "
            "`tidings_stanzas_refused_total`"
        ),
    ),
    ("xmpp_element_…_byte_size, …_data_…_byte_size", "octets are not counted"),
    (
        (
            "mod_roster_…, mod_privacy_…, sm_presence_subscription_…, mod_csi_…, mod_ping_…, mod_offline_…, "
            "mod_last_…, mod_private_…, mod_vcard_…"
        ),
        "requests are counted together, not by what they ask for",
    ),
    (
        "mod_mam_pm_archive_message_count, mod_mam_pm_flushed_…, mod_mam_pm_dropped_…, other mod_mam_pm_…",
        (
            "messages are written with inboxes and cursors in one transaction: `tidings_ledger_items_total`; "
            "none is flushed later or dropped"
        ),
    ),
    (
        "sm_message_bounced_count, router_stanza_dropped_count, router_no_route_found_count",
        "what is not delivered is answered: `tidings_stanzas_refused_total` says with which error",
    ),
    ("wpool_…", "connections to databases are not counted; `tidings_ledger_queue` says what waits"),
    ("tls_cert_remaining_days", "not counted in days here"),
    (
        (
            "system_process_queue_lengths_total, cets_info_…, mnesia_info_…, system_dist_data_…, "
            "system_memory_…, system_info_…"
        ),
        "they are about Erlang's machine; `process_…` and `python_…` are about this one",
    ),
)
"""MongooseIM's other figures, and why each is not given."""


class MongooseNames(Collector):
    """Gives figures of another collector under MongooseIM's names, too."""

    def __init__(self, figures: Collector) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Give what a scrape shows under these names."""
        samples = [sample for family in self._figures.collect() for sample in family.samples]
        for alias in ALIASES:
            family = Metric(alias.name, f"The same as {alias.source}", "unknown")
            values = [
                sample.value
                for sample in samples
                if sample.name == alias.source and alias.only.items() <= sample.labels.items()
            ]
            family.add_sample(alias.name, dict(alias.labels), sum(values))
            yield family

    def describe(self) -> list[Metric]:
        """Name the figures without reading them."""
        return [Metric(alias.name, "", "unknown") for alias in ALIASES]

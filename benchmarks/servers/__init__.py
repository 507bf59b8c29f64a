"""The servers that can be compared, by name."""

from benchmarks.servers.base import Server
from benchmarks.servers.ejabberd import Ejabberd
from benchmarks.servers.prosody import Prosody
from benchmarks.servers.tidings import Tidings

SERVERS: dict[str, type[Server]] = {server.name: server for server in (Tidings, Prosody, Ejabberd)}

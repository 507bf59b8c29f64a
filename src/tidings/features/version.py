"""Software Version: administrators and clients can see what runs here.

Implements XEP-0092 1.1; the marks § point at its sections.
"""

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.kernel.current import Current
from tidings.kernel.feature import Addressee, Feature, Spec, handles
from tidings.kernel.iq import Iq
from tidings.wire.xml.element import Element
from tidings.wire.xmpp import ns
from tidings.wire.xmpp.payloads.version import Version


class VersionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What strangers may learn about the software."""

    show_version: Annotated[bool, Meta(description="Tell which release this is.")] = True
    show_system: Annotated[bool, Meta(description="Tell the operating system, too.")] = False


class SoftwareVersion(Feature):
    """Tells the name and, unless they are hidden, the release and the operating system."""

    spec = Spec.xep(92, version="1.1", advertises=(ns.VERSION,))  # §4
    Options = VersionOptions

    def __init__(self, options: Current[VersionOptions]) -> None:
        self._options = options

    @handles(Version, kind="get", at=Addressee.SERVER)  # §3
    def tell_version(self, request: Iq[Version]) -> Element:  # noqa: ARG002 - a request says nothing
        """Answer with the same words for everybody."""
        options = self._options.now
        return Version(
            "Tidings",
            _release() if options.show_version else "hidden",  # §2: the element is required
            platform.system() if options.show_system else "",  # §5
        ).encode()


@cache
def _release() -> str:
    try:
        return version("tidings")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unreleased"

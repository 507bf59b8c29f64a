"""Stream Limits: clients learn how large a stanza may be before they send one that is too large.

Implements XEP-0478 0.2.0. The limits are options of the server, and stream negotiation itself announces them,
before and after log-in; this feature is their entry among the supported standards.
"""

from tidings.kernel.feature import Feature, Spec


class StreamLimitsAdvertisement(Feature):
    """Names the document that the stream negotiation follows."""

    spec = Spec.xep(478, version="0.2.0")

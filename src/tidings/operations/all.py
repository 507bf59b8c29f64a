"""The one catalogue from which every door is made."""

from tidings.operations import account, archive, domain, followers, retention, server, session, stanza
from tidings.operations.catalogue import Catalogue

CATALOGUE = Catalogue(
    (
        *account.OPERATIONS,
        *session.OPERATIONS,
        *stanza.OPERATIONS,
        *archive.OPERATIONS,
        *retention.OPERATIONS,
        *domain.OPERATIONS,
        *followers.OPERATIONS,
        *server.OPERATIONS,
    )
)
"""Every operation there is."""

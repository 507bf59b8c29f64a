"""The one catalogue from which every door is made."""

from tidings.operations import account, server, session, stanza
from tidings.operations.catalogue import Catalogue

CATALOGUE = Catalogue((*account.OPERATIONS, *session.OPERATIONS, *stanza.OPERATIONS, *server.OPERATIONS))
"""Every operation there is."""

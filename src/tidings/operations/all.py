"""The one catalogue from which every door is made, and what the features of extensions add to it."""

from collections.abc import Iterable

from tidings.kernel.feature import Feature
from tidings.operations import (
    account,
    account_import,
    account_list,
    account_removal,
    account_renaming,
    administrators,
    announcement,
    archive,
    certificate,
    configuration,
    domain,
    explain,
    export,
    followers,
    group,
    http_upload,
    inbox,
    invitation,
    last,
    logs,
    muc,
    muc_light,
    muc_light_changes,
    muc_people,
    muc_presence,
    muc_settings,
    offline,
    private,
    report,
    reset_link,
    retention,
    room_receipts,
    room_retention,
    roster,
    server,
    session,
    stanza,
    statistics,
    vcard,
)
from tidings.operations.catalogue import Catalogue, Operation

CATALOGUE = Catalogue(
    (
        *account.OPERATIONS,
        *account_list.OPERATIONS,
        *account_import.OPERATIONS,
        *account_removal.OPERATIONS,
        *account_renaming.OPERATIONS,
        *reset_link.OPERATIONS,
        *administrators.OPERATIONS,
        *invitation.OPERATIONS,
        *roster.OPERATIONS,
        *group.OPERATIONS,
        *vcard.OPERATIONS,
        *private.OPERATIONS,
        *report.OPERATIONS,
        *http_upload.OPERATIONS,
        *last.OPERATIONS,
        *session.OPERATIONS,
        *stanza.OPERATIONS,
        *announcement.OPERATIONS,
        *archive.OPERATIONS,
        *inbox.OPERATIONS,
        *offline.OPERATIONS,
        *muc.OPERATIONS,
        *muc_settings.OPERATIONS,
        *muc_people.OPERATIONS,
        *muc_presence.OPERATIONS,
        *room_receipts.OPERATIONS,
        *room_retention.OPERATIONS,
        *muc_light.OPERATIONS,
        *muc_light_changes.OPERATIONS,
        *explain.OPERATIONS,
        *export.OPERATIONS,
        *retention.OPERATIONS,
        *domain.OPERATIONS,
        *followers.OPERATIONS,
        *server.OPERATIONS,
        *statistics.OPERATIONS,
        *configuration.OPERATIONS,
        *certificate.OPERATIONS,
        *logs.OPERATIONS,
    )
)
"""Every operation that comes with the server."""


def operations_of(feature: type[Feature]) -> tuple[Operation, ...]:
    """Give what a feature adds to the catalogue."""
    return tuple(each for each in feature.operations if isinstance(each, Operation))


def catalogue_of(features: Iterable[type[Feature]]) -> Catalogue:
    """Give the catalogue of a server with these features."""
    added = [operation for feature in features for operation in operations_of(feature)]
    return Catalogue((*CATALOGUE, *dict.fromkeys(added))) if added else CATALOGUE

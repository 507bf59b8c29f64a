"""What administrators can ask: an operation for every door of the server."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tidings.api import ADMINISTRATORS, AccountAddress, Context, operation
from tidings_word_filter.counter import Counter


class CountOfUser(msgspec.Struct, frozen=True, kw_only=True):
    """Whose messages."""

    user: Annotated[AccountAddress, Meta(description="Address of the account, such as alice@example.org.")]


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages of the account were filtered."""

    user: AccountAddress
    filtered: int


@operation("word-filter", "count", roles=ADMINISTRATORS, subjects=("user",), changes=False)
async def count(context: Context, request: CountOfUser) -> Counted:
    """Tell how many messages of an account were filtered."""
    counter = Counter(context.stores.documents)
    return Counted(user=request.user, filtered=await counter.of(request.user))

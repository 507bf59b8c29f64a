"""The address of pages as people outside have it."""

from tidings.kernel.public_address import PublicAddress


def test_a_page_has_an_address_where_somebody_has_said_how_it_is_reached() -> None:
    urls = ["https://chat.example.org/", ""]
    address = PublicAddress(lambda: urls[0])
    assert address.of("/invite/x/t") == "https://chat.example.org/invite/x/t"
    urls.pop(0)
    assert address.of("/invite/x/t") == ""

"""The HTML that pages of secret links have in common: it loads nothing from anywhere and runs no script."""

from __future__ import annotations

import base64
import hashlib
from typing import Final, Literal

_STYLE: Final = (
    "body{font:1.1em/1.5 sans-serif;max-width:34em;margin:3em auto;padding:0 1em;color:#222;background:#fff}"
    "a.open,button{display:inline-block;padding:.6em 1.2em;border:0;border-radius:.4em;background:#0b5394;"
    "color:#fff;font:inherit;text-decoration:none}code{word-break:break-all}"
    "label{display:block}input{box-sizing:border-box;width:100%;padding:.4em;font:inherit}.wrong{color:#a00}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def headers_of(*, forms: Literal["'none'", "'self'"] = "'none'") -> dict[str, str]:
    """Give the headers that keep a link, which is a secret, with whoever has it.

    `forms` says where a form of the page may be sent to.
    """
    return {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action {forms}; "
            "frame-ancestors 'none'"
        ),
        "X-Robots-Tag": "noindex, nofollow",
    }


def page_of(title: str, content: str) -> str:
    """Write a page; both are HTML."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1>{content}</body></html>\n"
    )

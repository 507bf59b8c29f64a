"""What XML may have and streams may not (RFC 6120 §11.1), and how it is refused.

A document type must not reach expat, which reads its entities to the end even after a handler has refused it;
nor may a comment or an instruction grow while its end is awaited. So all of them are looked for before expat
is fed, where they can begin, and the handlers refuse the rest.
"""

from __future__ import annotations

import re
from pyexpat import XMLParserType, errors

from tidings.base.errors import StreamError

_LONGEST_DECLARATION = 256  # <?xml version='1.0' encoding='UTF-8' standalone='yes'?> is shorter
_DECLARATION = re.compile(rb"[ \t\r\n]*(?:<\?xml[ \t\r\n][^?]{,248}\?>[ \t\r\n]*)?")
_RESTRICTED = {
    errors.codes[errors.XML_ERROR_UNDEFINED_ENTITY],
    errors.codes[errors.XML_ERROR_ENTITY_DECLARED_IN_PE],
    errors.codes[errors.XML_ERROR_MISPLACED_XML_PI],
}
_NO_MARKUP = "comments and document types are not allowed in streams"
_NO_INSTRUCTIONS = "processing instructions are not allowed in streams"


def arm(expat: XMLParserType) -> None:
    """Have expat's handlers refuse what it finds."""
    expat.StartDoctypeDeclHandler = _refuse_doctype
    expat.CommentHandler = _refuse_comment
    expat.ProcessingInstructionHandler = _refuse_instruction
    expat.XmlDeclHandler = _check_declaration


def check_prolog(octets: bytes | bytearray) -> None:
    """Look at what stands before the root: a declaration, and nothing else. Raises `StreamError`."""
    declaration = _DECLARATION.match(octets)
    assert declaration is not None  # it may be empty
    token = bytes(octets[declaration.end() : declaration.end() + _LONGEST_DECLARATION])
    if token.startswith(b"<!"):
        raise StreamError("restricted-xml", _NO_MARKUP)
    if token.startswith(b"<?") and (len(token) == _LONGEST_DECLARATION or not _may_declare(token)):
        raise StreamError("restricted-xml", _NO_INSTRUCTIONS)


def check_unfinished(token: bytes) -> None:
    """Refuse a token that begins with <! or <? and has no end yet, if it can only be forbidden.

    What is left may become the opening of a CDATA section, or a declaration. Raises `StreamError`.
    """
    if token[:2] == b"<!":
        if token[:9] != b"<![CDATA["[: len(token)]:
            raise StreamError("restricted-xml", _NO_MARKUP)
    elif len(token) > _LONGEST_DECLARATION or not _may_declare(token):
        raise StreamError("restricted-xml", _NO_INSTRUCTIONS)


def _may_declare(token: bytes) -> bool:
    return token.startswith(b"<?xml") or b"<?xml".startswith(token)


def condition_of(code: int, octets: bytes, position: int) -> str:
    """Name the stream error (RFC 6120 §4.9.3) for what expat refuses with this code at this position."""
    if code in _RESTRICTED or octets[:position].endswith((b"<!", b"<!-")):
        return "restricted-xml"
    try:
        octets[position : position + 4].decode()
    except UnicodeDecodeError as error:
        if error.start == 0:
            return "unsupported-encoding"
    return "not-well-formed"


def _refuse_doctype(*_details: object) -> None:
    raise StreamError("restricted-xml", "document types are not allowed in streams")


def _refuse_comment(_text: str) -> None:
    raise StreamError("restricted-xml", "comments are not allowed in streams")


def _refuse_instruction(_target: str, _text: str) -> None:
    raise StreamError("restricted-xml", _NO_INSTRUCTIONS)


def _check_declaration(version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in {"utf-8", "utf8"}:
        raise StreamError("unsupported-encoding", "streams are UTF-8")
    if version != "1.0":
        raise StreamError("not-well-formed", "streams are XML 1.0")

"""The parts of a multipart/form-data body, byte for byte."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part: its name, its file's name if it is a file, and its content."""

    name: str
    file_name: str | None
    content: bytes


def parts(content_type: str, body: bytes) -> list[Part]:
    """Return the parts of a body."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if not found or not body:
        return []
    pieces = body.split(b"--" + found[1].encode())
    return [_part(piece) for piece in pieces[1:] if not piece.startswith(b"--")]


def _part(piece: bytes) -> Part:
    head, _, content = piece.partition(b"\r\n\r\n")
    text = head.decode()
    name = re.search(r'\bname="([^"]*)"', text)
    file_name = re.search(r'\bfilename="([^"]*)"', text)
    return Part(name[1] if name else "", file_name[1] if file_name else None, content.removesuffix(b"\r\n"))

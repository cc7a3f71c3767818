"""What a page holds: whether its tags close, what it would fetch, its links, its pictures without a text."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """Reads a page; AssertionError for a tag that closes another."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str | None] = []
        self.links: list[str | None] = []
        self.alts: list[str | None] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [values[name] for name in ("src", "srcset") if name in values]
        self.fetched += [values["href"]] if tag == "link" else []
        self.links += [values["href"]] if tag == "a" else []
        self.alts += [values.get("alt")] if tag == "img" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

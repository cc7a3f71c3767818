"""What a page holds: whether its tags close, what it would fetch, and what people need who do not see it."""

from __future__ import annotations

import itertools
from collections import Counter
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
        self.ids: list[str | None] = []
        self.scopes: list[str | None] = []
        self.sections: list[str | None] = []
        self.captions: list[str] = []
        self.outside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.tags.append(tag)
        if not set(self.open) & {"head", "header", "nav", "main", "footer"} and "body" in self.open:
            self.outside.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [values[name] for name in ("src", "srcset") if name in values]
        self.fetched += [values["href"]] if tag == "link" else []
        self.links += [values["href"]] if tag == "a" else []
        self.alts += [values.get("alt")] if tag == "img" else []
        self.ids += [values["id"]] if "id" in values else []
        self.scopes += [values.get("scope")] if tag == "th" else []
        self.captions += [""] if tag == "caption" else []
        if tag == "section" and "aria-label" not in values:
            self.sections.append(values.get("id"))

    def handle_data(self, data: str) -> None:
        if "caption" in self.open:
            self.captions[-1] += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def faults(html: str) -> list[str]:
    """What keeps people from a page who hear it, or use its keys alone; none of a good one."""
    page, found = Page(html), []
    count = Counter(page.tags)
    for tag in ("header", "nav", "main", "footer", "h1"):
        found += [f"{count[tag]} <{tag}>"] if count[tag] != 1 else []
    found += [
        f"<{tag}> in no landmark" for tag in page.outside if tag not in ("header", "nav", "main", "footer", "script")
    ]
    levels = [int(tag[1]) for tag in page.tags if tag in ("h1", "h2", "h3", "h4")]
    found += [f"h{a} before h{b}" for a, b in itertools.pairwise(levels) if b > a + 1]
    found += ["a header without its scope" for scope in page.scopes if scope not in ("col", "row")]
    found += [f"{count['table']} tables, {count['caption']} captions"] if count["table"] != count["caption"] else []
    found += ["an empty caption" for caption in page.captions if not caption.strip()]
    found += [f"a picture says no more than {alt!r}" for alt in page.alts if len((alt or "").split()) < 4]
    found += [f"id {name} twice" for name, times in Counter(page.ids).items() if times > 1]
    contents = [link[1:] for link in page.links if link and link.startswith("#")]
    found += [f"a link to #{name}, which is nowhere" for name in contents if name not in page.ids]
    found += ["contents and sections differ"] if contents != page.sections else []
    return found

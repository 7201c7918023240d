"""What a browser would make of a page."""
from html.parser import HTMLParser

VOID = {"meta", "br"}
INLINE = {"a", "b", "code", "i", "small"}


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._apart(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._apart(tag)

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    def _apart(self, tag: str) -> None:
        if tag not in INLINE:
            self.texts.append(" ")

    @property
    def text(self) -> str:
        """The text, in one line."""
        return " ".join("".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        """Every value of an attribute."""
        return [str(attributes[name]) for _, attributes in self.tags if name in attributes]

"""HTML: the readable part as text of our own, one block a paragraph, list item or table row."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from tools.knowledge.documents import Block, BlockKind, LoadedDocument, Unreadable, audience_of
from tools.knowledge.loaders.plain import title_from

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

_NOISE = ["script", "style", "noscript", "template", "svg", "nav", "header", "footer", "aside", "form", "iframe"]
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"\s+")
# Elements that hold a paragraph's words, not paragraphs of their own.
_INLINE = re.compile(
    "a|abbr|b|bdi|bdo|br|cite|code|data|del|dfn|em|font|i|img|ins|kbd|label|mark|q|s|samp|small|span|strong|sub|sup"
    "|time|tt|u|var|wbr"
)


def load(path: str, data: bytes) -> LoadedDocument:
    """Read an HTML file; ``<meta name="audience" content="staff">`` keeps it from customers."""
    from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        soup = BeautifulSoup(data, "lxml")
    if soup.contains_replacement_characters:
        raise Unreadable("Its characters do not fit the encoding it declares.", remedy="Save it as UTF-8.")
    meta = soup.find("meta", attrs={"name": "audience"})
    title = _title(soup, path)
    writer = _Writer(title)
    for element in soup.find_all(_NOISE):
        element.decompose()
    root = soup.find("main") or soup.find("article") or soup.body
    if root is not None:
        writer.walk(root)
    return LoadedDocument(
        path=path,
        title=title,
        audience=audience_of(meta.get("content") if meta else None, path),
        media_type="text/html",
        text=writer.text,
        blocks=tuple(writer.blocks),
    )


def _title(soup: BeautifulSoup, path: str) -> str:
    for name in ("h1", "title"):
        element = soup.find(name)
        if element is not None and (words := _words(element)):
            return words
    return title_from(path)


def _words(element: Tag) -> str:
    return _SPACE.sub(" ", element.get_text("", strip=False)).strip()


class _Writer:
    """Collects the text and where its blocks are."""

    def __init__(self, title: str) -> None:
        self.text = ""
        self.blocks: list[Block] = []
        self._title = title
        self._levels: dict[int, str] = {}

    def walk(self, element: Tag) -> None:
        """Write an element's blocks in reading order."""
        from bs4.element import NavigableString, Tag

        loose: list[str] = []
        for child in element.children:
            if isinstance(child, Tag) and not _INLINE.fullmatch(child.name):
                loose = self._flush(loose)
                self._element(child)
            elif isinstance(child, Tag):
                loose.append("\n" if child.name == "br" else child.get_text("", strip=False))
            elif type(child) is NavigableString:
                loose.append(str(child))
        self._flush(loose)

    def _flush(self, loose: list[str]) -> list[str]:
        self._write(_SPACE.sub(" ", "".join(loose)).strip())
        return []

    def _element(self, element: Tag) -> None:
        if element.name in _HEADINGS:
            self._heading(_HEADINGS[element.name], _words(element))
        elif element.name == "table":
            self._table(element)
        elif element.name == "pre":
            self._write(element.get_text("", strip=False).strip("\n"), kind="code")
        else:
            self.walk(element)

    def _heading(self, level: int, name: str) -> None:
        self._levels = {above: title for above, title in self._levels.items() if above < level}
        if name and name.casefold() != self._title.casefold():
            self._levels[level] = name

    def _table(self, table: Tag) -> None:
        names: list[str] = []
        for row in table.find_all("tr"):
            values = [_words(cell) for cell in row.find_all(["th", "td"], recursive=False)]
            if not names and row.find("td", recursive=False) is None:
                names = values
            elif len(names) == len(values):
                self._write(
                    "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True)), "row"
                )
            else:
                self._write(", ".join(filter(None, values)), "row")

    def _write(self, words: str, kind: BlockKind = "prose") -> None:
        if not words:
            return
        self.text += "\n\n" if self.text else ""
        heading = " > ".join(name for _, name in sorted(self._levels.items()))
        start = len(self.text)
        self.text += words
        self.blocks.append(Block(start=start, end=len(self.text), heading=heading, kind=kind))

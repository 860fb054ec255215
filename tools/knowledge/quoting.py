"""How a piece of source reads when it is quoted: without markup, a table row with its column names."""

from __future__ import annotations

import re
from bisect import bisect_left

# Every rule's time is linear in the text: what a rule looks ahead for is bounded, or ends at the next such mark.
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^[ \t]*(?:```|~~~|:::).*$", re.M), " "),
    (re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*+•][ \t]+|\d{1,3}[.)][ \t]+)+", re.M), ""),
    (re.compile(r"!\[([^\]\n]{0,300}+)\]\([^)\n]{0,500}+\)"), r"\1"),
    (re.compile(r"\[([^\]\n]{1,300}+)\](?:\([^)\n]{0,500}+\)|\[[^\]\n]{0,300}+\])"), r"\1"),
    (re.compile(r"<((?:https?|mailto):[^<>\s]+)>"), r"\1"),
    (re.compile(r"</?[a-z][\w-]*(?:\s[^<>]*)?/?>|</?[A-Z]\w*(?:\s[^<>]*)?/>"), " "),
)
_STRONG = re.compile(r"(\*\*|__)(?=\S)")
_STRONG_ENDS = {mark: re.compile(rf"(?<=\S)(?={re.escape(mark)})") for mark in ("**", "__")}
_LATER_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])"), r"\1"),
    (re.compile(r"(?<![\w_])_(?=[^\s_])([^_\n]+?)(?<=\S)_(?![\w_])"), r"\1"),
    (re.compile(r"\\([\\`*_{}\[\]()#+\-.!|$])"), r"\1"),
)
# Code is set aside while the rules run: what looks like markup in it is not.
_CODE = re.compile(r"(`{1,8})(?!`)([^`\n]++)\1")
_HIDE = {ord(mark): 0xE000 + index for index, mark in enumerate("<>*_[]()#`\\!|")}
_SHOW = {hidden: mark for mark, hidden in _HIDE.items()}
# A text with none of these needs no rule.
_MARKED = re.compile(r"[<*_\[`\\|#>~:•-]|^\s*[+\d]")
_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$")
_DELIMITER = re.compile(r"^[ \t]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+$")
_CELL = re.compile(r"(?<!\\)\|")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Return the text without Markdown and HTML markup, on one line; table rows read ``a, b, c``."""
    if not _MARKED.search(text):
        return _SPACE.sub(" ", text).strip()
    lines = [", ".join(filter(None, cells(line))) if _ROW.match(line) else line for line in text.split("\n")]
    text = "\n".join(line for line in lines if not _DELIMITER.match(line) or not line.strip())
    text = _CODE.sub(lambda match: match.group(2).translate(_HIDE), text)
    text = _without_comments(text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = _without_strong(text)
    for pattern, replacement in _LATER_RULES:
        text = pattern.sub(replacement, text)
    return _SPACE.sub(" ", text.translate(_SHOW)).strip()


def _without_comments(text: str) -> str:
    pieces, done = [], 0
    while (start := text.find("<!--", done)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        pieces += [text[done:start], " "]
        done = end + 3
    return "".join([*pieces, text[done:]])


def _without_strong(text: str) -> str:
    """Drop pairs of ``**`` and ``__``; where each may end is looked up, not searched for again and again."""
    ends = {mark: [match.start() for match in ending.finditer(text)] for mark, ending in _STRONG_ENDS.items()}
    pieces, done, position = [], 0, 0
    while match := _STRONG.search(text, position):
        closing = ends[match[1]]
        # There is a character between the two at least.
        place = bisect_left(closing, match.end() + 1)
        if place == len(closing):
            position = match.start() + 1
            continue
        pieces += [text[done : match.start()], text[match.end() : closing[place]]]
        done = position = closing[place] + 2
    return "".join([*pieces, text[done:]])


def quote(text: str, start: int, end: int) -> str:
    """Return one sentence of a passage's text as people should read it.

    A row of a table gets the names of its columns, as long as the header is in the same passage:
    ``Tier: Gold; Fee: $75``.
    """
    piece = text[start:end]
    if not _ROW.match(piece):
        return clean(piece)
    values = [clean(cell) for cell in cells(piece)]
    names = _columns(text[:start])
    if len(names) != len(values):
        return ", ".join(filter(None, values))
    return "; ".join(
        f"{name}: {value}" if name else value for name, value in zip(names, values, strict=True) if value
    )


def cells(row: str) -> list[str]:
    """Return the cells of a table row."""
    return [cell.strip() for cell in _CELL.split(row.strip().strip("|"))]


def _columns(before: str) -> list[str]:
    lines = before.rstrip().split("\n")
    for index in range(len(lines) - 1, 0, -1):
        if not lines[index].strip().startswith("|"):
            return []
        if _DELIMITER.match(lines[index]):
            return [clean(cell) for cell in cells(lines[index - 1])]
    return []

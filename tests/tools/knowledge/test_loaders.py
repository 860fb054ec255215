from __future__ import annotations

from pathlib import Path

import pytest

from tools.knowledge import loaders
from tools.knowledge.documents import LoadedDocument, Unreadable
from tools.knowledge.folder import count_skipped, sources
from tools.knowledge.loaders import load

MARKDOWN = """---
title: Returns
audience: staff
---
import Box from '@site/box';

# Returns

Within *60 days*.

## Fees

:::note
Free in stores.
:::

- One item
- Two items

| Tier | Fee |
|---|---|
| Gold | $75 |

```sh
return --now
```
"""

HTML = b"""<!doctype html><html><head><title>Shop | Returns</title><style>p {}</style></head><body>
<nav>Home</nav><main><h1>Returns</h1><p>Within <b>60</b> days.</p><h2>Fees</h2>
<ul><li>One item</li><li>Two <a href="x">items</a></li></ul>
<table><tr><th>Tier</th><th>Fee</th></tr><tr><td>Gold</td><td>$75</td></tr></table>
<pre>return --now</pre></main><script>track()</script></body></html>"""


def pdf(lines: str, *, keywords: str = "") -> bytes:
    """Write a PDF of one page by hand."""
    content = f"BT /F1 12 Tf 72 720 Td 14 TL {lines} ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 5 0 R "
        b"/Resources << /Font << /F1 4 0 R >> >> >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Title (Returns) /Keywords (%s) >>" % keywords.encode(),
    ]
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer << /Size 7 /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF" % len(data)
    return data + b"xref\n0 7\n0000000000 65535 f \n" + table + end


def shown(document: LoadedDocument) -> list[tuple[str, str, str]]:
    return [(block.heading, block.kind, document.text[block.start : block.end]) for block in document.blocks]


def test_markdown_is_read_with_headings_lists_tables_and_code() -> None:
    document = load("returns.md", MARKDOWN.encode())

    assert (document.title, document.audience, document.media_type) == ("Returns", "staff", "text/markdown")
    assert document.text == MARKDOWN
    assert shown(document) == [
        ("", "prose", "Within *60 days*."),
        ("Fees", "prose", "Free in stores."),
        ("Fees", "prose", "- One item"),
        ("Fees", "prose", "- Two items"),
        ("Fees", "header", "| Tier | Fee |"),
        ("Fees", "row", "| Gold | $75 |"),
        ("Fees", "code", "```sh\nreturn --now\n```"),
    ]


def test_nested_headings_are_joined_and_siblings_replace_each_other() -> None:
    document = load("a.md", b"# A\n\n## B\n\n### C\n\none\n\n## D\n\ntwo\n")

    assert shown(document) == [("B > C", "prose", "one"), ("D", "prose", "two")]


def test_windows_line_ends_do_not_shift_offsets() -> None:
    text = "# A\r\n\r\nFirst line\r\nsecond line\r\n\r\n## B\r\n\r\nThird.\r\n"

    document = load("a.md", text.encode())

    assert document.text == text
    assert shown(document) == [("", "prose", "First line\r\nsecond line"), ("B", "prose", "Third.")]


def test_html_is_read_without_navigation_and_scripts() -> None:
    document = load("returns.html", HTML)

    assert (document.title, document.audience, document.media_type) == ("Returns", "customer", "text/html")
    assert shown(document) == [
        ("", "prose", "Within 60 days."),
        ("Fees", "prose", "One item"),
        ("Fees", "prose", "Two items"),
        ("Fees", "row", "Tier: Gold; Fee: $75"),
        ("Fees", "code", "return --now"),
    ]


def test_html_can_be_for_staff() -> None:
    page = b'<html><head><meta name="audience" content="staff"></head><body><p>Secret</p></body></html>'

    assert load("a.htm", page).audience == "staff"


def test_a_pdf_is_read_with_its_title_and_audience() -> None:
    document = load("returns.pdf", pdf("(Within 60 days.) Tj", keywords="audience: staff"))

    assert (document.title, document.audience, document.media_type) == ("Returns", "staff", "application/pdf")
    assert shown(document) == [("", "prose", "Within 60 days.")]


def test_words_that_a_pdf_hyphenates_are_whole_again() -> None:
    document = load("returns.pdf", pdf("(We accept re-) Tj T* (turns for sixty days.) Tj"))

    assert document.text == "We accept returns for sixty days."


def test_plain_text_is_read_by_paragraph() -> None:
    document = load("holiday_hours.txt", b"\xef\xbb\xbfOpen daily,\n9 to 5.\n\nClosed on Sunday.\n")

    assert (document.title, document.media_type) == ("Holiday hours", "text/plain")
    assert shown(document) == [("", "prose", "Open daily,\n9 to 5."), ("", "prose", "Closed on Sunday.")]


def test_a_bare_line_of_plain_text_heads_what_follows() -> None:
    text = b"Returns\n\nFees:\n\nFree in stores.\n\nShip by Friday\nat noon\n\nOpen 9 to 5\n\nThanks\n"

    assert shown(load("a.txt", text)) == [
        ("Returns > Fees", "prose", "Free in stores."),
        ("Returns > Fees", "prose", "Ship by Friday\nat noon"),
        ("Returns > Fees", "prose", "Open 9 to 5"),
        ("Returns > Fees", "prose", "Thanks"),
    ]


def test_many_bare_lines_in_a_row_are_a_list() -> None:
    document = load("a.txt", b"Paris\n\nLyon\n\nNice\n\nWe ship to these.\n")

    assert [text for _, _, text in shown(document)] == ["Paris", "Lyon", "Nice", "We ship to these."]


def test_a_line_that_stands_alone_in_a_pdf_heads_what_follows() -> None:
    lines = "(Returns) Tj T* (You may send back whatever you have not worn) Tj T* (within 60 days.) Tj"

    assert shown(load("a.pdf", pdf(lines))) == [
        ("Returns", "prose", "You may send back whatever you have not worn\nwithin 60 days.")
    ]


def test_a_document_below_a_staff_folder_is_for_staff() -> None:
    assert load("staff/limits.txt", b"Up to $25.").audience == "staff"
    assert load("staff/limits.md", b"---\naudience: customer\n---\nUp to $25.").audience == "staff"


@pytest.mark.parametrize(
    ("path", "data", "reason"),
    [
        ("a.txt", b"caf\xe9", "It is not UTF-8 text (byte 3). Save it as UTF-8."),
        ("a.md", b"a\x00b", "It holds binary data. Check that it is really a text file."),
        ("a.md", b"---\ntitle: [a\n---\nb", "Its front matter is not valid YAML in line 3. Mend or remove it."),
        ("a.md", b"---\naudience: stff\n---\nb", "Its audience is 'stff'. Use customer or staff."),
        ("a.md", b"# Only a heading\n", "There is no text in it."),
        ("a.md", b" \n", "It is empty. Write it, or remove it."),
        ("a.html", b"<p> </p>", "There is no text in it."),
        ("a.pdf", b"%PDF-1.4 and then nothing", "It is not a readable PDF"),
        ("a.docx", b"PK", "This kind of file is not supported"),
        ("a.txt", b"a" * (loaders.MAX_BYTES + 1), "It has 20,971,521 bytes, more than 20,971,520."),
    ],
    ids=[
        "encoding",
        "binary",
        "front matter",
        "audience",
        "only a heading",
        "empty",
        "empty html",
        "broken pdf",
        "kind",
        "size",
    ],
)
def test_a_document_that_cannot_be_read_says_why(path: str, data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        load(path, data)

    assert str(caught.value).startswith(reason)


def test_hidden_files_and_links_out_of_the_folder_are_skipped(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("Secret.")
    folder = tmp_path / "knowledge"
    (folder / "more").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("a.md", ".hidden.md", ".git/b.md", "more/c.txt", "image.png"):
        (folder / name).write_text("Text.")
    (folder / "link.md").symlink_to(outside)
    (folder / "inside.md").symlink_to(folder / "a.md")

    assert [source.path for source in sources(folder)] == ["a.md", "inside.md", "more/c.txt"]
    assert count_skipped(folder) == 1

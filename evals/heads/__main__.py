"""Makes the trained parts: ``python -m evals.heads --data DIR [--only NAME]``."""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio

from evals.heads.base import Train, Trained
from policies.errors import HandrailError
from tools.encoder.opening import DEFAULT, open_encoder
from tools.guards.head import save_head

TRAINERS: Mapping[str, str] = {
    "injection": "evals.heads.injection",
    "personal_data": "evals.heads.personal_data",
    "groundedness": "evals.heads.groundedness",
    "matching": "evals.heads.matching",
}
"""The module with ``train`` of each head."""
DESIGN = Path(__file__).resolve().parents[2] / "design" / "heads.md"
INTRO = Path(__file__).with_name("intro.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the heads that were asked for, keep them and their figures; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m evals.heads", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the public data")
    parser.add_argument(
        "--only", action="append", choices=sorted(TRAINERS), help="train this head; may be repeated"
    )
    parser.add_argument("--cache", type=Path, default=Path(".data/cache"), help="folder of the exported encoder")
    parser.add_argument("--encoder", default=DEFAULT, help="whose vectors the heads learn from")
    parser.add_argument("--heads", type=Path, help="folder that the heads are written to")
    parser.add_argument("--design", type=Path, default=DESIGN, help="page that the figures are written to")
    asked = parser.parse_args(arguments)
    try:
        anyio.run(_make, asked)
    except (HandrailError, OSError) as error:
        _announce(str(error))
        return 1
    return 0


async def _make(asked: argparse.Namespace) -> None:
    asked.cache.mkdir(parents=True, exist_ok=True)
    async with open_encoder(asked.encoder, asked.cache, _announce) as encoder:
        for name in asked.only or TRAINERS:
            train: Train = importlib.import_module(TRAINERS[name]).train
            trained = await train(asked.data.resolve(), encoder, _announce)
            keep(trained, asked.heads, asked.design)
            sys.stdout.write(trained.report + "\n")


def keep(trained: Trained, heads: Path | None, design: Path) -> None:
    """Write a head, into its own folder without ``heads``, and its section of the page; the others stay."""
    heads = heads or trained.folder
    size = save_head(trained.name, trained.head, heads)
    _announce(f"{trained.name}: {size:,} bytes in {heads}")
    written = design.read_text() if design.exists() else ""
    design.write_text(with_section(written, trained.name, trained.report))


def with_section(page: str, name: str, report: str) -> str:
    """Return the page with this section new, the sections sorted by name, under the introduction."""
    parts = re.split(r"^## (\w+)\n", page, flags=re.MULTILINE)
    sections = {head: body.strip() for head, body in zip(parts[1::2], parts[2::2], strict=True)}
    sections[name] = report.strip()
    told = [f"## {each}\n\n{sections[each]}\n" for each in sorted(sections)]
    return "\n".join([INTRO.read_text().rstrip() + "\n", *told])


def _announce(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

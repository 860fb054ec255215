"""Trains the head of groundedness: a logistic regression over what speaks for a claim and what against it.

It learns from BEGIN and from claims made of the sample's own articles. WiCE is not learned from (a part of it is
under a share-alike licence), so its figures are those of a set that the head has never seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from evals.heads.base import COMMAND, Announce, Trained, source_of
from evals.heads.groundedness_pairs import Pair, pairs
from evals.metrics import Figure, auroc, calibration_error, share
from graphs.settings import INSTALLED_SAMPLE, SAMPLE
from policies.types import JSON
from tools.encoder.ports import Encoder, Vectors
from tools.guards.groundedness import NAME, cut
from tools.guards.head import Head
from tools.guards.support_features import FEATURES, OTHERWISE, SPEAKING, nearest, weigh
from tools.wording import words

SEED = 7
FOLDS = 10
PENALTY = 3.0
"""What a squared weight costs, features having spread 1."""
OWN_SHARE = 0.5
"""Weight of all claims made of our articles together, beside 1 for a public set."""
CONTRADICTED = (0.1, 0.3)
"""The least and the most that a claim with a contradiction keeps of its probability, whatever the data say."""
PER_SET = 600.0
WICE = "grounding/wice/dev.jsonl"
BEGIN = ("grounding/begin/cmu.jsonl", "grounding/begin/wow.jsonl")
BEGIN_LICENCE = "CC BY 4.0"
OWN = "own"

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A reply with its sources."""

    of: str
    """Its set."""
    group: str
    claims: tuple[str, ...]
    sources: tuple[str, ...]
    above: str
    supported: bool
    kind: str = ""


@dataclass(frozen=True, kw_only=True)
class _Weighed:
    """A case in numbers: one row of features for each claim, and what the floors say."""

    case: _Case
    rows: Numbers
    lexical: float
    similar: float


@dataclass(frozen=True, kw_only=True)
class _Model:
    """Weights of the features as they come, not scaled."""

    weights: Numbers
    bias: float
    contradicted: float = 1.0

    def plain(self, case: _Weighed) -> float:
        """Return the probability of the weakest claim, contradictions being features like others."""
        return float(self._each(case).min())

    def score(self, case: _Weighed) -> float:
        """Return the same as it is served: lowered where there is a contradiction."""
        flagged = case.rows[:, _FLAGS].any(axis=1)
        return float((self._each(case) * np.where(flagged, self.contradicted, 1.0)).min())

    def _each(self, case: _Weighed) -> Numbers:
        each: Numbers = 1 / (1 + np.exp(-(case.rows @ self.weights + self.bias)))
        return each


_FLAGS = [FEATURES.index(name) for name in OTHERWISE]
_FOR = np.array([name in SPEAKING for name in FEATURES])
_COVERED, _NOVEL = FEATURES.index("covered"), FEATURES.index("novel")


async def train(data: Path, encoder: Encoder, announce: Announce, *, articles: Path | None = None) -> Trained:
    """Train the head, and measure it where it had not learned.

    ``articles`` is the folder of Markdown files that claims are made of; the sample's knowledge when None.
    """
    public = {path.split("/")[1] + "-" + Path(path).stem: path for path in (*BEGIN, WICE)}
    cases = [case for of, path in public.items() for case in _public(of, data / path)]
    cases += [_own(pair) for pair in pairs(articles or sample() / "knowledge", SEED)]
    announce(f"encoding the sentences of {len(cases)} claims and their sources")
    weighed = await _weigh(cases, encoder)
    announce("training the head of groundedness, ten folds and across sets")
    return await anyio.to_thread.run_sync(_trained, data, encoder.id, weighed)


def sample() -> Path:
    """Return the folder of the sample assistant, in a checkout or as installed."""
    return SAMPLE if SAMPLE.is_dir() else INSTALLED_SAMPLE


def _public(of: str, file: Path) -> Iterator[_Case]:
    for number, line in enumerate(file.read_text().splitlines()):
        row = json.loads(line)
        sources, reply = row["input"]["sources"], row["input"]["reply"]
        pieces = [piece for source in sources for piece in cut(source)]
        yield _Case(
            of=of,
            # What rests on one source is in one fold; articles are never the same in WiCE.
            group=f"{of}/{number if len(sources) > 1 else sources[0][:120]}",
            claims=tuple(cut(reply)),
            sources=tuple(pieces[n] for n in nearest(reply, pieces)),
            above="",
            supported=row["expected"]["supported"],
        )


def _own(pair: Pair) -> _Case:
    return _Case(
        of=OWN,
        group=f"{OWN}/{pair.group}",
        claims=(pair.claim,),
        sources=pair.sources,
        above=pair.above,
        supported=pair.supported,
        kind=pair.kind,
    )


async def _weigh(cases: Sequence[_Case], encoder: Encoder) -> list[_Weighed]:
    texts = list(dict.fromkeys(text for case in cases for text in (*case.claims, *case.sources)))
    vectors = dict(zip(texts, await encoder.encode(texts), strict=True))
    return await anyio.to_thread.run_sync(lambda: [_weigh_one(case, vectors) for case in cases])


def _weigh_one(case: _Case, vectors: dict[str, Vectors]) -> _Weighed:
    stated = np.stack([vectors[text] for text in case.sources])
    rows = [weigh(each, case.sources, vectors[each], stated, case.above).features for each in case.claims]
    said = words(" ".join(case.claims))
    held = words(" ".join((case.above, *case.sources)))
    return _Weighed(
        case=case,
        rows=np.stack(rows),
        lexical=len(said & held) / len(said) if said else 1.0,
        similar=min(float((stated @ vectors[each]).max()) for each in case.claims),
    )


def _trained(data: Path, encoder: str, weighed: list[_Weighed]) -> Trained:
    learned = [each for each in weighed if not each.case.of.startswith("wice")]
    model, judged = _fit_served(learned)
    unseen = [each for each in weighed if each.case.of.startswith("wice")]
    report = _report(learned, judged, unseen, model, weighed)
    about: JSON = {
        "command": COMMAND,
        "seed": SEED,
        "encoder": encoder,
        "features": list(FEATURES),
        "data": [source_of(data, path, BEGIN_LICENCE, _count(weighed, path)) for path in BEGIN],
        "own": {"file": "handrail/samples/support/knowledge", "rows": _count(weighed, OWN)},
        "weights": dict(zip(FEATURES, (round(float(each), 3) for each in model.weights), strict=True)),
        "figures": _figures(learned, judged, unseen, model),
    }
    arrays = {
        "weights": model.weights.astype(np.float32),
        "bias": np.array(model.bias, np.float32),
        "contradicted": np.array(model.contradicted, np.float32),
    }
    return Trained(name=NAME, head=Head(arrays=arrays, about=about), report=report)


def _count(weighed: Sequence[_Weighed], path: str) -> int:
    return sum(each.case.of.endswith(Path(path).stem) for each in weighed)


def _fit_served(cases: Sequence[_Weighed]) -> tuple[_Model, Numbers]:
    """Fit on all cases; return the model, and what models that had not learned a case say of it."""
    plain, served = np.zeros(len(cases)), np.zeros(len(cases))
    for fold in folds([each.case.group for each in cases]):
        rest = np.setdiff1d(np.arange(len(cases)), fold)
        model = _fit([cases[n] for n in rest])
        model = _with_contradicted(model, [cases[n] for n in rest])
        plain[fold] = [model.plain(cases[n]) for n in fold]
        served[fold] = [model.score(cases[n]) for n in fold]
    return _with_contradicted(_fit(cases), cases), served


def _with_contradicted(model: _Model, cases: Sequence[_Weighed]) -> _Model:
    """Lower the probability of claims with a contradiction to how often such a claim is borne out all the same."""
    flagged = [each for each in cases if each.rows[:, _FLAGS].any() and len(each.case.claims) == 1]
    told = sum(model.plain(each) for each in flagged)
    true = sum(each.case.supported for each in flagged)
    contradicted = float(np.clip(true / told if told else 0.0, *CONTRADICTED))
    return _Model(weights=model.weights, bias=model.bias, contradicted=contradicted)


def folds(groups: Sequence[str]) -> list[Rows]:
    """Cut rows into ``FOLDS`` parts of about the same size, all of a group in one."""
    places: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        places.setdefault(group, []).append(row)
    order = np.random.default_rng(SEED).permutation(len(places))
    parts: list[list[int]] = [[] for _ in range(FOLDS)]
    several = list(places.values())
    for place in order:
        min(parts, key=len).extend(several[place])
    return [np.array(part, np.intp) for part in parts if part]


def _fit(cases: Sequence[_Weighed]) -> _Model:
    """Fit weights whose signs are given: what speaks for a claim never counts against it."""
    from scipy.optimize import minimize

    rows, truth, count = _examples(cases)
    middle, spread = np.average(rows, axis=0, weights=count), rows.std(axis=0) + 1e-9
    scaled = (rows - middle) / spread
    sign = np.where(truth, 1.0, -1.0)

    def loss(given: Numbers) -> tuple[float, Numbers]:
        margin = sign * (scaled @ given[:-1] + given[-1])
        missed = count * sign / (1 + np.exp(margin))
        value = float(count @ np.logaddexp(0, -margin) + PENALTY / 2 * given[:-1] @ given[:-1])
        return value, np.append(-(missed @ scaled) + PENALTY * given[:-1], -missed.sum())

    bounds: list[Any] = [(0, None) if each else (None, 0) for each in _FOR]
    found = minimize(
        loss, np.zeros(len(FEATURES) + 1), jac=True, bounds=[*bounds, (None, None)], method="L-BFGS-B"
    ).x
    weights: Numbers = found[:-1] / spread
    return _Model(weights=weights, bias=float(found[-1] - weights @ middle))


def _examples(cases: Sequence[_Weighed]) -> tuple[Numbers, NDArray[np.bool_], Numbers]:
    """Return rows to learn from: all claims of what is borne out, of what is not the one least like its source."""
    rows: list[Numbers] = []
    truth: list[bool] = []
    count: list[float] = []
    totals = {of: sum(each.case.of == of for each in cases) for of in {each.case.of for each in cases}}
    for each in cases:
        kept = each.rows if each.case.supported else each.rows[[_least(each.rows)]]
        whole = PER_SET * (OWN_SHARE if each.case.of == OWN else 1.0) / totals[each.case.of]
        rows += list(kept)
        truth += [each.case.supported] * len(kept)
        count += [whole / len(kept)] * len(kept)
    return np.stack(rows), np.array(truth), np.array(count)


def _least(rows: Numbers) -> int:
    return int((rows[:, _COVERED] - 0.3 * rows[:, _NOVEL]).argmin())


def _area(cases: Sequence[_Weighed], scores: Sequence[float]) -> Figure:
    return auroc(scores, [each.case.supported for each in cases])


def _plain_area(cases: Sequence[_Weighed], scores: Sequence[float]) -> float:
    """Return the same without its interval, which costs a thousand rounds."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([each.case.supported for each in cases], scores))


def _figures(learned: Sequence[_Weighed], judged: Numbers, unseen: Sequence[_Weighed], model: _Model) -> JSON:
    truth = [each.case.supported for each in learned]
    far = [model.score(each) for each in unseen]
    return {
        "auroc_cross_validated": round(_plain_area(learned, list(judged)), 3),
        "ece_cross_validated": round(calibration_error(list(judged), truth).value, 3),
        "auroc_wice_unseen": round(_plain_area(unseen, far), 3),
        "ece_wice_unseen": round(calibration_error(far, [each.case.supported for each in unseen]).value, 3),
    }


def _report(
    learned: Sequence[_Weighed],
    judged: Numbers,
    unseen: Sequence[_Weighed],
    model: _Model,
    weighed: Sequence[_Weighed],
) -> str:
    lines = [
        "Learned from BEGIN (CC BY 4.0) and from claims made of the sample's articles, never from WiCE.",
        "AUROC of supported against unsupported, ten folds by source or article (WiCE: unseen); held back at 0.5.",
        "",
        "| set | claims | shared words | nearest vector | both | head | ECE | unsupported held back | supported "
        "held back |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    said = {id(each): float(score) for each, score in zip(learned, judged, strict=True)}
    said |= {id(each): model.score(each) for each in unseen}
    sets = dict.fromkeys(each.case.of for each in weighed)
    lines += [_row(of, [each for each in weighed if each.case.of == of], said) for of in sets]
    return "\n".join([*lines, "", *_across(weighed), "", *_kinds(learned, said)])


def _row(of: str, cases: Sequence[_Weighed], said: dict[int, float]) -> str:
    scores = [said[id(each)] for each in cases]
    areas = [
        _area(cases, [each.lexical for each in cases]),
        _area(cases, [each.similar for each in cases]),
        _area(cases, [each.lexical + each.similar for each in cases]),
        _area(cases, scores),
    ]
    error = calibration_error(scores, [each.case.supported for each in cases])
    held = [share(sum(said[id(each)] < 0.5 for each in some), len(some)) for some in _halves(cases)]
    return f"| {of} | {len(cases)} | {' | '.join(map(_told, [*areas, error, *held]))} |"


def _halves(cases: Sequence[_Weighed]) -> tuple[list[_Weighed], list[_Weighed]]:
    """Return the cases that are not supported, and those that are."""
    return [each for each in cases if not each.case.supported], [each for each in cases if each.case.supported]


def _told(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _across(weighed: Sequence[_Weighed]) -> list[str]:
    """Return a table of models that learned from one set and are judged on another."""
    sets = list(dict.fromkeys(each.case.of for each in weighed))
    lines = ["Learned from one set alone, judged on another (AUROC):", "", f"| from | {' | '.join(sets)} |"]
    lines.append("|---" * (len(sets) + 1) + "|")
    for of in sets:
        cases = [each for each in weighed if each.case.of == of]
        model = _with_contradicted(_fit(cases), cases)
        cells = []
        for other in sets:
            rest = [each for each in weighed if each.case.of == other]
            cells.append("" if other == of else f"{_plain_area(rest, [model.score(each) for each in rest]):.3f}")
        lines.append(f"| {of} | {' | '.join(cells)} |")
    return lines


def _kinds(learned: Sequence[_Weighed], said: dict[int, float]) -> list[str]:
    """Return a table of how the claims made of our articles are judged, by how they were made."""
    lines = ["Claims made of the sample's articles, articles not learned from, passed at 0.5:", ""]
    lines += ["| made by | supported | claims | passed |", "|---|---|---|---|"]
    own = [each for each in learned if each.case.of == OWN]
    for supported, kind in sorted({(each.case.supported, each.case.kind) for each in own}, reverse=True):
        cases = [each for each in own if (each.case.supported, each.case.kind) == (supported, kind)]
        passed = share(sum(said[id(each)] > 0.5 for each in cases), len(cases))
        lines.append(f"| {kind} | {'yes' if supported else 'no'} | {len(cases)} | {_told(passed)} |")
    return lines

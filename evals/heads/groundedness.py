"""Trains the head of groundedness: two logistic regressions over what speaks for a claim and what against it.

The first weighs words and contradictions; it learns from BEGIN and from claims made of the sample's own
articles. The second weighs how a claim in words of its own lies over its sources, and learns from rewordings too.
WiCE is not learned from (a part of it is under a share-alike licence), nor are the readings, which were written to
be hard; their figures are those of unseen sets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from evals import measures
from evals.figures import CALLED_ROUNDS
from evals.heads.base import COMMAND, Announce, Trained, source_of
from evals.heads.groundedness_pairs import Pair, pairs
from evals.heads.groundedness_replies import FILE, replies
from evals.heads.readings import FOLDER, read_all, written
from evals.metrics import Figure, share
from graphs.settings import INSTALLED_SAMPLE, SAMPLE
from policies.firmness import misstates_firmness
from policies.types import JSON
from tools.encoder.ports import Encoder, TokenEncoder, Vectors
from tools.guards.groundedness import NAME, Supported, Weights, cut
from tools.guards.head import Head
from tools.guards.support_alignment import FEATURES as ALIGNED
from tools.guards.support_alignment import FOR, MOST_TOLD, Aligned, Spelled, align, spelled
from tools.guards.support_features import FEATURES, MOST_SOURCES, OTHERWISE, SPEAKING, Weighed, nearest, weigh
from tools.wording import words

SEED = 7
FOLDS = 10
PENALTY = 3.0
"""What a squared weight costs, features having spread 1."""
PUBLIC_SHARE = 0.3
"""Weight of the public sets in the second regression, beside 1 for rewordings."""
OWN_SHARE = 0.5
"""Weight of all claims made of our articles together, beside 1 for a public set."""
CONTRADICTED = (0.2, 0.3)
"""The least and the most that a claim with a contradiction keeps of its probability, whatever the data say."""
PER_SET = 600.0
WICE = "grounding/wice/dev.jsonl"
BEGIN = ("grounding/begin/cmu.jsonl", "grounding/begin/wow.jsonl")
BEGIN_LICENCE = "CC BY 4.0"
OWN, REPLIES, READINGS = "own", "replies", "readings"
UNSEEN = ("wice-dev", READINGS)
"""What is never learned from."""
LAID_OVER = ("said", "elsewhere", "half", "injection")
"""The kinds of rewordings that the second regression learns from: the others differ in a word, not in place."""
LENIENT = 0.9
"""Added to the second regression, whose claims are half false, more than a language model's are."""
ENCODED = 64
"""How many texts are put into words at once."""

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
    found: tuple[Weighed, ...]
    laid: tuple[Aligned | None, ...]
    firm: tuple[bool, ...]
    lexical: float
    similar: float


@dataclass(frozen=True, kw_only=True)
class _Model:
    """Weights of the features as they come, not scaled."""

    weights: Numbers
    bias: float
    contradicted: float = 1.0
    reworded: Numbers | None = None
    """The weights of the second regression, its bias last."""

    @cached_property
    def served(self) -> Weights:
        """The head as the guard has it."""
        return Weights(Head(arrays=self.arrays(), about={"features": list(FEATURES), "reworded": list(ALIGNED)}))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return what is kept."""
        reworded = np.zeros(len(ALIGNED) + 1) if self.reworded is None else self.reworded
        return {
            "weights": self.weights.astype(np.float32),
            "bias": np.array(self.bias, np.float32),
            "contradicted": np.array(self.contradicted, np.float32),
            "reworded_weights": reworded[:-1].astype(np.float32),
            "reworded_bias": np.array(reworded[-1], np.float32),
        }

    def judged(self, case: _Weighed) -> Supported:
        """Return what the guard finds of the weakest claim."""
        each = zip(case.found, case.laid, case.firm, strict=True)
        found = [self.served.judge(weighed, laid, firm=firm) for weighed, laid, firm in each]
        return min(found, key=lambda one: one.probability)

    def plain(self, case: _Weighed) -> float:
        """Return the probability of the weakest claim, contradictions being features like others."""
        return float(self._each(case).min())

    def score(self, case: _Weighed) -> float:
        """Return the probability as it is served."""
        return self.judged(case).probability

    def _each(self, case: _Weighed) -> Numbers:
        each: Numbers = 1 / (1 + np.exp(-(case.rows @ self.weights + self.bias)))
        return each


_FLAGS = [FEATURES.index(name) for name in OTHERWISE]
_FOR = np.array([name in SPEAKING for name in FEATURES])
_COVERED, _NOVEL = FEATURES.index("covered"), FEATURES.index("novel")


async def train(
    data: Path,
    encoder: Encoder,
    announce: Announce,
    *,
    articles: Path | None = None,
    rewordings: Path = FILE,
    readings: Path = FOLDER,
    rounds: int = CALLED_ROUNDS,
) -> Trained:
    """Train the head, and measure it where it had not learned.

    ``articles`` is the folder of Markdown files that claims are made of; the sample's knowledge when None.
    ``rewordings`` are passages with what can be said of them in other words, ``readings`` articles with the same,
    to be judged by. An interval takes ``rounds``.
    """
    public = {path.split("/")[1] + "-" + Path(path).stem: path for path in (*BEGIN, WICE)}
    cases = [case for of, path in public.items() for case in _public(of, data / path)]
    cases += [_own(pair, OWN) for pair in pairs(articles or sample() / "knowledge", SEED)]
    cases += [_own(pair, REPLIES) for pair in replies(SEED, rewordings)]
    cases += [_own(pair, READINGS) for pair in written(read_all(readings))]
    announce(f"encoding the sentences of {len(cases)} claims and their sources")
    weighed = await _weigh(cases, encoder)
    announce("training the head of groundedness, ten folds and across sets")
    return await anyio.to_thread.run_sync(_trained, data, encoder.id, weighed, rounds)


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


def _own(pair: Pair, of: str) -> _Case:
    return _Case(
        of=of,
        group=f"{of}/{pair.group}",
        claims=(pair.claim,),
        sources=pair.sources,
        above=pair.above,
        supported=pair.supported,
        kind=pair.kind,
    )


async def _weigh(cases: Sequence[_Case], encoder: Encoder) -> list[_Weighed]:
    texts = list(dict.fromkeys(text for case in cases for text in (*case.claims, *case.sources)))
    words = await _in_words(texts, encoder)
    vectors = dict(zip(texts, await encoder.encode(texts), strict=True))
    return await anyio.to_thread.run_sync(lambda: [_weigh_one(case, vectors, words) for case in cases])


async def _in_words(texts: Sequence[str], encoder: Encoder) -> dict[str, Spelled]:
    if not isinstance(encoder, TokenEncoder):
        raise TypeError(f"the encoder {encoder.id} gives no pieces of texts")
    found: dict[str, Spelled] = {}
    for first in range(0, len(texts), ENCODED):
        some = texts[first : first + ENCODED]
        found |= {text: spelled(text, each) for text, each in zip(some, await encoder.tokens(some), strict=True)}
    return found


def _weigh_one(case: _Case, vectors: dict[str, Vectors], words_of: dict[str, Spelled]) -> _Weighed:
    stated = np.stack([vectors[text] for text in case.sources])
    found = [weigh(each, case.sources, vectors[each], stated, case.above) for each in case.claims]
    laid = [_laid(each, case, vectors[each], stated, words_of) for each in case.claims]
    whole = " ".join((case.above, *case.sources))
    said = words(" ".join(case.claims))
    held = words(whole)
    return _Weighed(
        case=case,
        rows=np.stack([each.features for each in found]),
        found=tuple(found),
        laid=tuple(laid),
        firm=tuple(
            each is not None and misstates_firmness(claim, each.lying, whole)
            for claim, each in zip(case.claims, laid, strict=True)
        ),
        lexical=len(said & held) / len(said) if said else 1.0,
        similar=min(float((stated @ vectors[each]).max()) for each in case.claims),
    )


def _laid(
    claim: str, case: _Case, vector: Vectors, stated: Vectors, words_of: dict[str, Spelled]
) -> Aligned | None:
    if len(case.sources) >= MOST_SOURCES:
        return None
    rows = sorted(np.argsort(stated @ vector, kind="stable")[::-1][:MOST_TOLD].tolist())
    sources = [words_of[case.sources[n]] for n in rows]
    return align(words_of[claim], sources, vector, stated[rows], case.above)


def _trained(data: Path, encoder: str, weighed: list[_Weighed], rounds: int) -> Trained:
    learned = [each for each in weighed if each.case.of not in UNSEEN]
    model, judged = _fit_served(learned)
    unseen = [each for each in weighed if each.case.of in UNSEEN]
    report = _report(learned, judged, unseen, model, weighed, rounds)
    about: JSON = {
        "command": COMMAND,
        "seed": SEED,
        "encoder": encoder,
        "features": list(FEATURES),
        "reworded": list(ALIGNED),
        "data": [source_of(data, path, BEGIN_LICENCE, _count(weighed, path)) for path in BEGIN],
        "own": [
            {"file": "handrail/samples/support/knowledge", "rows": _count(weighed, OWN)},
            {"file": f"evals/heads/{FILE.name}", "rows": _count(weighed, REPLIES)},
        ],
        "weights": dict(zip(FEATURES, (round(float(each), 3) for each in model.weights), strict=True)),
        "figures": _figures(learned, judged, unseen, model, rounds),
    }
    return Trained(name=NAME, head=Head(arrays=model.arrays(), about=about), report=report)


def _count(weighed: Sequence[_Weighed], path: str) -> int:
    return sum(each.case.of.endswith(Path(path).stem) for each in weighed)


def _fit_served(cases: Sequence[_Weighed]) -> tuple[_Model, Numbers]:
    """Fit on all cases; return the model, and what models that had not learned a case say of it."""
    served = np.zeros(len(cases))
    for fold in folds([each.case.group for each in cases]):
        rest = np.setdiff1d(np.arange(len(cases)), fold)
        model = _whole([cases[n] for n in rest])
        served[fold] = [model.score(cases[n]) for n in fold]
    return _whole(cases), served


def _whole(cases: Sequence[_Weighed]) -> _Model:
    """Fit both regressions, and how much a contradiction takes."""
    first = _with_contradicted(_fit([each for each in cases if each.case.of != REPLIES]), cases)
    return replace(first, reworded=_fit_reworded(cases))


def _fit_reworded(cases: Sequence[_Weighed]) -> Numbers:
    """Fit the second regression: half of the weight is that of public sets, and either answer weighs the same."""
    some = [each for each in cases if each.case.of not in (OWN, REPLIES) or each.case.kind in LAID_OVER]
    laid_over = [
        (laid.features, each)
        for each in some
        for laid in each.laid
        if laid is not None and (each.case.supported or len(each.laid) == 1)
    ]
    rows = np.stack([features for features, _ in laid_over])
    truth = np.array([each.case.supported for _, each in laid_over])
    mine = np.array([each.case.of == REPLIES for _, each in laid_over])
    count = np.zeros(len(rows))
    for part in (mine, ~mine):
        for answer in (True, False):
            those = part & (truth == answer)
            count[those] = PER_SET / max(1, int(those.sum())) * (1.0 if part is mine else PUBLIC_SHARE)
    speaking = np.array([name in FOR for name in ALIGNED])
    weights, bias = _regression(rows, truth, count, speaking)
    return np.append(weights, bias + LENIENT)


def _with_contradicted(model: _Model, cases: Sequence[_Weighed]) -> _Model:
    """Lower the probability of claims with a contradiction to how often such a claim is borne out all the same."""
    flagged = [each for each in cases if each.rows[:, _FLAGS].any() and len(each.case.claims) == 1]
    flagged = [each for each in flagged if each.case.of != REPLIES]
    told = sum(model.plain(each) for each in flagged)
    true = sum(each.case.supported for each in flagged)
    contradicted = float(np.clip(true / told if told else 0.0, *CONTRADICTED))
    return replace(model, contradicted=contradicted)


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
    """Fit the first regression."""
    rows, truth, count = _examples(cases)
    weights, bias = _regression(rows, truth, count, _FOR)
    return _Model(weights=weights, bias=bias)


def _regression(
    rows: Numbers, truth: NDArray[np.bool_], count: Numbers, speaking: NDArray[np.bool_]
) -> tuple[Numbers, float]:
    """Fit weights whose signs are given: what speaks for a claim never counts against it."""
    from scipy.optimize import minimize

    middle, spread = np.average(rows, axis=0, weights=count), rows.std(axis=0) + 1e-9
    scaled = (rows - middle) / spread
    sign = np.where(truth, 1.0, -1.0)

    def loss(given: Numbers) -> tuple[float, Numbers]:
        margin = sign * (scaled @ given[:-1] + given[-1])
        missed = count * sign / (1 + np.exp(margin))
        value = float(count @ np.logaddexp(0, -margin) + PENALTY / 2 * given[:-1] @ given[:-1])
        return value, np.append(-(missed @ scaled) + PENALTY * given[:-1], -missed.sum())

    bounds: list[Any] = [(0, None) if each else (None, 0) for each in speaking]
    found = minimize(
        loss, np.zeros(rows.shape[1] + 1), jac=True, bounds=[*bounds, (None, None)], method="L-BFGS-B"
    ).x
    weights: Numbers = found[:-1] / spread
    return weights, float(found[-1] - weights @ middle)


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


def _area(cases: Sequence[_Weighed], scores: Sequence[float], rounds: int) -> Figure:
    return replace(measures.auroc(scores, [each.case.supported for each in cases]), rounds=rounds).figure()


def _error(cases: Sequence[_Weighed], scores: Sequence[float], rounds: int) -> Figure:
    truth = [each.case.supported for each in cases]
    return replace(measures.calibration_error(scores, truth), rounds=rounds).figure()


def _plain_area(cases: Sequence[_Weighed], scores: Sequence[float]) -> float:
    """Return the same without its interval, which costs a thousand rounds."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([each.case.supported for each in cases], scores))


def _figures(
    learned: Sequence[_Weighed], judged: Numbers, unseen: Sequence[_Weighed], model: _Model, rounds: int
) -> JSON:
    unseen = [each for each in unseen if each.case.of != READINGS]
    far = [model.score(each) for each in unseen]
    return {
        "auroc_cross_validated": round(_plain_area(learned, list(judged)), 3),
        "ece_cross_validated": round(_error(learned, list(judged), rounds).value, 3),
        "auroc_wice_unseen": round(_plain_area(unseen, far), 3),
        "ece_wice_unseen": round(_error(unseen, far, rounds).value, 3),
    }


def _report(
    learned: Sequence[_Weighed],
    judged: Numbers,
    unseen: Sequence[_Weighed],
    model: _Model,
    weighed: Sequence[_Weighed],
    rounds: int,
) -> str:
    lines = [
        "Learned from BEGIN (CC BY 4.0), from claims made of the sample's articles and from rewordings written",
        "for it (`evals/heads/groundedness_replies.yaml`), never from WiCE, nor from the readings: help articles",
        "of 36 invented organisations with faithful sentences and wrong ones as near to their words, all by hand.",
        "AUROC of supported against unsupported, ten folds by source or article (WiCE and readings: unseen);",
        "held back at 0.5.",
        "",
        "| set | claims | shared words | nearest vector | both | head | ECE | unsupported held back | supported "
        "held back |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    said = {id(each): float(score) for each, score in zip(learned, judged, strict=True)}
    said |= {id(each): model.score(each) for each in unseen}
    sets = dict.fromkeys(each.case.of for each in weighed)
    lines += [_row(of, [each for each in weighed if each.case.of == of], said, rounds) for of in sets]
    return "\n".join([*lines, "", *_across(weighed), "", *_kinds(weighed, said)])


def _row(of: str, cases: Sequence[_Weighed], said: dict[int, float], rounds: int) -> str:
    scores = [said[id(each)] for each in cases]
    areas = [
        _area(cases, [each.lexical for each in cases], rounds),
        _area(cases, [each.similar for each in cases], rounds),
        _area(cases, [each.lexical + each.similar for each in cases], rounds),
        _area(cases, scores, rounds),
    ]
    error = _error(cases, scores, rounds)
    held = [share(sum(said[id(each)] < 0.5 for each in some), len(some)) for some in _halves(cases)]
    return f"| {of} | {len(cases)} | {' | '.join(map(_told, [*areas, error, *held]))} |"


def _halves(cases: Sequence[_Weighed]) -> tuple[list[_Weighed], list[_Weighed]]:
    """Return the cases that are not supported, and those that are."""
    return [each for each in cases if not each.case.supported], [each for each in cases if each.case.supported]


def _told(figure: Figure) -> str:
    return f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})"


def _across(weighed: Sequence[_Weighed]) -> list[str]:
    """Return a table of models that learned from one set and are judged on another."""
    sets = [of for of in dict.fromkeys(each.case.of for each in weighed) if of not in (REPLIES, READINGS)]
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


def _kinds(weighed: Sequence[_Weighed], said: dict[int, float]) -> list[str]:
    """Return tables of how the claims made by us are judged, by how they were made."""
    lines: list[str] = []
    for of, title in (
        (OWN, "Claims made of the sample's articles"),
        (REPLIES, "Rewordings and what is made of them"),
        (READINGS, "Readings: sentences by hand"),
    ):
        lines += [f"{title}, passages not learned from, passed at 0.5; unsure are from 0.2 on:", ""]
        lines += ["| made by | supported | claims | passed | unsure |", "|---|---|---|---|---|"]
        own = [each for each in weighed if each.case.of == of]
        for supported, kind in sorted({(each.case.supported, each.case.kind) for each in own}, reverse=True):
            cases = [each for each in own if (each.case.supported, each.case.kind) == (supported, kind)]
            passed = share(sum(said[id(each)] > 0.5 for each in cases), len(cases))
            unsure = share(sum(0.2 <= said[id(each)] <= 0.5 for each in cases), len(cases))
            answer = "yes" if supported else "no"
            lines.append(f"| {kind} | {answer} | {len(cases)} | {_told(passed)} | {_told(unsure)} |")
        lines.append("")
    return lines

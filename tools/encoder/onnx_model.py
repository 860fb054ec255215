"""A sentence-embedding model in ONNX form, run by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from policies.errors import ConfigError
from tools.encoder.ports import Encoded, Read, Tokens, Vectors, kept

MAX_TOKENS = 256
BATCH = 32


class OnnxModel:
    """Runs a graph that takes ``input_ids`` and ``attention_mask`` and gives ``Read``.

    ``batch`` is the number of texts per run of the graph at most. It must be 1 for a graph whose result for one
    text depends on its neighbours, which is so with dynamic quantisation: the scale is that of the whole batch.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        graph: Path,
        tokenizer: Path,
        dimensions: int,
        batch: int,
        threads: int,
    ) -> None:
        self.id = id
        self.dimensions = dimensions
        self._batch = batch
        self._tokenizer = _tokenizer(tokenizer)
        self._session = _session(graph, threads)

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts as ``Model.encode`` says; what follows the first 256 tokens is not read."""
        # One by one: encode_batch would start a thread pool that a later fork warns about.
        tokens = [self._tokenizer.encode(text).ids for text in texts]
        vectors, matching = self._room(texts), self._room(texts)
        for rows in _batches([len(ids) for ids in tokens], self._batch):
            vectors[rows], matching[rows] = self._run([tokens[row] for row in rows], ["vectors", "matching"])
        return Encoded(vectors=vectors, matching=matching)

    def read(self, texts: Sequence[str]) -> Read:
        """Encode texts and give their pieces, as ``Model.read`` says."""
        pieces = [self._tokenizer.encode(text) for text in texts]
        vectors, matching = self._room(texts), self._room(texts)
        tokens: list[Tokens | None] = [None] * len(texts)
        for rows in _batches([len(each.ids) for each in pieces], self._batch):
            ids = [pieces[row].ids for row in rows]
            vectors[rows], matching[rows], states = self._run(ids, ["vectors", "matching", "tokens"])
            for row, its in zip(rows, states, strict=True):
                tokens[row] = _tokens(pieces[row], its)
        return Read(vectors=vectors, matching=matching, tokens=[each for each in tokens if each is not None])

    def _room(self, texts: Sequence[str]) -> Vectors:
        return np.empty((len(texts), self.dimensions), dtype=np.float32)

    def _run(self, tokens: list[list[int]], wanted: list[str]) -> list[Vectors]:
        shape = (len(tokens), max(map(len, tokens)))
        input_ids = np.zeros(shape, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for row, ids in enumerate(tokens):
            input_ids[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        given: list[Vectors] = self._session.run(wanted, {"input_ids": input_ids, "attention_mask": mask})
        return given


def _tokens(pieces: Any, states: Vectors) -> Tokens:
    """Return the pieces of a text without the marks that the tokenizer puts around it."""
    own = [n for n, special in enumerate(pieces.special_tokens_mask) if not special]
    offsets = np.array([pieces.offsets[n] for n in own], dtype=np.int32).reshape(-1, 2)
    return kept(states[own], offsets)


def _batches(lengths: list[int], size: int) -> Iterator[list[int]]:
    """Cut rows into batches of alike length, so that padding adds at most a quarter."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) == size or lengths[row] > 1.25 * lengths[batch[0]] + 4):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    # The file asks for 128 tokens, padded: the tokenizer's settings in training, not the model's.
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def _session(graph: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait busily take the event loop's time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ConfigError(
            f"{graph} can't be loaded: {error}", remedy="Delete it; it will be made anew."
        ) from error

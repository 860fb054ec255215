"""A cross-encoder as judge of groundedness: a tiny one, with random weights, made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from policies.errors import ConfigError
from tools.guards.nli import open_judge

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore")]

NLI = {0: "contradiction", 1: "entailment", 2: "neutral"}


def saved(folder: Path, labels: dict[int, str]) -> str:
    """Save a model of some thousand weights that reads a handful of words; return where."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tents", "can", "be", "returned", "."]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label=labels,
        label2id={label: place for place, label in labels.items()},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("labels", [NLI, {0: "LABEL_0"}], ids=["three labels", "one score"])
async def test_a_cross_encoder_on_this_machine_judges(tmp_path: Path, labels: dict[int, str]) -> None:
    judge = await open_judge(saved(tmp_path / "judge", labels))
    sources = ["Tents can be returned."]
    first = await judge("Tents can be returned.", sources)
    assert 0 < first < 1
    assert await judge("Tents can be returned.", sources) == first


async def test_a_model_that_is_not_on_this_machine_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be loaded from this machine") as caught:
        await open_judge(str(tmp_path / "nowhere"))
    assert caught.value.remedy is not None


async def test_a_model_without_a_label_for_entailment_is_refused(tmp_path: Path) -> None:
    name = saved(tmp_path / "judge", {0: "happy", 1: "sad"})
    with pytest.raises(ConfigError, match="no label for entailment"):
        await open_judge(name)

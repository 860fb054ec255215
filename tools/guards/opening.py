"""Opens the guards of an assistant with all that they need; what loads slowly is loaded here and not in a turn."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import anyio.to_thread

from policies.guards import Guard
from policies.promises import PromisesGuard, prohibited
from policies.tone import ToneGuard
from tools.assistants import Assistant
from tools.encoder.ports import Encoder
from tools.evidence import Indexed, stored_vectors
from tools.guards.groundedness import GroundednessGuard
from tools.guards.injection import InjectionGuard
from tools.guards.language import LanguageGuard
from tools.guards.leaks import DocumentLeakGuard
from tools.guards.long_texts import Aside
from tools.guards.nli import open_judge
from tools.guards.personal_data import PersonalData, PersonalDataGuard, open_personal_data
from tools.guards.phrases import load_wording
from tools.models.prompts import DATA_NOTE

log = logging.getLogger("handrail.guards")


async def open_guards(
    assistant: Assistant,
    encoder: Encoder,
    knowledge: Indexed,
    finder: PersonalData,
    *,
    protected: Sequence[str] = (),
) -> list[Guard]:
    """Make every guard there is; ``Rails`` runs those that policy binds.

    ``protected`` are texts that no answer may repeat a part of, such as prompts.

    Raises ``ConfigError`` for a trained part that is damaged or a model that is not installed.
    """
    vectors_of = stored_vectors(knowledge)
    judge = assistant.file.groundedness_model
    leaks = DocumentLeakGuard(knowledge, protected=(DATA_NOTE, *protected))
    await leaks.refresh()
    return [
        GroundednessGuard(encoder, vectors_of=vectors_of, judge=await open_judge(judge) if judge else None),
        InjectionGuard(encoder, vectors_of=vectors_of),
        LanguageGuard(),
        leaks,
        PersonalDataGuard(finder),
        *await anyio.to_thread.run_sync(_of_phrases, assistant),
    ]


def _of_phrases(assistant: Assistant) -> tuple[Guard, Guard]:
    """Make what looks for phrases, whose patterns take most of a second to compile."""
    promises, tone = load_wording("promises"), load_wording("tone")
    return (
        Aside(PromisesGuard(prohibited(assistant.policy.prohibitions, promises.prohibitions), promises.sets)),
        Aside(ToneGuard(tone.prohibitions, tone.sets)),
    )


async def open_finder(assistant: Assistant, knowledge: Indexed, encoder: Encoder) -> PersonalData:
    """Make what finds personal data; the assistant's name and its documents' titles are nobody's names."""
    index = await knowledge.index()
    titles = {passage.title for passage in index.passages}
    finder = await open_personal_data(encoder, {assistant.name, assistant.file.title, *titles})
    if finder.note:
        log.warning(finder.note)
    return finder

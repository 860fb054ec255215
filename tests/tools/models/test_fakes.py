from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from tools.models.fakes import Line, Reply, ScriptedFault, ScriptedModel, ScriptEnded

pytestmark = pytest.mark.anyio


async def test_a_list_gives_one_reply_for_each_call_and_must_not_run_out() -> None:
    model = ScriptedModel(["First.", Reply(text="Second.")])
    assert [str((await model.ainvoke("a")).text), str((await model.ainvoke("b")).text)] == ["First.", "Second."]
    with pytest.raises(ScriptEnded, match="call 3 has no reply"):
        await model.ainvoke("c")
    assert [each[0].text for each in model.log.calls] == ["a", "b", "c"]


async def test_a_function_sees_the_messages_and_a_generator_remembers() -> None:
    def counting() -> Iterator[Line]:
        for number in range(2):
            yield f"Number {number}."

    echo = ScriptedModel(lambda messages: f"You said {messages[-1].text}")
    assert (await echo.ainvoke([HumanMessage("this")])).text == "You said this"
    model = ScriptedModel(counting())
    assert [(await model.ainvoke("a")).text, model.invoke("a").text] == ["Number 0.", "Number 1."]


async def test_it_streams_word_by_word_and_ends_with_usage_and_a_reason() -> None:
    model = ScriptedModel([Reply(text="one two", usage=(7, 2))])
    *words, last = [chunk async for chunk in model.astream("a")]
    assert [str(each.text) for each in words] == ["one ", "two"]
    assert last.usage_metadata == {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9}
    assert (last.response_metadata["finish_reason"], last.chunk_position) == ("stop", "last")


async def test_a_fault_comes_where_the_script_says() -> None:
    model = ScriptedModel([ScriptedFault(503), Reply(text="a b c", fault=ConnectionError("gone"), after_tokens=2)])
    with pytest.raises(ScriptedFault, match="503"):
        await model.ainvoke("a")
    heard: list[str] = []

    async def hear() -> None:
        async for chunk in model.astream("a"):
            heard.append(str(chunk.text))  # noqa: PERF401 - what came before the failure is kept

    with pytest.raises(ConnectionError):
        await hear()
    assert (heard, model.log.cancelled, model.log.running) == (["a ", "b "], 0, 0)


async def test_who_does_not_wait_is_counted() -> None:
    model = ScriptedModel([Reply(text="slow", first_seconds=5)])
    with anyio.move_on_after(0.02):
        await model.ainvoke("a")
    assert (model.log.cancelled, model.log.running, model.log.most_running) == (1, 0, 1)


async def test_tools_are_called_by_name_and_data_goes_to_the_first_one_bound() -> None:
    def order_status(number: str) -> str:
        """Return the status of an order."""
        return number

    model = ScriptedModel([Reply(tool_calls=(("other", {}),)), Reply(data={"number": "1017"})])
    bound = model.bind_tools([order_status])
    calls = [reply.tool_calls[0] for reply in [await bound.ainvoke("a"), await bound.ainvoke("a")]]
    assert [(each["name"], each["args"]) for each in calls] == [
        ("other", {}),
        ("order_status", {"number": "1017"}),
    ]
    assert isinstance(await ScriptedModel(["x"]).ainvoke("a"), AIMessage)

"""The ``handrail eval`` commands. Everything heavy is imported inside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup


class _Group(TyperGroup):
    """Commands whose exit code 2 means that a gate failed, and nothing else."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an option that does not exist is an error like any other."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            error.exit_code = 1  # type: ignore[misc]  # declared for the class, read from the instance
            raise


evals = typer.Typer(
    cls=_Group, help="Measure an assistant, or a part of it.", no_args_is_help=True, rich_markup_mode=None
)

JsonFile = Annotated[Path | None, typer.Option("--json", help="Write what was found to this file too.")]


@evals.command("run")
def eval_run(
    suites: Annotated[list[Path], typer.Argument(help="Suite files.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The folder that ${DATA} in suites stands for.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Keep the run in this folder; a run that was interrupted there goes on."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Refuse unless --out holds a run to go on with.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every case to this file.")] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Write the gates to this file as JUnit XML.")
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline", help="Compare with this run; what got worse beyond doubt counts as a failed gate."
        ),
    ] = None,
    repeat: Annotated[
        int | None, typer.Option(min=1, max=100, help="How often each case is put through; as the suite says.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Cases at once.")] = 4,
) -> None:
    """Run suites; exits 0 when their gates hold, 2 when one fails, 1 for errors."""
    from evals.cli import Asked, run_command

    if resume and out is None:
        raise typer.BadParameter("it goes with --out", param_hint="--resume")

    def work() -> int:
        asked = Asked(
            suites=suites,
            data=data,
            out=out,
            resume=resume,
            json=json_file,
            junit=junit,
            baseline=baseline,
            repeat=repeat,
            concurrency=concurrency,
            cache=_cache(),
        )
        return run_command(asked)

    _exit(work)


@evals.command("score")
def eval_score(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    metrics: Annotated[list[str], typer.Option("--metric", help="What to measure, repeatable.")],
    json_file: JsonFile = None,
) -> None:
    """Measure more of what a run has kept, without calling anything again."""
    from evals.cli import score_command

    _exit(lambda: score_command(run, metrics, json_file))


@evals.command("compare")
def eval_compare(
    before: Annotated[Path, typer.Argument(help="The folder of one run.")],
    after: Annotated[Path, typer.Argument(help="The folder of a later run of the same suite.")],
    json_file: JsonFile = None,
) -> None:
    """Say what changed between two runs; exits 2 when something got worse beyond doubt."""
    from evals.cli import compare_command

    _exit(lambda: compare_command(before, after, json_file))


@evals.command("report")
def eval_report(
    run: Annotated[Path, typer.Argument(help="The folder of a run, or of several runs.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file to write; report.html in the run's folder.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option("--baseline", help="Show what changed since this run of the same suite.")
    ] = None,
) -> None:
    """Write a page about a run that needs nothing but a browser, and print where it is."""
    from evals.page.command import report_command

    _exit(lambda: report_command(run, out, baseline))


@evals.command("collect")
def eval_collect(
    out: Annotated[Path, typer.Option("--out", help="The JSONL file of cases to write.")],
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="The workspace; HANDRAIL_WORKSPACE by default.")
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="The data folder; .data by default.")] = None,
) -> None:
    """Write drafts that people have judged, of customers who agreed, as cases; placeholders stay as they are."""
    import anyio

    async def work() -> int:
        from evals.collecting import collect, write_cases
        from graphs.privacy_offline import open_privacy
        from graphs.settings import read_settings

        given = {"data": data, "workspace": workspace}
        settings = read_settings(**{name: value for name, value in given.items() if value is not None})
        async with open_privacy(settings) as privacy:
            found = await collect(privacy.store.in_workspace(settings.workspace))
        count = write_cases(out, found.items)
        typer.echo(f"{found.new} new; {count} cases in {out}.")
        return 0

    _exit(lambda: anyio.run(work))


@evals.command("push")
def eval_push(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run, or of several runs.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="The dataset to push to; the suite's name by default.")
    ] = None,
) -> None:
    """Send a run's cases and results to Langfuse; repeating it changes nothing. Personal data is masked."""
    from evals.syncing import push_command

    _exit(lambda: push_command(run, dataset))


@evals.command("pull")
def eval_pull(
    dataset: Annotated[str, typer.Argument(help="The dataset's name.")],
    out: Annotated[Path, typer.Option("--out", help="The JSONL file of cases to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """Write the items of a dataset at Langfuse as cases of a suite."""
    from evals.syncing import pull_command

    _exit(lambda: pull_command(dataset, out, force=force))


def _cache() -> Path:
    from graphs.settings import read_settings

    return read_settings().data / "cache"


def _exit(work: Callable[[], int]) -> None:
    from handrail.cli import _guarded

    raise typer.Exit(_guarded(work))

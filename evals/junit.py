"""Runs as JUnit XML, which most build servers read: a test for each gate, the figures as properties."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from xml.etree import ElementTree

from evals.comparing import Comparison, Difference
from evals.runner import RunReport


def write_junit(path: Path, reports: Sequence[RunReport], compared: Sequence[Comparison] = ()) -> None:
    """Write the file; a suite without gates counts as one test that passed.

    Of suites that were ``compared`` with a baseline, each regression is a test that failed.
    """
    root = ElementTree.Element("testsuites")
    for report, found in zip_longest(reports, compared):
        root.append(_suite(report, found.regressions if found else ()))
    for name in ("tests", "failures"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _suite(report: RunReport, worse: Sequence[Difference]) -> ElementTree.Element:
    name = report.suite.file.name
    failed = sum(not verdict.held for verdict in report.verdicts) + len(worse)
    tests = max(1, len(report.verdicts) + len(worse))
    about = {"name": name, "tests": str(tests), "failures": str(failed), "errors": "0"}
    suite = ElementTree.Element("testsuite", {**about, "time": f"{report.seconds:.3f}"})
    properties = ElementTree.SubElement(suite, "properties")
    for metric, figure in report.figures.items():
        told = f"{figure.value:.6g} ({figure.low:.6g} to {figure.high:.6g}, {figure.count} cases)"
        ElementTree.SubElement(properties, "property", {"name": metric, "value": told})
    for verdict in report.verdicts:
        title = f"{verdict.gate.metric} {verdict.gate.rule}"
        message = f"{verdict.gate.metric} is {verdict.value:.6g}, not {verdict.gate.rule} ({verdict.limit:.6g})"
        _test(suite, name, title, None if verdict.held else message)
    for each in worse:
        what = each.metric + (f" of {each.tag}" if each.tag else "")
        message = f"{what} was {each.before:.6g} and is {each.after:.6g} now"
        _test(suite, name, f"{what} is no worse than before", message)
    if not report.verdicts and not worse:
        _test(suite, name, "it ran")
    return suite


def _test(suite: ElementTree.Element, name: str, title: str, failure: str | None = None) -> None:
    test = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": title, "time": "0"})
    if failure is not None:
        ElementTree.SubElement(test, "failure", {"message": failure}).text = failure

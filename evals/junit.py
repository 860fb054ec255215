"""Runs as JUnit XML, which most build servers read: a test for each gate, the figures as properties."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from evals.runner import RunReport


def write_junit(path: Path, reports: Sequence[RunReport]) -> None:
    """Write the file; a suite without gates counts as one test that passed."""
    root = ElementTree.Element("testsuites")
    for report in reports:
        root.append(_suite(report))
    for name in ("tests", "failures"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _suite(report: RunReport) -> ElementTree.Element:
    name = report.suite.file.name
    failed = sum(not verdict.held for verdict in report.verdicts)
    about = {"name": name, "tests": str(max(1, len(report.verdicts))), "failures": str(failed), "errors": "0"}
    suite = ElementTree.Element("testsuite", {**about, "time": f"{report.seconds:.3f}"})
    properties = ElementTree.SubElement(suite, "properties")
    for metric, figure in report.figures.items():
        told = f"{figure.value:.6g} ({figure.low:.6g} to {figure.high:.6g}, {figure.count} cases)"
        ElementTree.SubElement(properties, "property", {"name": metric, "value": told})
    for verdict in report.verdicts:
        title = f"{verdict.gate.metric} {verdict.gate.rule}"
        test = ElementTree.SubElement(suite, "testcase", {"classname": name, "name": title, "time": "0"})
        if not verdict.held:
            message = (
                f"{verdict.gate.metric} is {verdict.value:.6g}, not {verdict.gate.rule} ({verdict.limit:.6g})"
            )
            ElementTree.SubElement(test, "failure", {"message": message}).text = message
    if not report.verdicts:
        ElementTree.SubElement(suite, "testcase", {"classname": name, "name": "it ran", "time": "0"})
    return suite

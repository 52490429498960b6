"""An acceptance as JUnit XML, for whoever collects test results. Pure."""

from xml.etree import ElementTree

from dataplane.accept.model import Acceptance, Verdict
from dataplane.accept.report import reason, sentences


def junit(run: Acceptance) -> str:
    """One test case for each measure and drill; of a disturbed run each is an error, which is no failure."""
    cases = [(f"accept.{result.measure.name}", result.measure.label, result) for result in run.results]
    suite = ElementTree.Element("testsuite", name=run.title)
    for classname, name, result in cases:
        seconds = result.measure.seconds if not result.measure.skipped else 0.0
        case = ElementTree.SubElement(suite, "testcase", classname=classname, name=name, time=f"{seconds:g}")
        _outcome(case, run, result.verdict, result.faults, reason(result))
    for drill in run.drills:
        name = f"drill of {drill.drill.leg}"
        length = f"{drill.drill.seconds:g}"
        case = ElementTree.SubElement(suite, "testcase", classname="accept.drills", name=name, time=length)
        _outcome(case, run, drill.verdict, drill.faults, "")
    for kind in ("failure", "error", "skipped"):
        key = {"failure": "failures", "error": "errors", "skipped": "skipped"}[kind]
        suite.set(key, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    ElementTree.SubElement(suite, "system-out").text = "\n".join(sentences(run))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _outcome(case: ElementTree.Element, run: Acceptance, verdict: Verdict, faults: tuple[str, ...], text: str) -> None:
    if verdict is Verdict.SKIPPED:
        ElementTree.SubElement(case, "skipped", message=text)
    elif run.verdict is Verdict.DISTURBED:
        ElementTree.SubElement(case, "error", message="the run was disturbed").text = text
    elif verdict is Verdict.FAILED:
        ElementTree.SubElement(case, "failure", message="; ".join(faults)).text = text

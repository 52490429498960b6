"""Results of flows and the state of labs, as documents and as rows for people."""

from collections import Counter
from collections.abc import Iterator, Sequence

from dataplane.accept.report import drill_document, measure_document
from lab.host import Process
from lab.model import FlowResult, ForwarderUse, Proof
from lab.runner import LabStatus
from lab.topology import Topology

FLOW_COLUMNS = ("flow", "must", "result", "round trip", "seen")
HOST_COLUMNS = ("lab", "host", "state", "namespaces", "processes")
_PASSED, _FAILED = "passed", "failed"


def flows_document(topology: Topology, proof: Proof, seconds: float) -> dict[str, object]:
    """The document of ``lab test``."""
    return {
        "topology": topology.name,
        "passed": proof.passed,
        "seconds": round(seconds, 3),
        "forwarders": [
            {"host": use.host, "ports": dict(use.ports), "packets": use.packets} for use in proof.forwarders
        ],
        "flows": [_flow_document(result) for result in proof.results],
        "rates": [measure_document(result) for result in proof.rates],
        "drills": [drill_document(result) for result in proof.drills],
    }


def _flow_document(result: FlowResult) -> dict[str, object]:
    flow, answer = result.flow, result.answer
    return {
        "expectation": flow.expectation.value,
        "from": flow.source.id,
        "to": flow.destination.id if flow.destination is not None else None,
        "address": str(flow.address),
        "protocol": flow.protocol.value,
        "port": flow.port or None,
        "passed": result.passed,
        "faults": list(result.faults),
        "round_trip_ms": round(result.round_trip_ms, 3) if result.round_trip_ms is not None else None,
        "path": list(result.path),
        "counted": sorted(result.counted),
        "answer": {"error": answer.error, "from": str(answer.source)} if answer is not None else None,
        "file": flow.origin.file,
        "line": flow.origin.line,
    }


def summary(topology: Topology, results: Sequence[FlowResult], seconds: float) -> str:
    """The line to read first."""
    counts = Counter(result.passed for result in results)
    failed = f", {counts[False]} failed" if counts[False] else ""
    return f"{topology.name}: {counts[True]} of {len(results)} flows passed{failed}, in {seconds:.1f} s"


def forwarder_lines(proof: Proof) -> Iterator[str]:
    """Which path the packets took on each host, and what of it no sniffer saw."""
    for use in proof.forwarders:
        yield f"{use.host}: the forwarder is under {_ports(use)}; it forwarded {use.packets:,} packets"
    if not proof.forwarders:
        yield "the kernel forwarded: the forwarder is under no port"
    unseen = sum(bool(result.counted) for result in proof.results)
    if unseen:
        yield f"{unseen} flows passed routers that no sniffer can look into at XDP, in (brackets): counters say so"


def _ports(use: ForwarderUse) -> str:
    return " and ".join(f"{number} ports at {hook}" for hook, number in sorted(use.ports.items()))


def flow_row(result: FlowResult) -> tuple[str, ...]:
    """A flow as a row of ``FLOW_COLUMNS``."""
    flow = result.flow
    must = "reach" if flow.expectation.value == "must_reach" else "not reach"
    time = f"{result.round_trip_ms:.2f} ms" if result.round_trip_ms is not None else "-"
    return (str(flow), must, _PASSED if result.passed else _FAILED, time, _seen(result))


def _seen(result: FlowResult) -> str:
    steps = (f"({step})" if step in result.counted else step or "the line" for step in _one_way(result.path))
    path = " > ".join(steps) or "nowhere"
    if result.answer is None:
        return path
    return f"{path}; {result.answer.source} answers {result.answer.error}"


def _one_way(path: Sequence[str]) -> Sequence[str]:
    """The way there, once: the packets of a TCP connection take it again and again (``-o json`` has them all)."""
    again = next((at for at, namespace in enumerate(path) if at and namespace == path[0]), len(path))
    return path[:again]


def faults(results: Sequence[FlowResult]) -> Iterator[str]:
    """Every failed flow with all its faults and the line that declares it."""
    for result in results:
        if not result.passed:
            lines = "".join(f"\n  {fault}" for fault in result.faults)
            yield f"{result.flow} ({result.flow.expectation.value} at {result.flow.origin}):{lines}"


def check_faults(proof: Proof) -> Iterator[str]:
    """What of the declared rates and drills does not hold."""
    for rate in proof.rates:
        yield from (f"{rate.measure.label}: {fault}" for fault in rate.faults)
    for drill in proof.drills:
        yield from (f"drill of {drill.drill.leg}: {fault}" for fault in drill.faults)


def lab_state(lab: LabStatus) -> str:
    """``up``, or ``half made``."""
    return "up" if lab.is_up else "half made"


def status_document(labs: Sequence[LabStatus]) -> dict[str, object]:
    """The document of ``lab status``."""
    return {
        "labs": [
            {
                "name": lab.pins.name,
                "state": lab_state(lab),
                "source": str(lab.pins.source),
                "hosts": [
                    {
                        "name": host.host.name,
                        "exists": host.exists,
                        "namespaces": list(host.namespaces),
                        "processes": _processes_document(host.processes),
                    }
                    for host in lab.hosts
                ],
                "nodes": {"names": list(lab.pins.nodes), "processes": _processes_document(lab.at_nodes)},
            }
            for lab in labs
        ]
    }


def _processes_document(processes: Sequence[Process]) -> list[dict[str, object]]:
    return [
        {"pid": process.pid, "command": process.command, "namespace": process.namespace or None}
        for process in processes
    ]


def status_rows(labs: Sequence[LabStatus]) -> list[tuple[str, ...]]:
    """Every host of every lab as a row of ``HOST_COLUMNS``."""
    rows: list[tuple[str, ...]] = []
    for lab in labs:
        if not lab.hosts:
            rows.append((lab.pins.name, "-", lab_state(lab), "-", "-"))
        for host in lab.hosts:
            processes = ", ".join(f"{process.pid} {process.command}" for process in host.processes) or "-"
            rows.append((lab.pins.name, host.host.name, lab_state(lab), str(len(host.namespaces)), processes))
        if lab.pins.nodes:
            processes = ", ".join(f"{process.pid} {process.command}" for process in lab.at_nodes) or "-"
            rows.append((lab.pins.name, "(nodes)", lab_state(lab), str(len(lab.pins.nodes)), processes))
    return rows

#!/usr/bin/env python3
"""Says what the two fixtures hold, and fails where they are not what README.md says: `python3 check.py`.

record.py ends with it. It needs nothing but Python, so a doubt about the fixtures is settled without recording again.
"""

import json
import re
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIDES = ["before", "after"]
ERROR = 2


def value_of(any_value):
    """The plain value of an OTLP/JSON AnyValue."""
    for kind, value in any_value.items():
        return int(value) if kind == "intValue" else value
    return None


def attributes_of(holder):
    return {pair["key"]: value_of(pair["value"]) for pair in holder.get("attributes", [])}


def read_spans(path):
    spans = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            request = json.loads(line)
        except ValueError as error:
            sys.exit(f"{path.name}, line {number}: not JSON ({error}): record again")
        for resource_spans in request["resourceSpans"]:
            resource = attributes_of(resource_spans["resource"])
            for scope_spans in resource_spans["scopeSpans"]:
                for span in scope_spans["spans"]:
                    if not re.fullmatch("[0-9a-f]{32}", span["traceId"]) or not re.fullmatch("[0-9a-f]{16}", span["spanId"]):
                        sys.exit(f"{path.name}, line {number}: span {span['spanId']!r} has an id that is not in hex")
                    span["resource"] = resource
                    span["attributes"] = attributes_of(span)
                    span["duration_ms"] = (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) / 1e6
                    span["operation"] = f"{resource['service.name']}: {span['name']} ({span['kind']})"
                    spans.append(span)
    return spans


def count_orphans(spans):
    known = {(span["traceId"], span["spanId"]) for span in spans}
    return sum("parentSpanId" in span and (span["traceId"], span["parentSpanId"]) not in known for span in spans)


def is_error(span):
    return span["status"].get("code") == ERROR


def describe(side, path, spans):
    starts = [int(span["startTimeUnixNano"]) for span in spans]
    errors = sum(map(is_error, spans))
    print(
        f"{side}: {path.stat().st_size} bytes, {len({span['traceId'] for span in spans})} traces, {len(spans)} spans, "
        f"{(max(starts) - min(starts)) / 1e9:.1f} s, {count_orphans(spans)} spans without their parent, "
        f"{errors} error spans ({100 * errors / len(spans):.1f} %)"
    )


def print_operations(spans_by_side):
    print(f"\n{'operation (span kind)':48}{'spans':>12}{'errors':>9}{'mean ms':>16}{'median ms':>16}")
    groups = {side: defaultdict(list) for side in SIDES}
    for side in SIDES:
        for span in spans_by_side[side]:
            groups[side][span["operation"]].append(span)
    for operation in sorted(set(groups["before"]) | set(groups["after"])):
        columns = [operation.ljust(48)]
        both = [groups[side][operation] for side in SIDES]
        durations = [[span["duration_ms"] for span in spans] or [0.0] for spans in both]
        columns.append(" → ".join(str(len(spans)) for spans in both).rjust(12))
        columns.append(" → ".join(str(sum(map(is_error, spans))) for spans in both).rjust(9))
        columns.append(" → ".join(f"{statistics.mean(values):.1f}" for values in durations).rjust(16))
        columns.append(" → ".join(f"{statistics.median(values):.1f}" for values in durations).rjust(16))
        print("".join(columns))


def print_attributes(spans_by_side):
    """Every attribute with few values: how often each is there on each side."""
    counts = {side: defaultdict(Counter) for side in SIDES}
    for side in SIDES:
        for span in spans_by_side[side]:
            for key, value in [*span["resource"].items(), *span["attributes"].items()]:
                counts[side][f"{span['resource']['service.name']}: {key}"][str(value)] += 1
    print()
    for key in sorted(set(counts["before"]) | set(counts["after"])):
        values = sorted(set(counts["before"][key]) | set(counts["after"][key]))
        if len(values) > 8:
            print(f"{key}: {len(values)} values")
            continue
        print(f"{key}: " + ", ".join(f"{value} {counts['before'][key][value]} → {counts['after'][key][value]}" for value in values))


def require(holds, what):
    if not holds:
        sys.exit(f"the fixtures are not as README.md says: {what}: record again, or correct README.md")


def main():
    spans_by_side = {side: read_spans(HERE / f"{side}.jsonl") for side in SIDES}
    for side in SIDES:
        describe(side, HERE / f"{side}.jsonl", spans_by_side[side])
    print_operations(spans_by_side)
    print_attributes(spans_by_side)

    def quotes(side, method=None):
        chosen = [span for span in spans_by_side[side] if span["operation"] == "pricing: POST /quote (2)"]
        return [span for span in chosen if method in (None, span["attributes"]["app.payment.method"])]

    for side in SIDES:
        spans = spans_by_side[side]
        require(count_orphans(spans) == 0, f"{side} has spans whose parent is not there")
        require(len({span["traceId"] for span in spans}) >= 150, f"{side} has fewer than 150 traces")
    require(not quotes("before", "voucher") and quotes("after", "voucher"), "vouchers come with the release")
    require(not any(map(is_error, quotes("before"))), "no quote fails before the release")
    failed = [span for span in quotes("after") if is_error(span)]
    require(failed and all(span["events"][0]["name"] == "exception" for span in failed), "failed quotes hold an exception")
    require({span["attributes"]["app.payment.method"] for span in failed} == {"voucher"}, "only quotes for vouchers fail")
    medians = [statistics.median(span["duration_ms"] for span in quotes(side)) for side in SIDES]
    require(medians[1] - medians[0] > 15, "quotes take over 15 ms longer after the release")


if __name__ == "__main__":
    main()

"""Spans of OTLP JSON in a form that can be compared, what a story should become, and where the two differ."""

import base64
import copy
import json
import math


class NotAsItShouldBe(Exception):
    """What came is not what was sent; says where, a line for each difference."""


# --- the form that is compared


def read_any_value(value):
    """`(type, value)`: 1 and 1.0 are not the same, NaN is the same as itself, and 0.0 is not -0.0."""
    if not value:
        return ("nothing",)
    [(kind, content)] = value.items()
    match kind:
        case "stringValue":
            return ("string", content)
        case "intValue":
            return ("int", int(content))
        case "doubleValue":
            return ("double", repr(float(content)))
        case "boolValue" if isinstance(content, bool):
            return ("bool", content)
        case "bytesValue":
            return ("bytes", base64.b64decode(content, validate=True))
        case "arrayValue":
            return ("array", [read_any_value(item) for item in content.get("values", [])])
        case "kvlistValue":
            return ("map", read_attributes(content.get("values", [])))
    raise NotAsItShouldBe(f"{value} is no value of OTLP")


def read_attributes(attributes):
    by_key = {}
    for attribute in attributes:
        if attribute["key"] in by_key:
            raise NotAsItShouldBe(f"the attribute {attribute['key']} is there twice")
        by_key[attribute["key"]] = read_any_value(attribute["value"])
    return by_key


def read_span(span, resource, scope):
    return {
        "traceId": span["traceId"],
        "parentSpanId": span.get("parentSpanId", ""),
        "traceState": span.get("traceState", ""),
        "name": span["name"],
        "kind": span["kind"],
        "startTimeUnixNano": span["startTimeUnixNano"],
        "endTimeUnixNano": span["endTimeUnixNano"],
        "attributes": read_attributes(span.get("attributes", [])),
        "events": [
            {
                "timeUnixNano": event["timeUnixNano"],
                "name": event["name"],
                "attributes": read_attributes(event.get("attributes", [])),
            }
            for event in span.get("events", [])
        ],
        "links": [
            {
                "traceId": link["traceId"],
                "spanId": link["spanId"],
                "traceState": link.get("traceState", ""),
                "attributes": read_attributes(link.get("attributes", [])),
            }
            for link in span.get("links", [])
        ],
        "status": {"code": span["status"].get("code", 0), "message": span["status"].get("message", "")},
        "resource": read_attributes(resource.get("attributes", [])),
        "scope": {
            "name": scope.get("name", ""),
            "version": scope.get("version", ""),
            "attributes": read_attributes(scope.get("attributes", [])),
        },
    }


def read_documents(documents):
    """The spans of OTLP JSON documents, by id."""
    by_id = {}
    for document in documents:
        for group in document["resourceSpans"]:
            for scope_spans in group["scopeSpans"]:
                for span in scope_spans["spans"]:
                    if span["spanId"] in by_id:
                        raise NotAsItShouldBe(f"the span {span['spanId']} ({span['name']}) is there twice")
                    by_id[span["spanId"]] = read_span(span, group["resource"], scope_spans["scope"])
    return by_id


# --- what a story should become


def expect_story(story, told, resource, exception_extras):
    """The story's spans in the compared form, by id, with what only the SDK knew (`told`) filled in.

    `exception_extras` are attributes that the SDK gives to the events of exceptions beside the type, the message and
    the stack trace.
    """
    resource = {**resource, "telemetry.sdk.version": told["version"]}
    resource = {key: ("string", text) for key, text in resource.items()}
    scope = story["scope"]
    scope = {
        "name": scope["name"],
        "version": scope["version"],
        "attributes": read_attributes(scope.get("attributes", [])),
    }
    if [len(group) for group in told["spans"]] != [entry.get("times", 1) for entry in story["spans"]]:
        raise NotAsItShouldBe("the producer did not play the whole story")
    states = []
    expected = {}
    for entry, group in zip(story["spans"], told["spans"]):
        parent = told["spans"][entry["parent"]][0] if "parent" in entry else None
        remote = entry.get("remoteParent")
        state = states[entry["parent"]] if parent else remote["tracestate"] if remote else ""
        states.append(state)
        for own in group:
            _, remote_trace, remote_span, _ = remote["traceparent"].split("-") if remote else [None] * 4
            expected[own["spanId"]] = {
                "traceId": parent["traceId"] if parent else remote_trace or own["traceId"],
                "parentSpanId": parent["spanId"] if parent else remote_span or "",
                "traceState": state,
                "name": entry["name"],
                "kind": entry["kind"],
                "startTimeUnixNano": own["startTimeUnixNano"],
                "endTimeUnixNano": own["endTimeUnixNano"],
                "attributes": read_attributes(entry.get("attributes", [])),
                "events": expect_events(entry, own, exception_extras),
                "links": [
                    {
                        "traceId": told["spans"][link["to"]][0]["traceId"],
                        "spanId": told["spans"][link["to"]][0]["spanId"],
                        "traceState": states[link["to"]],
                        "attributes": read_attributes(link.get("attributes", [])),
                    }
                    for link in entry.get("links", [])
                ],
                "status": {"code": 0, "message": "", **entry.get("status", {})},
                "resource": resource,
                "scope": scope,
            }
    return expected


def expect_events(entry, own, exception_extras):
    stack_traces = iter(own["stackTraces"])
    events = []
    for event, time in zip(entry.get("events", []), own["eventTimesUnixNano"], strict=True):
        attributes = read_attributes(event.get("attributes", []))
        if "exception" in event:
            stack_trace = next(stack_traces)
            if event["exception"]["message"] not in stack_trace:
                raise NotAsItShouldBe(f"the producer tells of a stack trace that is none: {stack_trace!r}")
            texts = {
                "exception.type": event["exception"]["type"],
                "exception.message": event["exception"]["message"],
                "exception.stacktrace": stack_trace,
                **exception_extras,
            }
            attributes.update((key, ("string", text)) for key, text in texts.items())
        events.append({"timeUnixNano": time, "name": event["name"], "attributes": attributes})
    return events


# --- where the two differ


def differences(expected, found, path="", partial=False):
    """A line for each difference. With `partial`, what only `found` has is no difference."""
    if isinstance(expected, dict) and isinstance(found, dict):
        lines = [f"{path}.{key}: is missing" for key in expected.keys() - found.keys()]
        if not partial:
            lines += [f"{path}.{key}: was not sent" for key in found.keys() - expected.keys()]
        for key in expected.keys() & found.keys():
            lines += differences(expected[key], found[key], f"{path}.{key}", partial)
        return sorted(lines)
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            line
            for index, pair in enumerate(zip(expected, found))
            for line in differences(*pair, f"{path}[{index}]", partial)
        ]
    return [] if expected == found else [f"{path}: sent {expected!r}, got {found!r}"]


def check_same(where, expected, documents, partial=False):
    try:
        lines = differences(expected, read_documents(documents), "", partial)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise NotAsItShouldBe(f"{where} is not OTLP JSON: {error!r}") from error
    if lines:
        more = [f"and {len(lines) - 20} more"] if len(lines) > 20 else []
        raise NotAsItShouldBe("\n".join([f"{where}:", *lines[:20], *more]))


def check_comparison_notices(expected, document):
    """Changes each value in a document that is as expected, and drops each item of its lists, one at a time: the
    comparison must notice every one, or it cannot fail."""
    changed = copy.deepcopy(document)
    for path, damage in damages(changed, ""):
        undo = damage()
        try:
            check_same("", expected, [changed])
        except NotAsItShouldBe:
            undo()
        else:
            raise NotAsItShouldBe(f"the comparison does not notice a change of {path}")
    if changed != document:
        raise NotAsItShouldBe("the changes were not undone")


def damages(node, path):
    """`(path, damage)` for each place; `damage()` does it and gives back how it is undone."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        place = f"{path}.{key}"
        if isinstance(value, (dict, list)):
            yield from damages(value, place)
            if isinstance(node, list):
                yield place, lambda key=key: drop(node, key)
        else:
            yield place, lambda key=key, value=value: replace(node, key, another(value))


def drop(items, index):
    item = items.pop(index)
    return lambda: items.insert(index, item)


def replace(node, key, value):
    before = node[key]
    node[key] = value
    return lambda: node.__setitem__(key, before)


def another(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return 1.0 if value + 1 == value or math.isnan(value) else value + 1
    return value + "1"


def read_lines(text):
    """JSON texts, one a line. Only a line feed ends a line: texts may hold other characters that end one."""
    return [json.loads(line) for line in text.split("\n") if line]

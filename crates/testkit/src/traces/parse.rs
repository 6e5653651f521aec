//! The text form of traces: see [`Traces::parse`](super::Traces::parse).

use std::collections::HashMap;

use super::{START_NS, Span, Value};

const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];
const SECOND_NS: i64 = 1_000_000_000;

/// The spans of the text.
pub(super) fn parse(text: &str) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    // Index and indentation of the spans from the current root down to the last line's.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut traces = 0;
    let mut last_ids: HashMap<u64, u64> = HashMap::new();
    assert!(
        text.starts_with('\n') || !text.lines().nth(1).is_some_and(|l| l.starts_with("     ")),
        "begin the text on a line of its own, so that its lines are indented alike:\n{text}"
    );
    for (number, line) in text.lines().enumerate() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let fail = |problem: &str| -> ! { panic!("line {}: {problem}: `{content}`", number + 1) };
        let indent = line.len() - line.trim_start().len();
        while open.last().is_some_and(|(_, other)| *other >= indent) {
            open.pop();
        }
        let parent = open.last().map(|(index, _)| spans[*index].clone());
        let line = Line::parse(content).unwrap_or_else(|problem| fail(&problem));
        traces += u64::from(parent.is_none());
        let trace = line
            .trace
            .or(parent.as_ref().map(|p| p.trace))
            .unwrap_or(traces);
        let last_id = last_ids.entry(trace).or_default();
        let id = line.id.unwrap_or(*last_id + 1);
        *last_id = id.max(*last_id);
        let start_ns = match (&parent, line.offset_ns) {
            (Some(parent), offset) => parent.start_ns.checked_add_signed(offset.unwrap_or(0)),
            (None, Some(offset)) => START_NS.checked_add_signed(offset),
            (None, None) => START_NS.checked_add_signed((traces as i64 - 1) * SECOND_NS),
        };
        let start_ns = start_ns.unwrap_or_else(|| fail("begins before 1970 or too late"));
        let end_ns = start_ns
            .checked_add_signed(line.duration_ns)
            .unwrap_or_else(|| fail("ends before 1970 or too late"));
        open.push((spans.len(), indent));
        spans.push(Span {
            trace,
            id,
            parent: line.parent.or(parent.map(|p| p.id)).unwrap_or(0),
            service: line.service,
            operation: line.operation,
            kind: line.kind,
            is_error: line.is_error,
            start_ns,
            end_ns,
            trace_state: line.trace_state,
            resource: line.resource,
            attributes: line.attributes,
        });
    }
    spans
}

/// What one line says.
#[derive(Default)]
struct Line {
    service: String,
    operation: String,
    duration_ns: i64,
    offset_ns: Option<i64>,
    kind: u8,
    is_error: bool,
    trace: Option<u64>,
    id: Option<u64>,
    parent: Option<u64>,
    trace_state: String,
    resource: Vec<(String, Value)>,
    attributes: Vec<(String, Value)>,
}

impl Line {
    fn parse(text: &str) -> Result<Self, String> {
        let (service, rest) = text
            .split_once(": ")
            .ok_or("expected `SERVICE: OPERATION DURATION …`")?;
        let words = words(rest)?;
        let at = words
            .iter()
            .position(|word| parse_duration(word).is_some())
            .ok_or("expected a duration such as 120ms behind the operation")?;
        let mut line = Self {
            service: service.trim().to_owned(),
            operation: words[..at].join(" "),
            duration_ns: parse_duration(&words[at]).unwrap_or_default(),
            ..Self::default()
        };
        for word in &words[at + 1..] {
            line.add(word)?;
        }
        Ok(line)
    }

    fn add(&mut self, word: &str) -> Result<(), String> {
        if word == "error" {
            self.is_error = true;
        } else if let Some(kind) = KINDS.iter().position(|kind| *kind == word) {
            self.kind = kind as u8 + 1;
        } else if let Some(offset) = word.strip_prefix('@') {
            let offset_ns =
                parse_duration(offset).ok_or(format!("`{offset}` is not a duration"))?;
            self.offset_ns = Some(offset_ns);
        } else if let Some((key, value)) = word.split_once('=') {
            let number = || value.parse().map_err(|_| format!("`{value}` is no number"));
            match key {
                "trace" => self.trace = Some(number()?),
                "id" => self.id = Some(number()?),
                "parent" => self.parent = Some(number()?),
                "tracestate" => self.trace_state = value.to_owned(),
                _ => {
                    let (list, key) = match key.strip_prefix("resource:") {
                        Some(key) => (&mut self.resource, key),
                        None => (&mut self.attributes, key),
                    };
                    list.push((key.to_owned(), parse_value(value)));
                }
            }
        } else {
            return Err(format!("`{word}` is not understood"));
        }
        Ok(())
    }
}

/// The words of a line; white space between quotes does not end one.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '"';
        match words.last_mut() {
            Some(word) if !c.is_whitespace() || is_quoted => word.push(c),
            _ => words.push(String::new()),
        }
    }
    words.retain(|word| !word.is_empty());
    if is_quoted {
        return Err("a quote is not closed".to_owned());
    }
    Ok(words)
}

fn parse_value(text: &str) -> Value {
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    if let Some(text) = quoted {
        Value::Text(text.to_owned())
    } else if let Ok(number) = text.parse() {
        Value::Int(number)
    } else if let Ok(number) = text.parse() {
        Value::Double(number)
    } else if let Ok(value) = text.parse() {
        Value::Bool(value)
    } else {
        Value::Text(text.to_owned())
    }
}

/// Nanoseconds of a text such as `120ms`, `1.5s` or, for an offset, `-5us`.
fn parse_duration(text: &str) -> Option<i64> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Some((number * factor).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indentation_is_parenthood() {
        let spans = parse(
            r#"
            # A comment.
            web: GET /cart 120ms error server app.tier=gold note="two words" @1.5s
                cart: load 40ms @10ms http.response.status_code=200
                    db: SELECT 5ms resource:service.version="1.4"
                cart: save 1us
            web: GET / 2ms
            web: late 5ms trace=1 parent=9 tracestate=ot=th:8
            "#,
        );
        let tree: Vec<_> = spans
            .iter()
            .map(|s| (s.trace, s.id, s.parent, s.operation.as_str()))
            .collect();
        assert_eq!(
            tree,
            [
                (1, 1, 0, "GET /cart"),
                (1, 2, 1, "load"),
                (1, 3, 2, "SELECT"),
                (1, 4, 1, "save"),
                (2, 1, 0, "GET /"),
                (1, 5, 9, "late"),
            ]
        );
        let [root, load, select, ..] = &spans[..] else {
            panic!()
        };
        assert_eq!(root.start_ns - START_NS, 1_500_000_000);
        assert_eq!(root.end_ns - root.start_ns, 120_000_000);
        assert_eq!((root.kind, root.is_error), (2, true));
        assert_eq!(
            root.attributes,
            [
                ("app.tier".to_owned(), Value::Text("gold".to_owned())),
                ("note".to_owned(), Value::Text("two words".to_owned())),
            ]
        );
        assert_eq!(load.start_ns - root.start_ns, 10_000_000);
        assert_eq!(load.attributes[0].1, Value::Int(200));
        assert_eq!(select.resource[0].1, Value::Text("1.4".to_owned()));
        assert_eq!(spans[4].start_ns - START_NS, SECOND_NS as u64);
        assert_eq!(spans[5].trace_state, "ot=th:8");
    }

    #[test]
    #[should_panic(expected = "line 2: expected a duration such as 120ms behind the operation")]
    fn a_line_without_a_duration_is_told() {
        parse("web: GET / 1ms\n  cart: load fast");
    }

    #[test]
    #[should_panic(expected = "line 1: `slow` is not understood")]
    fn an_unknown_word_is_told() {
        parse("web: GET / 1ms slow");
    }
}

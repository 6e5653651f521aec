//! Where a JSON object or array ends, found chunk by chunk.

/// Follows brackets and strings through JSON that comes in chunks.
#[derive(Debug, Default)]
pub(super) struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Whether the scan is inside a value.
    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Goes through `chunk`; where an object or array ends in it, gives the offset behind it. What stands between
    /// values is passed over.
    pub(super) fn value_end(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        loop {
            if self.escaped {
                chunk.get(at)?;
                self.escaped = false;
                at += 1;
            }
            if self.in_string {
                at += memchr::memchr2(b'"', b'\\', chunk.get(at..)?)?;
                self.escaped = chunk[at] == b'\\';
                self.in_string = self.escaped;
                at += 1;
                continue;
            }
            let byte = *chunk.get(at)?;
            at += 1;
            match byte {
                b'"' => self.in_string = self.depth > 0,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_end_where_their_brackets_do() {
        let check = |text: &str, expected: Option<usize>| {
            assert_eq!(
                Scan::default().value_end(text.as_bytes()),
                expected,
                "{text}"
            );
            let mut scan = Scan::default();
            let found =
                (0..text.len()).find(|i| scan.value_end(&text.as_bytes()[*i..=*i]).is_some());
            assert_eq!(found.map(|i| i + 1), expected, "{text}, byte by byte");
        };
        check("{}", Some(2));
        check(" [1,[2],{\"a\":\"]\"}] []", Some(18));
        check(r#"{"a":"\"}\\"}"#, Some(13));
        check("}{\"a\":1}", Some(8));
        check("{\"a\":[}", None);
        check("\"{}\"", Some(3));
        check("", None);
    }
}

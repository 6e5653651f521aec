//! Windows as they are typed: `FROM/TO`, each an RFC 3339 time or relative to the data.

use anyhow::{Context as _, anyhow, bail};
use jiff::{SignedDuration, Timestamp};
use tracediff_core::model::Window;

/// The window that `text` names in data that spans from `first_ns` to `last_ns`.
pub(crate) fn parse(text: &str, (first_ns, last_ns): (i64, i64)) -> anyhow::Result<Window> {
    let name = || format!("the window `{text}` cannot be used");
    let (from, to) = text
        .split_once('/')
        .ok_or_else(|| {
            anyhow!("expected FROM/TO, e.g. -30m/-15m or 2026-01-05T10:00:00Z/2026-01-05T10:15:00Z")
        })
        .with_context(name)?;
    let end_ns = last_ns.saturating_add(1);
    let from_ns = parse_time(from, first_ns, end_ns).with_context(name)?;
    let to_ns = parse_time(to, first_ns, end_ns).with_context(name)?;
    Window::new(from_ns, to_ns)
        .map_err(|_| {
            anyhow!(
                "it ends at {}, which is not after its start at {}; its end must be later",
                time_text(to_ns),
                time_text(from_ns)
            )
        })
        .with_context(name)
}

fn time_text(ns: i64) -> String {
    Timestamp::from_nanosecond(ns.into()).map_or_else(|_| format!("{ns} ns"), |t| t.to_string())
}

fn parse_time(text: &str, start_ns: i64, end_ns: i64) -> anyhow::Result<i64> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("start") {
        return offset(rest, start_ns);
    }
    if let Some(rest) = text.strip_prefix("end") {
        return offset(rest, end_ns);
    }
    if text.starts_with('-') {
        return offset(text, end_ns);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return i64::try_from(time.as_nanosecond())
            .map_err(|_| anyhow!("`{text}` is out of range"));
    }
    bail!(
        "`{text}` is not a time; write one such as 2026-01-05T10:00:00Z, or one relative to the data: -15m (before its \
         end), end, start, start+5m"
    )
}

/// `base` plus or minus a duration such as `+5m`, `-1h30m`; nothing is `base` itself.
fn offset(text: &str, base_ns: i64) -> anyhow::Result<i64> {
    if text.is_empty() {
        return Ok(base_ns);
    }
    let (sign, rest) = match text.as_bytes()[0] {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => bail!("`{text}` is not an offset; write + or - and a duration, e.g. -15m"),
    };
    let duration: SignedDuration = rest.parse().map_err(|_| {
        anyhow!("`{rest}` is not a duration; write one such as 90s, 15m, 2h or 1h30m")
    })?;
    let ns = i64::try_from(duration.as_nanos()).map_err(|_| anyhow!("`{rest}` is too long"))?;
    base_ns
        .checked_add(sign * ns)
        .ok_or_else(|| anyhow!("`{text}` is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_absolute_or_relative() {
        let data = (1_000_000_000_000, 2_000_000_000_000 - 1);
        let seconds = |text: &str| {
            parse(text, data)
                .map(|w| (w.from_ns() / 1_000_000_000, w.to_ns() / 1_000_000_000))
                .map_err(|e| {
                    e.chain()
                        .map(ToString::to_string)
                        .collect::<Vec<_>>()
                        .join(": ")
                })
        };
        assert_eq!(seconds("-15m/end"), Ok((1_100, 2_000)));
        assert_eq!(seconds("start/start+100s"), Ok((1_000, 1_100)));
        assert_eq!(seconds("end-1m/-30s"), Ok((1_940, 1_970)));
        assert_eq!(seconds("1970-01-01T00:20:00Z/-0s"), Ok((1_200, 2_000)));
        assert!(seconds("-15m").unwrap_err().contains("expected FROM/TO"));
        assert!(
            seconds("-5x/end")
                .unwrap_err()
                .contains("`5x` is not a duration")
        );
        assert!(
            seconds("noon/end")
                .unwrap_err()
                .contains("`noon` is not a time")
        );
        assert!(
            seconds("end/start")
                .unwrap_err()
                .contains("its end must be later")
        );
        assert!(
            seconds("-1m/-1m")
                .unwrap_err()
                .contains("its end must be later")
        );
    }
}

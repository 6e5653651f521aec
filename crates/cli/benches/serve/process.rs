//! What this process and others took, as `/proc` says.

use std::time::Duration;

/// CPU time of this process so far.
pub(crate) fn cpu() -> Duration {
    cpu_in("self", 11..13)
}

/// CPU time of another process so far.
pub(crate) fn cpu_of(process: u32) -> Duration {
    cpu_in(&process.to_string(), 11..13)
}

/// CPU time of all children that have ended and were waited for.
pub(crate) fn cpu_of_children() -> Duration {
    cpu_in("self", 13..15)
}

/// The sum of some fields of a process's `stat`, counted from the one behind the name.
fn cpu_in(process: &str, fields: std::ops::Range<usize>) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("Linux");
    let all: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = all[fields]
        .iter()
        .filter_map(|f| f.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// The most memory that a process had; `None` where it has none any more.
pub(crate) fn peak_mib_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? >> 10)
}

//! What a process before left in the log: moved into segments when the store is opened.

use std::io;
use std::sync::Arc;

use tracediff_wire::Decoded;

use crate::head::Generation;
use crate::keeper::Keeper;
use crate::log::{Found, LogFiles, Record, records};
use crate::store::OpenError;

/// What was found in the log when the store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Requests that were in the log and in no segment.
    pub requests: u64,
    /// Their spans.
    pub spans: u64,
    /// Bytes at ends of log files that were cut off: writes that never were acknowledged.
    pub torn_bytes: u64,
    /// What is damaged and was passed over, in words: places in the middle of log files, a manifest.
    pub damage: Vec<String>,
}

/// Moves what the log holds into segments, file by file, as the process before would have done.
pub(crate) async fn replay(
    keeper: &Keeper,
    files: &LogFiles,
    cannot_use: &impl Fn(io::Error) -> OpenError,
) -> Result<Recovery, OpenError> {
    let mut recovery = Recovery::default();
    let done = keeper.view.read().manifest.generation;
    for number in files.generations().map_err(cannot_use)? {
        if number <= done {
            files.remove(number).map_err(cannot_use)?;
            continue;
        }
        let file = files.read(number).map_err(cannot_use)?;
        let generation = Generation::new(number, 1);
        let damage_before = recovery.damage.len();
        for found in records(&file) {
            match found {
                Found::Record(record) => match replay_record(&generation, &record) {
                    Ok(decoded) => {
                        recovery.requests += 1;
                        recovery.spans += decoded.spans;
                    }
                    Err(problem) => recovery
                        .damage
                        .push(format!("log file {number}: {problem}")),
                },
                Found::Damage { offset, bytes } => recovery.damage.push(format!(
                    "log file {number}: {bytes} bytes from byte {offset} on are no record"
                )),
                Found::TornTail { bytes, .. } => recovery.torn_bytes += bytes as u64,
            }
        }
        drop(file);
        if recovery.damage.len() > damage_before {
            let aside = files.set_aside(number).map_err(cannot_use)?;
            recovery.damage.push(format!(
                "log file {number}, with what could not be read of it, is kept as {}",
                aside.display()
            ));
        }
        {
            let mut parts = keeper.view.write();
            parts.closed.push(Arc::new(generation));
            parts.open = Arc::new(Generation::new(number + 1, keeper.shards));
        }
        keeper.flush().await?;
    }
    Ok(recovery)
}

fn replay_record(generation: &Generation, record: &Record<'_>) -> Result<Decoded, String> {
    let plain = zstd::bulk::decompress(record.zstd, record.plain_bytes)
        .map_err(|e| format!("a record cannot be decompressed: {e}"))?;
    generation
        // What was accepted once is taken, whatever was allowed then.
        .decode(record.encoding, &plain, usize::MAX, 0)
        .map(|(decoded, _)| decoded)
        .map_err(|e| format!("a record cannot be decoded: {e}"))
}

//! Facts of two sets of spans, taken the way the command line takes them.

use tracediff_core::facts::{Facts, Plan};
use tracediff_core::model::{Slicing, SpanBatch, Window, slice_length_ns};
use tracediff_core::snapshot::{Selection, estimate_clocks, occupied_time, take_part};
use tracediff_core::trace::TraceIndex;
use tracediff_simulate::{Settings, simulate};

/// The facts of both sides over the time that their traces occupy.
pub(crate) fn facts_of(baseline: &[SpanBatch], candidate: &[SpanBatch]) -> [Facts; 2] {
    let ranges = [baseline, candidate].map(|batches| occupied_time(batches).ranges());
    facts_in([baseline, candidate], &ranges)
}

/// The facts of both sides in these ranges.
pub(crate) fn facts_in(batches: [&[SpanBatch]; 2], ranges: &[Vec<Window>; 2]) -> [Facts; 2] {
    let slice_ns = slice_length_ns(&ranges[0], &ranges[1]);
    let facts = |side: usize| {
        let slicing = Slicing::cut(&ranges[side], slice_ns);
        let index = TraceIndex::build(batches[side]);
        let plan = Plan {
            clocks: estimate_clocks(batches[side], &index, &slicing),
            slicing,
            group_by: Vec::new(),
            paths: true,
        };
        take_part(batches[side], &index, &plan, &Selection::default(), 0, 1).facts
    };
    [facts(0), facts(1)]
}

/// Two simulated windows, the second right after the first.
pub(crate) fn simulated(baseline: &Settings, candidate: &Settings) -> anyhow::Result<[Facts; 2]> {
    let window_ns = (baseline.minutes * 60e9) as u64;
    let candidate = Settings {
        start_ns: baseline.start_ns + window_ns,
        ..candidate.clone()
    };
    Ok(facts_of(&simulate(baseline)?, &simulate(&candidate)?))
}

/// Runs `work` for every number below `count` on all cores; `take` gets the results one at a time.
pub(crate) fn on_all_cores<T: Send>(
    count: u64,
    work: impl Fn(u64) -> anyhow::Result<T> + Sync,
    take: impl FnMut(u64, T) + Send,
) -> anyhow::Result<()> {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, PoisonError};
    let next = AtomicU64::new(0);
    let take = Mutex::new(take);
    let run = || -> anyhow::Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            let result = work(number)?;
            (take.lock().unwrap_or_else(PoisonError::into_inner))(number, result);
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker failed"))?
        })
    })
}

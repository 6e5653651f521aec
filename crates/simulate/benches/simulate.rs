//! Spans per second that a window of the shop makes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tracediff_simulate::{Settings, simulate};

fn window(criterion: &mut Criterion) {
    let settings = Settings {
        minutes: 5.0,
        ..Settings::default()
    };
    let batches = simulate(&settings).unwrap_or_default();
    let spans: usize = batches.iter().map(|batch| batch.len()).sum();
    let mut group = criterion.benchmark_group("simulate");
    group.sample_size(20);
    group.throughput(Throughput::Elements(spans as u64));
    group.bench_function("five minutes of the shop", |bencher| {
        bencher.iter(|| simulate(&settings));
    });
    group.finish();
}

criterion_group!(benches, window);
criterion_main!(benches);

//! Any text as a query: never a panic; what is printed parses to the same query, and matching never fails.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tracediff_core::model::{SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef};
use tracediff_core::query::{Matcher, Query};

fuzz_target!(|text: &str| {
    match Query::parse(text) {
        Ok(query) => {
            let printed = query.to_string();
            assert_eq!(Query::parse(&printed).as_ref(), Ok(&query), "{printed}");
            let mut builder = SpanBatchBuilder::new();
            builder.resource_attribute(b"service.name", ValueRef::String(b"cart"));
            builder.span_attribute(b"http.status_code", ValueRef::Int(200));
            builder.end_span(&SpanCore {
                trace_id: TraceId([1; 16]),
                span_id: SpanId([1; 8]),
                operation: b"GET /",
                ..SpanCore::default()
            });
            builder.commit().expect("one span fits");
            let batch = &builder.finish()[0];
            assert_eq!(Matcher::new(&query).matching_rows(batch).len(), 1);
        }
        Err(error) => assert!(!error.render(text).is_empty()),
    }
});

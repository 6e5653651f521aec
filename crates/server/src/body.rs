//! Reading a request's body within bounds of size, time and memory, so that no client can hold a connection or memory
//! by sending slowly or much.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::config::Limits;
use crate::memory::Share;
use crate::refusal::Refusal;

/// The least that is asked for at a time.
const STEP_BYTES: usize = 16 << 10;

/// Reads the whole body, at most `limit_bytes` of it, whose memory comes from `share`.
pub(crate) async fn read(
    body: &mut Body,
    limit_bytes: usize,
    limits: &Limits,
    share: &mut Share,
) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::TooLarge {
        limit_bytes,
        decompressed: false,
    };
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(too_large());
    }
    let clock = Clock::start(limits);
    let mut whole = Vec::new();
    while let Some(data) = clock.next(body).await? {
        if whole.len() + data.len() > limit_bytes {
            return Err(too_large());
        }
        let missing = (whole.len() + data.len()).saturating_sub(whole.capacity());
        if missing > 0 {
            // It doubles, as a vector does, but what is asked for is known before it is taken.
            let step = missing.max(whole.capacity()).max(STEP_BYTES);
            share.grow(step)?;
            whole.reserve_exact(whole.capacity() - whole.len() + step);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// Reads what is left of a body that was refused, at most `limit_bytes`, and keeps nothing.
///
/// A client of HTTP/1 sends its whole request before it reads the answer; closing the connection before that would take
/// the answer away from it.
pub(crate) async fn discard(body: &mut Body, limit_bytes: usize, limits: &Limits) {
    let clock = Clock::start(limits);
    let mut left = limit_bytes;
    while let Ok(Some(data)) = clock.next(body).await {
        match left.checked_sub(data.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The two bounds on a body's time.
struct Clock {
    deadline: Instant,
    total: Duration,
    idle: Duration,
}

impl Clock {
    fn start(limits: &Limits) -> Self {
        Self {
            deadline: Instant::now() + limits.body_timeout,
            total: limits.body_timeout,
            idle: limits.body_idle_timeout,
        }
    }

    /// The next data; `None` at the end of the body.
    async fn next(&self, body: &mut Body) -> Result<Option<Bytes>, Refusal> {
        loop {
            let idle = Instant::now() + self.idle;
            let frame = timeout_at(idle.min(self.deadline), body.frame())
                .await
                .map_err(|_| {
                    Refusal::TooSlow(if idle < self.deadline {
                        format!("nothing came for {:?}", self.idle)
                    } else {
                        format!("it took longer than {:?}", self.total)
                    })
                })?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(Refusal::Interrupted),
                // What is no data is trailers, which say nothing here.
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    async fn run(parts: &[usize], limit_bytes: usize, memory: &Memory) -> Result<usize, Refusal> {
        let parts: Vec<_> = parts
            .iter()
            .map(|size| {
                Ok::<_, std::io::Error>(hyper::body::Frame::data(Bytes::from(vec![7; *size])))
            })
            .collect();
        let mut body = Body::new(http_body_util::StreamBody::new(
            tonic::codegen::tokio_stream::iter(parts),
        ));
        let mut share = memory.share();
        let bytes = read(&mut body, limit_bytes, &Limits::default(), &mut share).await?;
        assert!(bytes.iter().all(|byte| *byte == 7));
        Ok(bytes.len())
    }

    #[tokio::test]
    async fn sizes_are_counted_over_parts() {
        let memory = Memory::new(1 << 20);
        let parts = [1, 20_000, 0, 60_000, 19_999];
        assert_eq!(run(&parts, 100_000, &memory).await, Ok(100_000));
        let refusal = run(&parts, 99_999, &memory).await.unwrap_err();
        assert!(matches!(
            refusal,
            Refusal::TooLarge {
                decompressed: false,
                ..
            }
        ));
        assert_eq!(run(&[], 0, &memory).await, Ok(0));
        assert_eq!(memory.free_bytes(), 1 << 20);
    }

    #[tokio::test]
    async fn memory_is_asked_for_before_it_is_taken() {
        let memory = Memory::new(60_000);
        let refusal = run(&[50_000, 50_000], 100_000, &memory).await.unwrap_err();
        assert!(matches!(refusal, Refusal::Busy { .. }));
        assert_eq!(memory.free_bytes(), 60_000);
    }
}

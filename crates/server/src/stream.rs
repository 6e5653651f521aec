//! A connection whose first bytes must come in time, and whose answers must be taken in time.
//!
//! hyper bounds the time for the headers of HTTP/1, but neither the time in which it finds out whether a connection
//! speaks HTTP/1 or HTTP/2, nor that of writing: a client that says nothing, or half of HTTP/2's preface, or never
//! reads, would hold its connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What an HTTP/2 client says first. Source: RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream that fails with `TimedOut` where the other side has not shown in time which protocol it speaks, or takes
/// nothing of what is written.
#[derive(Debug)]
pub(crate) struct Bounded<S> {
    stream: S,
    /// While it is not known which protocol is spoken.
    preface: Option<Preface>,
    write_timeout: Duration,
    /// While nothing can be written: until when.
    stalled: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
struct Preface {
    /// Bytes of the preface that came.
    seen: usize,
    until: Pin<Box<Sleep>>,
}

impl<S> Bounded<S> {
    pub(crate) fn new(stream: S, preface_timeout: Duration, write_timeout: Duration) -> Self {
        let until = Box::pin(sleep(preface_timeout));
        Self {
            stream,
            preface: Some(Preface { seen: 0, until }),
            write_timeout,
            stalled: None,
        }
    }

    /// What writing came to, or `TimedOut` where it has come to nothing for too long.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let Some(preface) = &mut self.preface else {
            return read;
        };
        if read.is_pending() {
            ready!(preface.until.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let bytes = &buffer.filled()[before..];
        let goes_on = PREFACE[preface.seen..].starts_with(bytes);
        preface.seen += bytes.len();
        // Anything else is HTTP/1, or goes wrong at once. The preface and more is no start of the preface either.
        if !goes_on || preface.seen == PREFACE.len() {
            self.preface = None;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

//! A path while traces are added to it.

use super::bands::{Band, BandSums, SampledTrace, Stratum, add_band, add_trace};
use super::signature::{Signature, SignatureCalls, add_calls};
use super::tree::PathCell;

/// A path while traces are added to it.
#[derive(Debug)]
pub(super) struct OpenNode {
    pub(super) parent: u32,
    pub(super) label: u32,
    pub(super) depth: u32,
    pub(super) is_awaited: bool,
    pub(super) slice: u32,
    pub(super) cell: PathCell,
    pub(super) cells: Vec<(u32, PathCell)>,
    /// Calls by the children they have, in the current slice, and in all others.
    pub(super) signatures: Vec<(Signature, f64)>,
    pub(super) kept_signatures: Vec<SignatureCalls>,
    pub(super) bands: Vec<BandSums>,
    /// Of a request only.
    pub(super) strata: Vec<Stratum>,
    pub(super) trace: TraceSums,
    /// The span whose child here was seen last, to count each parent once.
    pub(super) latest_parent: u64,
}

/// One path's sums of the trace that is being added. Not weighted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TraceSums {
    pub(super) spans: u32,
    pub(super) present: u32,
    pub(super) childless: u32,
    pub(super) errors: u32,
    pub(super) origins: u32,
    /// The part of the request's failure that begins here.
    pub(super) origins_reaching: f64,
    pub(super) branching: u32,
    pub(super) overlapping: u32,
    pub(super) critical_calls: u32,
    pub(super) exclusive_ns: i64,
    pub(super) critical_ns: i64,
    pub(super) duration_ns: i64,
}

/// The request of a trace: what its paths' sums are told apart by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) weight: f64,
    pub(super) failed: bool,
    /// How long it took; `None` where its root did not arrive.
    pub(super) band: Option<Band>,
    pub(super) trace: SampledTrace,
}

impl OpenNode {
    pub(super) fn new(parent: u32, label: u32, depth: u32, is_awaited: bool) -> Self {
        Self {
            parent,
            label,
            depth,
            is_awaited,
            slice: 0,
            cell: PathCell::default(),
            cells: Vec::new(),
            signatures: Vec::new(),
            kept_signatures: Vec::new(),
            bands: Vec::new(),
            strata: Vec::new(),
            trace: TraceSums::default(),
            latest_parent: 0,
        }
    }

    /// Begins the sums of a trace.
    pub(super) fn begin_trace(&mut self, slice: u32) {
        if slice != self.slice {
            self.keep_slice();
            self.slice = slice;
        }
    }

    /// Notes which children a call has.
    pub(super) fn add_signature(&mut self, signature: Signature, weight: f64) {
        add_calls(&mut self.signatures, signature, weight);
    }

    /// Moves the sums of the current trace into the cell of its slice, and into the band of its request's duration.
    pub(super) fn end_trace(&mut self, request: &Request, is_request: bool) {
        let w = request.weight;
        let sums = std::mem::take(&mut self.trace);
        let (c, t, d) = (
            f64::from(sums.spans),
            sums.critical_ns as f64,
            sums.duration_ns as f64,
        );
        let cell = &mut self.cell;
        cell.traces += 1;
        cell.failing_traces += u64::from(sums.origins > 0);
        cell.spans += u64::from(sums.spans);
        cell.weight += w;
        cell.weight_squared += w * w;
        cell.calls += w * c;
        cell.calls_squared += w * w * c * c;
        cell.present += w * f64::from(sums.present);
        cell.childless += w * f64::from(sums.childless);
        cell.errors += w * f64::from(sums.errors);
        cell.origins += w * f64::from(sums.origins);
        cell.origins_reaching += w * sums.origins_reaching;
        cell.branching += w * f64::from(sums.branching);
        cell.overlapping += w * f64::from(sums.overlapping);
        cell.exclusive_ns += w * sums.exclusive_ns as f64;
        cell.critical_ns += w * t;
        cell.critical_squared += w * w * t * t;
        cell.critical_weight += w * w * t;
        cell.critical_calls += w * f64::from(sums.critical_calls);
        cell.duration_ns += w * d;
        cell.duration_squared += w * w * d * d;
        cell.duration_weight += w * w * d;
        let Some(band) = request.band.filter(|_| self.is_awaited) else {
            return;
        };
        let time_ns = w * if is_request { d } else { t };
        if time_ns > 0.0 || is_request {
            let sums = BandSums {
                band,
                weight: w,
                time_ns,
            };
            add_band(&mut self.bands, sums);
        }
        if is_request {
            add_trace(&mut self.strata, band, request.failed, w, request.trace);
        }
    }

    /// Puts what the current slice has with the rest of it.
    pub(super) fn keep_slice(&mut self) {
        let calls = self.signatures.drain(..);
        let slice = self.slice;
        self.kept_signatures
            .extend(calls.map(|(signature, calls)| SignatureCalls {
                signature,
                slice,
                calls,
            }));
        let cell = std::mem::take(&mut self.cell);
        if cell.traces == 0 {
            return;
        }
        match self.cells.binary_search_by_key(&self.slice, |(s, _)| *s) {
            Ok(place) => self.cells[place].1.merge(&cell),
            Err(place) => self.cells.insert(place, (self.slice, cell)),
        }
    }
}

//! The traces behind a diff: what the bad ones have in common, and which to look at.
//!
//! A diff is computed from facts; which attribute values its findings come with is asked of the traces themselves,
//! in a second pass: [`questions`] of the diff, [`ask`]ed of both sides' traces, and [`answer`]ed in the diff.

mod answer;
mod document;
mod question;
mod strata;
mod testimony;
mod timeline;
mod what_if;
mod whole;

pub use self::document::*;
pub use self::question::{Badness, Place, Question, Subject, questions};
pub use self::strata::strata;
pub use self::testimony::{Testimony, ask};
pub use self::whole::whole_traces;
use crate::diff::Diff;

/// Writes the answers to the questions into the diff. The sides are the baseline's testimony and the candidate's.
pub fn answer(diff: &mut Diff, questions: &[Question], sides: &[Testimony; 2]) {
    for (number, question) in questions.iter().enumerate() {
        let answer = answer::answer(question, number, sides);
        match question.place {
            Place::Culprit(i) => {
                let culprit = &mut diff.culprits[i];
                culprit.explanation = answer;
                culprit.what_if =
                    what_if::what_if(culprit, &diff.attribution, question, number, sides);
            }
            Place::Finding(i) => diff.findings[i].explanation = answer,
        }
    }
}

/// The traces that a diff names, at most `limit` of either side: of the baseline, and of the candidate. Those of answers
/// first, most important first, then those that stand for requests.
pub fn named_traces(diff: &Diff, limit: usize) -> [Vec<String>; 2] {
    let of_culprits = diff.culprits.iter().filter_map(|c| c.explanation.as_ref());
    let of_findings = diff.findings.iter().filter_map(|f| f.explanation.as_ref());
    let mut named: [Vec<String>; 2] = Default::default();
    for explanation in of_culprits.chain(of_findings) {
        let of_sides = [
            (0, &explanation.matched),
            (1, &explanation.typical),
            (1, &explanation.extreme),
        ];
        for (side, id) in of_sides {
            if let Some(id) = id
                && named[side].len() < limit
                && !named[side].contains(id)
            {
                named[side].push(id.clone());
            }
        }
    }
    for stratum in &diff.requests {
        for (side, ids) in [&stratum.exemplars.baseline, &stratum.exemplars.candidate]
            .into_iter()
            .enumerate()
        {
            let room = limit.saturating_sub(named[side].len());
            let new = ids.iter().filter(|id| !named[side].contains(id));
            let new: Vec<String> = new.take(room.min(1)).cloned().collect();
            named[side].extend(new);
        }
    }
    named
}

//! The statistics against reference vectors that `tests/vectors/make_vectors.py` computed independently.

#![expect(
    clippy::unwrap_used,
    reason = "a vector file of another shape should fail the test at once"
)]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tracediff_core::facts::histogram::{BUCKETS_PER_OCTAVE, Histogram, bucket_of_ns};
use tracediff_core::stats::distribution::{
    binomial_cdf, binomial_pmf, normal_quantile, normal_two_sided, normal_upper_tail, t_quantile,
    t_two_sided,
};
use tracediff_core::stats::fdr::benjamini_hochberg;
use tracediff_core::stats::proportion::{
    conditional_poisson_mid_p, fisher_mid_p, rule_of_three, score_interval, wilson,
};
use tracediff_core::stats::quantile::share_error_at_limit;
use tracediff_core::stats::ratio::{Ratio, SliceSums};
use tracediff_core::stats::{Clustering, Sample, Test, Variance, theta};

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/vectors")
        .join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("no list `{key}`"))
}

fn number(value: &Value, key: &str) -> f64 {
    value[key]
        .as_f64()
        .unwrap_or_else(|| panic!("no number `{key}` in {value}"))
}

#[track_caller]
fn close(found: f64, expected: f64, relative: f64, what: &Value) {
    let scale = expected.abs().max(1e-290);
    assert!(
        (found - expected).abs() <= relative * scale,
        "{found:e}, expected {expected:e}: {what}"
    );
}

#[test]
fn distributions() {
    let v = vectors("distributions.json");
    for c in list(&v, "student_t_two_sided") {
        // Far tails lose digits in the prefactor of the incomplete beta function; ten are plenty for a p-value.
        close(
            t_two_sided(number(c, "t"), number(c, "df")),
            number(c, "p"),
            1e-8,
            c,
        );
    }
    for c in list(&v, "student_t_quantile") {
        let (p, df, t) = (number(c, "probability"), number(c, "df"), number(c, "t"));
        // A p near 1 in doubles leaves few digits of the tail.
        let tolerance = 1e-9 + 1e-15 / p.min(1.0 - p);
        close(t_quantile(p, df), t, tolerance, c);
    }
    for c in list(&v, "normal") {
        let z = number(c, "z");
        close(normal_upper_tail(z), number(c, "sf"), 1e-10, c);
        close(
            normal_two_sided(z),
            2.0 * number(c, "sf").min(number(c, "cdf")),
            1e-10,
            c,
        );
    }
    for c in list(&v, "normal_quantile") {
        let p = number(c, "probability");
        assert!(
            (normal_quantile(p) - number(c, "z")).abs() <= 1e-9 + 1e-15 / p.min(1.0 - p),
            "{c}"
        );
    }
    for c in list(&v, "binomial") {
        let (n, p, k) = (
            number(c, "n") as u64,
            number(c, "probability"),
            number(c, "k") as u64,
        );
        close(binomial_cdf(k, n, p), number(c, "lower"), 1e-8, c);
        let mid = binomial_cdf(k, n, p) - 0.5 * binomial_pmf(k, n, p);
        assert!((mid - number(c, "mid_lower")).abs() <= 1e-9, "{c}");
    }
}

#[test]
fn proportions() {
    let v = vectors("proportions.json");
    let mut checked = 0;
    for c in list(&v, "wilson")
        .iter()
        .filter(|c| number(c, "level") == 0.95)
    {
        let interval = wilson(number(c, "successes"), number(c, "n"));
        assert!((interval.low - number(c, "lower")).abs() < 1e-12, "{c}");
        assert!((interval.high - number(c, "upper")).abs() < 1e-12, "{c}");
        checked += 1;
    }
    for c in list(&v, "score_intervals") {
        let side = |key: &str| (c[key][0].as_f64().unwrap(), c[key][1].as_f64().unwrap());
        let interval = score_interval(side("baseline"), side("candidate"));
        let tolerance = 1e-6 * (number(c, "upper") - number(c, "lower"));
        assert!((interval.low - number(c, "lower")).abs() < tolerance, "{c}");
        assert!(
            (interval.high - number(c, "upper")).abs() < tolerance,
            "{c}"
        );
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
    for c in list(&v, "fisher") {
        let cell = |i: usize, j: usize| c["table"][i][j].as_u64().unwrap();
        let (a, b, e, f) = (cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1));
        assert!(
            (fisher_mid_p(a, a + b, e, e + f) - number(c, "mid_p")).abs() < 1e-9,
            "{c}"
        );
    }
    for c in list(&v, "poisson_c_test") {
        let share = number(c, "candidate_seconds")
            / (number(c, "baseline_seconds") + number(c, "candidate_seconds"));
        let counts = (
            number(c, "baseline_count") as u64,
            number(c, "candidate_count") as u64,
        );
        close(
            conditional_poisson_mid_p(counts.0, counts.1, share),
            number(c, "p"),
            1e-8,
            c,
        );
    }
    for c in list(&v, "rule_of_three") {
        close(rule_of_three(number(c, "n")), number(c, "bound"), 1e-12, c);
    }
}

#[test]
fn false_discovery_rate() {
    let v = vectors("fdr.json");
    for c in list(&v, "cases") {
        let numbers = |key: &str| {
            list(c, key)
                .iter()
                .map(|x| x.as_f64().unwrap())
                .collect::<Vec<_>>()
        };
        for (found, expected) in benjamini_hochberg(&numbers("p")).iter().zip(numbers("q")) {
            assert!((found - expected).abs() < 1e-12, "{}", c["name"]);
        }
    }
    assert!(benjamini_hochberg(&[0.01, f64::NAN])[1].is_nan());
}

/// Independent spans and enough slices, so that only the slices' scatter is left of the variance.
fn sample(rows: &Value) -> Sample {
    let mut slices: BTreeMap<u64, Histogram> = BTreeMap::new();
    for row in rows.as_array().unwrap() {
        let bucket = row[1].as_i64().unwrap() as i16;
        let slice = slices.entry(row[0].as_u64().unwrap()).or_default();
        slice.add(bucket, row[2].as_f64().unwrap());
    }
    let clustering = Clustering {
        effective_spans: 1e18,
        trace_design_effect: 1.0,
        traces: 1e18,
        persistence: 0.0,
    };
    Sample::new(slices.values(), clustering).unwrap()
}

#[test]
fn theta_and_its_clustered_variance() {
    let v = vectors("theta.json");
    let mut judged = 0;
    for c in list(&v, "cases") {
        let (a, b) = (sample(&c["baseline"]), sample(&c["candidate"]));
        let enough = a.slices() >= 6 && b.slices() >= 6;
        let found = theta::compare(&a, &b);
        assert!(
            (found.theta - number(c, "theta")).abs() < 1e-12,
            "{}",
            c["name"]
        );
        assert!(
            (found.delta - number(c, "cliffs_delta")).abs() < 1e-12,
            "{}",
            c["name"]
        );
        let (true, Some(se)) = (enough, c["se"].as_f64().filter(|se| *se > 0.0)) else {
            continue;
        };
        close(found.test.standard_error, se, 1e-9, c);
        close(found.test.degrees_of_freedom, number(c, "df"), 1e-9, c);
        let p = if c["logit"].is_null() {
            number(c, "p")
        } else {
            number(&c["logit"], "p")
        };
        close(found.test.p, p, 1e-7, c);
        judged += 1;
    }
    assert!(judged >= 8, "only {judged} cases with enough slices");
}

#[test]
fn ratios_and_their_clustered_variances() {
    let v = vectors("ratio.json");
    let mut ratios = std::collections::HashMap::new();
    for c in list(&v, "samples") {
        let mut slices: std::collections::BTreeMap<u64, SliceSums> = Default::default();
        for t in list(c, "traces") {
            let at = |i: usize| t[i].as_f64().unwrap();
            let (x, y) = (at(1) * at(2), at(1) * at(3));
            let s = slices.entry(t[0].as_u64().unwrap()).or_default();
            s.traces += 1.0;
            s.x += x;
            s.y += y;
            s.xx += x * x;
            s.xy += x * y;
            s.yy += y * y;
        }
        let ratio = Ratio::estimate(slices.values().copied()).unwrap();
        close(ratio.value, number(c, "ratio"), 1e-12, &c["name"]);
        let scale = ratio.value * ratio.value * 1e-12;
        assert!(
            (ratio.trace_variance - number(c, "variance_trace")).abs()
                <= scale.max(1e-9 * ratio.trace_variance),
            "{}",
            c["name"]
        );
        if let Some(expected) = c["variance_slice"].as_f64() {
            let found = ratio.slice_variance.unwrap();
            assert!(
                (found - expected).abs() <= scale.max(1e-9 * expected),
                "{}",
                c["name"]
            );
        }
        ratios.insert(c["name"].as_str().unwrap().to_owned(), ratio);
    }
    let mut judged = 0;
    for c in list(&v, "pairs") {
        let side = |key: &str| ratios[c[key].as_str().unwrap()];
        let (a, b) = (side("baseline"), side("candidate"));
        if a.slices < 6 || b.slices < 6 {
            continue;
        }
        for (scale, map, slope) in [
            (
                "linear",
                (|r| r) as fn(f64) -> f64,
                (|_| 1.0) as fn(f64) -> f64,
            ),
            ("log", f64::ln, |r| 1.0 / r),
            ("logit", |r| (r / (1.0 - r)).ln(), |r| 1.0 / (r * (1.0 - r))),
        ] {
            let Some(expected) = c[scale]["p"].as_f64() else {
                continue;
            };
            // The vectors judge by the slices' degrees of freedom whichever variance is larger.
            let variance = |r: Ratio| -> Variance {
                Variance {
                    degrees_of_freedom: r.slices as f64 - 1.0,
                    ..r.variance(0.0)
                }
                .scaled(slope(r.value))
            };
            let test = Test::welch(map(b.value) - map(a.value), variance(a), variance(b));
            close(test.p, expected, 1e-6, c);
            close(test.degrees_of_freedom, number(&c[scale], "df"), 1e-8, c);
            judged += 1;
        }
    }
    assert!(judged >= 10, "{judged}");
}

#[test]
fn quantiles_and_woodruff_intervals() {
    let v = vectors("woodruff.json");
    for c in list(&v, "samples") {
        let sample = sample(&c["rows"]);
        for q in list(c, "quantiles") {
            let p = number(q, "p");
            assert_eq!(
                i64::from(sample.bucket_at(p)),
                q["index"].as_i64().unwrap(),
                "{} {p}",
                c["name"]
            );
            if sample.slices() >= 6 {
                let found = share_error_at_limit(&sample, sample.bucket_at(p), p);
                assert!(
                    (found - number(q, "se_f")).abs() < 1e-9,
                    "{} {p}: {found}",
                    c["name"]
                );
            }
            for (share, index) in [
                ("lower_fraction", "lower_index"),
                ("upper_fraction", "upper_index"),
            ] {
                let share = number(q, share);
                if share > 0.0 {
                    let bucket = sample.bucket_at(share);
                    assert_eq!(
                        i64::from(bucket),
                        q[index].as_i64().unwrap(),
                        "{} {p} {share}",
                        c["name"]
                    );
                }
            }
        }
    }
}

#[test]
fn histogram_buckets() {
    let v = vectors("histogram.json");
    assert_eq!(1 << v["scale"].as_u64().unwrap(), BUCKETS_PER_OCTAVE);
    let mut checked = 0;
    for c in list(&v, "cases") {
        let us = f64::from_bits(
            u64::from_str_radix(c["bits"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap(),
        );
        let ns = us * 1e3;
        // Spans have whole nanoseconds; other values cannot come up.
        if ns.fract() != 0.0 || ns > 1e18 || ns as u64 as f64 / 1e3 != us {
            continue;
        }
        let expected = c["index"].as_i64().unwrap_or(-2);
        assert_eq!(i64::from(bucket_of_ns(ns as u64)), expected, "{c}");
        checked += 1;
    }
    assert!(checked >= 50, "{checked}");
}

"""Writes the reference vectors beside this file; with --check only says whether they are what it would write.

Nothing here reads or mirrors the Rust code: values come from exact.py, and every one for which SciPy or statsmodels
has an implementation is checked against it before it is written. README.md describes the files.
"""

import json
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from mpmath import mp, mpf
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

import exact
from exact import double

HERE = Path(__file__).parent


def close(ours, theirs, tolerance=1e-9):
    """Stops the script where a value, rounded as it is recorded, differs from a library's by more than a relative tolerance."""
    ours, theirs = double(ours), float(theirs)
    if not math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=1e-300):
        raise AssertionError(f"ours {ours!r}, library {theirs!r}")


def doubles(record):
    return {key: double(value) for key, value in record.items()}


# --- distributions.json


def make_distributions():
    dfs = [1.5, 2, 3.7, 5, 8.25, 11, 22, 57.3, 240.5, 1000, 5000]
    two_sided = []
    for df in dfs:
        for t in [0, 1e-8, 0.01, -0.3, 0.7, 1, -1.96, 2.5758293035489, 4, -7.5, 15, 38]:
            p = exact.t_two_sided(t, df)
            close(p, 2 * stats.t.sf(abs(t), df))
            two_sided.append(dict(t=t, df=df, p=double(p)))
    for t, df in [(1e3, 1.5), (1e6, 2), (1e10, 3.7), (500.0, 11), (1e5, 57.3), (60.0, 240.5)]:
        p = exact.t_two_sided(t, df)
        close(p, 2 * stats.t.sf(t, df))
        two_sided.append(dict(t=t, df=df, p=double(p)))

    quantiles = []
    for df in dfs:
        for probability in [1e-10, 0.001, 0.025, 0.2, 0.5, 0.6, 0.8, 0.9, 0.95, 0.975, 0.995, 0.9995, 0.999999]:
            theirs = stats.t.ppf(probability, df)
            t = exact.t_quantile(probability, df, theirs)
            close(t, theirs)
            quantiles.append(dict(probability=probability, df=df, t=double(t)))

    normal = []
    zs = [-37, -20, -8.5, -5, -3, -1.959963984540054, -1, -0.1, -1e-9, 0, 1e-9, 0.5, 1, 1.64, 2.5, 4, 6, 8.5, 12, 37]
    for z in zs:
        sf, cdf = exact.normal_sf(z), exact.normal_sf(-z)
        close(sf, stats.norm.sf(z))
        close(cdf, stats.norm.cdf(z))
        normal.append(dict(z=z, cdf=double(cdf), sf=double(sf)))
    normal_quantiles = []
    probabilities = [1e-300, 1e-100, 1e-16, 1e-5, 0.0013, 0.02425, 0.025, 0.1, 0.3, 0.5, 0.51, 0.8, 0.9, 0.95, 0.975]
    for probability in [*probabilities, 0.97575, 0.999, 0.999999999]:
        z = exact.normal_quantile(probability)
        close(z, stats.norm.ppf(probability))
        normal_quantiles.append(dict(probability=probability, z=double(z)))

    binomial = []
    for n, probability, ks in [
        (0, 0.5, [0]), (1, 0.3, [0, 1]), (7, 0.5, [0, 3, 4, 7]), (20, 0.05, [0, 1, 5, 20]), (49, 0.25, [2, 12, 13, 30]),
        (50, 1 / 3, [16, 17, 35]), (300, 0.001, [0, 1, 4]), (400, 0.9, [300, 360, 399]), (1000, 0.5, [400, 500, 612]),
    ]:
        pmf = exact.binomial_pmf(n, probability)
        for k in ks:
            lower, upper, here = sum(pmf[: k + 1]), sum(pmf[k:]), pmf[k]
            law = stats.binom(n, probability)
            close(lower, law.cdf(k))
            close(upper, law.sf(k - 1))
            record = dict(lower=lower, upper=upper, mid_lower=lower - here / 2, mid_upper=upper - here / 2)
            binomial.append(dict(n=n, probability=probability, k=k) | doubles(record))
    return dict(
        student_t_two_sided=two_sided, student_t_quantile=quantiles,
        normal=normal, normal_quantile=normal_quantiles, binomial=binomial,
    )


# --- proportions.json


def make_wilson():
    cases = []
    counts = [(0, 1), (1, 1), (0, 10), (10, 10), (1, 29), (3, 12), (50, 100), (81, 263), (15, 148), (2, 5000), (49990, 50000)]
    for successes, n in counts:
        for level in [0.9, 0.95, 0.99]:
            lower, upper = exact.wilson(successes, n, level)
            theirs = proportion_confint(successes, n, alpha=1 - level, method="wilson")
            assert math.isclose(double(lower), theirs[0], rel_tol=1e-9, abs_tol=1e-15)
            close(upper, theirs[1])
            cases.append(dict(successes=successes, n=n, level=level, lower=double(lower), upper=double(upper)))
    return cases


def make_score_intervals():
    # Table II of R. G. Newcombe, Statistics in Medicine 17 (1998) 873-890, method 6, second proportion as the baseline.
    published = [((48, 80), (56, 70), 0.0528, 0.3382), ((3, 10), (9, 10), 0.1700, 0.8406)]
    others = [
        ((2, 7), (6, 7)), ((0, 29), (5, 56)), ((2, 1000), (9, 1000)), ((9, 1000), (2, 1000)), ((0, 500), (3, 400)),
        ((3, 4), (1, 3)), ((30, 31), (1999, 2000)), ((3, 50000), (11, 40000)), ((40, 600000), (70, 700000)),
    ]
    fractional = [((2.5, 812.25), (7.75, 640.5))]
    cases = []
    for baseline, candidate in [row[:2] for row in published] + others + fractional:
        difference, lower, upper = exact.score_interval(baseline, candidate, 0.95)
        record = doubles(dict(difference=difference, lower=lower, upper=upper))
        cases.append(dict(baseline=list(baseline), candidate=list(candidate)) | record)
    for (_, _, lower, upper), case in zip(published, cases, strict=False):
        assert (round(case["lower"], 4), round(case["upper"], 4)) == (lower, upper)
    return cases


def make_fisher():
    tables = [
        [[0, 5], [5, 0]], [[1, 9], [11, 3]], [[3, 1], [1, 3]], [[8, 2], [1, 5]], [[0, 10], [0, 12]], [[10, 0], [12, 0]],
        [[0, 0], [3, 7]], [[2, 3], [6, 4]], [[0, 8], [2, 6]], [[0, 20], [3, 17]], [[1, 24], [5, 12]], [[7, 7], [7, 7]],
        [[12, 5], [29, 2]], [[0, 200], [4, 196]], [[4, 196], [0, 200]], [[2, 300], [11, 290]], [[0, 1], [1, 0]],
        [[1, 2], [3, 4]], [[3, 47], [9, 41]], [[6, 994], [7, 793]],
    ]
    cases = []
    for table in tables:
        pmf = exact.hypergeometric_pmf(table)
        observed = pmf[table[0][0]]
        below = sum(p for p in pmf.values() if p < observed)
        equal = sum(p for p in pmf.values() if p == observed)
        # No table lies within the relative tolerance of 1e-7 without being an exact tie.
        assert equal == sum(p for p in pmf.values() if abs(p - observed) <= observed / 10**7)
        close(below + equal, stats.fisher_exact(table).pvalue)
        cases.append(dict(table=table) | doubles(dict(p=below + equal, mid_p=below + equal / 2)))
    return cases


def make_poisson_c_test():
    cases = []
    for count_a, count_b, seconds_a, seconds_b in [
        (0, 0, 600, 600), (0, 1, 600, 600), (5, 0, 600, 600), (0, 6, 600, 300), (7, 7, 600, 600), (8, 20, 600, 600),
        (20, 8, 600, 600), (10, 10, 600, 300), (12, 31, 300, 720), (3, 40, 600, 600), (24, 25, 3600, 3600),
        (1, 48, 60, 3600), (17, 2, 600.5, 59.25),
    ]:
        n, share = count_a + count_b, Fraction(seconds_b) / (Fraction(seconds_a) + Fraction(seconds_b))
        pmf = exact.binomial_pmf(n, share)
        lower = sum(pmf[: count_b + 1]) - pmf[count_b] / 2
        upper = sum(pmf[count_b:]) - pmf[count_b] / 2
        law = stats.binom(n, float(share))
        close(lower, law.cdf(count_b) - law.pmf(count_b) / 2, 1e-7)
        close(upper, law.sf(count_b) + law.pmf(count_b) / 2)
        cases.append(
            dict(baseline_count=count_a, candidate_count=count_b, baseline_seconds=seconds_a, candidate_seconds=seconds_b)
            | doubles(dict(mid_lower=lower, mid_upper=upper, p=min(Fraction(1), 2 * min(lower, upper))))
        )
    return cases


def make_rule_of_three():
    """3/n, and the exact one-sided 95 % bound 1 - 0.05^(1/n) that it approximates from above."""
    cases = []
    for n in [3, 10, 30, 57.5, 100, 1234.5, 1e6]:
        bound, exact_bound = Fraction(3) / Fraction(n), 1 - mp.power(mpf(5) / 100, 1 / exact.high(n))
        close(exact_bound, stats.beta.ppf(0.95, 1, n))
        assert 0 < exact_bound < bound
        cases.append(dict(n=n) | doubles(dict(bound=bound, exact_bound=exact_bound)))
    return cases


def make_proportions():
    return dict(
        wilson=make_wilson(), score_intervals=make_score_intervals(), fisher=make_fisher(),
        poisson_c_test=make_poisson_c_test(), rule_of_three=make_rule_of_three(),
    )


# --- fdr.json


def make_fdr():
    rng = np.random.default_rng(20240401)
    vectors = {
        "one": [0.03],
        "one_zero": [0.0],
        "one_one": [1.0],
        "all_equal": [0.04] * 6,
        "all_ones": [1.0] * 4,
        "zeros_and_ones": [0.0, 1.0, 0.0, 1.0, 0.5],
        "sorted": [0.01, 0.02, 0.03, 0.04, 0.05],
        "reversed": [0.9, 0.5, 0.2, 0.04, 0.001],
        "not_monotone_before_the_running_minimum": [0.011, 0.02, 0.021, 0.8, 0.022],
        "ties": [0.05, 0.01, 0.05, 0.2, 0.01, 0.2, 0.2],
        "tiny": [1e-300, 1e-12, 0.5, 1e-300, 3e-200],
        # The worked example of Benjamini & Hochberg, JRSS B 57 (1995) 289-300; they reject four at 0.05.
        "benjamini_hochberg_1995": [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0,
        ],
        "uniform_40": rng.uniform(size=40).tolist(),
        "mixture_60": rng.permutation(np.concatenate([rng.uniform(size=45), rng.beta(0.1, 8, size=15)])).tolist(),
        "rounded_with_ties_50": np.round(rng.beta(0.4, 1, size=50), 2).tolist(),
    }
    cases = []
    for name, p in vectors.items():
        ours = [Fraction(0)] * len(p)
        smallest = Fraction(1)
        for rank, at in reversed(list(enumerate(sorted(range(len(p)), key=p.__getitem__), start=1))):
            smallest = min(smallest, Fraction(p[at]) * len(p) / rank)
            ours[at] = smallest
        libraries = stats.false_discovery_control(p, method="bh"), multipletests(p, method="fdr_bh")[1]
        for q, scipy_q, statsmodels_q in zip(ours, *libraries, strict=True):
            close(q, scipy_q)
            close(q, statsmodels_q)
        cases.append(dict(name=name, p=p, q=[double(q) for q in ours]))
    assert sum(q <= 0.05 for case in cases if case["name"] == "benjamini_hochberg_1995" for q in case["q"]) == 4
    return dict(cases=cases)


# --- samples in slices


def rows_of(slices, buckets):
    """[slice, bucket index, count], sorted."""
    pairs, counts = np.unique(np.column_stack([slices, buckets]), axis=0, return_counts=True)
    return [[int(s), int(b), int(c)] for (s, b), c in zip(pairs, counts, strict=True)]


def draw(rng, slices, per_slice, centre, spread, slice_spread, step=4):
    """Bucket indices whose centre moves from slice to slice; rounded to multiples of step, so that there are ties."""
    labels, buckets = [], []
    for s in slices:
        moved = centre + slice_spread * rng.standard_normal()
        for _ in range(int(rng.poisson(per_slice)) + 1):
            labels.append(s)
            buckets.append(step * round((moved + spread * rng.standard_normal()) / step))
    return rows_of(labels, buckets)


def check_clustered(values, weights, slices, estimate, variance):
    """A weighted mean and its slice-clustered variance against statsmodels' cluster-robust regression on a constant."""
    values, weights = np.asarray(values, float), np.asarray(weights, float)
    fit = sm.WLS(values, np.ones(len(values)), weights=weights).fit(cov_type="cluster", cov_kwds=dict(groups=np.asarray(slices)))
    close(estimate, fit.params[0])
    if float(variance) > 1e-25:
        close(variance, fit.cov_params()[0, 0], 1e-7)


# --- theta.json


def compute_theta(baseline, candidate):
    """theta and its slice-clustered variance parts (4.2), by comparing every pair of rows."""
    n_a, n_b = sum(r[2] for r in baseline), sum(r[2] for r in candidate)

    def placement(bucket, others, total):  # the share of others below, ties by half: the mid-CDF
        return Fraction(sum(c * (2 * (b < bucket) + (b == bucket)) for _, b, c in others), 2 * total)

    m_a = [placement(b, baseline, n_a) for _, b, _ in candidate]
    m_b = [1 - placement(b, candidate, n_b) for _, b, _ in baseline]
    theta = sum(m * r[2] for m, r in zip(m_a, candidate, strict=True)) / n_b
    parts = []
    for rows, scores, n in [(baseline, m_b, n_a), (candidate, m_a, n_b)]:
        slices = [r[0] for r in rows]
        sums = exact.sum_by_slice(slices, [r[2] * (score - theta) for r, score in zip(rows, scores, strict=True)])
        assert sum(sums.values()) == 0
        variance = exact.clustered_variance(sums.values(), n)
        if variance is not None:
            check_clustered(scores, [r[2] for r in rows], slices, theta, variance)
        parts.append((variance, len(sums)))

    samples = [np.repeat([r[1] for r in rows], [r[2] for r in rows]) for rows in (candidate, baseline)]
    close(theta, stats.mannwhitneyu(*samples).statistic / (n_a * n_b))
    return theta, parts


def check_welch(record, null, estimate, parts):
    """t and p against SciPy's Welch test, which takes V as s^2/m."""
    if record["t"] is None or min(v for v, _ in parts) == 0:
        return
    (sd_a, m_a), (sd_b, m_b) = ((math.sqrt(v * m), m) for v, m in parts)
    theirs = stats.ttest_ind_from_stats(float(estimate), sd_b, m_b, float(null), sd_a, m_a, equal_var=False)
    close(record["t"], theirs.statistic, 1e-6)
    close(record["p"], theirs.pvalue, 1e-6)


def check_scale(record, value, variances, points):
    """The se on another scale against the delta method with a numerical derivative."""
    if record["se"]:
        close(record["se"] ** 2, sum(exact.high(v) * mp.diff(value, p) ** 2 for v, p in zip(variances, points, strict=True)))


def logit_of(probability):
    return mp.log(probability / (1 - probability))


def theta_case(name, baseline, candidate):
    theta, parts = compute_theta(baseline, candidate)
    linear = exact.welch(theta - Fraction(1, 2), parts)
    check_welch(linear, 0.5, theta, parts)
    logit = None
    if 0 < theta < 1 and not Fraction(1, 10) <= theta <= Fraction(9, 10):
        value, slope = logit_of(exact.high(theta)), 1 / exact.high(theta * (1 - theta))
        scaled = exact.welch(value, [(exact.high(v) * slope**2, m) for v, m in parts])
        check_scale(scaled, logit_of, [v for v, _ in parts], [exact.high(theta)] * 2)
        logit = dict(value=double(value)) | doubles({key: scaled[key] for key in ("se", "t", "df", "p")})
    return (
        dict(name=name, baseline=baseline, candidate=candidate)
        | doubles(dict(theta=theta, cliffs_delta=2 * theta - 1, variance_baseline=parts[0][0], variance_candidate=parts[1][0]))
        | doubles(linear)
        | dict(logit=logit)
    )


def make_theta():
    rng = np.random.default_rng(20240402)
    twelve, six = range(12), range(6)
    same = draw(rng, six, 8, 300, 20, 6)
    cases = [
        theta_case("small", draw(rng, range(3), 2, 10, 3, 1, 1), draw(rng, range(3), 2, 11, 3, 1, 1)),
        theta_case("no_change", draw(rng, twelve, 20, 300, 20, 0), draw(rng, twelve, 20, 300, 20, 0)),
        theta_case("no_change_noisy_slices", draw(rng, twelve, 20, 300, 16, 16), draw(rng, twelve, 20, 300, 16, 16)),
        theta_case("slower", draw(rng, twelve, 15, 300, 20, 4), draw(rng, twelve, 15, 316, 20, 4)),
        theta_case("faster", draw(rng, twelve, 15, 300, 20, 4), draw(rng, twelve, 15, 286, 24, 4)),
        theta_case("much_slower", draw(rng, twelve, 12, 300, 20, 4), draw(rng, twelve, 12, 348, 20, 4)),
        theta_case("much_faster", draw(rng, twelve, 12, 348, 20, 4), draw(rng, twelve, 12, 300, 20, 4)),
        theta_case("unequal_slices_and_sizes", draw(rng, six, 4, 300, 20, 5), draw(rng, twelve, 40, 308, 20, 5)),
        theta_case("gaps", draw(rng, [0, 2, 3, 7, 8, 11], 8, 60, 10, 3), draw(rng, [1, 2, 5, 6, 9, 10, 11], 8, 66, 10, 3)),
        theta_case("two_buckets", draw(rng, six, 10, 0, 3, 1, 8), draw(rng, six, 10, 3, 3, 1, 8)),
        theta_case("two_slices", draw(rng, range(2), 10, 40, 6, 2), draw(rng, range(2), 10, 42, 6, 2)),
        theta_case("indices_below_zero", draw(rng, six, 6, -1, 2, 1, 1), draw(rng, six, 6, 1, 2, 1, 1)),
        theta_case("identical", same, same),
        theta_case("one_side_in_one_bucket", [[s, 100, 5] for s in range(6)], draw(rng, six, 6, 102, 8, 3)),
        theta_case("one_bucket", [[s, 100, 3 + s] for s in six], [[s, 100, 9 - s] for s in six]),
        theta_case("all_slower", draw(rng, six, 5, 100, 8, 2), draw(rng, six, 5, 300, 8, 2)),
        theta_case("all_faster", draw(rng, six, 5, 300, 8, 2), draw(rng, six, 5, 100, 8, 2)),
        theta_case("one_slice", draw(rng, [4], 12, 100, 8, 2), draw(rng, six, 5, 104, 8, 2)),
    ]
    by_name = {case["name"]: case for case in cases}
    assert by_name["much_slower"]["theta"] > 0.9 and by_name["much_faster"]["theta"] < 0.1
    return dict(cases=cases)


# --- ratio.json


def ratio_sample(name, traces):
    slices, w, x, y = zip(*traces, strict=True)
    w, x, y = ([Fraction(v) for v in column] for column in (w, x, y))
    total = sum(a * b for a, b in zip(w, x, strict=True))
    ratio = sum(a * b for a, b in zip(w, y, strict=True)) / total
    z = [a * (c - ratio * b) for a, b, c in zip(w, x, y, strict=True)]
    sums = exact.sum_by_slice(slices, z)
    by_trace, by_slice = exact.clustered_variance(z, total), exact.clustered_variance(sums.values(), total)
    if by_slice:
        # R is the mean of y/x with weights wx; a trace with x = y = 0 adds nothing to the sandwich but counts in n.
        some = [(s, a * b, c / b) for s, a, b, c in zip(slices, w, x, y, strict=True) if b]
        labels, weights, values = zip(*some, strict=True)
        assert set(labels) == set(slices) and not any(c for b, c in zip(x, y, strict=True) if not b)
        check_clustered(values, weights, labels, ratio, by_slice)
        fit = sm.WLS(np.array(values, float), np.ones(len(values)), weights=np.array(weights, float)).fit(cov_type="HC0")
        n = len(traces)
        assert math.isclose(double(by_trace), n / (n - 1) * fit.cov_params()[0, 0], rel_tol=1e-7, abs_tol=1e-25)
    exact_values = dict(ratio=ratio, by_trace=by_trace, by_slice=by_slice, m=len(sums))
    record = dict(name=name, traces=traces) | doubles(dict(ratio=ratio, variance_trace=by_trace, variance_slice=by_slice))
    return record, exact_values


def ratio_pair(baseline, candidate, samples):
    a, b = samples[baseline], samples[candidate]
    sides = [(max(s["by_trace"], s["by_slice"]), s["m"]) for s in (a, b)]
    ratios = [exact.high(s["ratio"]) for s in (a, b)]

    def on_scale(value, slope):
        parts = [(exact.high(v) * slope(r) ** 2, m) for (v, m), r in zip(sides, ratios, strict=True)]
        estimate = value(ratios[1]) - value(ratios[0])
        record = exact.welch(estimate, parts)
        check_welch(record, value(ratios[0]), value(ratios[1]), parts)
        check_scale(record, value, [v for v, _ in sides], ratios)
        return dict(difference=double(estimate)) | doubles(record)

    return dict(
        baseline=baseline,
        candidate=candidate,
        linear=on_scale(lambda r: r, lambda r: 1),
        log=on_scale(mp.log, lambda r: 1 / r) if min(ratios) > 0 else None,
        logit=on_scale(logit_of, lambda r: 1 / (r * (1 - r))) if 0 < min(ratios) and max(ratios) < 1 else None,
    )


def draw_traces(rng, kind, slices, per_slice, level, slice_noise, sampled):
    """[slice, w, x, y] of one of the ratios that 4.1 names."""
    traces = []
    for s in slices:
        load = math.exp(slice_noise * rng.standard_normal())
        for _ in range(int(rng.poisson(per_slice)) + 1):
            calls = int(rng.poisson(2.5))
            latency = round(level * load * math.exp(0.6 * rng.standard_normal()), 3)
            if kind == "mean_latency":
                x, y, keep = 1, latency, 1.0 if latency > 1.5 * level else 0.25
            elif kind == "error_rate":
                x = calls + 1
                y, keep = int(rng.binomial(x, min(0.9, level * load))), 0.1
            elif kind == "calls_per_trace":
                x, y, keep = 1, int(rng.poisson(level * load)), float(rng.choice([1.0, 0.5, 0.3]))
            else:  # time per call: traces without a call carry no time either
                x, y, keep = calls, round(calls * latency, 3), float(rng.choice([1.0, 0.125]))
            if not sampled:
                traces.append([s, 1, x, y])
            elif rng.uniform() < keep or not any(t[0] == s for t in traces):
                traces.append([s, 1 / keep, x, y])
    return traces


def make_ratio():
    rng = np.random.default_rng(20240403)
    twelve, six = range(12), range(6)
    drawn = {
        "latency_a": draw_traces(rng, "mean_latency", twelve, 5, 1200, 0.1, False),
        "latency_b": draw_traces(rng, "mean_latency", twelve, 5, 1700, 0.1, False),
        "latency_noisy_slices": draw_traces(rng, "mean_latency", [0, 1, 3, 4, 8, 9, 11], 8, 1300, 0.8, False),
        "latency_sampled": draw_traces(rng, "mean_latency", twelve, 10, 1250, 0.2, True),
        "errors_a": draw_traces(rng, "error_rate", twelve, 5, 0.06, 0.1, False),
        "errors_b": draw_traces(rng, "error_rate", six, 8, 0.15, 0.3, False),
        "errors_sampled": draw_traces(rng, "error_rate", twelve, 30, 0.1, 0.1, True),
        "errors_none": [[s, 1, 3, 0] for s in range(6) for _ in range(4)],
        "calls_a": draw_traces(rng, "calls_per_trace", six, 7, 2, 0.1, False),
        "calls_b": draw_traces(rng, "calls_per_trace", twelve, 7, 2.6, 0.1, True),
        "time_per_call_a": draw_traces(rng, "time_per_call", twelve, 5, 80, 0.2, False),
        "time_per_call_b": draw_traces(rng, "time_per_call", twelve, 9, 95, 0.4, True),
        "two_slices": draw_traces(rng, "mean_latency", range(2), 6, 1200, 0.3, False),
        "one_slice": draw_traces(rng, "mean_latency", [5], 6, 1200, 0.3, False),
    }
    records, samples = [], {}
    for name, traces in drawn.items():
        record, samples[name] = ratio_sample(name, traces)
        records.append(record)
    larger = {s["by_trace"] > s["by_slice"] for s in samples.values() if s["by_slice"]}
    assert larger == {True, False}, "both variances should win somewhere"
    pairs = [
        ("latency_a", "latency_b"), ("latency_b", "latency_a"), ("latency_a", "latency_noisy_slices"),
        ("latency_sampled", "latency_a"), ("latency_a", "two_slices"), ("latency_a", "latency_a"),
        ("errors_a", "errors_b"), ("errors_sampled", "errors_a"), ("errors_none", "errors_a"), ("errors_none", "errors_none"),
        ("calls_a", "calls_b"), ("time_per_call_a", "time_per_call_b"), ("time_per_call_b", "time_per_call_a"),
    ]
    return dict(samples=records, pairs=[ratio_pair(a, b, samples) for a, b in pairs])


# --- woodruff.json


def quantile_index(rows, fraction):
    """The smallest bucket index whose cumulative share is at least the fraction; the first at 0, the last at 1."""
    total, running = sum(Fraction(r[2]) for r in rows), Fraction(0)
    for bucket in sorted({r[1] for r in rows}):
        running += sum(Fraction(r[2]) for r in rows if r[1] == bucket)
        share = running / total
        # A limit that rounding could move into the next bucket makes no vector. p itself, a Fraction, may be met exactly.
        assert isinstance(fraction, Fraction) or fraction in (0, 1) or abs(exact.high(share) - fraction) > 1e-9
        if exact.high(share) >= exact.high(fraction):
            return bucket


def geometric_middle_log(index):
    return (mpf(index) + mpf(1) / 2) * mp.log(2) / exact.SUB_BUCKETS


def woodruff_sample(name, rows):
    total, m = sum(Fraction(r[2]) for r in rows), len({r[0] for r in rows})
    t = exact.t_quantile(Fraction(39, 40), m - 1, stats.t.ppf(0.975, m - 1))
    quantiles = []
    for percent in [50, 90, 95, 99]:
        p = Fraction(percent, 100)
        index = quantile_index(rows, p)
        inside = [Fraction(int(r[1] <= index)) for r in rows]
        weights, slices = [Fraction(r[2]) for r in rows], [r[0] for r in rows]

        def variance(centre):
            scores = [w * (i - centre) for w, i in zip(weights, inside, strict=True)]
            return exact.clustered_variance(exact.sum_by_slice(slices, scores).values(), total)

        share = sum(w * i for w, i in zip(weights, inside, strict=True)) / total
        # statsmodels centres at the sample's share, 4.2 at p: one check for the form, one for the centre.
        check_clustered(inside, weights, slices, share, variance(share))
        buckets, floats = np.array([r[1] for r in rows]), np.array(weights, float)
        numpy_index = np.quantile(buckets, double(p), weights=floats, method="inverted_cdf")
        assert index == numpy_index
        sums = np.bincount(slices, weights=floats * ((buckets <= numpy_index) - double(p)))
        close(variance(p), m / (m - 1) * np.sum(sums**2) / floats.sum() ** 2)
        se = mp.sqrt(exact.high(variance(p)))

        def limits(width):
            return max(mpf(0), exact.high(p) - width), min(mpf(1), exact.high(p) + width)

        lower, upper = limits(t * se)
        ends = [quantile_index(rows, end) for end in (lower, upper)]
        inner = [quantile_index(rows, end) for end in limits(se)]
        se_ln = (geometric_middle_log(inner[1]) - geometric_middle_log(inner[0])) / 2
        quantiles.append(
            dict(p=percent / 100, index=index, se_f=double(se), lower_fraction=double(lower), upper_fraction=double(upper))
            | dict(lower_index=ends[0], upper_index=ends[1])
            | dict(one_se_lower_index=inner[0], one_se_upper_index=inner[1], se_ln=double(se_ln))
        )
    return dict(name=name, rows=rows, n=double(total), t_quantile=double(t), quantiles=quantiles)


def make_woodruff():
    rng = np.random.default_rng(20240404)
    twelve = range(12)
    weighted = [[s, b, c * float(rng.choice([1, 2, 2.5, 8]))] for s, b, c in draw(rng, twelve, 25, 320, 24, 6)]
    # One of each bucket, so that the share of the first k is k/100 and every p is met exactly.
    met_exactly = sorted([int(s), bucket, 1] for bucket, s in enumerate(rng.permutation(np.arange(100) % 9)))
    return dict(samples=[
        woodruff_sample("quiet_slices", draw(rng, twelve, 40, 300, 24, 0)),
        woodruff_sample("noisy_slices", draw(rng, twelve, 40, 300, 20, 20)),
        woodruff_sample("six_slices", draw(rng, [0, 1, 2, 5, 6, 7], 30, 500, 30, 8, 2)),
        woodruff_sample("two_slices", draw(rng, range(2), 15, 40, 6, 2)),
        woodruff_sample("few_buckets", draw(rng, twelve, 20, 8, 8, 3, 8)),
        woodruff_sample("one_bucket", [[s, 7, 2 + s % 3] for s in twelve]),
        woodruff_sample("sampling_weights", weighted),
        woodruff_sample("shares_met_exactly", met_exactly),
    ])


# --- histogram.json


def make_histogram():
    rng = np.random.default_rng(20240405)
    values = {0.0, 5e-324, 1e-3, 0.5, math.nextafter(1, 0), 1.0, math.nextafter(1, 2), 1e12}
    for k in range(-9, 40):
        values |= {2.0**k}
    for k in (1, 2, 3, 10, 20, 39):
        values |= {math.nextafter(2.0**k, 0), math.nextafter(2.0**k, math.inf)}
    limits = [int(k) for k in rng.choice(np.arange(1, 1275), size=50, replace=False)] + list(range(1, 32, 3))
    for k in limits:
        nearest = double(mpf(2) ** (mpf(k) / exact.SUB_BUCKETS))
        below, above = math.nextafter(nearest, 0), math.nextafter(nearest, math.inf)
        values |= {nearest, below, above, math.nextafter(below, 0), math.nextafter(above, math.inf)}
    values |= {float(v) for v in 10 ** rng.uniform(-3, 12, size=100)}
    values |= {int(ns) / 1000 for ns in 10 ** rng.uniform(2, 13, size=60)}  # whole nanoseconds, as spans carry them
    values |= {10.0**k for k in range(-3, 13)}

    cases, at_limit = [], []
    for value in sorted(values):
        record = dict(value_us=value, bits=f"{np.float64(value).view(np.uint64):016x}", index=exact.bucket_index(value))
        power_of_two = value > 0 and math.frexp(value)[0] == 0.5
        resolvable = value < 1 or power_of_two or exact.limit_distance_ulps(value) >= 1
        (cases if resolvable else at_limit).append(record)
    sub_bucket_limits = []
    for k in range(exact.SUB_BUCKETS):
        limit = mpf(2) ** (mpf(k) / exact.SUB_BUCKETS)
        floor = double(limit)
        floor = floor if exact.high(floor) <= limit else math.nextafter(floor, 0)
        sub_bucket_limits.append(f"{np.float64(floor).view(np.uint64):016x}")
    return dict(scale=5, sub_bucket_limits=sub_bucket_limits, cases=cases, at_limit=at_limit)


# --- writing


def fold(value, indent=0, width=120):
    """JSON with what fits on a line on one line, long lists filled to the width."""
    flat = json.dumps(value, allow_nan=False)
    if len(flat) + indent <= width or not isinstance(value, (dict, list)):
        return flat
    inner = indent + 1
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {fold(item, inner, width - len(key) - 4)}" for key, item in value.items()]
        return "{\n" + ",\n".join(" " * inner + item for item in items) + "\n" + " " * indent + "}"
    if isinstance(value[0], dict):
        return "[\n" + ",\n".join(" " * inner + fold(item, inner, width) for item in value) + "\n" + " " * indent + "]"
    lines = [""]
    for item in (json.dumps(item, separators=(",", ":")) for item in value):
        if lines[-1] and len(lines[-1]) + len(item) > 110:
            lines.append("")
        lines[-1] += item + ","
    return "[\n" + ",\n".join(" " * inner + line.rstrip(",") for line in lines) + "\n" + " " * indent + "]"


MAKERS = dict(
    distributions=make_distributions,
    proportions=make_proportions,
    fdr=make_fdr,
    theta=make_theta,
    ratio=make_ratio,
    woodruff=make_woodruff,
    histogram=make_histogram,
)


def main():
    check_only = sys.argv[1:] == ["--check"]
    stale = []
    for name, make in MAKERS.items():
        path, text = HERE / f"{name}.json", fold(make()) + "\n"
        if not check_only:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"not what make_vectors.py writes: {', '.join(stale)}")


if __name__ == "__main__":
    main()

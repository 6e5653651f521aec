"""The arithmetic behind the vectors: exact rationals, and mpmath where a root, a logarithm or a tail is needed.

A recorded number is rounded once, from 60 digits (or from an exact rational) to the nearest double, so the
files do not depend on the machine that made them. Formulae: ALGORITHMS.md, sections named at each function.
"""

from collections import defaultdict
from fractions import Fraction
from math import comb, ulp

from mpmath import mp, mpf

mp.dps = 60


def high(x):
    """Any number as an mpf; a float counts as the double it is, not as its decimal text."""
    return mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mpf(x)


def double(x):
    """The double nearest to x. None stays None: undefined."""
    if x is None:
        return None
    if isinstance(x, mpf):
        x = Fraction(*x.as_integer_ratio())
    return float(x)


# --- distributions


def t_two_sided(t, df):
    """P(|T| >= |t|) = I_{df/(df+t^2)}(df/2, 1/2)."""
    t, df = high(t), high(df)
    return mp.betainc(df / 2, mpf(1) / 2, 0, df / (df + t * t), regularized=True)


def t_quantile(probability, df, start):
    """The t with P(T <= t) = probability, by Newton's method from a start that is already good."""
    probability, df, t = high(probability), high(df), high(start)
    if probability == mpf(1) / 2:
        return mpf(0)
    tail = min(probability, 1 - probability)
    t = abs(t)
    scale = mp.gamma((df + 1) / 2) / (mp.sqrt(df * mp.pi) * mp.gamma(df / 2))
    for _ in range(50):
        density = scale * (1 + t * t / df) ** (-(df + 1) / 2)
        step = (t_two_sided(t, df) / 2 - tail) / density
        t += step
        if abs(step) < abs(t) * mpf(10) ** -45:
            return t if probability > mpf(1) / 2 else -t
    raise ArithmeticError(f"no t quantile for {probability}, df {df}")


def normal_sf(z):
    return mp.erfc(high(z) / mp.sqrt(2)) / 2


def normal_quantile(probability):
    with mp.workdps(700):  # 1 - 2p must keep a p of 1e-300
        return mp.sqrt(2) * mp.erfinv(2 * high(probability) - 1)


def binomial_pmf(n, probability):
    """All n + 1 probabilities, exactly."""
    probability = Fraction(probability)
    return [comb(n, k) * probability**k * (1 - probability) ** (n - k) for k in range(n + 1)]


def hypergeometric_pmf(table):
    """The probability of every 2x2 table with the margins of this one, by its upper left cell; exactly."""
    (a, b), (c, d) = table
    row, column, n = a + b, a + c, a + b + c + d
    cells = range(max(0, row + column - n), min(row, column) + 1)
    return {k: Fraction(comb(row, k) * comb(n - row, column - k), comb(n, column)) for k in cells}


# --- clustered variances (4.1, 4.2)


def sum_by_slice(slices, scores):
    sums = defaultdict(Fraction)
    for which, score in zip(slices, scores, strict=True):
        sums[which] += score
    return sums


def clustered_variance(sums, total):
    """m/(m-1) * sum of squared cluster sums / total^2; None with fewer than two clusters."""
    m = len(sums)
    if m < 2:
        return None
    return Fraction(m, m - 1) * sum(s * s for s in sums) / total**2


def welch(estimate, parts):
    """se, t, df and two-sided p of an estimate whose variance is the sum of parts [(variance, m)].

    Each part has m - 1 degrees of freedom (Welch-Satterthwaite). t, df and p are None where the variance is 0 or unknown.
    """
    if any(v is None for v, _ in parts):
        return dict(se=None, t=None, df=None, p=None)
    parts = [(high(v), m) for v, m in parts]
    variance = sum(v for v, _ in parts)
    if variance == 0:
        return dict(se=mpf(0), t=None, df=None, p=None)
    se = mp.sqrt(variance)
    t = high(estimate) / se
    df = variance**2 / sum(v * v / (m - 1) for v, m in parts)
    return dict(se=se, t=t, df=df, p=t_two_sided(t, df))


# --- proportions (4.3)


def wilson(successes, n, level):
    """Wilson's score limits: E. B. Wilson, JASA 22 (1927) 209-212."""
    z = normal_quantile((1 + level) / 2)
    p = mpf(successes) / n
    centre = p + z * z / (2 * n)
    half = z * mp.sqrt(p * (1 - p) / n + z * z / (4 * mpf(n) ** 2))
    lower, upper = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    # At 0 and n the limit is 0 and 1 exactly; 60 digits leave a remainder of 1e-60.
    return mpf(0) if successes == 0 else lower, mpf(1) if successes == n else upper


def score_interval(baseline, candidate, level):
    """Difference candidate - baseline and its score interval, as O. S. Miettinen and M. Nurminen define it.

    "Comparative analysis of two rates", Statistics in Medicine 4 (1985) 213-226: the differences d at which
    (observed - d)^2 / V(d) stays below the chi-square quantile, with V(d) from the proportions that are most likely
    given d, times N / (N - 1). Those proportions are found here by bisection of the likelihood's
    derivative, not by the closed form.
    """
    (a, n_a), (b, n_b) = [(high(x), high(n)) for x, n in (baseline, candidate)]
    p_a, p_b = a / n_a, b / n_b
    observed = p_b - p_a
    z = normal_quantile((1 + mpf(level)) / 2)
    correction = (n_a + n_b) / (n_a + n_b - 1)

    def most_likely(d):
        low, high_end = max(mpf(0), -d), min(mpf(1), 1 - d)

        def slope(p):
            terms = [(a, p), (b, p + d)]
            total = mpf(0)
            for (x, q), n in zip(terms, (n_a, n_b), strict=True):
                total += (x / q if x else 0) - ((n - x) / (1 - q) if n > x else 0)
            return total

        for _ in range(220):
            middle = (low + high_end) / 2
            if slope(middle) > 0:
                low = middle
            else:
                high_end = middle
        return (low + high_end) / 2

    def statistic(d):
        q_a = most_likely(d)
        q_b = q_a + d
        variance = q_a * (1 - q_a) / n_a + q_b * (1 - q_b) / n_b
        return (observed - d) / mp.sqrt(variance * correction)

    def limit(inside, outside):
        for _ in range(220):
            middle = (inside + outside) / 2
            if abs(statistic(middle)) < z:
                inside = middle
            else:
                outside = middle
        return inside

    edge = mpf(1) - mpf(10) ** -40
    lower = mpf(-1) if observed == -1 else limit(observed, -edge)
    upper = mpf(1) if observed == 1 else limit(observed, edge)
    return observed, lower, upper


# --- histogram (3.1)


SUB_BUCKETS = 32  # scale 5: 2^5 buckets for each power of two


def bucket_index(value_us):
    """ceil(log2(v) * 32) - 1, and None for the zero bucket (v < 1 us)."""
    if value_us < 1:
        return None
    position = mp.log(high(value_us), 2) * SUB_BUCKETS
    nearest = mp.nint(position)
    # log2 of a double is an integer / 32 only at a power of two, and elsewhere at least 1e-15 away from it.
    return int(nearest if abs(position - nearest) < mpf(10) ** -40 else mp.ceil(position)) - 1


def limit_distance_ulps(value_us):
    """How far v lies from the nearest bucket limit 2^(k/32), in units in the last place of v."""
    value = high(value_us)
    limit = mpf(2) ** (mp.nint(mp.log(value, 2) * SUB_BUCKETS) / SUB_BUCKETS)
    return abs(value - limit) / high(ulp(value_us))

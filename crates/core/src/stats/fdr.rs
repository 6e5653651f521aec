//! Benjamini–Hochberg: from the p-values of a family of tests to q-values.
//!
//! Source: Benjamini & Hochberg 1995, "Controlling the False Discovery Rate", JRSS B 57(1). Valid under the positive
//! dependence that tests on the same traces have (Benjamini & Yekutieli 2001).

/// The q-value of every p-value, in the same order. A p-value that is NaN (no test was possible) is outside the
/// family and stays NaN.
pub fn benjamini_hochberg(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len())
        .filter(|i| !p_values[*i].is_nan())
        .collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let family = order.len() as f64;
    let mut q_values = vec![f64::NAN; p_values.len()];
    let mut smallest = 1.0f64;
    for (from_largest, index) in order.iter().enumerate() {
        let rank = family - from_largest as f64;
        smallest = smallest.min(p_values[*index] * family / rank);
        q_values[*index] = smallest;
    }
    q_values
}

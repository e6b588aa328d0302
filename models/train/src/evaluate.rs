//! Figures of merit, as model cards give them.

use bipolar_edge_models::card::{CalibrationBin, Measures};

/// Measures predicted probabilities (one list of labels' probabilities a row) against the true labels. For more than
/// two labels, takes the mean over the labels, one against the rest.
pub fn measures(probabilities: &[Vec<f32>], labels: &[usize], label_count: usize) -> Measures {
    let mut sum = Measures { auroc: 0.0, brier: 0.0, calibration_error: 0.0 };
    let judged = judged(probabilities, labels, label_count);
    for rows in &judged {
        sum.auroc += auroc(rows);
        sum.brier += rows.iter().map(|(p, happened)| (p - f64::from(u8::from(*happened))).powi(2)).sum::<f64>()
            / rows.len() as f64;
        sum.calibration_error += calibration_error(rows);
    }
    let round = |x: f64| (x / judged.len() as f64 * 1e4).round() / 1e4;
    Measures { auroc: round(sum.auroc), brier: round(sum.brier), calibration_error: round(sum.calibration_error) }
}

/// Returns for each label that is judged its predicted probabilities and whether it was the true one: of two labels the
/// second, of more each against the rest.
fn judged(probabilities: &[Vec<f32>], labels: &[usize], label_count: usize) -> Vec<Vec<(f64, bool)>> {
    let of = |label| {
        probabilities.iter().zip(labels).map(move |(p, truth)| (f64::from(p[label]), *truth == label)).collect()
    };
    if label_count == 2 { vec![of(1)] } else { (0..label_count).map(of).collect() }
}

/// Returns the probability that a row where it happened is ranked above one where it did not (Mann-Whitney), ties count
/// half.
fn auroc(rows: &[(f64, bool)]) -> f64 {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut rank_sum = 0.0;
    let mut start = 0;
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let mean_rank = start as f64 + (tied.len() as f64 + 1.0) / 2.0;
        rank_sum += mean_rank * tied.iter().filter(|row| row.1).count() as f64;
        start += tied.len();
    }
    let happened = rows.iter().filter(|row| row.1).count() as f64;
    let not = rows.len() as f64 - happened;
    (rank_sum - happened * (happened + 1.0) / 2.0) / (happened * not)
}

/// Returns the expected calibration error over ten equal-width bins: Naeini et al., AAAI 2015.
fn calibration_error(rows: &[(f64, bool)]) -> f64 {
    bins(rows).iter().map(|(_, predicted, happened)| (predicted - happened).abs()).sum::<f64>() / rows.len() as f64
}

/// Returns the points of a calibration plot, one a bin that has rows. Where each label is judged against the rest, a
/// row counts once a label.
pub fn calibration(probabilities: &[Vec<f32>], labels: &[usize], label_count: usize) -> Vec<CalibrationBin> {
    let rows = judged(probabilities, labels, label_count).concat();
    let round = |x: f64| (x * 1e4).round() / 1e4;
    let filled = bins(&rows).into_iter().filter(|(rows, ..)| *rows > 0.0);
    let bin = |(rows, predicted, happened)| CalibrationBin {
        predicted: round(predicted / rows),
        observed: round(happened / rows),
        rows: rows as u32,
    };
    filled.map(bin).collect()
}

/// Counts rows in ten bins of equal width: number of rows, sum of the predicted probabilities, number of rows in which
/// the label was the true one.
fn bins(rows: &[(f64, bool)]) -> [(f64, f64, f64); 10] {
    let mut bins = [(0.0, 0.0, 0.0); 10];
    for (p, happened) in rows {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        *bin = (bin.0 + 1.0, bin.1 + p, bin.2 + f64::from(u8::from(*happened)));
    }
    bins
}

/// Counts rows by true and predicted label. Two labels part at `threshold`; more go to the most probable.
pub fn confusion(probabilities: &[Vec<f32>], labels: &[usize], label_count: usize, threshold: f32) -> Vec<Vec<u32>> {
    let mut table = vec![vec![0; label_count]; label_count];
    for (p, truth) in probabilities.iter().zip(labels) {
        let predicted = match label_count {
            2 => usize::from(p[1] >= threshold),
            _ => (0..label_count).fold(0, |best, label| if p[label] > p[best] { label } else { best }),
        };
        table[*truth][predicted] += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_ordered_pairs_and_halves_ties() {
        let rows = [(0.1, false), (0.4, true), (0.4, false), (0.9, true)];
        // Of 4 pairs 3 are in order and 1 is tied.
        assert_eq!(auroc(&rows), 3.5 / 4.0);
    }

    #[test]
    fn a_calibrated_bin_has_no_error_and_an_overconfident_one_has_its_distance() {
        assert_eq!(calibration_error(&[(0.5, true), (0.5, false)]), 0.0);
        assert_eq!(calibration_error(&[(0.75, false), (0.75, true), (0.75, false), (0.75, false)]), 0.5);
    }

    #[test]
    fn a_calibration_plot_has_a_point_for_each_bin_with_rows() {
        let points = calibration(&[vec![0.75, 0.25], vec![0.75, 0.25], vec![0.0, 1.0]], &[0, 1, 1], 2);
        let points: Vec<_> = points.iter().map(|bin| (bin.predicted, bin.observed, bin.rows)).collect();
        assert_eq!(points, [(0.25, 0.5, 2), (1.0, 1.0, 1)]);
    }
}

//! Where the names of a chart's parts stand: beside it, each as high as what it names, moved apart where two would overlap, and then with a
//! hairline to it. The policy forbids inline styles, so heights are classes, in steps of a few pixels (`style/chart.css`).

use crate::push;
use crate::ui::chart::figure::HEIGHT;

/// Pixels, of which the plot has as many as the shapes have units upwards: of a class's step, and of a name.
pub(super) const STEP: i64 = 4;
pub(super) const LABEL: i64 = 20;

/// Between plot and names, in units of its own; the hairlines end a little before the names.
pub(super) const BETWEEN: i64 = 32;
const LEAD_END: i64 = 28;

/// What is named: where it ends towards the names, in the shapes' units, and how far from the top its middle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub x: i64,
    pub y: i64,
    /// It is nothing there, and no hairline leads to it.
    pub nothing: bool,
}

/// Where names stand, and the hairlines that lead to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    /// Steps from the top, in the order of their spots, which is from the base up.
    pub places: Vec<i64>,
    /// As a path of the shapes.
    pub within: String,
    /// From the edge of the plot to the names.
    pub between: String,
    /// The one name that stands within the plot: in which column, and how many steps from the top.
    pub inside: Option<(usize, i64)>,
}

impl Labels {
    /// Beside a plot that is `width` units wide. `far`: what is named is not close to its edge, and each has its hairline.
    pub fn beside(spots: &[Spot], width: i64, far: bool) -> Labels {
        let wanted: Vec<i64> = spots.iter().rev().map(|spot| spot.y - LABEL / 2).collect();
        let tops: Vec<i64> = apart(&wanted).into_iter().rev().collect();
        let mut labels = Labels { places: tops.iter().map(|top| top / STEP).collect(), ..Labels::default() };
        // One alone can be nothing else.
        if spots.len() < 2 {
            return labels;
        }
        for (Spot { x, y, nothing }, top) in spots.iter().zip(tops) {
            let middle = top + LABEL / 2;
            if *nothing || (!far && (middle - y).abs() <= STEP) {
                continue;
            }
            if *x < width {
                push!(labels.within, "M{x} {y}.5H{width}");
            }
            push!(labels.between, "M0 {y}.5L{LEAD_END} {middle}.5");
        }
        labels
    }
}

/// Tops of names from the top down, in whole steps: as near to where they are wanted as they can stand without overlapping, and in the plot.
fn apart(wanted: &[i64]) -> Vec<i64> {
    // Without the names that stand above it, none may be higher than the one before. Those that would be share their mean.
    let mut shared: Vec<(i64, i64)> = Vec::new();
    for (wanted, above) in wanted.iter().zip(0_i64..) {
        let (mut sum, mut count) = (wanted - above * LABEL, 1);
        while let Some(&(sum_before, count_before)) = shared.last() {
            if sum_before * count <= sum * count_before {
                break;
            }
            shared.pop();
            (sum, count) = (sum + sum_before, count + count_before);
        }
        shared.push((sum, count));
    }
    let names = i64::try_from(wanted.len()).unwrap_or_default();
    let lowest = (HEIGHT - names * LABEL).max(0);
    let tops = shared.into_iter().flat_map(|(sum, count)| (0..count).map(move |_| (sum / count).clamp(0, lowest)));
    tops.zip(0_i64..).map(|(top, above)| (top + STEP / 2) / STEP * STEP + above * LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLES: &str = include_str!("../../../style/chart.css");

    #[test]
    fn names_that_would_overlap_are_moved_as_little_as_can_be() {
        assert_eq!(apart(&[8, 60, 140]), [8, 60, 140], "room enough");
        assert_eq!(apart(&[60, 64]), [52, 72], "each moves by half");
        assert_eq!(apart(&[10, 60, 64, 150]), [12, 52, 72, 152], "and no other with them");
        assert_eq!(apart(&[189; 5]), [100, 120, 140, 160, 180], "not below the base");
        assert_eq!(apart(&[-9, -8, -7]), [0, 20, 40], "nor above the top");
        assert!(apart(&[]).is_empty());
    }

    #[test]
    fn no_two_names_overlap_wherever_they_are_wanted() {
        for seed in 0..500_i64 {
            let mut wanted: Vec<i64> = (1..=seed % 5 + 1).map(|n| seed * 37 * n * n % (HEIGHT + 1) - LABEL / 2).collect();
            wanted.sort_unstable();
            let tops = apart(&wanted);
            assert_eq!(tops.len(), wanted.len());
            for pair in tops.windows(2) {
                assert!(pair[0] + LABEL <= pair[1], "{wanted:?}: {tops:?}");
            }
            for top in tops {
                assert!(top % STEP == 0 && (0..=HEIGHT - LABEL).contains(&top), "{wanted:?}: {top}");
            }
        }
    }

    #[test]
    fn a_hairline_leads_to_what_is_named_elsewhere_and_there() {
        let spot = |y, nothing| Spot { x: 80, y, nothing };
        let labels = Labels::beside(&[spot(180, false), spot(70, false), spot(66, false)], 100, false);
        assert_eq!(labels.places, [43, 17, 12]);
        assert_eq!(labels.within, "M80 70.5H100M80 66.5H100");
        assert_eq!(labels.between, "M0 70.5L28 78.5M0 66.5L28 58.5");
        let far = Labels::beside(&[spot(180, true), spot(100, false)], 80, true);
        assert_eq!((far.within.as_str(), far.between.as_str()), ("", "M0 100.5L28 102.5"), "from the edge on, and to nothing none");
        let alone = Labels::beside(&[spot(2, false)], 100, true);
        assert_eq!(alone, Labels { places: vec![0], ..Labels::default() });
    }

    #[test]
    fn every_height_has_its_class() {
        for step in 0..=(HEIGHT - LABEL) / STEP {
            let rule = format!(".at-{step} {{ top: {}px; }}", step * STEP);
            assert!(STYLES.contains(&rule), "{rule}");
        }
    }
}

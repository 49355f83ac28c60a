//! The colours of `style/tokens.css`, measured: which stand on which, how much they differ, and how much they must.

const TOKENS: &str = include_str!("../../../style/tokens.css");

/// Two colours that meet on a page, by the names of their custom properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub front: String,
    pub back: String,
    /// In hundredths: 450 is 4.5 : 1 (WCAG 2, 1.4.3 for text and 1.4.11 for all else that must be seen).
    pub least: u32,
}

/// Every pair that there is.
pub fn pairs() -> Vec<Pair> {
    let pair = |front: &str, back: &str, least| Pair { front: front.into(), back: back.into(), least };
    let mut pairs = Vec::new();
    for back in ["bg", "surface", "sunken"] {
        pairs.extend(["text", "muted", "accent", "accent-hover"].map(|front| pair(front, back, 450)));
        pairs.push(pair("control", back, 300));
    }
    for state in ["ok", "warn", "bad", "accent"] {
        let soft = format!("{state}-soft");
        pairs.extend([pair(state, "surface", 450), pair(state, &soft, 450), pair("text", &soft, 450), pair("accent", &soft, 450)]);
    }
    // What a choice says while it is chosen, and what is wrong with it.
    pairs.extend([pair("muted", "accent-soft", 450), pair("bad", "accent-soft", 450)]);
    pairs.extend([pair("on-accent", "accent", 450), pair("on-accent", "accent-hover", 450)]);
    // A series beside another has its name beside it, and a gap between; beside the card it must be seen.
    pairs.extend(["series-1", "series-2", "series-3", "series-4", "series-5", "series-other"].map(|front| pair(front, "surface", 300)));
    let mut seen = Vec::new();
    pairs.retain(|pair| {
        !seen.contains(pair) && {
            seen.push(pair.clone());
            true
        }
    });
    pairs
}

/// The contrast of a pair in hundredths, light and dark; nothing if one of the two is not a colour of both themes.
pub fn measured(pair: &Pair) -> Option<[u32; 2]> {
    let ([front_light, front_dark], [back_light, back_dark]) = (luminances(&pair.front)?, luminances(&pair.back)?);
    Some([ratio(front_light, back_light), ratio(front_dark, back_dark)])
}

/// WCAG 2's ratio, rounded down: what is not quite enough is not enough.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 21")]
fn ratio(one: f64, other: f64) -> u32 {
    ((one.max(other) + 0.05) / (one.min(other) + 0.05) * 100.0).floor() as u32
}

/// The luminances of a custom property, light and dark.
fn luminances(name: &str) -> Option<[f64; 2]> {
    let (_, rest) = TOKENS.split_once(&format!("--{name}: light-dark("))?;
    let (pair, _) = rest.split_once(';')?;
    let mut colours = pair.split("oklch(").skip(1).filter_map(|part| luminance(part.split(')').next()?));
    match (colours.next(), colours.next(), colours.next()) {
        (Some(light), Some(dark), None) => Some([light, dark]),
        _ => None,
    }
}

/// Linear-light luminance of `oklch(L C H)` (Björn Ottosson's OKLab to linear sRGB, then WCAG 2's weights).
fn luminance(colour: &str) -> Option<f64> {
    let mut numbers = colour.split_whitespace().map(|number| number.parse::<f64>().ok());
    let (lightness, chroma, hue) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let (a, b) = (chroma * hue.to_radians().cos(), chroma * hue.to_radians().sin());
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    let red = 4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s;
    let green = -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s;
    let blue = -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s;
    Some(0.2126 * red.clamp(0.0, 1.0) + 0.7152 * green.clamp(0.0, 1.0) + 0.0722 * blue.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_read_or_seen_can_be_in_both_themes() {
        for pair in pairs() {
            let measured = measured(&pair).unwrap_or_else(|| panic!("{pair:?}: not two colours of two themes"));
            for (theme, ratio) in ["light", "dark"].iter().zip(measured) {
                assert!(ratio >= pair.least, "{} on {}, {theme}: {ratio} of {}", pair.front, pair.back, pair.least);
            }
        }
    }

    #[test]
    fn white_and_black_are_as_far_apart_as_can_be() {
        let (white, black) = (luminance("1 0 0").unwrap(), luminance("0 0 0").unwrap());
        assert!((2_099..=2_100).contains(&ratio(black, white)));
        assert_eq!(ratio(white, white), 100);
    }
}

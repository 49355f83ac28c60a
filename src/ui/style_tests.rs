//! What the style sheets promise: text that can be read, borders that can be seen, in both themes, and a size.

const TOKENS: &str = include_str!("../../style/tokens.css");

/// Linear-light luminance of `oklch(L C H)` (Björn Ottosson's OKLab to linear sRGB, then WCAG 2's weights).
fn luminance(colour: &str) -> f64 {
    let numbers: Vec<f64> = colour.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let [lightness, chroma, hue] = numbers[..] else { panic!("{colour}: three numbers") };
    let (a, b) = (chroma * hue.to_radians().cos(), chroma * hue.to_radians().sin());
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    let red = 4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s;
    let green = -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s;
    let blue = -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701 * s;
    0.2126 * red.clamp(0.0, 1.0) + 0.7152 * green.clamp(0.0, 1.0) + 0.0722 * blue.clamp(0.0, 1.0)
}

/// The luminances of a custom property, light and dark.
fn themes(name: &str) -> [f64; 2] {
    let start = format!("--{name}: light-dark(");
    let (_, rest) = TOKENS.split_once(&start).unwrap_or_else(|| panic!("--{name} is not a colour of two themes"));
    let (pair, _) = rest.split_once(";").expect("ends");
    let colours: Vec<&str> = pair.split("oklch(").skip(1).filter_map(|part| part.split(')').next()).collect();
    let [light, dark] = colours[..] else { panic!("--{name}: two colours") };
    [luminance(light), luminance(dark)]
}

fn assert_contrast(front: &str, back: &str, least: f64) {
    for (theme, (front_light, back_light)) in ["light", "dark"].iter().zip(themes(front).into_iter().zip(themes(back))) {
        let (high, low) = if front_light > back_light { (front_light, back_light) } else { (back_light, front_light) };
        let ratio = (high + 0.05) / (low + 0.05);
        assert!(ratio >= least, "{front} on {back}, {theme}: {ratio:.2} of {least}");
    }
}

#[test]
fn text_can_be_read_in_both_themes() {
    for back in ["bg", "surface", "sunken"] {
        for front in ["text", "muted", "accent", "accent-hover"] {
            assert_contrast(front, back, 4.5);
        }
    }
    for state in ["ok", "warn", "bad", "accent"] {
        let soft = format!("{state}-soft");
        assert_contrast(state, "surface", 4.5);
        assert_contrast(state, &soft, 4.5);
        assert_contrast("text", &soft, 4.5);
        assert_contrast("accent", &soft, 4.5);
    }
    assert_contrast("on-accent", "accent", 4.5);
    assert_contrast("on-accent", "accent-hover", 4.5);
}

#[test]
fn controls_and_focus_can_be_seen_in_both_themes() {
    for back in ["bg", "surface", "sunken"] {
        assert_contrast("control", back, 3.0);
        assert_contrast("accent", back, 3.0);
    }
}

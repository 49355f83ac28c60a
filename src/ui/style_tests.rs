//! What the style sheets promise beside their contrasts (`style_guide::contrast`): every colour comes from `tokens.css`, little moves and
//! not for long, nothing is fetched.

use std::fs;
use std::path::Path;

/// What may move: the browser needs no new layout or paint for it.
const MOVING: [&str; 5] = ["opacity", "transform", "translate", "scale", "rotate"];
const LONGEST_MOTION_MS: u32 = 150;

/// Every sheet with its name.
fn sheets() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("style");
    let files = fs::read_dir(folder).expect("style/").flatten();
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), fs::read_to_string(file.path()).expect("text"))).collect()
}

fn without_comments(sheet: &str) -> String {
    let mut parts = sheet.split("/*");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + part.split_once("*/").map_or("", |(_, rest)| rest))
}

/// The declarations among these rules: property, value.
fn declarations(rules: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = rules.split(['{', '}', ';']).filter_map(|part| part.split_once(':'));
    pairs.map(|(property, value)| (property.trim(), value.trim().trim_end_matches("!important").trim_end()))
}

/// What stands between the braces after each `opening`.
fn blocks(sheet: &str, opening: &str) -> Vec<String> {
    let block = |rest: &str| {
        let mut depth = 0;
        let inside = rest.chars().skip_while(|letter| *letter != '{').take_while(|letter| {
            depth += match letter {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth > 0
        });
        inside.collect()
    };
    sheet.split(opening).skip(1).map(block).collect()
}

#[test]
fn only_the_tokens_name_colours() {
    for (name, sheet) in sheets().into_iter().filter(|(name, _)| name != "tokens.css") {
        for (number, line) in sheet.lines().enumerate() {
            // A shadow is black in both themes.
            let line = line.replace("oklch(0 0 0 / ", "");
            let named = ["oklch(", "rgb(", "rgba(", "hsl(", ": #", " white;", " black;"].iter().find(|start| line.contains(**start));
            assert!(named.is_none(), "{name}:{}: {}", number + 1, named.unwrap_or(&""));
        }
    }
}

#[test]
fn nothing_moves_but_opacity_and_place_and_not_for_long() {
    let mut moving = 0;
    for (name, sheet) in sheets() {
        let sheet = without_comments(&sheet);
        for (property, value) in declarations(&sheet).filter(|(_, value)| *value != "none") {
            assert_ne!(property, "scroll-behavior", "{name}");
            if !property.starts_with("transition") && !property.starts_with("animation") {
                continue;
            }
            moving += 1;
            assert!(property == "transition" || property == "animation", "{name}: {property}, which the short form says too");
            for words in value.split(',').map(|part| part.split_whitespace().collect::<Vec<_>>()) {
                let what = words.first().copied().unwrap_or_default();
                assert!(property == "animation" || MOVING.contains(&what), "{name}: {property}: {value}");
                let time = words.iter().find_map(|word| word.strip_suffix("ms")?.parse::<u32>().ok());
                assert!(time.is_some_and(|time| time <= LONGEST_MOTION_MS), "{name}: {property}: {value}");
            }
        }
        for frames in blocks(&sheet, "@keyframes") {
            let other = declarations(&frames).find(|(property, _)| !MOVING.contains(property));
            assert!(other.is_none(), "{name}: {other:?} in @keyframes");
        }
    }
    assert!(moving > 0, "switches turn");
}

#[test]
fn who_wants_no_motion_sees_none() {
    let all: String = sheets().into_iter().map(|(_, sheet)| without_comments(&sheet)).collect();
    let still = blocks(&all, "@media (prefers-reduced-motion: reduce)").concat();
    assert!(still.contains("*, ::before, ::after, ::backdrop {"), "{still}");
    for end in ["transition: none !important;", "animation: none !important;"] {
        assert!(still.contains(end), "{end} is not in {still}");
    }
}

#[test]
fn no_sheet_fetches_fonts_or_anything_of_another_host() {
    for (name, sheet) in sheets() {
        let sheet = without_comments(&sheet);
        for word in ["@font-face", "@import"] {
            assert!(!sheet.contains(word), "{name}: {word}");
        }
        for address in sheet.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\'', ' '])) {
            let ours = address.starts_with(['#', '/']) && !address.starts_with("//");
            assert!(ours || address.starts_with("data:"), "{name}: url({address:.40}");
        }
    }
}

#[test]
fn sheets_are_read_as_they_are_meant() {
    let sheet = without_comments("a { b: c } /* d { e: f } */ @keyframes g { from { opacity: 0; } to { h: 1 !important } } i { j: k }");
    assert_eq!(declarations(&sheet).collect::<Vec<_>>(), [("b", "c"), ("opacity", "0"), ("h", "1"), ("j", "k")]);
    let frames = blocks(&sheet, "@keyframes").concat();
    assert_eq!(declarations(&frames).collect::<Vec<_>>(), [("opacity", "0"), ("h", "1")]);
}

//! What the style sheets promise beside their contrasts (`style_guide::contrast`): every colour comes from `tokens.css`.

use std::fs;
use std::path::Path;

#[test]
fn only_the_tokens_name_colours() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("style");
    for entry in fs::read_dir(folder).expect("style/").flatten().filter(|entry| entry.file_name() != "tokens.css") {
        let sheet = fs::read_to_string(entry.path()).expect("text");
        for (number, line) in sheet.lines().enumerate() {
            // A shadow is black in both themes.
            let line = line.replace("oklch(0 0 0 / ", "");
            let named = ["oklch(", "rgb(", "rgba(", "hsl(", ": #", " white;", " black;"].iter().find(|start| line.contains(**start));
            assert!(named.is_none(), "{:?}:{}: {}", entry.file_name(), number + 1, named.unwrap_or(&""));
        }
    }
}

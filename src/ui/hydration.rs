//! What a page loads beside itself: its style, and the script that wakes its islands.

use leptos::nonce::use_nonce;
use leptos::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// Where the browser finds the parts of the site, as `scripts/site.sh` names them: with a hash of what is in them.
#[derive(Clone)]
pub struct SiteFiles {
    style: Arc<str>,
    script: Arc<str>,
    program: Arc<str>,
}

impl SiteFiles {
    /// Those of the site in this folder. Without `hash.txt` there is none, and the names are those of no file.
    pub fn of(site_root: &Path) -> SiteFiles {
        let hashes = std::fs::read_to_string(site_root.join("hash.txt")).unwrap_or_default();
        let named = |extension: &str| {
            let hash = hashes.lines().find_map(|line| line.strip_prefix(extension)?.strip_prefix(": "));
            hash.map_or_else(|| format!("/pkg/toki.{extension}"), |hash| format!("/pkg/toki.{hash}.{extension}")).into()
        };
        SiteFiles { style: named("css"), script: named("js"), program: named("wasm") }
    }
}

/// The links and the script of a document's head. Leptos's own script would load the WebAssembly together with the page, look for islands
/// at every element, and wake all of them in one piece, which a phone feels.
#[component]
pub fn SiteParts() -> impl IntoView {
    use_context::<SiteFiles>().map(|SiteFiles { style, script, program }| {
        let wake = format!("{}({script:?}, {program:?});", include_str!("wake_islands.js"));
        view! {
            <link rel="stylesheet" href=style.to_string() />
            <script type="module" nonce=use_nonce()>
                {wake}
            </script>
        }
    })
}

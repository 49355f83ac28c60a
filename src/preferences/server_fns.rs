//! Server functions of `preferences`.

use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;

/// Keeps what is given in cookies of the asking browser, and a user's language for their letters; what is empty stays as it was. The page
/// that asked is shown anew.
#[server(endpoint = "preferences/set", input = Form)]
pub async fn set_preferences(
    #[server(default)] language: String,
    #[server(default)] theme: String,
    #[server(default)] time_zone: String,
) -> Result<(), ConsoleError> {
    use crate::preferences::types::Preference;
    use crate::server::request_ctx;
    // public: a browser's own cookies, visitors' too.
    let app = request_ctx::app()?;
    let given = [("language", language), ("theme", theme), ("time_zone", time_zone)].into_iter().filter(|(_, value)| !value.is_empty());
    let given: Option<Vec<Preference>> = given.map(|(name, value)| Preference::parse(name, value.trim())).collect();
    for preference in given.ok_or_else(|| request_ctx::fail(ConsoleError::BadRequest))? {
        if let Preference::Language(language) = &preference
            && let Some(reader) = request_ctx::viewer().await?
        {
            request_ctx::note_language(reader.user_id(), *language, true).await?;
        }
        request_ctx::set_cookie(&preference.cookie(app.config.secure_cookies()))?;
    }
    Ok(())
}

//! Server functions of `preferences`.

use crate::error::ConsoleError;
use crate::ui::form_input::Form;
use leptos::prelude::*;

/// Keeps what is given in cookies of the asking browser; what is empty stays as it was. The page that asked is shown anew.
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
    for (name, value) in [("language", language), ("theme", theme), ("time_zone", time_zone)] {
        if !value.is_empty() {
            let preference = Preference::parse(name, value.trim()).ok_or_else(|| request_ctx::fail(ConsoleError::BadRequest))?;
            request_ctx::set_cookie(&preference.cookie(app.config.secure_cookies()))?;
        }
    }
    Ok(())
}

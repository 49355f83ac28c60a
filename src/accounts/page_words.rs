//! What pages call the devices that sign in, and the roles of members.

use crate::accounts::types_members::Role;
use crate::t;

/// A device as `accounts::device` names it, in the reader's language; empty = nothing is known of it.
pub fn device_words(device: &str) -> String {
    match (device, device.split_once(" on ")) {
        ("" | "Unknown device", _) => t!("Unknown device").to_string(),
        (_, Some((browser, system))) => t!("{browser} on {system}", browser = browser, system = system),
        (only, None) => only.to_string(),
    }
}

pub fn role_word(role: Role) -> &'static str {
    match role {
        Role::ReadOnly => t!("Read-only"),
        Role::Member => t!("Member"),
        Role::Admin => t!("Admin"),
        Role::Owner => t!("Owner"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_called_what_they_are_called() {
        for (device, words) in
            [("Firefox on Linux", "Firefox on Linux"), ("curl", "curl"), ("Unknown device", "Unknown device"), ("", "Unknown device")]
        {
            assert_eq!(device_words(device), words);
        }
    }
}

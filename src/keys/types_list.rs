//! The list of keys: what an address can ask of it, and what is done to several keys at once.

use crate::error::{ConsoleError, Field, Problem};
use crate::ids::{KeyId, SupplierId};
use crate::keys::types::{KeyStatus, KeyView, parse_supplier};
use crate::suppliers::types::SupplierChoice;
use crate::utc::UtcTime;
use serde::{Deserialize, Serialize};

/// What a list is in the order of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyOrder {
    #[default]
    Newest,
    Oldest,
    Name,
    /// The last used first.
    Used,
    /// Those first that were used never, or longest ago.
    Unused,
    /// By what is left of the quota; keys without one have the most.
    LeastLeft,
    MostLeft,
}

impl KeyOrder {
    pub const ALL: [KeyOrder; 7] =
        [KeyOrder::Newest, KeyOrder::Oldest, KeyOrder::Name, KeyOrder::Used, KeyOrder::Unused, KeyOrder::LeastLeft, KeyOrder::MostLeft];

    pub fn as_str(self) -> &'static str {
        match self {
            KeyOrder::Newest => "newest",
            KeyOrder::Oldest => "oldest",
            KeyOrder::Name => "name",
            KeyOrder::Used => "used",
            KeyOrder::Unused => "unused",
            KeyOrder::LeastLeft => "least",
            KeyOrder::MostLeft => "most",
        }
    }

    pub fn parse(text: &str) -> Option<KeyOrder> {
        KeyOrder::ALL.into_iter().find(|order| order.as_str() == text)
    }
}

/// Which keys to show, and from where on. Of what is none, all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFilter {
    /// In the name, or in what is shown of the secret.
    pub search: Option<String>,
    pub status: Option<KeyStatus>,
    /// `Some(None)`: keys that are for every supplier.
    pub supplier_id: Option<Option<SupplierId>>,
    pub order: KeyOrder,
    /// The last key of the page before.
    pub after: Option<KeyId>,
}

impl KeyFilter {
    const LONGEST_SEARCH: usize = 254;

    /// Out of an address, where nothing means all.
    pub fn parse(search: &str, status: &str, supplier: &str, order: &str, after: &str) -> Result<KeyFilter, ConsoleError> {
        let search = Some(search.trim()).filter(|search| !search.is_empty());
        if search.is_some_and(|search| search.chars().count() > KeyFilter::LONGEST_SEARCH) {
            return Err(ConsoleError::invalid(Field::Search, Problem::TooLong));
        }
        let unless_empty = |text: &str| !text.is_empty();
        Ok(KeyFilter {
            search: search.map(str::to_string),
            status: Some(status).filter(|text| unless_empty(text)).map(parse_status).transpose()?,
            supplier_id: Some(supplier).filter(|text| unless_empty(text)).map(parse_supplier).transpose()?,
            order: if order.is_empty() { KeyOrder::default() } else { KeyOrder::parse(order).ok_or(ConsoleError::NotFound)? },
            after: Some(after).filter(|text| unless_empty(text)).map(str::parse).transpose().map_err(|_| ConsoleError::NotFound)?,
        })
    }
}

fn parse_status(text: &str) -> Result<KeyStatus, ConsoleError> {
    let found = KeyStatus::ALL.into_iter().find(|status| status.as_str() == text);
    found.ok_or(ConsoleError::NotFound)
}

/// What becomes of several keys at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeysChange {
    Enable,
    Disable,
    Delete,
}

impl KeysChange {
    /// The most that one form may change.
    pub const MOST: usize = 100;

    pub fn as_str(self) -> &'static str {
        match self {
            KeysChange::Enable => "enable",
            KeysChange::Disable => "disable",
            KeysChange::Delete => "delete",
        }
    }

    pub fn parse(text: &str) -> Option<KeysChange> {
        [KeysChange::Enable, KeysChange::Disable, KeysChange::Delete].into_iter().find(|change| change.as_str() == text)
    }
}

/// The keys that a form has chosen: at least one, each once, at most [`KeysChange::MOST`].
pub fn parse_chosen(ids: &[String]) -> Result<Vec<KeyId>, ConsoleError> {
    let ids: Result<Vec<KeyId>, _> = ids.iter().map(|id| id.parse()).collect();
    let mut ids = ids.map_err(|_| ConsoleError::NotFound)?;
    ids.sort_unstable();
    ids.dedup();
    match ids.len() {
        0 => Err(ConsoleError::invalid(Field::Keys, Problem::Empty)),
        count if count > KeysChange::MOST => Err(ConsoleError::invalid(Field::Keys, Problem::TooLarge)),
        _ => Ok(ids),
    }
}

/// Where a form leads back to: the list as it was asked for, if it is that, else all of it. What is not printable ASCII has no place in a
/// `Location` header.
pub fn back_to_list(back: &str) -> &str {
    let is_list = back == LIST || back.strip_prefix(LIST).is_some_and(|rest| rest.starts_with('?'));
    if is_list && back.len() <= LONGEST_ADDRESS && back.bytes().all(|byte| byte.is_ascii_graphic()) { back } else { LIST }
}

/// The address of the list.
const LIST: &str = "/keys";

/// Longer than the longest search makes it.
const LONGEST_ADDRESS: usize = 4_096;

/// What a form did to keys, for the page that comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysChanged {
    pub change: KeysChange,
    pub keys: usize,
}

/// Under what [`KeysChanged`] waits in the session.
pub const CHANGED: &str = "keys_changed";

/// The page of all keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyList {
    /// Whether whoever looks may make keys.
    pub may_create: bool,
    /// Whether the account has any key, shown here or not.
    pub any: bool,
    pub keys: Vec<KeyView>,
    /// Whether they are the first of what was asked for, as they are too where nothing is left of a later page.
    pub from_start: bool,
    /// The last key shown, if more come after it.
    pub more_after: Option<KeyId>,
    /// What a new key can be tied to.
    pub suppliers: Vec<SupplierChoice>,
    /// What keys are tied to.
    pub tied_to: Vec<SupplierChoice>,
    /// What the last form did.
    pub changed: Option<KeysChanged>,
    /// When keys end that are made now, by the days that they are to last.
    pub ends: Vec<(u64, UtcTime)>,
    /// The id that a key made with this rendering of the form gets: the form posted twice is one key.
    pub form_key: KeyId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_anything_asks_for_all_the_newest_first() {
        assert_eq!(KeyFilter::parse(" ", "", "", "", ""), Ok(KeyFilter::default()));
        let filter = KeyFilter::parse(" bot ", "expired", "all", "least", "").expect("a filter");
        assert_eq!((filter.search.as_deref(), filter.status), (Some("bot"), Some(KeyStatus::Expired)));
        assert_eq!((filter.supplier_id, filter.order), (Some(None), KeyOrder::LeastLeft));
    }

    #[test]
    fn an_address_that_means_nothing_is_refused() {
        let refused = |search: &str, status, supplier, order, after| KeyFilter::parse(search, status, supplier, order, after).err();
        assert_eq!(refused(&"x".repeat(255), "", "", "", ""), Some(ConsoleError::invalid(Field::Search, Problem::TooLong)));
        assert_eq!(refused("", "deleted", "", "", ""), Some(ConsoleError::NotFound));
        assert_eq!(refused("", "", "openai", "", ""), Some(ConsoleError::invalid(Field::Supplier, Problem::Unknown)));
        assert_eq!(refused("", "", "", "price", ""), Some(ConsoleError::NotFound));
        assert_eq!(refused("", "", "", "", "1"), Some(ConsoleError::NotFound));
    }

    #[test]
    fn a_form_leads_back_to_the_list_and_nowhere_else() {
        for list in ["/keys", "/keys?", "/keys?search=a+b&order=name&after=x"] {
            assert_eq!(back_to_list(list), list);
        }
        let long = format!("/keys?search={}", "x".repeat(4_096));
        let others =
            ["", "/", "/keysx", "/keys/1", "//keys?", "https://evil.example/keys?", "/keys?a\r\nb", "/keys?客服", "/keys? ", &long];
        for other in others {
            assert_eq!(back_to_list(other), "/keys", "{other}");
        }
    }

    #[test]
    fn keys_are_chosen_once_each_and_a_hundred_at_most() {
        let id = |number: u128| uuid::Uuid::from_u128(number).to_string();
        assert_eq!(parse_chosen(&[id(2), id(1), id(2)]).map(|ids| ids.len()), Ok(2));
        assert_eq!(parse_chosen(&[]), Err(ConsoleError::invalid(Field::Keys, Problem::Empty)));
        assert_eq!(parse_chosen(&["x".into()]), Err(ConsoleError::NotFound));
        let many: Vec<_> = (0..101).map(id).collect();
        assert_eq!(parse_chosen(&many), Err(ConsoleError::invalid(Field::Keys, Problem::TooLarge)));
        assert!(parse_chosen(&many[1..]).is_ok());
    }
}

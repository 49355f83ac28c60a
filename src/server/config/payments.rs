//! Which payments there are, and who sells.

use super::{ConfigError, invalid};
use crate::checkout::payments::StripeConfig;
use crate::checkout::types_receipt::{Seller, TaxRate};
use url::Url;

/// Stripe, if both its secrets are there.
pub fn stripe<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Option<StripeConfig>, ConfigError> {
    let api_base = get("STRIPE_API_BASE");
    let (key, webhook_secret) = match (get("STRIPE_SECRET_KEY"), get("STRIPE_WEBHOOK_SECRET")) {
        (None, None) => return Ok(None),
        (Some(key), Some(secret)) => (key, secret),
        (Some(_), None) => return Err(invalid("STRIPE_WEBHOOK_SECRET", "must be set where STRIPE_SECRET_KEY is")),
        (None, Some(_)) => return Err(invalid("STRIPE_SECRET_KEY", "must be set where STRIPE_WEBHOOK_SECRET is")),
    };
    if key.is_empty() {
        return Err(invalid("STRIPE_SECRET_KEY", "is empty; unset it to run without Stripe"));
    }
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid("STRIPE_SECRET_KEY", "holds characters that no key has"));
    }
    // An empty secret would let anybody sign events; a pasted API key in its place would never match and lose every payment.
    let unsafe_secret = |secret: &str| secret.trim().len() < 16 || secret.trim().starts_with("sk_") || secret.trim().starts_with("rk_");
    if webhook_secret.split(',').count() > 2 || webhook_secret.split(',').any(unsafe_secret) {
        let problem = "must be the endpoint's signing secret (whsec_…), 16 characters or more, or two of them separated by a comma";
        return Err(invalid("STRIPE_WEBHOOK_SECRET", problem));
    }
    if let Some(base) = api_base
        && !Url::parse(base).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    {
        return Err(invalid("STRIPE_API_BASE", "must be a URL like https://api.stripe.com"));
    }
    Ok(Some(StripeConfig { secret_key: key.into(), webhook_secret: webhook_secret.into(), api_base: api_base.map(str::to_string) }))
}

/// Name, address, tax number and tax rate. A name without an address is no seller to a tax office, nor the other way round.
pub fn seller<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Seller>, ConfigError> {
    let names = ["TOKI_SELLER_NAME", "TOKI_SELLER_ADDRESS", "TOKI_SELLER_TAX_ID", "TOKI_SELLER_TAX_RATE"];
    let [name, address, tax_id, rate] = names.map(|name| get(name).filter(|text| !text.is_empty()));
    let (name, address) = match (name, address) {
        (Some(name), Some(address)) => (name, address),
        (None, None) if tax_id.is_none() && rate.is_none() => return Ok(None),
        (None, _) => return Err(ConfigError::Missing("TOKI_SELLER_NAME")),
        (_, None) => return Err(ConfigError::Missing("TOKI_SELLER_ADDRESS")),
    };
    let address = address.replace("\\n", ";");
    let lines: Vec<_> = address.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect();
    let not_a_rate = || invalid("TOKI_SELLER_TAX_RATE", "must be a per cent from 0 to 100 with at most two decimals, like 19 or 8.1");
    Ok(Some(Seller {
        name: name.to_string(),
        address: lines.join("\n"),
        tax_id: tax_id.map(str::to_string),
        tax_rate: rate.map(|text| TaxRate::parse(text).ok_or_else(not_a_rate)).transpose()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(vars: &[(&str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |wanted| vars.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    #[test]
    fn stripe_needs_both_secrets_and_a_real_webhook_secret() {
        for (key, secret) in [
            ("", "whsec_0123456789abcdef"),
            ("sk_test_1", ""),
            ("sk_test_1", "short"),
            ("sk_test_1", "sk_test_0123456789abcdef"),
            ("sk_test_1", "whsec_0123456789abcdef,"),
            ("sk_test_1", "whsec_0123456789abcdef,sk_test_0123456789abcdef"),
            ("sk_test_1", "whsec_0123456789abcdef,whsec_1123456789abcdef,whsec_2123456789abcdef"),
        ] {
            assert!(stripe(of(&[("STRIPE_SECRET_KEY", key), ("STRIPE_WEBHOOK_SECRET", secret)])).is_err(), "{key} {secret}");
        }
        for secret in ["whsec_0123456789abcdef", "whsec_0123456789abcdef, whsec_1123456789abcdef"] {
            assert!(stripe(of(&[("STRIPE_SECRET_KEY", "sk_test_1"), ("STRIPE_WEBHOOK_SECRET", secret)])).is_ok(), "{secret}");
        }
    }

    #[test]
    fn a_seller_has_a_name_and_an_address_and_perhaps_a_tax() {
        let name = ("TOKI_SELLER_NAME", "Toki Ltd");
        let address = ("TOKI_SELLER_ADDRESS", "Street 1; 1010 Vienna\\nAustria");
        let found = seller(of(&[name, address, ("TOKI_SELLER_TAX_RATE", "8.1")])).expect("no error").expect("a seller");
        assert_eq!((found.address.as_str(), found.tax_id, found.tax_rate), ("Street 1\n1010 Vienna\nAustria", None, Some(TaxRate(810))));
        for (vars, said) in [
            (&[name][..], "TOKI_SELLER_ADDRESS"),
            (&[address], "TOKI_SELLER_NAME"),
            (&[("TOKI_SELLER_TAX_ID", "ATU1")], "TOKI_SELLER_NAME"),
            (&[name, address, ("TOKI_SELLER_TAX_RATE", "a fifth")], "TOKI_SELLER_TAX_RATE"),
        ] {
            let refusal = seller(of(vars)).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(refusal.contains(said), "{vars:?}: {refusal}");
        }
    }
}

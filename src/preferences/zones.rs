//! Which time zones there are to choose from: the places of the IANA database, by the part of the world that their names begin with.

use chrono_tz::{TZ_VARIANTS, Tz};

/// A part of the world. What the database has beside these are older names of the same zones (`US/Pacific`) and no places (`Etc/GMT+5`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    Africa,
    America,
    Antarctica,
    Arctic,
    Asia,
    Atlantic,
    Australia,
    Europe,
    Indian,
    Pacific,
}

impl Region {
    pub const ALL: [Region; 10] = [
        Region::Africa,
        Region::America,
        Region::Antarctica,
        Region::Arctic,
        Region::Asia,
        Region::Atlantic,
        Region::Australia,
        Region::Europe,
        Region::Indian,
        Region::Pacific,
    ];

    /// As names begin with it.
    fn as_str(self) -> &'static str {
        match self {
            Region::Africa => "Africa",
            Region::America => "America",
            Region::Antarctica => "Antarctica",
            Region::Arctic => "Arctic",
            Region::Asia => "Asia",
            Region::Atlantic => "Atlantic",
            Region::Australia => "Australia",
            Region::Europe => "Europe",
            Region::Indian => "Indian",
            Region::Pacific => "Pacific",
        }
    }

    /// The part that a zone is in, if it is a place.
    pub fn of(zone: Tz) -> Option<Region> {
        let (region, _) = zone.name().split_once('/')?;
        Region::ALL.into_iter().find(|each| each.as_str() == region)
    }

    pub fn zones(self) -> impl Iterator<Item = Tz> {
        TZ_VARIANTS.iter().copied().filter(move |zone| Region::of(*zone) == Some(self))
    }
}

/// `America/Argentina/Buenos_Aires` within its part of the world: `Argentina, Buenos Aires`. What is no place has its whole name.
pub fn place_name(zone: Tz) -> String {
    match (Region::of(zone), zone.name().split_once('/')) {
        (Some(_), Some((_, place))) => place.replace('/', ", ").replace('_', " "),
        _ => zone.name().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_in_one_part_of_the_world_by_its_name() {
        for region in Region::ALL {
            assert!(region.zones().count() > 0, "{region:?}");
        }
        let listed: Vec<Tz> = Region::ALL.into_iter().flat_map(Region::zones).collect();
        assert!(listed.len() > 400, "{}", listed.len());
        for (zone, region, name) in [
            (Tz::Europe__Zurich, Some(Region::Europe), "Zurich"),
            (Tz::America__Argentina__Buenos_Aires, Some(Region::America), "Argentina, Buenos Aires"),
            (Tz::Asia__Shanghai, Some(Region::Asia), "Shanghai"),
            (Tz::UTC, None, "UTC"),
            (Tz::US__Pacific, None, "US/Pacific"),
        ] {
            assert_eq!((Region::of(zone), place_name(zone).as_str()), (region, name));
            assert_eq!(listed.contains(&zone), region.is_some(), "{zone}");
        }
    }
}

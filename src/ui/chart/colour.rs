//! Which colour a name has in charts: the same on every page, so that a reader learns it once.

/// One of the colours `--series-1` to `--series-5`, or what is left over: `--series-other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Series(usize),
    Other,
}

pub const COLOURS: usize = 5;

impl Colour {
    /// A class that sets `--series` to it.
    pub fn class(self) -> &'static str {
        const CLASSES: [&str; COLOURS] = ["series-1", "series-2", "series-3", "series-4", "series-5"];
        match self {
            Colour::Series(place) => CLASSES.get(place).copied().unwrap_or("series-other"),
            Colour::Other => "series-other",
        }
    }
}

/// The colours of names. Each has its own by its letters; who comes later and finds it taken gets the next that fewest have. Give all
/// names of an account in an order that does not change, oldest first, and every page comes to the same.
#[derive(Clone, Debug, Default)]
pub struct Colours(Vec<(String, usize)>);

impl Colours {
    pub fn of(names: impl IntoIterator<Item = impl Into<String>>) -> Colours {
        let (mut given, mut uses) = (Vec::new(), [0_usize; COLOURS]);
        for name in names.into_iter().map(Into::into) {
            let place = nearest(&name, |place| uses.get(place).copied().unwrap_or_default());
            if let Some(uses) = uses.get_mut(place) {
                *uses += 1;
            }
            given.push((name, place));
        }
        Colours(given)
    }

    /// The same of things by id and name: one that is renamed changes no other's colour, and keeps its own.
    pub fn of_named(things: impl IntoIterator<Item = (String, String)>) -> Colours {
        let (ids, names): (Vec<String>, Vec<String>) = things.into_iter().unzip();
        let Colours(given) = Colours::of(ids);
        Colours(names.into_iter().zip(given).map(|(name, (_, place))| (name, place)).collect())
    }

    /// The colours of a chart's names, all different as long as there are colours: where two have the same, the first keeps it.
    pub(super) fn apart(&self, names: &[&str]) -> Vec<Colour> {
        let mut taken = [0_usize; COLOURS];
        let mut apart = Vec::with_capacity(names.len());
        for name in names {
            let own = self.0.iter().find(|(given, _)| given == name).map_or_else(|| own_place(name), |(_, place)| *place);
            let place = nearest_from(own, |place| taken.get(place).copied().unwrap_or_default());
            if let Some(taken) = taken.get_mut(place) {
                *taken += 1;
            }
            apart.push(Colour::Series(place));
        }
        apart
    }
}

fn nearest(name: &str, uses: impl Fn(usize) -> usize) -> usize {
    nearest_from(own_place(name), uses)
}

/// The place that fewest use, looked for from `own` on.
fn nearest_from(own: usize, uses: impl Fn(usize) -> usize) -> usize {
    (0..COLOURS).map(|step| (own + step) % COLOURS).min_by_key(|place| uses(*place)).unwrap_or(own)
}

/// By a name's letters alone (FNV-1a).
fn own_place(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    usize::try_from(hash % COLOURS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 7] = ["alpha/one", "alpha/two", "beta/large", "gamma", "delta", "epsilon", "zeta"];

    #[test]
    fn five_names_have_five_colours_and_keep_them() {
        let few = Colours::of(NAMES.into_iter().take(5)).apart(&NAMES[..5]);
        for place in 0..COLOURS {
            assert!(few.contains(&Colour::Series(place)), "{few:?}");
        }
        let all = Colours::of(NAMES);
        assert_eq!(all.apart(&NAMES[..5]), few, "who comes later displaces nobody");
        for (name, colour) in NAMES.iter().zip(few) {
            assert_eq!(all.apart(&[name]), [colour], "alone or among others");
        }
    }

    #[test]
    fn a_new_name_changes_no_colour() {
        let things = |names: [&'static str; 7]| -> Vec<(String, String)> {
            names.into_iter().zip('a'..).map(|(name, id)| (id.to_string(), name.to_string())).collect()
        };
        let mut renamed = NAMES;
        renamed[1] = "another";
        let (before, after) = (Colours::of_named(things(NAMES)), Colours::of_named(things(renamed)));
        for (name, new_name) in NAMES.iter().zip(&renamed) {
            assert_eq!(before.apart(&[name]), after.apart(&[new_name]), "{name}");
        }
    }

    #[test]
    fn no_two_of_a_chart_are_alike() {
        let chart = [NAMES[0], NAMES[6], NAMES[5], NAMES[1]];
        for colours in [Colours::of(NAMES), Colours::default()] {
            let apart = colours.apart(&chart);
            for (place, colour) in apart.iter().enumerate() {
                assert!(!apart[..place].contains(colour), "{apart:?}");
            }
        }
    }
}

//! Enums that have a name in the database, in JSON and on the command line: one name, the same everywhere.
//!
//! Invariant: `T::parse(x.name()) == Ok(x)` for every variant, and the names of one type are distinct.

/// A closed set of values with stable names.
pub trait Named: Copy + Eq + Sized + 'static {
    /// What the set is called in an error, such as `phase`.
    const WHAT: &'static str;
    /// Every value, in the order in which it is shown.
    const ALL: &'static [Self];

    /// The stable name: lower case, words joined by `_`.
    fn name(self) -> &'static str;

    /// The value with this exact name.
    ///
    /// # Errors
    /// [`UnknownName`] when no value has it; a name is never guessed.
    fn parse(text: &str) -> Result<Self, UnknownName> {
        Self::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| UnknownName {
            what: Self::WHAT,
            known: Self::ALL.iter().map(|value| value.name()).collect(),
            // What came from outside is shown without its control characters, and bounded.
            found: crate::display::one_line(text, UnknownName::FOUND_MAX_CHARS),
        })
    }
}

/// A name that no value of the set has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} \"{found}\"; known: {}", known.join(", "))]
pub struct UnknownName {
    /// What was being named.
    pub what: &'static str,
    /// The name that was found, made safe to print.
    pub found: String,
    /// The names there are.
    pub known: Vec<&'static str>,
}

impl UnknownName {
    /// How much of an unknown name an error repeats, in characters.
    const FOUND_MAX_CHARS: usize = 60;
}

/// Implements [`Named`], `Display`, `FromStr` and serde for an enum of plain variants.
#[macro_export]
macro_rules! named_enum {
    ($type:ident, $what:literal, { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $crate::named::Named for $type {
            const WHAT: &'static str = $what;
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::named::Named::name(*self))
            }
        }
        impl std::str::FromStr for $type {
            type Err = $crate::named::UnknownName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                <Self as $crate::named::Named>::parse(text)
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::named::Named::name(*self))
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                <Self as $crate::named::Named>::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

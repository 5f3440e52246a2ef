//! Names of values in datasets, manifests and options.
//!
//! The macro `named!` declares an enum together with its names. Every name stands once in the source, and parses back to its value.

/// A value of a closed set in which every value has a name.
pub trait Named: Copy + 'static {
    /// Every name, in the order of the enum.
    const NAMES: &'static [&'static str];

    /// The value's name.
    fn name(self) -> &'static str;
}

/// A text that names no value of an enum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: give {}", alternatives(.known))]
pub struct UnknownName {
    kind: &'static str,
    text: String,
    known: &'static [&'static str],
}

impl UnknownName {
    /// The error for `text`, which is not `kind` (with its article, such as "a status").
    pub(crate) fn new(kind: &'static str, text: &str, known: &'static [&'static str]) -> Self {
        UnknownName {
            kind,
            text: text.to_owned(),
            known,
        }
    }
}

/// `a, b or c`.
fn alternatives(names: &[&str]) -> String {
    match names {
        [first @ .., before, last] => {
            let first: String = first.iter().map(|name| format!("{name}, ")).collect();
            format!("{first}{before} or {last}")
        }
        _ => names.concat(),
    }
}

/// Declares an enum whose values have names.
///
/// The text after the enum's name says in errors what a value is. Attributes stay as they are written. The macro adds:
///
/// | item | meaning |
/// |---|---|
/// | `ALL` | every value, in the order of the enum |
/// | `NAMES` | their names, in the same order |
/// | `as_str` | the name of a value |
/// | `FromStr` | the value of a name; the error is [`UnknownName`] |
/// | `Display`, `Serialize`, `Deserialize` | the name as text |
/// | [`Named`] | the names, for generic code |
macro_rules! named {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $kind:ident: $what:literal {
            $($(#[$about:meta])* $variant:ident = $name:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility enum $kind {
            $($(#[$about])* $variant),+
        }

        impl $kind {
            /// Every value, in the order of the enum.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// Every name, in the order of the enum.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name in datasets, manifests and options.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl $crate::model::Named for $kind {
            const NAMES: &'static [&'static str] = Self::NAMES;

            fn name(self) -> &'static str {
                self.as_str()
            }
        }

        impl std::str::FromStr for $kind {
            type Err = $crate::model::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::model::UnknownName::new($what, text, Self::NAMES)),
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use named;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::{Debug, Display};
    use std::str::FromStr;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::model::*;

    /// Checks that every way to write a name gives the same text, and that every way to read it gives the value.
    fn round_trip<T>(all: &[T])
    where
        T: Named + FromStr<Err = UnknownName> + Display + Serialize + DeserializeOwned,
        T: Debug + PartialEq,
    {
        let names: Vec<_> = all.iter().map(|value| value.name()).collect();
        assert_eq!(names, T::NAMES);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for (value, name) in all.iter().zip(names) {
            assert_eq!(value.to_string(), name);
            assert_eq!(name.parse::<T>().as_ref(), Ok(value));
            let json = serde_json::to_value(value).expect("a name is JSON");
            assert_eq!(json, name);
            assert_eq!(&serde_json::from_value::<T>(json).expect("a name"), value);
            assert!(name.to_uppercase().parse::<T>().is_err(), "{name}");
        }
        assert!("".parse::<T>().is_err());
    }

    #[test]
    fn every_name_reads_back() {
        round_trip(&Anomaly::ALL);
        round_trip(&DiscardReason::ALL);
        round_trip(&Evidence::ALL);
        round_trip(&InterfaceRole::ALL);
        round_trip(&Protocol::ALL);
        round_trip(&Purpose::ALL);
        round_trip(&ReplyKind::ALL);
        round_trip(&Status::ALL);
        round_trip(&StopReason::ALL);
        round_trip(&TcpFlags::ALL);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let refused = "sctp".parse::<Protocol>().map_err(|why| why.to_string());
        let text = "`sctp` is not a protocol: give udp, icmp or tcp";
        assert_eq!(refused, Err(text.to_owned()));
        let refused = serde_json::from_str::<Protocol>("\"sctp\"").unwrap_err();
        assert!(refused.to_string().starts_with(text), "{refused}");
    }
}

//! The values that getters return.

use std::net::IpAddr;

use crate::model::{FlowId, Named, ProbeId, Time, TraceId, Ttl};

/// A value of a column that stores `N`. If the getter returns an `Option`, the column is nullable.
pub trait Cell<N> {
    /// Whether the value may be absent.
    const NULLABLE: bool;

    /// Returns the value as the column stores it.
    fn cell(self) -> Option<N>;
}

impl<N, V: Cell<N>> Cell<N> for Option<V> {
    const NULLABLE: bool = true;

    fn cell(self) -> Option<N> {
        self?.cell()
    }
}

impl<V: Named> Cell<V> for V {
    const NULLABLE: bool = false;

    fn cell(self) -> Option<V> {
        Some(self)
    }
}

/// Values that are never absent.
macro_rules! cells {
    ($($from:ty => $to:ty: $convert:expr;)+) => {$(
        impl Cell<$to> for $from {
            const NULLABLE: bool = false;

            fn cell(self) -> Option<$to> {
                let convert: fn($from) -> $to = $convert;
                Some(convert(self))
            }
        }
    )+};
}

cells! {
    i16 => i16: |value| value;
    u8 => i16: i16::from;
    Ttl => i16: |ttl| i16::from(ttl.0);
    // No count of this program comes near the limit. A wrong sign would be worse than a number that is too small.
    u16 => i16: |value| i16::try_from(value).unwrap_or(i16::MAX);
    i32 => i32: |value| value;
    u16 => i32: i32::from;
    u32 => i32: |value| i32::try_from(value).unwrap_or(i32::MAX);
    FlowId => i32: |flow| i32::from(flow.0);
    i64 => i64: |value| value;
    u32 => i64: i64::from;
    TraceId => i64: |id| id.0.cast_signed();
    ProbeId => i64: |id| id.0.cast_signed();
    f64 => f64: |value| value;
    bool => bool: |value| value;
    Time => Time: |time| time;
    IpAddr => IpAddr: |address| address;
    &'static str => &'static str: |text| text;
}

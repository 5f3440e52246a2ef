//! The marks in the payload of a probe. They prove that a probe is one of this run.
//!
//! | bytes | field |
//! |---|---|
//! | 0–1 | compensation word: makes the wanted checksum correct |
//! | 2–9 | tag: 64 keyed bits of this one probe |
//! | 10–11 | serial: the same as in the IP ID of IPv4 |
//! | 12… | zeros up to the wanted size |
//!
//! The marks come back from every router that quotes the whole probe, as ICMPv6 requires, and from every target that echoes it.

use super::checksum::Sum;
use super::token::Marks;

/// The size of the marks, in bytes.
pub const MARKS: usize = 12;

/// Writes the marks into `payload`, the end of a transport part whose checksum field holds the wanted checksum. `rest` is the
/// sum of everything else that the checksum covers, the checksum field included.
#[inline]
pub fn encode(payload: &mut [u8], marks: &Marks, serial: u16, rest: Sum) {
    let Some((head, padding)) = payload.split_first_chunk_mut::<MARKS>() else {
        return;
    };
    let compensation = rest.long(marks.tag).word(serial).checksum();
    head[..2].copy_from_slice(&compensation.to_be_bytes());
    head[2..10].copy_from_slice(&marks.tag.to_be_bytes());
    head[10..].copy_from_slice(&serial.to_be_bytes());
    padding.fill(0);
}

/// The tag. `None` if the payload is too short.
pub fn tag(payload: &[u8]) -> Option<u64> {
    let bytes = payload.get(2..)?.first_chunk::<8>()?;
    Some(u64::from_be_bytes(*bytes))
}

/// The serial. `None` if the payload is too short.
pub fn serial(payload: &[u8]) -> Option<u16> {
    let bytes = payload.get(10..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*bytes))
}

/// Returns tag and serial of a quoted payload of unknown length. A tag of zeros is taken for the padding of a short quote
/// (RFC 4884); tag and serial are then absent.
pub fn of_padded(payload: &[u8]) -> (Option<u64>, Option<u16>) {
    let tag = tag(payload).filter(|tag| *tag != 0);
    (tag, serial(payload).filter(|_| tag.is_some()))
}

/// Whether `shown` and `serial` may be the tag `sent`, cut short inside the tag and padded with zeros.
pub fn may_be_cut(shown: u64, serial: Option<u16>, sent: u64) -> bool {
    // If every byte is zero, the tag is cut off completely and any probe is possible.
    let zeros = shown.trailing_zeros() & !7;
    let kept = u64::MAX.checked_shl(zeros).unwrap_or(0);
    zeros > 0 && serial.unwrap_or(0) == 0 && shown == sent & kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back_as_far_as_the_payload_reaches() {
        let marks = Marks {
            check: 0x4321,
            tag: 0x0123_4567_89ab_cdef,
        };
        let mut payload = [0xff; 20];
        encode(
            &mut payload,
            &marks,
            0xfeed,
            Sum::default().word(marks.check),
        );
        assert_eq!(tag(&payload), Some(marks.tag));
        assert_eq!(serial(&payload), Some(0xfeed));
        assert_eq!(tag(&payload[..9]), None);
        assert_eq!(serial(&payload[..11]), None);
        assert_eq!(payload[MARKS..], [0; 8]);
        // Cut after each byte of the tag, and padded with zeros.
        for kept in 0..8 {
            let mut cut = payload;
            cut[2 + kept..].fill(0);
            let (shown, serial) = (super::tag(&cut).unwrap(), super::serial(&cut));
            assert!(may_be_cut(shown, serial, marks.tag), "{kept} bytes");
            assert_eq!(may_be_cut(shown, serial, !marks.tag), kept == 0);
            assert!(!may_be_cut(shown, Some(7), marks.tag), "a serial follows");
        }
        assert!(!may_be_cut(marks.tag, None, marks.tag), "it is whole");
        let whole = Sum::default().bytes(&payload).word(marks.check);
        assert_eq!(
            whole.folded(),
            0xffff,
            "the wanted checksum is the right one"
        );
    }
}

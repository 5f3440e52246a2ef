//! Numbers and texts in a stored target set.
//!
//! A number takes seven bits per byte, the lowest first; the highest bit of a byte says that another byte follows (LEB128). A text is its
//! length and its UTF-8 bytes.

use std::io::{self, BufRead, Write};

use super::StoreError;

/// Bytes that are collected before they are passed on.
const CHUNK: usize = 1 << 16;

/// Writes numbers and texts.
pub(in crate::targets) struct NumberWriter<W> {
    out: W,
    pending: Vec<u8>,
}

impl<W: Write> NumberWriter<W> {
    pub(super) fn new(out: W) -> Self {
        NumberWriter {
            out,
            pending: Vec::with_capacity(CHUNK + 32),
        }
    }

    pub(in crate::targets) fn number(&mut self, number: impl Into<u128>) -> io::Result<()> {
        let mut rest = number.into();
        while rest >= 0x80 {
            self.pending.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.pending.push(rest as u8);
        if self.pending.len() >= CHUNK {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the length of a list or a text.
    pub(in crate::targets) fn length(&mut self, length: usize) -> io::Result<()> {
        self.number(length as u64)
    }

    /// Writes the difference of two numbers, so that lists that count up become short.
    pub(in crate::targets) fn step(&mut self, from: u32, to: u32) -> io::Result<()> {
        let step = i64::from(to) - i64::from(from);
        // 0, -1, 1, -2, … become 0, 1, 2, 3, …
        self.number(((step << 1) ^ (step >> 63)) as u64)
    }

    /// Writes bytes without their length.
    pub(in crate::targets) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.out.write_all(bytes)
    }

    pub(in crate::targets) fn text(&mut self, text: &str) -> io::Result<()> {
        self.length(text.len())?;
        self.bytes(text.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.out)
    }
}

/// Reads numbers and texts. Memory grows with the bytes that are there, not with the lengths that they state.
pub(in crate::targets) struct NumberReader<R> {
    input: R,
}

impl<R: BufRead> NumberReader<R> {
    pub(super) fn new(input: R) -> Self {
        NumberReader { input }
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        let buffer = self.input.fill_buf().map_err(StoreError::Read)?;
        let byte = *buffer
            .first()
            .ok_or(StoreError::Content("it ends too early"))?;
        self.input.consume(1);
        Ok(byte)
    }

    pub(in crate::targets) fn number(&mut self) -> Result<u128, StoreError> {
        let mut number = 0;
        for shift in (0..u128::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(StoreError::Content("a number is too large"))
    }

    /// Reads a number of a smaller type.
    pub(in crate::targets) fn small<T: TryFrom<u128>>(&mut self) -> Result<T, StoreError> {
        T::try_from(self.number()?).map_err(|_| StoreError::Content("a number is too large"))
    }

    /// Reads a number that [`NumberWriter::step`] wrote.
    pub(in crate::targets) fn step(&mut self, from: u32) -> Result<u32, StoreError> {
        let code: u64 = self.small()?;
        let step = (code >> 1) as i64 ^ -((code & 1) as i64);
        let number = i64::from(from).checked_add(step);
        number
            .and_then(|number| u32::try_from(number).ok())
            .ok_or(StoreError::Content("a number is too large"))
    }

    /// Reads a list of numbers after its length.
    pub(in crate::targets) fn list(&mut self) -> Result<Vec<u32>, StoreError> {
        let length: u64 = self.small()?;
        let mut numbers = Vec::new();
        for _ in 0..length {
            numbers.push(self.small()?);
        }
        Ok(numbers)
    }

    /// Reads `length` bytes of UTF-8.
    pub(in crate::targets) fn utf8(&mut self, length: u64) -> Result<String, StoreError> {
        let mut bytes = Vec::new();
        let mut rest = length;
        while rest > 0 {
            let buffer = self.input.fill_buf().map_err(StoreError::Read)?;
            if buffer.is_empty() {
                return Err(StoreError::Content("it ends too early"));
            }
            let take = buffer
                .len()
                .min(usize::try_from(rest).unwrap_or(usize::MAX));
            bytes.extend_from_slice(&buffer[..take]);
            self.input.consume(take);
            rest -= take as u64;
        }
        String::from_utf8(bytes).map_err(|_| StoreError::Content("a text is not UTF-8"))
    }

    pub(in crate::targets) fn text(&mut self) -> Result<String, StoreError> {
        let length = self.small()?;
        self.utf8(length)
    }

    /// Fails if there are more bytes.
    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        match self.input.fill_buf().map_err(StoreError::Read)? {
            [] => Ok(()),
            _ => Err(StoreError::Content("it holds more than a target set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_size_read_back() {
        let numbers = [0, 1, 0x7F, 0x80, 0x3FFF, 0x4000, u128::MAX >> 1, u128::MAX];
        let steps = [(0, 0), (5, 4), (4, 5), (0, u32::MAX), (u32::MAX, 0)];
        let mut writer = NumberWriter::new(Vec::new());
        for number in numbers {
            writer.number(number).unwrap();
        }
        for (from, to) in steps {
            writer.step(from, to).unwrap();
        }
        let bytes = writer.finish().unwrap();
        let mut reader = NumberReader::new(&bytes[..]);
        for number in numbers {
            assert_eq!(reader.number().unwrap(), number);
        }
        for (from, to) in steps {
            assert_eq!(reader.step(from).unwrap(), to, "{from} to {to}");
        }
        reader.finish().unwrap();
    }

    #[test]
    fn a_number_beyond_128_bits_is_an_error() {
        for last in [4, 0x7F, 0x80] {
            let mut bytes = [0x80; 20];
            bytes[18] = last | (last & 0x80);
            let read = NumberReader::new(&bytes[..]).number();
            assert!(matches!(read, Err(StoreError::Content(_))), "{last}");
        }
        let mut most = [0xFF; 19];
        most[18] = 3;
        assert_eq!(NumberReader::new(&most[..]).number().unwrap(), u128::MAX);
    }

    #[test]
    fn a_length_without_its_bytes_takes_no_memory() {
        let mut writer = NumberWriter::new(Vec::new());
        writer.number(u64::MAX).unwrap();
        let bytes = writer.finish().unwrap();
        assert!(NumberReader::new(&bytes[..]).text().is_err());
        assert!(NumberReader::new(&bytes[..]).list().is_err());
    }
}

//! Rows and their ends, against rows that were encoded, against the csv crate, and across buffers.

use proptest::prelude::*;

use super::*;

type Cells = Vec<Vec<u8>>;

/// The length of the first row. `None` if a quote stays open.
fn row_length(bytes: &[u8]) -> Option<usize> {
    match extent(bytes, first_line(bytes)) {
        Extent::Row(length) => Some(length),
        Extent::Unfinished | Extent::Open => None,
    }
}

/// The cells of each row. Panics if a quote stays open.
fn rows_of(bytes: &[u8]) -> Vec<Cells> {
    let mut rows = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = row_length(rest).expect("a closed row");
        let row = cells(&rest[..length]);
        rows.push(row.into_iter().map(Cow::into_owned).collect());
        rest = &rest[length..];
    }
    rows
}

/// Whether every quote is closed.
fn is_closed(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(length) = row_length(rest) else {
            return false;
        };
        rest = &rest[length..];
    }
    true
}

fn encode(rows: &[(Cells, &str)], always: bool) -> Vec<u8> {
    let mut text = Vec::new();
    for (row, end) in rows {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            let special = |byte: &u8| b",\"\r\n#".contains(byte);
            // An empty row between `\r` and `\n` would make them one line end.
            if always || cell.iter().any(special) || row.iter().all(Vec::is_empty) {
                text.push(b'"');
                for byte in cell {
                    text.extend(std::iter::repeat_n(*byte, 1 + usize::from(*byte == b'"')));
                }
                text.push(b'"');
            } else {
                text.extend(cell);
            }
        }
        text.extend(end.as_bytes());
    }
    text
}

fn ends() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["\n", "\r\n", "\r"])
}

fn cell() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"ab ,\"\r\n#\xC3".to_vec()), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_global_rejects: 100_000,
        ..ProptestConfig::with_cases(2_000)
    })]

    #[test]
    fn rows_read_back_with_any_mixture_of_line_ends(
        rows in prop::collection::vec((prop::collection::vec(cell(), 1..4), ends()), 0..6),
        always in any::<bool>(),
    ) {
        let text = encode(&rows, always);
        let expected: Vec<Cells> = rows.into_iter().map(|(row, _)| row).collect();
        prop_assert_eq!(rows_of(&text), expected);
    }

    #[test]
    fn rows_are_those_of_the_csv_crate(text in "[ab,\" \r\n]{0,40}") {
        prop_assume!(is_closed(text.as_bytes()));
        let mut reader = ::csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).flexible(true).from_reader(text.as_bytes());
        let expected: Vec<Cells> = reader
            .into_byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
            .collect();
        // The crate leaves out empty lines. A row of one quoted empty cell is no empty line.
        let mut rest = text.as_bytes();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let length = row_length(rest).unwrap();
            if !without_end(&rest[..length]).is_empty() {
                found.extend(rows_of(&rest[..length]));
            }
            rest = &rest[length..];
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_end_of_a_buffer_makes_no_difference(
        rows in prop::collection::vec((prop::collection::vec(cell(), 1..4), ends()), 1..6),
        at in any::<prop::sample::Index>(),
    ) {
        let text = encode(&rows, false);
        let first = row_length(&text).unwrap();
        let read = &text[..at.index(text.len() + 1)];
        // A buffer holds at least one row with its end.
        prop_assume!(first <= read.len() && is_whole(read, first));
        let start = cut(read, false);
        let whole = |piece: &Piece| matches!(piece, Piece::Lines(_));
        prop_assert!(start.pieces.iter().all(whole) && !start.endless);
        let both = [rows_of(&text[..start.consumed]), rows_of(&text[start.consumed..])].concat();
        prop_assert_eq!(both, rows_of(&text));
    }
}

#[test]
fn an_open_quote_ends_with_the_list_or_after_64_lines() {
    for end in ["\n", "\r\n", "\r"] {
        let row = |lines: usize| format!("a,\"{}\"{end}", format!("x{end}").repeat(lines - 1));
        let found = |text: &str| extent(text.as_bytes(), first_line(text.as_bytes()));
        assert_eq!(found(&row(MOST_LINES)), Extent::Row(row(MOST_LINES).len()));
        assert_eq!(found(&row(MOST_LINES + 1)), Extent::Open);
        assert_eq!(found(&format!("a,\"x{end}b,c{end}")), Extent::Unfinished);
    }
}

//! The words of a request.

/// The words of a line, one after the other.
pub(super) struct Words<'a>(std::str::SplitAsciiWhitespace<'a>);

impl<'a> Words<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        Self(line.split_ascii_whitespace())
    }

    /// The next word, if there is another.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    /// The next word, which must be there.
    pub(super) fn word(&mut self) -> Result<&'a str, String> {
        self.next().ok_or_else(|| "a word is missing".to_owned())
    }

    /// The next word, which must be a number.
    pub(super) fn number(&mut self) -> Result<u64, String> {
        number(self.word()?)
    }

    /// Nothing more must follow.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.next().map_or(Ok(()), |word| Err(format!("'{word}' is too much")))
    }
}

/// A number in C's notation; a negative one counts down from 2^64, as C's does.
pub(super) fn number(word: &str) -> Result<u64, String> {
    let (is_negative, digits) = word.strip_prefix('-').map_or((false, word), |digits| (true, digits));
    let lower = digits.to_ascii_lowercase();
    let parsed = if let Some(hex) = lower.strip_prefix("0x") {
        u64::from_str_radix(hex, 16)
    } else if lower.len() > 1 && lower.starts_with('0') {
        u64::from_str_radix(&lower[1..], 8)
    } else {
        lower.parse()
    };
    let value = parsed.map_err(|_| format!("'{word}' is no number"))?;
    Ok(if is_negative { value.wrapping_neg() } else { value })
}

/// The bytes that `0x` and two digits each say.
pub(super) fn bytes_of_hex(word: &str) -> Result<Vec<u8>, String> {
    let digits = word.strip_prefix("0x").filter(|digits| digits.len() % 2 == 0 && digits.is_ascii());
    let digits = digits.ok_or("data is written as 0x and two digits for each byte")?;
    (0..digits.len())
        .step_by(2)
        .map(|index| u8::from_str_radix(&digits[index..index + 2], 16).map_err(|error| error.to_string()))
        .collect()
}

/// Two digits for each byte.
pub(super) fn hex_of_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

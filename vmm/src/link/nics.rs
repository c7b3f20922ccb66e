//! What network cards are made of.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Link;

/// The address of a network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of the card of this number, where none is asked for: QEMU's.
    pub fn of_number(number: usize) -> Self {
        let [number, ..] = number.to_le_bytes();
        Self([0x52, 0x54, 0x00, 0x12, 0x34, 0x56_u8.wrapping_add(number)])
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_byte = |part: &&str| (1..=2).contains(&part.len()) && !part.starts_with('+');
        let byte = |part: &str| Some(part).filter(is_byte).and_then(|part| u8::from_str_radix(part, 16).ok());
        let parts: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
        let address = parts.and_then(|parts| <[u8; 6]>::try_from(parts).ok());
        match address {
            None => Err(format!("\"{text}\" is no address of a network card: 52:54:00:12:34:56 is one")),
            Some([first, ..]) if first & 1 != 0 => Err(format!(
                "{text} is the address of a group: that of one network card has an even first byte"
            )),
            Some(address) => Ok(Self(address)),
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.map(|byte| format!("{byte:02x}")).join(":"))
    }
}

/// A network card: its link, and its address.
#[derive(Clone, Debug)]
pub struct Nic {
    /// Where its frames go.
    pub link: Link,
    /// Its address.
    pub mac: Mac,
}

/// Network cards that no device is yet, and the links of all. Clones are the same cards.
#[derive(Clone, Debug, Default)]
pub struct Nics(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Nic>,
    links: Vec<Link>,
}

impl Nics {
    /// Has the next device that is made for a network card be this one.
    pub fn add(&self, nic: Nic) {
        let mut inner = self.lock();
        inner.links.push(nic.link.clone());
        inner.waiting.push_back(nic);
    }

    /// The next; one that is not plugged in if there is no other.
    pub(crate) fn take(&self) -> Nic {
        let nic = self.lock().waiting.pop_front();
        nic.unwrap_or_else(|| Nic { link: Link::unplugged(), mac: Mac::of_number(0) })
    }

    /// The links of all that there ever were.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.lock().links.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Mac;

    #[rstest]
    #[case("52:54:00:12:34:57", Some([0x52, 0x54, 0, 0x12, 0x34, 0x57]))]
    #[case("2-0-0-0-0-A", Some([2, 0, 0, 0, 0, 10]))]
    #[case("01:00:5e:00:00:01", None)]
    #[case("52:54:00:12:34", None)]
    #[case("52:54:00:12:34:56:78", None)]
    #[case("52:54:00:12:34:+6", None)]
    #[case("52:54:00:12:34:056", None)]
    #[case("", None)]
    fn an_address_is_six_bytes(#[case] text: &str, #[case] expected: Option<[u8; 6]>) {
        assert_eq!(text.parse().ok(), expected.map(Mac));
    }
}

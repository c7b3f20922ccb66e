//! Where a debugger comes in: QEMU's `-gdb`.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::str::FromStr;

use thiserror::Error;

/// Where a debugger comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a host's address and port.
    Tcp(String),
    /// At a socket in the file system.
    Unix(String),
}

/// Why it cannot come in there.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// There is no such place.
    #[error("a debugger cannot come in at \"{0}\": there is tcp:HOST:PORT, tcp::PORT, HOST:PORT, unix:PATH")]
    Nowhere(String),
    /// The host does not let it.
    #[error("cannot wait for a debugger at {place}: {source}")]
    Refused {
        /// Where.
        place: String,
        /// What the host says.
        source: io::Error,
    },
}

/// Waits for a debugger.
pub(super) enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        // What QEMU has behind a comma says what is so here anyway.
        let place = text.split(',').next().unwrap_or_default();
        if let Some(path) = place.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.to_owned()));
        }
        let address = place.strip_prefix("tcp:").unwrap_or(place);
        let (host, port) = address.rsplit_once(':').ok_or_else(|| PlaceError::Nowhere(text.to_owned()))?;
        if port.parse::<u16>().is_err() {
            return Err(PlaceError::Nowhere(text.to_owned()));
        }
        // Whoever is let in can do anything with the machine: only this host is, unless another address is said.
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(Self::Tcp(format!("{host}:{port}")))
    }
}

impl Place {
    pub(super) fn open(&self) -> Result<Door, PlaceError> {
        let (place, opened) = match self {
            Self::Tcp(address) => (address, TcpListener::bind(address).map(Door::Tcp)),
            Self::Unix(path) => (path, UnixListener::bind(path).map(Door::Unix)),
        };
        opened.map_err(|source| PlaceError::Refused { place: place.clone(), source })
    }
}

impl Door {
    pub(super) fn wait(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // One letter is an answer.
                stream.set_nodelay(true)?;
                Ok(stream.into())
            }
            Self::Unix(listener) => Ok(listener.accept()?.0.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::Place;

    #[rstest]
    #[case("tcp::1234", Some(Place::Tcp("127.0.0.1:1234".to_owned())))]
    #[case("localhost:77", Some(Place::Tcp("localhost:77".to_owned())))]
    #[case("tcp:[::1]:77,server=on,wait=off", Some(Place::Tcp("[::1]:77".to_owned())))]
    #[case("unix:/a/b", Some(Place::Unix("/a/b".to_owned())))]
    #[case("unix:", None)]
    #[case("1234", None)]
    #[case("tcp::x", None)]
    fn places_are_qemus(#[case] text: &str, #[case] expected: Option<Place>) {
        assert_eq!(text.parse().ok(), expected);
    }
}

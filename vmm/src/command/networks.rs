//! Opens the networks that `-netdev` names, and plugs the network cards into them that `-device` asks for.

use std::path::Path;

use super::options::Options;
use crate::builder::ON_PCI;
use crate::{Builder, Link, Mac, Nic};

/// The networks that no card is plugged into yet.
pub(super) struct Networks<'a> {
    /// What each is called, and the words that say what it is.
    waiting: Vec<(&'a str, &'a str)>,
    cards: usize,
}

const CARD: &str = "virtio-net";

impl<'a> Networks<'a> {
    pub(super) fn of(options: &'a Options) -> Result<Self, String> {
        let mut waiting: Vec<(&str, &str)> = Vec::new();
        for network in &options.netdev {
            let name = words(network).find_map(|word| word.strip_prefix("id=")).unwrap_or_default();
            if name.is_empty() {
                return Err(format!("the network \"{network}\" has no name: id=NAME gives it one"));
            }
            if waiting.iter().any(|(known, _)| *known == name) {
                return Err(format!("there are two networks \"{name}\": each has a name of its own"));
            }
            waiting.push((name, network));
        }
        Ok(Self { waiting, cards: 0 })
    }

    /// Has the device that a `-device` asks for be the network card that it says, if it is one. What is left for others to
    /// read.
    pub(super) fn plug(&mut self, builder: &Builder, device: &str) -> Result<String, String> {
        let mut rest = words(device);
        let name = rest.next().unwrap_or_default();
        if name.strip_suffix(ON_PCI).unwrap_or(name) != CARD {
            return Ok(device.to_owned());
        }
        let mut nic = Nic { link: Link::unplugged(), mac: Mac::of_number(self.cards) };
        self.cards += 1;
        for word in rest {
            match word.split_once('=') {
                Some(("netdev", network)) => nic.link = self.open(network)?,
                Some(("mac", mac)) => nic.mac = mac.parse()?,
                Some(("id", _)) => {}
                _ => return Err(format!("a {name} has no \"{word}\": there is netdev, mac, id")),
            }
        }
        builder.wires().nics.add(nic);
        Ok(name.to_owned())
    }

    /// Refuses a network that has no card.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.waiting.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "nothing is plugged into the network \"{name}\": -device {CARD}{ON_PCI},netdev={name} is"
            )),
        }
    }

    fn open(&mut self, name: &str) -> Result<Link, String> {
        let found = self.waiting.iter().position(|(known, _)| *known == name).ok_or_else(|| {
            format!(
                "there is no network \"{name}\" that is free: -netdev tap,id={name},ifname=NAME makes one"
            )
        })?;
        let (_, network) = self.waiting.remove(found);
        let mut rest = words(network);
        match rest.next().unwrap_or_default() {
            "tap" => tap(rest),
            "stream" => stream(rest),
            kind => Err(format!("there is no network of the kind \"{kind}\": there is tap, stream")),
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
}

fn tap<'a>(words: impl Iterator<Item = &'a str>) -> Result<Link, String> {
    let mut name = None;
    for word in words {
        match word.split_once('=') {
            Some(("ifname", text)) => name = Some(text),
            // What is not done anyway.
            Some(("id", _) | ("script" | "downscript", "no") | ("vhost", "off")) => {}
            _ => {
                return Err(format!(
                    "a tap has no \"{word}\": there is id, ifname, script=no, downscript=no"
                ));
            }
        }
    }
    let name = name.ok_or("a tap is an interface of the host: ifname=NAME says which")?;
    Link::tap(name).map_err(|error| format!("cannot {error}"))
}

fn stream<'a>(words: impl Iterator<Item = &'a str>) -> Result<Link, String> {
    let mut path = None;
    for word in words {
        match word.split_once('=') {
            Some(("addr.path", text)) => path = Some(text),
            Some(("id", _) | ("addr.type", "unix") | ("server", "off")) => {}
            Some(("server", _)) => {
                return Err("a stream is to one who listens already: server=off is the only way".to_owned());
            }
            Some(("addr.type", kind)) => {
                return Err(format!(
                    "a stream cannot be to an address of the type \"{kind}\": there is unix"
                ));
            }
            _ => {
                return Err(format!(
                    "a stream has no \"{word}\": there is id, addr.type=unix, addr.path, server=off"
                ));
            }
        }
    }
    let path = path.ok_or("a stream goes to a socket: addr.path=PATH says which")?;
    Link::connect(Path::new(path)).map_err(|error| format!("cannot {error}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rstest::rstest;

    use super::super::options::Options;
    use super::Networks;
    use crate::{Builder, accel};

    /// What becomes of these words: the device that is made, or what is wrong.
    fn plugged(typed: &str) -> Result<String, String> {
        let options = Options::read(typed.split_whitespace().map(Into::into)).unwrap();
        let (_, hypervisor) = accel::open("qtest").unwrap();
        let builder = Builder::new(hypervisor, 0x1_0000).unwrap();
        let mut networks = Networks::of(&options)?;
        let device = networks.plug(&builder, options.device.first().map_or("", String::as_str))?;
        networks.finish()?;
        Ok(device)
    }

    #[rstest]
    #[case("-netdev tap,ifname=a", "has no name: id=NAME")]
    #[case("-netdev tap,id=n,ifname=a -netdev stream,id=n", "there are two networks \"n\"")]
    #[case("-netdev tap,id=n,ifname=a", "-device virtio-net-pci,netdev=n is")]
    #[case("-device virtio-net-pci,netdev=n", "there is no network \"n\" that is free")]
    #[case("-device virtio-net,speed=9", "has no \"speed=9\": there is netdev, mac, id")]
    #[case("-device virtio-net,mac=1", "52:54:00:12:34:56 is one")]
    #[case("-netdev user,id=n -device virtio-net,netdev=n", "of the kind \"user\": there is tap, stream")]
    #[case("-netdev tap,id=n -device virtio-net,netdev=n", "ifname=NAME says which")]
    #[case("-netdev tap,id=n,ifname=a/b -device virtio-net,netdev=n", "1 to 15 characters")]
    #[case("-netdev tap,id=n,script=a -device virtio-net,netdev=n", "a tap has no \"script=a\"")]
    #[case("-netdev stream,id=n -device virtio-net,netdev=n", "addr.path=PATH says which")]
    #[case("-netdev stream,id=n,server=on -device virtio-net,netdev=n", "server=off")]
    #[case("-netdev stream,id=n,addr.type=inet -device virtio-net,netdev=n", "there is unix")]
    #[case("-netdev stream,id=n,addr.path=/nowhere/s -device virtio-net,netdev=n", "must listen there first")]
    fn what_makes_no_sense_is_told_with_its_cure(#[case] typed: &str, #[case] expected: &str) {
        let told = plugged(typed).unwrap_err();
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_card_is_plugged_in_as_qemus_words_say() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let device = plugged(&format!(
            "-netdev stream,id=n,addr.type=unix,addr.path={},server=off -device virtio-net-pci,id=c,netdev=n,mac=52:54:00:00:00:01",
            path.display()
        ));
        assert_eq!(device.as_deref(), Ok("virtio-net-pci"));
        assert!(listener.accept().is_ok());
        assert_eq!(plugged("-device virtio-rng-pci,id=x").as_deref(), Ok("virtio-rng-pci,id=x"));
    }
}

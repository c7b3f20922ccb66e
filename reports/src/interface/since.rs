//! Since which kernel something is there.

/// Since which kernel something is there, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    text: &'static str,
    /// The last release that surely lacks it, or before which it surely is not there.
    lacking: Lacking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacking {
    Nobody,
    Before(Release),
    UpTo(Release),
}

/// Major and minor number.
type Release = (u32, u32);

impl Since {
    /// Reads `6.8`, `<=2.6.35` or `(5.10,6.1]`, whatever is said behind it.
    pub(super) fn parse(text: &'static str) -> Option<Self> {
        let word = text.split(' ').next().unwrap_or_default();
        let lacking = match word.strip_prefix('(') {
            Some(range) => Lacking::UpTo(release(range.split(',').next()?)?),
            None if word.starts_with("<=") => Lacking::Nobody,
            None => Lacking::Before(release(word)?),
        };
        Some(Self { text, lacking })
    }

    /// It was always there, as far as is known.
    pub(super) const fn always() -> Self {
        Self { text: "", lacking: Lacking::Nobody }
    }

    /// Whether a kernel of this release, as `uname -r` prints it, surely lacks it.
    pub fn is_lacking_in(&self, uname: &str) -> bool {
        let Some(running) = release(uname) else { return false };
        match self.lacking {
            Lacking::Nobody => false,
            Lacking::Before(first) => running < first,
            Lacking::UpTo(last) => running <= last,
        }
    }

    /// As the data has it.
    pub fn text(&self) -> &'static str {
        self.text
    }
}

fn release(text: &str) -> Option<Release> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_lacks_what_came_later() {
        let lacks = |since, uname| Since::parse(since).unwrap().is_lacking_in(uname);
        assert!(lacks("6.18 on x86", "6.12.48-cloud-amd64") && !lacks("6.18 on x86", "6.18.0"));
        // Nobody knows of 5.15 whether it has what came between 5.10 and 6.1.
        assert!(lacks("(5.10,6.1]", "5.10.0-32-amd64") && !lacks("(5.10,6.1]", "5.15.0"));
        assert!(!lacks("<=2.6.35", "2.6.32"));
        assert!(!lacks("6.18", "a kernel of one's own"));
        assert_eq!(Since::parse("lately"), None);
    }
}

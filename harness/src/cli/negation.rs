//! `-TERM` on the command line: "not that" in a query, where the parser of options would look for options.

use std::ffi::{OsStr, OsString};

use clap::Command;

/// The argument of a command that holds the terms of a query.
const QUERY: &str = "query";

/// Writes each `-TERM` among the arguments as `not:TERM`, so that only options begin with a hyphen.
///
/// A term is what follows a single hyphen and is longer than one letter. It is left alone where it is the value of the option
/// before it, where it is such an option with its number (`-j4`), behind `--`, and in commands that take no query.
pub(super) fn spelled_out(program: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let command = arguments.get(1).and_then(|name| program.find_subcommand(name));
    let Some(command) =
        command.filter(|command| command.get_positionals().any(|argument| argument.get_id() == QUERY))
    else {
        return arguments;
    };
    let mut is_value = false;
    let mut is_over = false;
    let spelled = arguments.into_iter().enumerate().map(|(index, argument)| {
        let is_term = index > 1 && !is_value && !is_over;
        is_value = is_term && takes_value(command, &argument);
        is_over |= argument == "--";
        match negated(command, &argument).filter(|_| is_term) {
            Some(term) => format!("not:{term}").into(),
            None => argument,
        }
    });
    spelled.collect()
}

/// The term that the argument negates.
fn negated<'a>(command: &Command, argument: &'a OsStr) -> Option<&'a str> {
    let term = argument.to_str()?.strip_prefix('-').filter(|term| !term.starts_with('-'))?;
    let mut letters = term.chars();
    let first = letters.next()?;
    let is_numbered = letters.as_str().starts_with(|c: char| c.is_ascii_digit() || c == '=');
    let is_option = is_numbered && command.get_arguments().any(|option| option.get_short() == Some(first));
    (!letters.as_str().is_empty() && !is_option).then_some(term)
}

/// Whether the argument is an option whose value is the next one.
fn takes_value(command: &Command, argument: &OsStr) -> bool {
    let Some(argument) = argument.to_str() else { return false };
    command.get_arguments().filter(|option| option.get_action().takes_values()).any(|option| {
        let is_long = option.get_long().is_some_and(|long| argument.strip_prefix("--") == Some(long));
        is_long || option.get_short().is_some_and(|short| argument == format!("-{short}"))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Arguments;

    fn spelled(line: &str) -> String {
        let arguments = line.split(' ').map(OsString::from).collect();
        let spelled = spelled_out(&Arguments::command(), arguments);
        spelled.iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_term_is_told_from_an_option() {
        assert_eq!(spelled("assay run vcpu -mmap"), "assay run vcpu not:mmap");
        assert_eq!(spelled("assay list -hlt -is:observed"), "assay list not:hlt not:is:observed");
        assert_eq!(spelled("assay diff a b -vcpu"), "assay diff a b not:vcpu");
        assert_eq!(spelled("assay run --here -vcpu --seed 7"), "assay run --here not:vcpu --seed 7");
    }

    #[test]
    fn what_is_no_term_is_left_alone() {
        for line in [
            "assay",
            "assay run -j4 -j 4 -h --help",
            "assay run --out -dir",
            "assay run -- -vcpu",
            "assay report r -fjson",
            "assay host -vcpu",
            "assay nothing -vcpu",
        ] {
            assert_eq!(spelled(line), line);
        }
    }
}

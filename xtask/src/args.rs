//! The command line, as far as these few commands need one.
//!
//! A command takes one option with a value, switches and a list of words; anything else is refused
//! with the words that were not understood.

use std::env;

use crate::failure::Failure;

/// The arguments after the program's name.
pub(crate) fn from_environment() -> Result<Vec<String>, Failure> {
    env::args_os()
        .skip(1)
        .map(|arg| {
            arg.into_string().map_err(|arg| {
                Failure::Usage(format!("the argument `{}` is not UTF-8", arg.display()))
            })
        })
        .collect()
}

/// The value of the option `name`, which is the only thing that may be there.
pub(crate) fn only_option(args: &[String], name: &str) -> Result<Option<String>, Failure> {
    let (value, rest) = option(args, name)?;
    nothing_else(&rest)?;
    Ok(value)
}

/// Refuses what is left when a command has taken what it knows.
pub(crate) fn nothing_else(rest: &[String]) -> Result<(), Failure> {
    match rest.first() {
        None => Ok(()),
        Some(arg) => Err(Failure::Usage(format!(
            "`{arg}` is not understood; --help says what is"
        ))),
    }
}

/// The value of `name`, wherever it stands, and everything else: `--name VALUE` or `--name=VALUE`.
pub(crate) fn option(
    args: &[String],
    name: &str,
) -> Result<(Option<String>, Vec<String>), Failure> {
    let mut value = None;
    let mut rest = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == name {
            let next = args.next().cloned();
            value = Some(next.ok_or_else(|| Failure::Usage(format!("{name} needs a value")))?);
        } else if let Some(joined) = arg.strip_prefix(name).and_then(|it| it.strip_prefix('=')) {
            value = Some(joined.to_owned());
        } else {
            rest.push(arg.clone());
        }
    }
    Ok((value, rest))
}

/// Whether the switch `name` is there, and everything else.
pub(crate) fn switch(args: &[String], name: &str) -> (bool, Vec<String>) {
    let rest: Vec<String> = args.iter().filter(|arg| *arg != name).cloned().collect();
    (rest.len() < args.len(), rest)
}

/// Words that are not options.
pub(crate) fn only_words(args: &[String]) -> Result<&[String], Failure> {
    match args.iter().find(|arg| arg.starts_with('-')) {
        Some(option) => Err(Failure::Usage(format!("`{option}` is not understood"))),
        None => Ok(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<Option<&str>, &str>) {
        let args: Vec<String> = line.split_whitespace().map(String::from).collect();
        match (only_option(&args, "--seconds"), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.as_deref(), expected),
            (Err(Failure::Usage(text)), Err(word)) => assert!(text.contains(word), "{text}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn an_option_is_read_in_both_forms() {
        check("", Ok(None));
        check("--seconds 5", Ok(Some("5")));
        check("--seconds=5", Ok(Some("5")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        check("--seconds", Err("needs a value"));
        check("--minutes 5", Err("`--minutes`"));
        check("--secondsy=5", Err("`--secondsy=5`"));
        check("--seconds 5 more", Err("`more`"));
        check("--seconds=5 more", Err("`more`"));
    }

    #[test]
    fn a_switch_may_stand_anywhere() {
        let args = ["one", "--two", "three"].map(String::from);
        let rest = ["one", "three"].map(String::from);
        assert_eq!(switch(&args, "--two"), (true, rest.to_vec()));
        assert_eq!(switch(&args, "--four"), (false, args.to_vec()));
    }

    #[test]
    fn an_option_may_stand_among_words() {
        let words = |line: &str| -> Vec<String> { line.split(' ').map(String::from).collect() };
        for line in ["a --seconds 5 b", "--seconds=5 a b"] {
            let (value, rest) = option(&words(line), "--seconds").unwrap();
            assert_eq!((value.as_deref(), rest), (Some("5"), words("a b")));
        }
        assert_eq!(option(&words("a b"), "--seconds"), Ok((None, words("a b"))));
        assert!(option(&words("a --seconds"), "--seconds").is_err());
    }

    #[test]
    fn an_option_is_no_word() {
        let args = ["one".to_owned(), "--two".to_owned()];
        assert_eq!(only_words(&args[..1]), Ok(&args[..1]));
        assert!(only_words(&args).is_err());
    }
}

//! The system user `mote`, which the agent runs as: no password, no shell, no home.
//!
//! A running device's own `useradd` and `userdel` are used where they are. Elsewhere (small
//! distributions, images) the lists `/etc/passwd` and `/etc/group`, see passwd(5) and group(5), are
//! replaced by ones with a line more, under the first number from 999 down that neither has.
//!
//! A user of this name that was not made here is used as it is and never removed. The group `mote`,
//! which the service runs with, is made if it lacks one: its own group may be everybody's.

use super::place::{Place, say};
use super::system::{has_program, run};
use crate::agent::{Exit, Refusal};

pub(super) const USER: &str = "mote";
/// Tells a user of ours from somebody who is called so.
const COMMENT: &str = "mote monitoring agent";
/// How a group begins that was made for a user who is not ours: `!` is no password, and a sign.
const OUR_GROUP: &str = "mote:!:";
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// Sees that the user is there; returns the number of its group.
pub(super) fn ensure(place: &Place) -> Result<u32, Refusal> {
    let (passwd, group) = (place.read(PASSWD)?, place.read(GROUP)?);
    let failed = |words: String| (Exit::Failed, words);
    let full = || {
        let words = "no number from 100 to 999 is free for user and group mote: make them by hand";
        failed(words.into())
    };
    if User::find(&passwd).is_some() {
        say(format!("keep user {USER}, it is there"))?;
        if let Some(number) = group_number(&group) {
            return Ok(number);
        }
        say(format!("make group {USER}"))?;
        let number = free_number(&passwd, &group).ok_or_else(full)?;
        place.rewrite(GROUP, &with_line(&group, &format!("{OUR_GROUP}{number}:")))?;
        return Ok(number);
    }
    let shell = shell(place)?;
    let (new_passwd, new_group, number) = with_user(&passwd, &group, shell).ok_or_else(full)?;
    say(format!(
        "make user {USER}, without password, shell and home"
    ))?;
    if place.is_this_device() && has_program("useradd") {
        if place.is_dry_run() {
            return Ok(number);
        }
        useradd(shell, group_number(&group).is_some())?;
        let made = User::find(&place.read(PASSWD)?).map(|user| user.group);
        return made.ok_or_else(|| {
            failed(format!(
                "useradd made no user {USER} in {PASSWD}: make it by hand"
            ))
        });
    }
    // The group first: a user whose group is missing would be half a user.
    if let Some(new_group) = new_group {
        place.rewrite(GROUP, &new_group)?;
    }
    place.rewrite(PASSWD, &new_passwd)?;
    Ok(number)
}

/// Who the service will be, as far as the lists know before it is made: user and groups.
pub(super) fn identity(place: &Place) -> Result<(Option<u32>, Vec<u32>), Refusal> {
    Ok(identity_in(&place.read(PASSWD)?, &place.read(GROUP)?))
}

fn identity_in(passwd: &str, group: &str) -> (Option<u32>, Vec<u32>) {
    let user = entry(passwd).and_then(|fields| fields.get(2)?.parse().ok());
    // Groups that name it among their members are its own too.
    let further = group.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_member = fields.get(3)?.split(',').any(|member| member == USER);
        is_member.then(|| fields[2].parse().ok())?
    });
    // The service is told to run with this one, whatever the user's own is.
    let first = group_number(group);
    (user, first.into_iter().chain(further).collect())
}

fn useradd(shell: &str, has_group: bool) -> Result<String, Refusal> {
    let shell = format!("--shell={shell}");
    let comment = format!("--comment={COMMENT}");
    let group = if has_group {
        "--gid=mote"
    } else {
        "--user-group"
    };
    let home = ["--no-create-home", "--home-dir=/nonexistent"];
    run(
        "useradd",
        &["--system", group, home[0], home[1], &shell, &comment, USER],
    )
}

/// Whether there is a user that was made here.
pub(super) fn is_ours(place: &Place) -> Result<bool, Refusal> {
    let user = User::find(&place.read(PASSWD)?);
    Ok(user.is_some_and(|user| user.is_ours))
}

/// Removes the user, if it was made here. Returns whether there was something to say.
pub(super) fn remove(place: &Place) -> Result<bool, Refusal> {
    let (passwd, group) = (place.read(PASSWD)?, place.read(GROUP)?);
    let has_group = group.lines().any(|line| line.starts_with(OUR_GROUP));
    if has_group {
        say(format!("remove group {USER}"))?;
        place.rewrite(GROUP, &without(&group))?;
    }
    let Some(user) = User::find(&passwd) else {
        return Ok(has_group);
    };
    if !user.is_ours {
        say(format!("keep user {USER}, it was there before"))?;
        return Ok(true);
    }
    say(format!("remove user {USER}"))?;
    if place.is_this_device() && has_program("userdel") {
        if place.is_dry_run() {
            return Ok(true);
        }
        run("userdel", &[USER])?;
        // Some leave the group, which nothing else uses.
        if group_number(&place.read(GROUP)?).is_some() && has_program("groupdel") {
            run("groupdel", &[USER])?;
        }
        return Ok(true);
    }
    place.rewrite(PASSWD, &without(&passwd))?;
    if group_number(&group) == Some(user.group) {
        place.rewrite(GROUP, &without(&group))?;
    }
    Ok(true)
}

#[derive(Debug, PartialEq, Eq)]
struct User {
    group: u32,
    is_ours: bool,
}

impl User {
    fn find(passwd: &str) -> Option<Self> {
        let fields = entry(passwd)?;
        Some(Self {
            group: fields.get(3)?.parse().ok()?,
            is_ours: fields.get(4) == Some(&COMMENT),
        })
    }
}

fn shell(place: &Place) -> Result<&'static str, Refusal> {
    for shell in ["/usr/sbin/nologin", "/sbin/nologin"] {
        if place.has(shell)? {
            return Ok(shell);
        }
    }
    Ok("/bin/false")
}

/// The fields of the line that is ours.
fn entry(list: &str) -> Option<Vec<&str>> {
    list.lines()
        .map(|line| line.split(':').collect())
        .find(|fields: &Vec<&str>| fields[0] == USER)
}

fn group_number(group: &str) -> Option<u32> {
    entry(group)?.get(2)?.parse().ok()
}

/// Both lists with the user in them, the second only if it had no such group; and its group.
fn with_user(passwd: &str, group: &str, shell: &str) -> Option<(String, Option<String>, u32)> {
    let number = free_number(passwd, group)?;
    let (group_number, group) = match group_number(group) {
        Some(there) => (there, None),
        None => (
            number,
            Some(with_line(group, &format!("{USER}:x:{number}:"))),
        ),
    };
    let line = format!("{USER}:*:{number}:{group_number}:{COMMENT}:/nonexistent:{shell}");
    Some((with_line(passwd, &line), group, group_number))
}

fn free_number(passwd: &str, group: &str) -> Option<u32> {
    let is_taken = |list: &str, number: u32| {
        let third = |line: &str| line.split(':').nth(2)?.parse::<u32>().ok();
        list.lines().any(|line| third(line) == Some(number))
    };
    (100..1000)
        .rev()
        .find(|&number| !is_taken(passwd, number) && !is_taken(group, number))
}

fn with_line(list: &str, line: &str) -> String {
    let end = if list.is_empty() || list.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{list}{end}{line}\n")
}

fn without(list: &str) -> String {
    let is_ours = |line: &str| line.split(':').next() == Some(USER);
    list.split_inclusive('\n')
        .filter(|line| !is_ours(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "root:x:0:0:root:/root:/bin/ash\nlog:x:999:999:::\nmotes:x:5:5::/:/bin/sh\n";
    const GROUPS: &str = "root:x:0:\ndialout:x:998:log\n";

    #[test]
    fn a_user_gets_a_number_that_neither_list_has() {
        let (passwd, group, number) = with_user(LIST, GROUPS, "/bin/false").unwrap();
        assert_eq!(number, 997);
        let line = "mote:*:997:997:mote monitoring agent:/nonexistent:/bin/false\n";
        assert_eq!(passwd, format!("{LIST}{line}"));
        assert_eq!(group.unwrap(), format!("{GROUPS}mote:x:997:\n"));
        let found = User::find(&passwd).unwrap();
        assert_eq!(
            found,
            User {
                group: 997,
                is_ours: true
            }
        );
    }

    #[test]
    fn what_was_added_can_be_taken_away_again() {
        for list in [LIST, "", "root:x:0:0:root:/root:/bin/ash\n"] {
            let (passwd, group, _) = with_user(list, GROUPS, "/bin/false").unwrap();
            assert_eq!(without(&passwd), list);
            assert_eq!(without(&group.unwrap()), GROUPS);
        }
        let cut = LIST.trim_end();
        assert_eq!(
            without(&with_user(cut, GROUPS, "").unwrap().0),
            LIST,
            "its end is mended"
        );
    }

    #[test]
    fn a_group_of_that_name_is_taken_over() {
        let groups = "mote:x:300:\n";
        let (passwd, group, number) = with_user(LIST, groups, "/bin/false").unwrap();
        assert_eq!((group, number), (None, 300));
        assert!(passwd.contains("mote:*:998:300:"), "{passwd}");
    }

    #[test]
    fn somebody_who_is_called_so_is_not_ours() {
        let found = User::find("mote:x:1000:1000:Mote, Room 3:/home/mote:/bin/sh\n").unwrap();
        assert_eq!(
            found,
            User {
                group: 1000,
                is_ours: false
            }
        );
        assert_eq!(User::find("motes:x:5:5:::\nmote\n"), None);
    }

    #[test]
    fn its_groups_are_its_own_and_those_that_name_it() {
        let groups = "mote:x:300:\nkeys:x:301:log,mote\nother:x:302:motes\n";
        assert_eq!(identity_in(LIST, groups), (None, vec![300, 301]));
        let passwd = "mote:x:1000:999:Mote:/home/mote:/bin/sh\n";
        assert_eq!(identity_in(passwd, groups), (Some(1000), vec![300, 301]));
        assert_eq!(identity_in(passwd, "users:x:999:\n"), (Some(1000), vec![]));
        assert_eq!(identity_in(LIST, "root:x:0:\n"), (None, vec![]));
    }

    #[test]
    fn full_lists_are_refused() {
        let line = |number: u32| format!("u{number}:x:{number}:{number}:::\n");
        let full: String = (100..1000).map(line).collect();
        assert_eq!(with_user(&full, "", "/bin/false"), None);
    }
}

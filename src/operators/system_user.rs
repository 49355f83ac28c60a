//! Who runs the `toki` command, as the machine names its users: the actor of what is done from the command line.

use std::sync::LazyLock;

/// Where the machine lists its users.
const USERS: &str = "/etc/passwd";

/// So much of a name is kept; a longer one is no reason to fail what it is about.
const LONGEST: usize = 64;

/// The real user of this process, who stays the same as long as it runs.
pub fn name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let uid = rustix::process::getuid().as_raw();
        let users = std::fs::read(USERS).unwrap_or_default();
        // Not every user is in the list: a container may run as any number, and a directory server may know more.
        name_in(&String::from_utf8_lossy(&users), uid).unwrap_or_else(|| format!("uid {uid}"))
    });
    &NAME
}

/// Who became root by `sudo`, which names its caller in an environment that only root could have changed; else none. Whoever became another
/// user by it is that user: their environment proves nothing.
pub fn name_before_sudo(caller: Option<&str>) -> Option<String> {
    before_sudo(rustix::process::getuid().is_root(), caller)
}

fn before_sudo(is_root: bool, caller: Option<&str>) -> Option<String> {
    let caller = caller.map(fitting).filter(|caller| !caller.is_empty() && caller != "root")?;
    is_root.then(|| format!("{caller} via sudo"))
}

/// The name beside a number, in lines of `name:password:number:…`.
fn name_in(users: &str, uid: u32) -> Option<String> {
    let name_of = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse::<u32>() == Ok(uid)).then(|| fitting(name))
    };
    users.lines().filter_map(name_of).find(|name| !name.is_empty())
}

fn fitting(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_name_beside_their_number() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\n# a comment\nada:x:1000:1000:Ada, of the 10:00 shift:/:/bin/sh\n:x:1001:1::/:\nbroken\n";
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 1000).as_deref(), Some("ada"));
        for nobody in [1, 10, 1001, 65_534] {
            assert_eq!(name_in(users, nobody), None, "{nobody}");
        }
        let long = format!("{}\u{7}:x:5:5::/:", "é".repeat(300));
        assert_eq!(name_in(&long, 5), Some("é".repeat(LONGEST)));
    }

    #[test]
    fn whoever_became_root_by_sudo_is_named() {
        assert_eq!(before_sudo(true, Some("ada")).as_deref(), Some("ada via sudo"));
        for (is_root, caller) in [(true, None), (true, Some("")), (true, Some("root")), (false, Some("ada"))] {
            assert_eq!(before_sudo(is_root, caller), None, "{is_root} {caller:?}");
        }
    }

    #[test]
    fn this_process_has_somebody_who_runs_it() {
        assert!(!name().is_empty() && name().chars().count() <= LONGEST);
    }
}

//! `/proc/PID/mounts`: what is mounted where.
//!
//! ```text
//! /dev/mmcblk0p2 / ext4 rw,noatime 0 0
//! tmpfs /run tmpfs rw,nosuid,nodev,size=188900k,mode=755 0 0
//! nas:/music /mnt/my\040music nfs4 rw,relatime,vers=4.2 0 0
//! ```
//!
//! See `proc(5)` and, for the form, `getmntent(3)`: blanks and backslashes are written as octal
//! escapes. Lines come in the order of mounting, so that of two at one place the later is seen.
//!
//! Asking a file system how full it is can take for ever when its server is away. [`FsKind`] tells
//! by name which may do that, and [`Path`] whether the way to a mount point leads through one.

use super::fields;
use core::fmt;

/// One mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount<'a> {
    /// The device or another name of the source, escapes and all.
    pub device: &'a [u8],
    /// The mount point with its escapes; see [`unescape`].
    pub point: &'a [u8],
    /// The file system's type, like `ext4` or `fuse.sshfs`.
    pub fs_type: &'a [u8],
    /// With commas.
    pub options: &'a [u8],
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountsError {
    /// Fewer than device, mount point, type and options.
    MissingField,
    /// The mount point does not begin with a slash.
    BadPoint,
}

/// What a file system's type tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// It keeps files, here.
    Local,
    /// The kernel makes its content up, it shows what another holds, or it cannot fill up.
    Pseudo,
    /// Somebody else answers for it: a server, a user's process, an automounter. Its calls may
    /// block.
    Foreign,
}

impl<'a> Mount<'a> {
    /// Reads one line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, MountsError> {
        let mut fields = fields(line);
        let mut next = || fields.next().ok_or(MountsError::MissingField);
        let mount = Self {
            device: next()?,
            point: next()?,
            fs_type: next()?,
            options: next()?,
        };
        if !mount.point.starts_with(b"/") {
            return Err(MountsError::BadPoint);
        }
        Ok(mount)
    }

    /// Whether it is mounted read-only.
    pub fn is_read_only(&self) -> bool {
        self.options
            .split(|byte| *byte == b',')
            .any(|option| option == b"ro")
    }
}

impl FsKind {
    /// What this type is.
    pub fn of(fs_type: &[u8]) -> Self {
        match fs_type {
            b"autofs" | b"9p" | b"afs" | b"beegfs" | b"ceph" | b"cifs" | b"coda" | b"davfs"
            | b"fuse" | b"fuseblk" | b"gfs" | b"gfs2" | b"glusterfs" | b"gpfs" | b"lustre"
            | b"ncp" | b"ncpfs" | b"nfs" | b"nfs4" | b"ocfs2" | b"orangefs" | b"pvfs2"
            | b"smb3" | b"smbfs" | b"vboxsf" | b"virtiofs" | b"vmhgfs" => Self::Foreign,
            b"binfmt_misc" | b"bpf" | b"cgroup" | b"cgroup2" | b"configfs" | b"debugfs"
            | b"devpts" | b"devtmpfs" | b"fusectl" | b"hugetlbfs" | b"iso9660" | b"mqueue"
            | b"nsfs" | b"overlay" | b"proc" | b"procfs" | b"pstore" | b"rpc_pipefs"
            | b"securityfs" | b"selinuxfs" | b"squashfs" | b"sysfs" | b"tracefs" => Self::Pseudo,
            other if other.starts_with(b"fuse.") => Self::Foreign,
            _ => Self::Local,
        }
    }
}

/// Whether monitoring usually leaves this mount point out, escapes decoded: places of the system
/// and of container runtimes.
pub fn is_minor(point: &[u8]) -> bool {
    let within = |root: &[u8]| {
        point
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    let below = |root: &[u8]| {
        point
            .strip_prefix(root)
            .is_some_and(|rest| !rest.is_empty())
    };
    within(b"/dev")
        || within(b"/proc")
        || within(b"/sys")
        || below(b"/run/credentials/")
        || below(b"/var/lib/docker/")
        || below(b"/var/lib/containers/storage/")
}

/// Decodes the octal escapes (`\040`) in place; what is left of it is returned.
pub fn unescape(text: &mut [u8]) -> &mut [u8] {
    let (mut from, mut to) = (0, 0);
    while from < text.len() {
        let code = match text[from..] {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        text[to] = code.unwrap_or(text[from]);
        from += if code.is_some() { 4 } else { 1 };
        to += 1;
    }
    &mut text[..to]
}

/// The way to one mount point. It is shown every mount of the table, in order.
#[derive(Debug)]
pub struct Path<'a> {
    point: &'a [u8],
    /// A bit for each directory on the way at which something foreign is mounted and seen; the
    /// last bit is for all that lie deeper.
    foreign: u64,
}

impl<'a> Path<'a> {
    /// The way to `point`, spelt as the table does.
    pub fn to(point: &'a [u8]) -> Self {
        Self { point, foreign: 0 }
    }

    /// Another line of the table.
    pub fn see(&mut self, mount: &Mount<'_>) {
        let place = mount.point.strip_suffix(b"/").unwrap_or(mount.point);
        let Some(rest) = self.point.strip_prefix(place) else {
            return;
        };
        if !rest.is_empty() && rest[0] != b'/' {
            return;
        }
        let depth = place.split(|byte| *byte == b'/').count() - 1;
        let bit = 1 << depth.min(63);
        if FsKind::of(mount.fs_type) == FsKind::Foreign {
            self.foreign |= bit;
        } else if depth < 63 {
            self.foreign &= !bit;
        }
    }

    /// Whether going there, or being there, may block.
    pub fn may_block(&self) -> bool {
        self.foreign != 0
    }
}

impl fmt::Display for MountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingField => "/proc/mounts: a line has fewer than four fields",
            Self::BadPoint => "/proc/mounts: a mount point is no absolute path",
        })
    }
}

impl core::error::Error for MountsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_device_point_type_and_options() {
        let mount = Mount::parse(b"/dev/sda1 /my\\040disk ext4 rw,noatime 0 0").unwrap();
        assert_eq!(mount.device, b"/dev/sda1");
        assert_eq!(mount.fs_type, b"ext4");
        assert!(!mount.is_read_only());
        let mut point = mount.point.to_vec();
        assert_eq!(unescape(&mut point), b"/my disk");
        let mount = Mount::parse(b"a /b c errors=remount-ro,ro").unwrap();
        assert!(mount.is_read_only());
        assert!(
            !Mount::parse(b"a /b c rw,errors=remount-ro")
                .unwrap()
                .is_read_only()
        );
        for (line, error) in [
            ("", MountsError::MissingField),
            ("a /b c", MountsError::MissingField),
            ("a b c d", MountsError::BadPoint),
        ] {
            assert_eq!(Mount::parse(line.as_bytes()), Err(error), "{line:?}");
        }
    }

    #[test]
    fn escapes_are_three_octal_digits_and_nothing_else() {
        for (text, expected) in [
            ("/a\\040b\\011c\\134d\\012", "/a b\tc\\d\n"),
            ("/a\\04", "/a\\04"),
            ("/a\\048", "/a\\048"),
            ("/a\\", "/a\\"),
            ("", ""),
        ] {
            let mut bytes = text.as_bytes().to_vec();
            assert_eq!(unescape(&mut bytes), expected.as_bytes(), "{text:?}");
        }
    }

    fn may_block(table: &[&str], point: &str) -> bool {
        let mut path = Path::to(point.as_bytes());
        for line in table {
            path.see(&Mount::parse(line.as_bytes()).unwrap());
        }
        path.may_block()
    }

    #[test]
    fn the_way_through_a_foreign_file_system_may_block() {
        let table = [
            "/dev/sda1 / ext4 rw",
            "systemd-1 /boot autofs rw",
            "/dev/sda2 /boot vfat rw",
            "nas:/a /mnt/a nfs4 rw",
            "/dev/sdb1 /mnt/a/disk ext4 rw",
            "/dev/sdc1 /mnt/ab ext4 rw",
            "/dev/sdd1 /data ext4 rw",
            "sshfs /data fuse.sshfs rw",
        ];
        assert!(!may_block(&table, "/"));
        assert!(!may_block(&table, "/boot"), "what is seen there is local");
        assert!(!may_block(&table, "/boot/efi"));
        assert!(may_block(&table, "/mnt/a"));
        assert!(may_block(&table, "/mnt/a/disk"));
        assert!(!may_block(&table, "/mnt/ab"));
        assert!(may_block(&table, "/data"), "it is hidden under another");
        let deep = format!("{}/x", "/d".repeat(70));
        let hidden = format!("nas:/a {} nfs rw", "/d".repeat(66));
        let seen = format!("/dev/sda1 {} ext4 rw", "/d".repeat(66));
        assert!(may_block(&[&hidden, &seen], &deep));
        assert!(may_block(&["nas:/root / nfs rw"], "/var"));
    }

    #[test]
    fn types_and_places_are_told_apart() {
        for name in [
            "nfs",
            "nfs4",
            "fuse",
            "fuse.sshfs",
            "fuseblk",
            "autofs",
            "cifs",
            "9p",
        ] {
            assert_eq!(FsKind::of(name.as_bytes()), FsKind::Foreign, "{name}");
        }
        for name in ["proc", "sysfs", "overlay", "squashfs", "cgroup2", "fusectl"] {
            assert_eq!(FsKind::of(name.as_bytes()), FsKind::Pseudo, "{name}");
        }
        for name in [
            "ext4", "tmpfs", "ubifs", "jffs2", "vfat", "btrfs", "zfs", "f2fs",
        ] {
            assert_eq!(FsKind::of(name.as_bytes()), FsKind::Local, "{name}");
        }
        for point in [
            "/dev/shm",
            "/proc",
            "/sys/fs",
            "/var/lib/docker/x",
            "/run/credentials/a",
        ] {
            assert!(is_minor(point.as_bytes()), "{point}");
        }
        for point in [
            "/",
            "/device",
            "/var/lib/docker",
            "/run",
            "/run/credentials",
            "/mnt",
        ] {
            assert!(!is_minor(point.as_bytes()), "{point}");
        }
    }
}

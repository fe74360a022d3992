# SPDX-License-Identifier: BSD-3-Clause
"""What other programs write: virtiofsd's options one by one, and whole command lines.

@DIR@ is the shared directory, @FD@ a listening socket, @SOCK@ a path for one,
@GROUP@ a group of this system.
"""

# virtiofsd 1.13 and 1.14, and what they take. None: the words stand for themselves.
OPTIONS = [
    ("--shared-dir DIR", []),
    ("--socket-path PATH", ["--socket-path", "@SOCK@"]),
    ("--socket PATH", ["--socket", "@SOCK@"]),
    ("--socket-group GROUP", ["--socket-path", "@SOCK@", "--socket-group", "@GROUP@"]),
    ("--fd N", []),
    ("--tag TAG", ["--tag", "share"]),
    ("--thread-pool-size N", ["--thread-pool-size", "8"]),
    ("--cache auto", None),
    ("--cache always", None),
    ("--cache never", None),
    ("--cache metadata", None),
    ("--allow-mmap", None),
    ("--no-readdirplus", None),
    ("--writeback", None),
    ("--allow-direct-io", None),
    ("--xattr", None),
    ("--xattrmap RULES", ["--xattrmap", ":map::user.virtiofs.:"]),
    ("--posix-acl", None),
    ("--posix-acl=auto", None),
    ("--security-label", None),
    ("--security-label=auto", None),
    ("--readonly", None),
    ("--sandbox namespace", None),
    ("--sandbox chroot", None),
    ("--sandbox none", None),
    ("--seccomp kill", None),
    ("--seccomp log", None),
    ("--seccomp trap", None),
    ("--seccomp none", None),
    ("--modcaps LIST", ["--modcaps", "+sys_admin:-chown"]),
    ("--announce-submounts", None),
    ("--no-announce-submounts", None),
    ("--inode-file-handles=never", None),
    ("--inode-file-handles=prefer", None),
    ("--inode-file-handles=mandatory", None),
    ("--inode-file-handles=fallback", None),
    ("--rlimit-nofile N", ["--rlimit-nofile", "4096"]),
    ("--killpriv-v2", None),
    ("--no-killpriv-v2", None),
    ("--preserve-noatime", None),
    ("--uid-map MAP", ["--uid-map", ":0:0:65536:"]),
    ("--gid-map MAP", ["--gid-map", ":0:0:65536:"]),
    ("--translate-uid MAP", ["--translate-uid", "map:1000:2000:1"]),
    ("--translate-gid MAP", ["--translate-gid", "map:1000:2000:1"]),
    ("--migration-mode find-paths", None),
    ("--migration-mode file-handles", None),
    ("--migration-on-error abort", None),
    ("--migration-on-error guest-error", None),
    ("--migration-verify-handles", None),
    ("--migration-confirm-paths", None),
    ("--log-level debug", None),
    ("--syslog", None),
    ("--print-capabilities", None),
    ("-d", None),
    ("-f", None),
    ("--help", None),
    ("--version", None),
]

# The words of -o, of the C virtiofsd and of its successor.
LEGACY = [
    ("source=DIR", ["-o", "source=@DIR@"]),
    *[(word, ["-o", word]) for word in (
        "cache=auto", "cache=always", "cache=none", "cache=metadata", "timeout=1.5",
        "xattr", "no_xattr", "xattrmap=:map::user.virtiofs.:",
        "posix_acl", "no_posix_acl", "security_label", "no_security_label",
        "flock", "no_flock", "posix_lock", "no_posix_lock",
        "writeback", "no_writeback", "readdirplus", "no_readdirplus",
        "allow_direct_io", "no_allow_direct_io", "announce_submounts",
        "killpriv_v2", "no_killpriv_v2", "sandbox=namespace", "sandbox=chroot",
        "modcaps=+sys_admin:-chown", "log_level=warn", "loglevel=warn", "debug",
        "max_idle_threads=10", "norace", "allow_root")],
]

# Who starts a virtiofsd, and how.
COMMAND_LINES = {
    "libvirt 6": ["--syslog", "--fd=@FD@", "-o",
                  "source=@DIR@,cache=always,no_xattr,no_flock,no_posix_lock"],
    "libvirt 7 to 10": ["--fd=@FD@", "-o", "source=@DIR@,cache=none", "--thread-pool-size=16", "-d"],
    "libvirt 7 to 10, everything": ["--fd=@FD@", "-o",
                                    "source=@DIR@,cache=always,sandbox=namespace,xattr,flock,no_posix_lock"],
    "libvirt 11": ["--fd=@FD@", "--shared-dir", "@DIR@", "--cache", "never",
                   "--thread-pool-size=16", "--rlimit-nofile=65536", "--log-level", "debug"],
    "libvirt 11, everything": ["--fd=@FD@", "--shared-dir", "@DIR@", "--cache", "always",
                               "--sandbox", "chroot", "--xattr"],
    "Kata Containers 2": ["--syslog", "-o", "cache=auto", "-o", "no_posix_lock", "-o", "source=@DIR@",
                          "--fd=@FD@", "-f", "--thread-pool-size=1", "-o", "announce_submounts"],
    "Kata Containers 3": ["--syslog", "--cache=auto", "--shared-dir=@DIR@", "--fd=@FD@",
                          "--thread-pool-size=1", "--announce-submounts"],
    "Kata Containers 3, file handles": ["--syslog", "--cache=auto", "--shared-dir=@DIR@", "--fd=@FD@",
                                        "--inode-file-handles=prefer", "--thread-pool-size=1",
                                        "--announce-submounts"],
    "QEMU's documentation": ["--socket-path=@SOCK@", "-o", "source=@DIR@"],
    "virtio-fs measurements of 2021": ["--socket-path=@SOCK@", "-o", "source=@DIR@", "-o", "no_posix_lock",
                                       "-o", "xattr", "-o", "cache=none", "--thread-pool-size=0"],
    "Cloud Hypervisor's documentation": ["--log-level", "error", "--seccomp", "none", "--shared-dir", "@DIR@",
                                         "--socket-path", "@SOCK@", "--cache", "never"],
    "a Proxmox hook script": ["--log-level", "debug", "--socket-path", "@SOCK@", "--shared-dir", "@DIR@",
                              "--cache=auto", "--announce-submounts", "--inode-file-handles=mandatory"],
    "KubeVirt 1.5": ["--socket-path=@SOCK@", "--shared-dir=@DIR@", "--cache=auto", "--sandbox=none"],
    "KubeVirt": ["--socket-path=@SOCK@", "--shared-dir=@DIR@", "--sandbox=none", "--cache=auto",
                 "--migration-on-error=guest-error", "--migration-mode=find-paths", "--migration-verify-handles"],
    "Kata Containers, with migration": ["--syslog", "--cache=never", "--shared-dir=@DIR@", "--fd=@FD@",
                                        "--migration-mode=find-paths", "--migration-on-error=guest-error"],
    "Incus": ["--fd=@FD@", "--cache=metadata", "--shared-dir=@DIR@", "--posix-acl=auto"],
    "Incus, with ids": ["--fd=@FD@", "--cache=never", "--shared-dir=@DIR@",
                        "--translate-uid=map:0:1000000:65536", "--translate-uid=forbid-guest:0:0",
                        "--translate-gid=map:0:1000000:65536", "--translate-gid=forbid-guest:0:0",
                        "--translate-uid=forbid-guest:65536:4294901759",
                        "--translate-gid=forbid-guest:65536:4294901759"],
    "LXD": ["--fd=@FD@", "--cache=never", "-o", "source=@DIR@"],
    "Podman machine": ["--sandbox", "none", "--socket-path", "@SOCK@", "--shared-dir", "@DIR@"],
    "Lima": ["--socket-path", "@SOCK@", "--shared-dir", "@DIR@"],
    "systemd-vmspawn": ["--shared-dir", "@DIR@", "--xattr", "--fd", "@FD@", "--no-announce-submounts"],
    "microvm.nix": ["--socket-path=@SOCK@", "--socket-group=@GROUP@", "--shared-dir=@DIR@",
                    "--rlimit-nofile", "1048576", "--thread-pool-size", "4", "--posix-acl", "--xattr",
                    "--cache=auto", "--inode-file-handles=prefer"],
    "Proxmox VE 9": ["--fd=@FD@", "--shared-dir=@DIR@", "--xattr", "--posix-acl", "--announce-submounts",
                     "--allow-direct-io", "--cache=auto", "--syslog"],
    "RunCVM": ["-o", "modcaps=+sys_admin", "-o", "cache=always", "-o", "announce_submounts", "-o", "xattr",
               "--socket-path=@SOCK@", "-o", "source=@DIR@", "-o", "sandbox=chroot"],
}


def complete(label, words):
    """The whole command line of a row of OPTIONS or LEGACY."""
    words = label.split() if words is None else list(words)
    if not any("source=@DIR@" in word for word in words):
        words = ["--shared-dir", "@DIR@", *words]
    if not any("@SOCK@" in word for word in words):
        words = ["--fd=@FD@", *words]
    return words
